import pytest
from PIL import Image

from emotionnet_hf.data.benchmarks.benchmark import (
    SPLITS,
    BenchmarkError,
    LayoutError,
    benchmark_features,
    open_picture,
)
from emotionnet_hf.data.benchmarks.unbiasedemotion import LAYOUTS, read
from emotionnet_hf.emotions import UBE


@pytest.fixture
def folder(tmp_path):
    """Six emotions, two objects, ten pictures of each."""
    for emotion in UBE:
        for thing in ("car", "dog"):
            place = tmp_path / "images" / emotion.upper() / thing
            place.mkdir(parents=True)
            for number in range(10):
                Image.new("RGB", (8, 6), "red").save(place / f"{number}.jpg")
    (tmp_path / "images" / "anger").mkdir()
    (tmp_path / "images" / "anger" / ".DS_Store").touch()
    return tmp_path


def test_a_fifth_of_each_emotion_is_test(folder):
    benchmark = read(folder)
    assert benchmark.classes == UBE
    assert benchmark.layout == LAYOUTS[0] and benchmark.task == "single-label"
    assert benchmark.dropped == {} and any("seed 0" in note for note in benchmark.notes)
    for split, expected in zip(SPLITS, (14, 2, 4), strict=True):
        data = benchmark.splits[split]
        assert data.features == benchmark_features(UBE)
        assert [data["label"][:].count(k) for k in range(6)] == [expected] * 6
        assert data["image_id"][:] == sorted(data["image_id"][:]) == data["group"][:]
        for row in data:
            assert row["image_id"].split("/")[1].lower() == UBE[row["label"]]
            assert row["labels"] == [row["label"]] and row["box"] is None
            assert row["target"] == [float(k == row["label"]) for k in range(6)]
    ids = [i for split in SPLITS for i in benchmark.splits[split]["image_id"][:]]
    assert len(set(ids)) == len(ids) == 120
    assert open_picture(benchmark.splits["test"][0]).size == (8, 6)


def test_images_itself_is_read_too_and_the_seed_counts(folder):
    itself = read(folder / "images")
    assert sorted(map(len, itself.splits.values())) == [12, 24, 84]
    assert itself.splits["test"][0]["image_id"].startswith("ANGER/")
    again, other = read(folder, seed=0), read(folder, seed=1)
    assert again.splits["test"]["image_id"][:] == read(folder).splits["test"]["image_id"][:]
    assert again.splits["test"]["image_id"][:] != other.splits["test"]["image_id"][:]


def test_other_folders_are_refused(folder, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match=r"does not exist.*Panda et al\."):
        read(folder / "nowhere")
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(LayoutError, match=r"Expected: images/EMOTION.*Found: nothing"):
        read(empty)
    (empty / "archive.zip").touch()
    with pytest.raises(LayoutError, match=r"Expected: images/EMOTION.*Found: archive\.zip"):
        read(empty)
    (folder / "images" / "JOY").rename(folder / "images" / "happy")
    with pytest.raises(BenchmarkError, match=r"happy has pictures \(20\).*anger, fear, joy"):
        read(folder)
    (folder / "images" / "happy").rename(folder / "happy")
    with pytest.raises(BenchmarkError, match="no picture of joy"):
        read(folder)
