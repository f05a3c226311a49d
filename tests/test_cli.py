import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf import cli
from emotionnet_hf.cli import main

REPOSITORY = Path(__file__).resolve().parents[1]


def emotionnet(*words, **options) -> subprocess.CompletedProcess:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "emotionnet_hf.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, **options)


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


@pytest.fixture
def pictures(tmp_path):
    """Two good pictures with a bad one between them."""
    paths = [save(tmp_path / "a.png", 0), tmp_path / "b.png", save(tmp_path / "c.png", 1)]
    paths[1].write_bytes(b"")
    return paths


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    assert line.startswith("emotionnet: ")
    return line


def test_help_is_a_table_of_contents():
    ran = emotionnet("--help")
    assert ran.returncode == 0
    for command in ("quickstart", "build", "tag"):
        assert re.search(rf"^ +{command}\s+\w+", ran.stdout, re.MULTILINE)


def test_failure_in_a_process_of_its_own_is_one_line_and_exit_code_one(tmp_path):
    ran = emotionnet("build", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "nowhere" in one_line(ran.stderr)


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


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["paint"],
        ["build"],
        ["build", "x"],
        ["tag", "--model", "m"],
        ["tag", "a.png"],
        ["tag", "a.png", "--model", "m", "--top-k", "0"],
        ["tag", "a.png", "--model", "m", "--top-k", "many"],
        ["tag", "a.png", "--model", "m", "--batch-size", "0"],
        ["tag", "a.png", "--model", "m", "--candidates", ""],
        ["tag", "a.png", "--model", "m", "--candidates", " , "],
        ["quickstart"],
        ["quickstart", "--out", "x", "--epochs", "0"],
        ["quickstart", "--out", "x", "--num-images", "-5"],
    ],
)
def test_bad_usage_is_exit_code_two(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*words)
    assert stopped.value.code == 2
    assert "usage: emotionnet" in capsys.readouterr().err


def fails(monkeypatch, error) -> None:
    def quickstart(*args, **kwargs):
        raise error

    monkeypatch.setattr("emotionnet_hf.quickstart.quickstart", quickstart)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "emotionnet: two lines"),
        (RuntimeError(), "emotionnet: RuntimeError"),
        (KeyboardInterrupt(), "stopped"),
    ],
)
def test_any_error_is_one_line(monkeypatch, capsys, tmp_path, error, line):
    fails(monkeypatch, error)
    assert run("quickstart", "--out", tmp_path) == 1
    assert capsys.readouterr().err == f"{line}\n"


def test_debug_shows_where_an_error_came_from(monkeypatch, tmp_path):
    fails(monkeypatch, RuntimeError("deep"))
    with pytest.raises(RuntimeError, match="deep"):
        run("quickstart", "--out", tmp_path, "--debug")


def test_quickstart_hands_on_what_was_asked_for(monkeypatch, capsys, tmp_path):
    asked = {}
    scores = {"hit_at_1": 0.25, "mean_average_precision": 0.125}

    def quickstart(out, **options):
        asked.update(options, out=out)
        return {"emotionnet": {"clean": scores, "chance": scores}}

    monkeypatch.setattr("emotionnet_hf.quickstart.quickstart", quickstart)
    words = ["--out", tmp_path, "--num-images", 200, "--epochs", 2, "--seed", 5, "--no-progress"]
    assert run("quickstart", *words) == 0
    assert asked == {
        **{"out": tmp_path, "num_images": 200, "epochs": 2, "seed": 5},
        **{"overwrite": False, "progress": False},
    }
    text = capsys.readouterr().out
    assert "hit@1 0.250" in text
    assert str(tmp_path / "report.html") in text


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


def test_every_command_has_the_common_switches():
    parser = cli._parser()
    for command, needed in (
        ("build", ["x", "--out", "y"]),
        ("tag", ["x", "--model", "y"]),
        ("quickstart", ["--out", "y"]),
    ):
        given = parser.parse_args([command, *needed, "--json", "--debug", "--no-progress"])
        assert given.json
        assert given.debug
        assert given.no_progress
