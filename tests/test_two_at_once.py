"""The same command twice at once, at random delays, one of the two sometimes killed."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.cli import _parser
from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.audit import Sample, write_sheet
from emotionnet_hf.data.describe.page import describe_dataset
from emotionnet_hf.data.detection import Detector
from emotionnet_hf.data.duplicates import find_duplicates
from emotionnet_hf.data.fetch import fetch_images
from emotionnet_hf.data.people_counts import PeopleCounter
from emotionnet_hf.data.sample import generate_sample
from emotionnet_hf.data.sample.benchmarks import generate_benchmarks
from emotionnet_hf.evaluation.embed import embed
from emotionnet_hf.evaluation.retrieval import build_index
from emotionnet_hf.export.onnx import export_onnx
from emotionnet_hf.export.timm_trunk import export_timm
from emotionnet_hf.lock import AnotherRunError, one_run
from emotionnet_hf.models.convert_original import convert_checkpoint
from emotionnet_hf.quickstart import quickstart
from emotionnet_hf.reproduction.run import reproduce
from emotionnet_hf.training import (
    EmotionNetArguments,
    TextCNNArguments,
    train_emotionnet,
    train_textcnn,
)
from emotionnet_hf.training.pseudo_labels import write_pseudo_labels

STRESS = Path(__file__).with_name("two_at_once.py")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder of 120 pictures with keywords."""
    folder = tmp_path_factory.mktemp("pictures")
    values = np.random.default_rng(0).integers(0, 256, (120, 6, 8, 3), dtype=np.uint8)
    for number, value in enumerate(values):
        Image.fromarray(value).resize((160, 120)).save(folder / f"{number}.png")
    rows = [{"file_name": f"{n}.png", "keywords": ["joy", f"word {n}"]} for n in range(120)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def stress(rounds: int, seed: int, *places: Path) -> dict[str, dict[str, int]]:
    done = subprocess.run(
        [sys.executable, str(STRESS), str(rounds), str(seed), *map(str, places)],
        cwd=STRESS.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_pairs(source, checkpoint, tmp_path):
    # This seed: a pair, a kill before the second run begins, a pair, a kill after it was refused.
    found = stress(4, 18969, source, checkpoint, tmp_path)
    assert found.keys() == {"build", "embed"}
    for counts in found.values():
        assert counts["rounds"] == 4
        assert counts["refused"] >= 1
        assert counts["killed at work"] >= 1
        assert counts["taken over"] + counts["gone on with"] >= 1


@pytest.mark.slow
def test_a_hundred_pairs_of_which_fifty_have_a_victim(source, checkpoint, tmp_path):
    for counts in stress(100, 11, source, checkpoint, tmp_path).values():
        assert (counts["rounds"], counts["other arguments"]) == (100, 24)
        assert counts["refused"] >= 20
        # The others of the fifty had ended before they could be killed.
        assert counts["killed at work"] >= 10
        assert counts["taken over"] >= 4
        assert counts["gone on with"] >= 2


class NoDetector(Detector):
    def settings(self):
        return {}

    def count(self, images):
        return [0] * len(images)


# Nothing of what they are made from is there: the second run is refused before it looks.
NONE = Path("/none")
REPLACED: dict[str, Callable[[Path], object]] = {
    "build": lambda out: build_dataset(NONE, out),
    "embed": lambda out: embed(NONE, NONE, out),
    "dedup": lambda out: find_duplicates(NONE, out),
    "count-people": lambda out: PeopleCounter(NoDetector(), None).run(NONE, out),
    "index": lambda out: build_index(NONE, NONE, out),
    "audit": lambda out: write_sheet(NONE, Sample("none", 0, 1, None, []), out),
    "pseudo-label": lambda out: write_pseudo_labels(NONE, NONE, out),
    "convert": lambda out: convert_checkpoint(NONE, out),
    "export onnx": lambda out: export_onnx(NONE, out),
    "export timm": lambda out: export_timm(NONE, out),
    "the sample": lambda out: generate_sample(out, num_images=1),
    "the sample of benchmarks": lambda out: generate_benchmarks(out),
}
FILLED: dict[str, Callable[[Path], object]] = {
    "describe": lambda out: describe_dataset(NONE, out),
    "fetch-images": lambda out: fetch_images(["https://none.example/a.png"], out),
    "quickstart": lambda out: quickstart(out, overwrite=True),
    "train TextCNN": lambda out: train_textcnn(TextCNNArguments(data="none", output_dir=str(out))),
    "train EmotionNet": lambda out: train_emotionnet(
        EmotionNetArguments(data="none", output_dir=str(out), text_model="none")
    ),
    "reproduce": lambda out: reproduce(["table2"], out.parent, out, out, recipes=NONE),
}
# These write results at their end, in a moment; of two the last one wins.
NOT_LOCKED = {"benchmark", "evaluate", "push", "search", "tag"}


@pytest.mark.parametrize("name", [*REPLACED, *FILLED])
def test_every_writer_refuses_to_be_a_second_run(name, tmp_path):
    write, out = (REPLACED | FILLED)[name], tmp_path / "out"
    with one_run(out, inside=name in FILLED), ThreadPoolExecutor(1) as other:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(AnotherRunError) as caught:
            other.submit(write, out).result()
        assert sorted(tmp_path.rglob("*")) == before
    line = str(caught.value)
    assert line.startswith(f"another run is at work on {out} (process {os.getpid()} on ")
    assert "\n" not in line
    assert list(tmp_path.iterdir()) == []


def test_no_command_is_forgotten():
    (commands,) = (
        action.choices
        for action in _parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    known = {name.partition(" ")[0] for name in REPLACED | FILLED} | NOT_LOCKED
    assert set(commands) <= known
