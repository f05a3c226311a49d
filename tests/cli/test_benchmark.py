import json

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.cli import main
from emotionnet_hf.emotions import MIKELS


@pytest.fixture
def folder(tmp_path):
    """DeepEmotion with given splits, one picture of which cannot be opened, and a test twin."""
    for place, split in enumerate(("train", "val", "test")):
        for label, name in enumerate(MIKELS):
            for number in range(2):
                seed = 100 * place + 10 * label + number
                save(tmp_path / split / name / f"{seed}.jpg", seed)
    (tmp_path / "train" / "awe" / "20.jpg").write_bytes(b"")
    save(tmp_path / "test" / "fear" / "twin.png", 0)
    return tmp_path


def save(path, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize((80, 60), Image.Resampling.BICUBIC).save(path)


def run(*words) -> int:
    return main([str(word) for word in words])


def test_benchmark_is_described(folder, capsys):
    assert run("benchmark", "de", folder, "--no-progress") == 0
    out, err = capsys.readouterr()
    assert out.startswith("# DeepEmotion\n")
    assert "1 of 17 pictures of test have a twin in train" in out
    assert "zero bytes" in out
    assert err == ""


def test_benchmark_prints_json(folder, capsys):
    assert run("benchmark", "DeepEmotion", folder, "--json", "--no-progress") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["splits"]["train"]["rows"] == 15
    assert told["splits"]["test"]["classes"]["fear"] == 3
    assert told["near_duplicates"]["overlaps"][0]["with_another_label"] == 1


def test_no_check_opens_nothing(folder, capsys):
    assert run("benchmark", "DeepEmotion", folder, "--no-check", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["splits"]["train"]["rows"] == 16
    assert told["near_duplicates"] is None


@pytest.mark.parametrize(("name", "reason"), [("mnist", "EMOTIC-B"), ("emotic-b", "Annotations")])
def test_what_cannot_be_read_is_one_line(folder, capsys, name, reason):
    assert run("benchmark", name, folder) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line
