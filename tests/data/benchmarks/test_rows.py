from collections import Counter

import numpy as np
import pytest
from datasets import Dataset

from emotionnet_hf.data.benchmarks.benchmark import (
    BenchmarkError,
    benchmark_features,
)
from emotionnet_hf.data.benchmarks.dropped import OUTSIDE, Dropped
from emotionnet_hf.data.benchmarks.rows import (
    Rows,
    check_parts,
    class_rows,
    drop_outside,
    has_class_folders,
)
from tests.data.benchmarks.rows import single_label_row

CLASSES = ("anger", "fear", "joy")


def test_columns_are_what_single_rows_would_give(tmp_path):
    rows = Rows(["b.jpg", "a/c.jpg"], np.array([2, 0]))
    expected = Dataset.from_list(
        [
            single_label_row(tmp_path / "a/c.jpg", "a/c.jpg", 0, 3),
            single_label_row(tmp_path / "b.jpg", "b.jpg", 2, 3),
        ],
        features=benchmark_features(CLASSES),
    )
    found = rows.dataset(tmp_path, CLASSES)
    assert found.features == expected.features
    assert found.to_list() == expected.to_list()


def test_ids_boxes_and_targets_stay_with_their_rows(tmp_path):
    boxes = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 1, 1]], np.float32)
    targets = np.array([[0, 0.5, 0.5], [1, 0, 0], [0, 1, 0]], np.float32)
    rows = Rows(["x.jpg", "x.jpg", "y.jpg"], np.array([1, 0, 1]), ["n", "m", "o"], boxes, targets)
    found = rows.take(np.array([0, 1])).dataset(tmp_path, CLASSES)
    assert found["image_id"][:] == ["m", "n"]
    assert found["group"][:] == ["x.jpg", "x.jpg"]
    assert found["box"][:] == [[5, 6, 7, 8], [1, 2, 3, 4]]
    assert found["target"][:] == [[1, 0, 0], [0, 0.5, 0.5]]
    assert found["labels"][:] == [[0], [1]]


def test_no_rows_are_a_data_set_too(tmp_path):
    found = Rows([], np.zeros(0, np.int64)).dataset(tmp_path, CLASSES)
    assert len(found) == 0
    assert found.features == benchmark_features(CLASSES)


def test_folders_of_classes(tmp_path):
    for name in ("Anger/1.jpg", "fear/deep/2.PNG", "notes/readme.txt", "joy/3.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        (tmp_path / "in" / name).touch()
    rows = class_rows(tmp_path, CLASSES, "in")
    assert rows.paths == ["in/Anger/1.jpg", "in/fear/deep/2.PNG", "in/joy/3.jpg"]
    assert rows.labels.tolist() == [0, 1, 2]
    assert has_class_folders(tmp_path / "in", CLASSES)
    assert not has_class_folders(tmp_path, CLASSES)
    assert not has_class_folders(tmp_path / "nowhere", CLASSES)
    (tmp_path / "in" / "notes" / "4.jpg").touch()
    with pytest.raises(BenchmarkError, match=r"notes has pictures \(1\).*anger, fear, joy"):
        class_rows(tmp_path, CLASSES, "in")


def test_pictures_outside_of_the_class_folders_are_counted(tmp_path):
    for name in ("in/anger/1.jpg", "in/2.jpg", "3.jpg", "extra/anger/4.jpg", "readme.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    dropped = Dropped()
    drop_outside(tmp_path, [class_rows(tmp_path, CLASSES, "in")], dropped)
    assert dropped.counts == {OUTSIDE: 3} and dropped.examples == {OUTSIDE: "3.jpg"}


def test_parts_that_nothing_can_be_made_of_are_refused(tmp_path):
    some, all_of_them = np.array([0, 2]), np.array([0, 1, 2])
    splits, none = ("train", "validation", "test"), Dropped()
    check_parts(tmp_path, CLASSES, dict.fromkeys(splits, all_of_them), none)
    check_parts(tmp_path, CLASSES, {"train": all_of_them, "validation": some, "test": some}, none)
    with pytest.raises(BenchmarkError, match="no picture of fear to train on"):
        check_parts(tmp_path, CLASSES, dict.fromkeys(splits, some), none)
    parts = {"train": all_of_them, "validation": some[:0], "test": some[:0]}
    dropped = Dropped(Counter({"no file": 1200}), {"no file": "a/b.jpg"})
    told = r"validation and test \(train 3.*Left out: no file \(1200\), such as a/b\.jpg\."
    with pytest.raises(BenchmarkError, match=told):
        check_parts(tmp_path, CLASSES, parts, dropped)
