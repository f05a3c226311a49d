import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.benchmarks.benchmark import (
    BenchmarkError,
    benchmark_features,
)
from emotionnet_hf.data.benchmarks.emotic_arrays import array_fault, encoded_dataset, open_array
from emotionnet_hf.data.benchmarks.emotic_people import ArrayPlace
from tests.data.benchmarks.rows import single_label_row

FEATURES = benchmark_features(["calm", "awe"])


def noise(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def pixels(image):
    with Image.open(BytesIO(image["bytes"])) as opened:
        return np.asarray(opened)


def rows(*images):
    return [
        {**single_label_row("", f"{n}", 0, 2), "image": image} for n, image in enumerate(images)
    ]


def test_pictures_come_out_as_they_went_in(tmp_path):
    many, one = noise(3, 8, 9, 3), noise(7, 5, 3)
    np.save(tmp_path / "many.npy", many)
    np.save(tmp_path / "one.npy", one)
    file = {"bytes": None, "path": "/a/file.jpg"}
    places = (ArrayPlace(tmp_path / "many.npy", 2), file, ArrayPlace(tmp_path / "one.npy"))
    made = encoded_dataset(rows(*places), FEATURES, "test")
    assert made.features == FEATURES
    assert str(made.split) == "test"
    assert (pixels(made[0]["image"]) == many[2]).all()
    assert made[1]["image"] == file
    assert (pixels(made[2]["image"]) == one).all()


def test_cache_is_found_again_and_knows_a_changed_file(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, noise(2, 8, 9, 3))
    given = rows(ArrayPlace(path, 0))
    first = encoded_dataset(given, FEATURES, "train")
    assert encoded_dataset(given, FEATURES, "train").cache_files == first.cache_files
    changed = noise(3, 8, 9, 3)
    np.save(path, changed)
    second = encoded_dataset(given, FEATURES, "train")
    assert second.cache_files != first.cache_files
    assert (pixels(second[0]["image"]) == changed[0]).all()


@pytest.mark.parametrize(
    ("array", "row", "fault"),
    [
        (noise(8, 9, 3), None, None),
        (noise(2, 8, 9, 3), 1, None),
        (noise(2, 8, 9, 3), None, r"no picture of \(H, W, 3\) uint8: it is \(2, 8, 9, 3\) uint8"),
        (noise(8, 9, 4), None, "no picture"),
        (noise(8, 9, 3).astype(float), None, "float64"),
        (np.zeros((0, 9, 3), np.uint8), None, "no picture"),
        (np.array([{"a": 1}], object), None, "cannot be read"),
    ],
)
def test_fault_of_an_array_is_told(tmp_path, array, row, fault):
    np.save(tmp_path / "a.npy", array, allow_pickle=array.dtype == object)
    found = array_fault(ArrayPlace(tmp_path / "a.npy", row))
    assert found is None if fault is None else re.search(fault, found)


def test_missing_and_truncated_arrays_are_told_apart(tmp_path):
    path = tmp_path / "a.npy"
    assert array_fault(ArrayPlace(path)) == "the picture is not there"
    np.save(path, noise(8, 9, 3))
    path.write_bytes(path.read_bytes()[:-20])
    assert array_fault(ArrayPlace(path)) == "the array cannot be read"
    with pytest.raises(BenchmarkError, match=r"a\.npy is no array"):
        open_array(path)
