import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.cli import main
from emotionnet_hf.models import TextCNNConfig, TextCNNForSequenceClassification

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*words) -> int:
    return main([str(word) for word in words])


def save(path: Path, seed: int) -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize((40, 30)).save(path)
    return path


@pytest.fixture
def pictures(tmp_path):
    """Two good pictures with a bad one between them."""
    paths = [save(tmp_path / "a.png", 0), tmp_path / "b.png", save(tmp_path / "c.png", 1)]
    paths[1].write_bytes(b"")
    return paths


def test_reader_that_has_enough_is_no_reason_for_a_traceback(checkpoint, pictures):
    command = [sys.executable, "-m", "emotionnet_hf.cli", "tag", "--no-progress"]
    command += ["--model", str(checkpoint), str(pictures[0])]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 1
    assert "Broken" not in errors
    assert "Traceback" not in errors


def test_tag_prints_a_line_a_picture_and_reports_the_bad_one(checkpoint, pictures, capsys):
    assert run("tag", *pictures, "--model", checkpoint, "--top-k", 2, "--no-progress") == 1
    out, err = capsys.readouterr()
    assert [line.split(": ")[0] for line in out.splitlines()] == [
        str(path) for path in (pictures[0], pictures[2])
    ]
    assert all(line.count(",") == 1 for line in out.splitlines())
    assert f"emotionnet: {pictures[1]}: zero bytes" in err.splitlines()


def test_tag_prints_a_json_object_a_line(checkpoint, pictures, capsys):
    words = ["--model", checkpoint, "--json", "--no-progress"]
    assert run("tag", *pictures, *words) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["image"] for row in rows] == [str(path) for path in pictures]
    assert [row["error"] for row in rows] == [None, "zero bytes", None]
    assert rows[0]["tags"][0].keys() == {"label", "score", "probability", "cosine"}


def test_tag_of_good_pictures_is_exit_code_zero(checkpoint, pictures):
    assert run("tag", pictures[0], "--model", checkpoint) == 0


def test_candidates_lose_the_space_after_their_comma(checkpoint, pictures, capsys):
    words = ["--model", checkpoint, "--candidates", "joy, candy cane,,tree", "--json"]
    assert run("tag", pictures[0], *words) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert {tag["label"] for tag in row["tags"]} == {"joy", "candy cane", "tree"}


@pytest.mark.parametrize(
    "words", [["nowhere.png"], ["a.png", "--candidates", "zzz"], ["a.png", "--model", "/no/model"]]
)
def test_tag_that_cannot_be_done_is_one_line(checkpoint, pictures, capsys, monkeypatch, words):
    monkeypatch.chdir(pictures[0].parent)
    assert run("tag", "--model", checkpoint, *words) == 1
    assert (
        len([line for line in capsys.readouterr().err.splitlines() if "emotionnet: " in line]) == 1
    )


def test_model_that_cannot_tag_is_named_in_a_line(pictures, tmp_path, capsys):
    keyword_model = tmp_path / "textcnn"
    config = TextCNNConfig(vocab_size=6, embedding_dim=5, hidden_size=4, num_labels=3)
    TextCNNForSequenceClassification(config).save_pretrained(keyword_model)
    capsys.readouterr()
    assert run("tag", pictures[0], "--model", keyword_model, "--no-progress") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "is a TextCNNForSequenceClassification, which tags no pictures: give an EmotionNet."
    )


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_names_that_the_output_cannot_encode_end_no_run(checkpoint, tmp_path, words):
    names = ["a.png", "b\U0001f600.png", "c.png"]
    for seed, name in enumerate(names):
        save(tmp_path / name, seed)
    command = [sys.executable, "-m", "emotionnet_hf.cli", "tag", str(tmp_path), "--no-progress"]
    command += ["--model", str(checkpoint), "--top-k", "1", *words]
    environ = os.environ | {"PYTHONIOENCODING": "cp1252"}
    ran = subprocess.run(command, capture_output=True, cwd=REPOSITORY, env=environ)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 3
    assert (b"\\U0001f600" if not words else b"\\ud83d\\ude00") in ran.stdout
    assert b"Loading" not in ran.stderr and b"%|" not in ran.stderr
