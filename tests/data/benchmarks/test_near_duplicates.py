from io import BytesIO

import imagehash
import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

from emotionnet_hf.data.benchmarks import near_duplicates
from emotionnet_hf.data.benchmarks.benchmark import (
    SPLITS,
    Benchmark,
    BenchmarkError,
    benchmark_features,
    open_picture,
)
from emotionnet_hf.data.benchmarks.near_duplicates import checked, without_twins
from emotionnet_hf.dedup import DedupError
from emotionnet_hf.loading.images import open_image
from tests.data.benchmarks.rows import single_label_row

CLASSES = ("calm", "awe", "fear")


def noise(seed, size=(160, 120)):
    values = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)


def as_png(picture):
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def benchmark(splits, task="single-label", **fields):
    features = benchmark_features(CLASSES)
    made = {name: Dataset.from_list(splits[name], features=features) for name in SPLITS}
    return Benchmark("Toy", task, DatasetDict(made), "1", "rows", **fields)


@pytest.fixture
def row(tmp_path):
    """Writes a picture and makes the row of it."""

    def make(name, seed, label, size=(160, 120), **columns):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(seed, size).save(path)
        return single_label_row(path, name, label, len(CLASSES)) | columns

    return make


@pytest.fixture
def toy(row):
    """Test: two twins of train (one with another label), one of validation, two of nothing."""
    return benchmark(
        {
            "train": [row(f"train/{seed}.png", seed, seed % 3) for seed in range(6)],
            "validation": [row("val/6.png", 6, 0), row("val/1.jpg", 1, 1)],
            "test": [
                row("test/copy.jpg", 0, 0),
                row("test/small.png", 4, 2, size=(80, 60)),
                row("test/of_validation.jpg", 6, 0),
                row("test/7.png", 7, 1),
                row("test/8.png", 8, 1),
            ],
        },
        dropped={"no label": 2},
    )


def overlap(report, split, other):
    (found,) = [o for o in report.overlaps if (o.split, o.other) == (split, other)]
    return found


def test_twins_are_counted_between_each_two_splits(toy):
    same, report = checked(toy, progress=False)
    assert same.splits.num_rows == toy.splits.num_rows
    assert report.pictures == {"train": 6, "validation": 2, "test": 5}
    found = overlap(report, "test", "train")
    assert (found.pictures, found.with_twin, found.with_another_label) == (5, 2, 1)
    # The one with another label comes first.
    assert [(t.image_id, t.twin_id, t.labels, t.twin_labels) for t in found.examples] == [
        ("test/small.png", "train/4.png", ("fear",), ("awe",)),
        ("test/copy.jpg", "train/0.png", ("calm",), ("calm",)),
    ]
    assert overlap(report, "validation", "train").with_twin == 1
    assert overlap(report, "test", "validation").examples[0].twin_id == "val/6.png"
    assert report.test_twins == {
        "train": {"train/0.png", "train/4.png"},
        "validation": {"val/6.png"},
    }


def test_twins_without_structure_have_the_same_pixels(row, tmp_path):
    def card(name, colour, label):
        made = row(name, 0, label)
        Image.new("RGB", (40, 30), colour).save(tmp_path / name)
        return made

    cards = benchmark(
        {
            "train": [card("train/red.png", "red", 0), card("train/blue.png", "blue", 1)],
            "validation": [card("val/green.png", "green", 0)],
            "test": [
                card("test/white.png", "white", 0),
                card("test/blue.bmp", "blue", 2),
                row("test/1.png", 1, 0),
            ],
        }
    )
    clean, report = checked(cards, progress=False)
    assert report.test_twins == {"train": {"train/blue.png"}, "validation": frozenset()}
    (twin,) = overlap(report, "test", "train").examples
    assert (twin.image_id, twin.twin_id, twin.distance) == ("test/blue.bmp", "train/blue.png", 0)
    assert overlap(report, "test", "train").with_another_label == 1
    assert without_twins(clean, report).splits["train"]["image_id"] == ["train/red.png"]


def test_distances_are_those_of_imagehash(toy, tmp_path):
    _, report = checked(toy, progress=False, radius=16)
    hashes = {
        path.relative_to(tmp_path).as_posix(): imagehash.phash(open_image(path))
        for path in tmp_path.glob("*/*")
    }
    for split, other in (("test", "train"), ("validation", "train"), ("test", "validation")):
        others = toy.splits[other]["image_id"]
        near = {
            name: min(hashes[name] - hashes[twin] for twin in others)
            for name in toy.splits[split]["image_id"]
        }
        found = overlap(report, split, other)
        assert found.with_twin == sum(distance <= 16 for distance in near.values())
        assert {t.image_id: t.distance for t in found.examples} == {
            name: distance for name, distance in near.items() if distance <= 16
        }


def test_blocks_do_not_change_what_is_found(toy, monkeypatch):
    whole = checked(toy, progress=False, radius=16)[1]
    monkeypatch.setattr(near_duplicates, "_BLOCK", 1)
    assert checked(toy, progress=False, radius=16)[1] == whole


def test_train_and_validation_lose_the_twins_of_test(toy):
    clean = without_twins(*checked(toy, progress=False))
    assert clean.splits["train"]["image_id"] == [f"train/{n}.png" for n in (1, 2, 3, 5)]
    # It has a twin in train as well, which is no matter.
    assert clean.splits["validation"]["image_id"] == ["val/1.jpg"]
    assert clean.splits["test"]["image_id"] == toy.splits["test"]["image_id"]
    assert clean.dropped == {
        "no label": 2,
        "train: twin of a test picture within 4 bits": 2,
        "validation: twin of a test picture within 4 bits": 1,
    }
    again, report = checked(clean, progress=False)
    for split in ("train", "validation"):
        assert overlap(report, "test", split).with_twin == 0
    same = without_twins(again, report)
    assert (same.splits.num_rows, same.dropped) == (again.splits.num_rows, again.dropped)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_of_twins_only_is_an_error(row, split):
    rows = {name: [row(f"{name}.png", seed, 0)] for seed, name in enumerate(SPLITS)}
    rows[split] = [row("copy.png", SPLITS.index("test"), 0)]
    with pytest.raises(BenchmarkError, match=f"every picture of {split} .* nothing is left"):
        without_twins(*checked(benchmark(rows), progress=False))


def test_pictures_that_cannot_be_opened_leave_with_their_reasons(toy, tmp_path):
    (tmp_path / "train/1.png").write_bytes(b"")
    (tmp_path / "train/2.png").write_bytes(b"no picture")
    (tmp_path / "test/7.png").unlink()
    data = (tmp_path / "test/8.png").read_bytes()
    (tmp_path / "test/8.png").write_bytes(data[: len(data) // 2])
    good, report = checked(toy, progress=False)
    assert good.splits.num_rows == {"train": 4, "validation": 2, "test": 3}
    assert good.dropped == {
        "no label": 2,
        "zero bytes": 1,
        "not an image": 1,
        "cannot be read": 1,
        "truncated": 1,
    }
    assert dict(report.unreadable_examples)["test/7.png"].startswith("cannot be read: No such")
    for split in SPLITS:
        for left in good.splits[split]:
            open_picture(left)


def test_split_without_a_picture_is_an_error(toy, tmp_path):
    for path in (tmp_path / "val").glob("*"):
        path.write_bytes(b"")
    with pytest.raises(BenchmarkError, match=r"no picture of validation can be used.*zero bytes"):
        checked(toy, progress=False)


def test_each_file_is_opened_once_and_each_box_is_checked(row, tmp_path, monkeypatch):
    people = [
        row("a.png", 1, 0, group="a", image_id="a#1", box=[0, 0, 50, 50]),
        row("a.png", 1, 1, group="a", image_id="a#2", box=[150, 100, 200, 200]),
        row("a.png", 1, 1, group="a", image_id="a#3", box=[161, 0, 170, 20]),
    ]
    rows = {
        "train": people,
        "validation": [row("b.png", 2, 0)],
        "test": [row("c.jpg", 1, 2, box=[5, 5, 60, 60])],
    }
    opened = []
    monkeypatch.setattr(
        near_duplicates, "open_image", lambda data: opened.append(data) or open_image(data)
    )
    good, report = checked(benchmark(rows, "multi-label"), progress=False)
    assert sorted(path.name for path in opened) == ["a.png", "b.png", "c.jpg"]
    assert good.splits["train"]["image_id"] == ["a#1", "a#2"]
    assert good.dropped == {"the box lies outside of the picture": 1}
    (twin,) = overlap(report, "test", "train").examples
    # What is right for a picture is right for any of its people.
    assert (twin.twin_id, twin.twin_labels) == ("a#1", ("calm", "awe"))
    assert report.test_twins["train"] == {"a"}


def test_one_file_in_two_splits_is_its_own_twin(row):
    rows = {name: [row(f"{name}.png", seed, 0)] for seed, name in enumerate(SPLITS)}
    rows["test"].append(rows["train"][0])
    _, report = checked(benchmark(rows), progress=False)
    assert overlap(report, "test", "train").examples[0].distance == 0


def test_pictures_in_bytes_are_compared_too(row):
    rows = {name: [row(f"{name}.png", seed, 0)] for seed, name in enumerate(SPLITS)}
    rows["train"] += [
        row("x.png", 9, 1, image={"bytes": as_png(noise(seed)), "path": None}, image_id=f"b{seed}")
        for seed in (20, 2)
    ]
    _, report = checked(benchmark(rows), progress=False)
    assert report.pictures["train"] == 3
    assert overlap(report, "test", "train").examples[0].twin_id == "b2"


def test_radius_is_checked_before_anything_is_opened(toy):
    with pytest.raises(DedupError):
        checked(toy, radius=17, progress=False)


def test_bar_is_shown_unless_hidden(toy, capsys):
    checked(toy, progress=False)
    assert capsys.readouterr().err == ""
    checked(toy, threads=1)
    assert "hashing" in capsys.readouterr().err
