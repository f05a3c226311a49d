import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*words) -> int:
    return main([str(word) for word in words])


def save(path: Path, seed: int) -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize((40, 30)).save(path)
    return path


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "pictures"
    rows = []
    for i in range(30):
        save(folder / f"{i}.png", i)
        rows.append({"file_name": f"{i}.png", "keywords": ["Joy", "tree"] if i else ["zorblax"]})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    assert line.startswith("emotionnet: ")
    return line


def test_build_tells_what_it_built(source, tmp_path, capsys):
    assert run("build", source, "--out", tmp_path / "out", "--no-progress") == 0
    text = capsys.readouterr().out
    assert "29 images" in text
    assert "1 rows in quarantine" in text
    assert (tmp_path / "out" / "README.md").is_file()


def test_build_prints_one_line_of_json(source, tmp_path, capsys):
    words = ["--out", tmp_path / "out", "--json", "--no-progress", "--validation", 0, "--test", 0]
    assert run("build", source, *words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == {"train": 29}
    assert report["out"] == str(tmp_path / "out")


def test_build_takes_a_vocabulary_of_the_users(source, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("# mine\nZorblax\ncalm\n")
    words = ["--emotions", tmp_path / "words.txt", "--json", "--no-progress"]
    assert run("build", source, "--out", tmp_path / "out", *words) == 0
    assert sum(json.loads(capsys.readouterr().out)["rows"].values()) == 1


def test_vocabulary_that_is_not_there_is_one_line(source, tmp_path, capsys):
    words = ["--emotions", tmp_path / "none.txt", "--out", tmp_path / "out"]
    assert run("build", source, *words) == 1
    assert "none.txt" in one_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_vocabulary_that_no_image_matches_is_one_line(source, tmp_path, capsys):
    (tmp_path / "words.txt").write_text("nowhere seen\n")
    words = ["--emotions", tmp_path / "words.txt", "--out", tmp_path / "out", "--no-progress"]
    assert run("build", source, *words) == 1
    assert "no image" in one_line(capsys.readouterr().err)


def test_missing_metadata_is_one_line(source, tmp_path, capsys):
    (source / "metadata.jsonl").unlink()
    assert run("build", source, "--out", tmp_path / "out") == 1
    assert "metadata.jsonl" in one_line(capsys.readouterr().err)


def test_earlier_build_is_kept_unless_told_otherwise(source, tmp_path, capsys):
    words = ["build", source, "--out", tmp_path / "out", "--no-progress"]
    assert run(*words) == 0
    assert run(*words) == 1
    assert run(*words, "--overwrite") == 0
