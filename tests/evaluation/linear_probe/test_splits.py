import shutil

import pytest

from emotionnet_hf.data.benchmarks import BenchmarkError
from emotionnet_hf.emotions import MIKELS
from emotionnet_hf.evaluation.linear_probe.splits import load_for_seeds


@pytest.fixture
def folder(tmp_path, making):
    """DeepEmotion without splits of its own."""
    for place, name in enumerate(MIKELS):
        for number in range(10):
            making.draw(
                tmp_path / "one" / name / f"{place}-{number}.png", place % 3, place * 10 + number
            )
    return tmp_path / "one"


def load(folder, seeds=(0, 1), **changes):
    return load_for_seeds("DeepEmotion", folder, seeds, progress=False, **changes)


def ids(benchmark, split="test"):
    return set(benchmark.splits[split]["image_id"])


def test_each_seed_draws_its_split(folder):
    (first, second), report = load(folder)
    assert ids(first) != ids(second) and len(ids(first)) == len(ids(second))
    assert report.pictures["test"] == len(ids(first))


def test_splits_of_its_own_are_read_once(folder, tmp_path):
    for split in ("train", "val", "test"):
        shutil.copytree(folder, tmp_path / "split" / split)
    (benchmark,), report = load(tmp_path / "split", check=False)
    assert report is None and len(ids(benchmark)) == 80
    # An unreadable picture, found by the check, is left to the evaluation and its limit.
    (tmp_path / "split" / "test" / "awe" / f"{MIKELS.index('awe')}-3.png").write_bytes(b"none")
    (benchmark,), report = load(tmp_path / "split")
    assert len(ids(benchmark)) == 80 and report.unreadable


def test_twins_are_dropped_for_every_seed(folder):
    # Every picture of one class is the same one.
    name = MIKELS[0]
    for number in range(1, 10):
        shutil.copy(folder / name / "0-0.png", folder / name / f"0-{number}.png")
    benchmarks, _ = load(folder, drop_twins=True, check=False)
    for benchmark in benchmarks:
        for split in ("train", "validation"):  # which are trained on together in the end
            assert not [i for i in ids(benchmark, split) if i.startswith(f"{name}/")]
        assert [i for i in ids(benchmark) if i.startswith(f"{name}/")]
    kept, _ = load(folder, check=False)
    assert [i for i in ids(kept[0], "train") if i.startswith(f"{name}/")]


def test_errors_are_the_benchmarks(folder):
    with pytest.raises(BenchmarkError, match="there is no benchmark 'Faces'"):
        load_for_seeds("Faces", folder, (0,))
