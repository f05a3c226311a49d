import argparse
import json

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.cli import index as index_command

pytest.importorskip("faiss")


def run(*words) -> int:
    parser = argparse.ArgumentParser()
    index_command.add_command(parser.add_subparsers())
    arguments = parser.parse_args(["index", *map(str, words)])
    return arguments.run(arguments)


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        values = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        path = tmp_path / "pictures" / ("joy" if number else "fear") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    return tmp_path / "pictures"


def test_index_tells_what_was_built(folder, checkpoint, tmp_path, capsys):
    out = tmp_path / "index"
    assert run(folder, "--model", checkpoint, "--out", out, "--no-progress") == 0
    assert capsys.readouterr().out == (
        f"3 images indexed in {out}: features (Flat, recall@10 1.000), "
        "joint (Flat, recall@10 1.000)\n"
    )


def test_index_prints_its_facts_as_json(folder, checkpoint, tmp_path, capsys):
    words = ["--model", checkpoint, "--out", tmp_path / "i", "--factory", "SQ8", "--json"]
    assert run(folder, *words, "--no-progress") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == json.loads((tmp_path / "i" / "index.json").read_text())
    assert facts["spaces"]["features"]["factory"] == "SQ8"
    assert facts["label"] == "label"
