import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

from emotionnet_hf.data.benchmarks.benchmark import (
    Benchmark,
    LayoutError,
    benchmark_features,
    crop,
    open_picture,
)
from emotionnet_hf.loading.images import ImageError
from tests.data.benchmarks.rows import single_label_row

CLASSES = ("joy", "fear", "awe")


@pytest.fixture
def picture(tmp_path):
    image = Image.new("RGB", (20, 10), "white")
    image.paste("red", (5, 2, 15, 8))
    image.save(tmp_path / "a.png")
    return tmp_path / "a.png"


def make(row, task="single-label"):
    split = Dataset.from_list([row], features=benchmark_features(CLASSES))
    return Benchmark("Toy", task, DatasetDict(train=split, test=split), "1", "rows")


def test_a_row_survives_the_schema(picture):
    row = single_label_row(picture, "a.png", 1, len(CLASSES))
    benchmark = make(row)
    assert benchmark.splits["train"][0] == {**row, "image": {"bytes": None, "path": str(picture)}}
    assert row["target"] == [0.0, 1.0, 0.0] and row["group"] == "a.png"
    assert benchmark.classes == CLASSES and benchmark.metric == "accuracy"
    assert make(row, "multi-label").metric == "mean_average_precision"
    assert benchmark.with_splits({"train": benchmark.splits["train"]}, name="B").name == "B"


def test_a_box_is_cropped_and_cut_at_the_edges(picture):
    row = single_label_row(picture, "a.png", 0, len(CLASSES))
    assert open_picture(row).size == (20, 10)
    red = open_picture({**row, "box": [5.0, 2.0, 15.0, 8.0]})
    assert red.size == (10, 6) and red.getcolors() == [(60, (255, 0, 0))]
    assert open_picture({**row, "box": [-4.0, 5.0, 400.0, 9.6]}).size == (20, 5)
    with pytest.raises(ImageError, match=r"a\.png: the box \[20, 0, 30, 10\] lies outside"):
        open_picture({**row, "box": [20.0, 0.0, 30.0, 10.0]})
    with pytest.raises(ImageError):
        crop(Image.new("RGB", (4, 4)), (2, 2, 2, 4))


def test_a_picture_that_cannot_be_opened_is_named(tmp_path):
    row = single_label_row(tmp_path / "gone.jpg", "fear/gone.jpg", 0, len(CLASSES))
    with pytest.raises(ImageError, match=r"fear/gone\.jpg: cannot be read"):
        open_picture(row)


def test_an_unknown_layout_is_told_with_what_was_expected_and_found(tmp_path):
    error = LayoutError("Toy", tmp_path, ["<class>/*.jpg", "{train,test}/*.jpg"], ["a", "b.csv"])
    text = str(error)
    assert "Expected: <class>/*.jpg; or {train,test}/*.jpg. Found: a, b.csv." in text
    assert "Found: nothing." in str(LayoutError("Toy", tmp_path, ["x"], []))
