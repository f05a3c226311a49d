"""All drawn benchmarks together: what is written, the same again, and what is refused."""

from __future__ import annotations

import json
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from emotionnet_hf.data.benchmarks.benchmark import open_picture
from emotionnet_hf.data.sample import benchmarks, generate_sample
from emotionnet_hf.data.sample.benchmarks import NAMES, NOTE, generate_benchmarks
from emotionnet_hf.phash import phash_file

COUNT = 160


def write(out: Path, **settings: Any) -> Path:
    generate_benchmarks(out, **{"num_images": 60, "image_size": 16, "progress": False, **settings})
    return out


def read_bytes(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def story(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "drawn.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("drawn") / "benchmarks", num_images=COUNT, image_size=48)


def test_every_folder_says_that_it_is_drawn(drawn: Path) -> None:
    assert {path.name for path in drawn.iterdir()} == {*NAMES, "README.txt"}
    assert NOTE in (drawn / "README.txt").read_text("utf-8")
    for name in NAMES:
        told = story(drawn / name)
        assert (told["note"], told["stands_in_for"]) == (NOTE, name)
        assert told["num_images"] == COUNT == sum(told["labels"].values())
        assert len(list((drawn / name).rglob("*.jpg"))) == COUNT


@pytest.mark.parametrize("name", [name for name in NAMES if name != "AffectNet"])
def test_classes_are_balanced(drawn: Path, name: str) -> None:
    counts = story(drawn / name)["labels"].values()
    assert max(counts) - min(counts) <= 1


def test_near_copies_are_listed_and_look_alike(drawn: Path) -> None:
    distances, others, total = [], [], 0
    for name in NAMES:
        copies = story(drawn / name)["near_copies"]
        total += len(copies)
        paths = sorted(copies)
        for path, other in pairwise(paths):
            others.append(_bits(drawn / name / path, drawn / name / other))
        for path, original in copies.items():
            assert original not in copies
            assert (drawn / name / path).read_bytes() != (drawn / name / original).read_bytes()
            distances.append(_bits(drawn / name / path, drawn / name / original))
    assert 0.02 < total / (COUNT * len(NAMES)) < 0.07
    assert np.median(distances) <= 8
    assert np.median(others) >= 20


def _bits(one: Path, other: Path) -> int:
    return (int(phash_file(one), 16) ^ int(phash_file(other), 16)).bit_count()


def test_same_bytes_again_and_others_with_another_seed(tmp_path: Path) -> None:
    first = read_bytes(write(tmp_path / "a", seed=3))
    assert first == read_bytes(write(tmp_path / "b", seed=3))
    other = read_bytes(write(tmp_path / "c", seed=4))
    pictures = {content for name, content in first.items() if name.endswith(".jpg")}
    assert not pictures & set(other.values())


def test_a_benchmark_does_not_depend_on_the_others(tmp_path: Path) -> None:
    alone = read_bytes(write(tmp_path / "alone", names=["SE30K8"]))
    assert {name.split("/")[0] for name in alone} == {"SE30K8", "README.txt"}
    together = read_bytes(write(tmp_path / "together", names=["DeepEmotion", "SE30K8"]))
    assert alone.items() <= together.items()


def test_no_picture_is_in_two_benchmarks_or_in_a_sample_of_the_same_seed(
    drawn: Path, tmp_path: Path
) -> None:
    generate_sample(tmp_path / "s", num_images=COUNT, image_size=48, seed=1, progress=False)
    sample = {phash_file(path) for path in (tmp_path / "s" / "images").iterdir()}
    seen: set[str] = set()
    for name in NAMES:
        here = {phash_file(path) for path in (drawn / name).rglob("*.jpg")}
        assert not here & sample
        assert not here & seen
        seen |= here


@pytest.mark.parametrize(
    ("name", "used", "dropped"),
    [
        ("DeepEmotion", COUNT, set()),
        ("UnBiasedEmotion", COUNT, set()),
        ("AffectNet", COUNT - 8, {"contempt", "none", "uncertain", "no-face"}),
        ("EmoSet", COUNT, set()),
    ],
)
def test_readers_read_the_pictures(drawn: Path, name: str, used: int, dropped: set[str]) -> None:
    module = import_module(f"emotionnet_hf.data.benchmarks.{name.lower()}")
    benchmark = module.read(drawn / name, seed=0)
    assert sum(map(len, benchmark.splits.values())) == used
    assert {reason.rpartition(": ")[2] for reason in benchmark.dropped} == dropped
    assert sum(benchmark.dropped.values()) == COUNT - used
    for rows in benchmark.splits.values():
        _open_one(rows)
    # Validation is drawn from train by the reader, and smaller than the classes are rare.
    for split in ("train", "test"):
        assert set(benchmark.splits[split]["label"]) == set(range(len(benchmark.classes)))


def test_reader_reads_se30k8(drawn: Path) -> None:
    from emotionnet_hf.data.benchmarks.se30k8 import read

    benchmark = read(drawn / "SE30K8", seed=0)
    used = sum(map(len, benchmark.splits.values()))
    assert set(benchmark.dropped) == {"no majority"}
    assert used + benchmark.dropped["no majority"] == COUNT
    # At least three agree on more than 85 % of the real ones (section 3.3).
    assert 0.8 * COUNT < used < COUNT
    assert set(benchmark.splits["train"]["label"]) == set(range(8))
    _open_one(benchmark.splits["test"])


def test_readers_read_emotic(drawn: Path) -> None:
    from emotionnet_hf.data.benchmarks.emotic import read_body, read_image

    body, image = (read(drawn / "EMOTIC", seed=0) for read in (read_body, read_image))
    assert not body.dropped
    assert not image.dropped
    assert len(set(body.splits["train"]["group"])) == round(0.7 * COUNT)
    for name, rows in body.splits.items():
        assert len(rows) == len(image.splits[name])
        assert all(box is None for box in image.splits[name]["box"])
        assert _open_one(rows) < _open_one(image.splits[name])
    named = {label for labels in body.splits["train"]["labels"] for label in labels}
    assert named == set(range(26))


def _open_one(rows: Dataset) -> tuple[int, int]:
    return open_picture(rows[0]).size


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_images", 59),
        ("image_size", 15),
        ("seed", -1),
        ("names", ["EMOTIC", "ImageNet"]),
        ("names", ["EMOTIC", "EMOTIC"]),
        ("names", []),
    ],
)
def test_refuses_arguments_out_of_range(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        write(tmp_path / "out", **{name: value})
    assert not any(tmp_path.iterdir())


def test_refuses_an_existing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="choose another"):
        write(tmp_path)


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(benchmarks, "_story", fail)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path / "out", names=["DeepEmotion"])
    assert not any(tmp_path.iterdir())


def test_the_smallest_has_every_class_in_every_part(tmp_path: Path) -> None:
    folder = write(tmp_path / "out")
    for name in ("DeepEmotion", "UnBiasedEmotion", "AffectNet", "EmoSet"):
        module = import_module(f"emotionnet_hf.data.benchmarks.{name.lower()}")
        benchmark = module.read(folder / name, seed=0)
        assert set(benchmark.splits["train"]["label"]) == set(range(len(benchmark.classes)))
        assert all(len(rows) for rows in benchmark.splits.values())
