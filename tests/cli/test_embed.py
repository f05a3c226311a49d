import json

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.cli import main
from emotionnet_hf.evaluation.embed import read_features


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((60, 50)).save(folder / f"{number}.png")
    return folder


def run(*words) -> int:
    return main(["embed", *map(str, words), "--no-progress", "--device", "cpu"])


def test_features_are_written_and_told(folder, checkpoint, tmp_path, capsys):
    out = tmp_path / "features.parquet"
    assert run(folder, "--model", checkpoint, "--out", out, "--joint") == 0
    assert "features.parquet: features of 3 images" in capsys.readouterr().out
    ids, values, _ = read_features(out, "joint")
    assert ids == ["0.png", "1.png", "2.png"] and values.shape == (3, 6)
    assert run(folder, "--model", checkpoint, "--out", out) == 1
    assert "exists; choose another file" in capsys.readouterr().err


def test_json(folder, checkpoint, tmp_path, capsys):
    (folder / "9.png").write_bytes(b"")
    out = tmp_path / "features.parquet"
    words = ["--precision", "int8", "--dtype", "float16", "--threads", 1, "--batch-size", 2]
    assert run(folder, "--model", checkpoint, "--out", out, *words, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["images"] == 3 and report["quarantined"] == {"zero bytes": 1}
    assert report["change"]["images"] == 3 and report["out"] == str(out)


def test_bad_source_is_one_line(checkpoint, tmp_path, capsys):
    words = [tmp_path / "nowhere.png", "--model", checkpoint, "--out", tmp_path / "f.parquet"]
    assert run(*words) == 1
    error = capsys.readouterr().err
    assert "nowhere.png does not exist" in error and "Traceback" not in error
