import os

import numpy as np
import pytest

from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeError
from emotionnet_hf.evaluation.linear_probe.rows import Pool, picture_key
from emotionnet_hf.loading.images import ImageError


def test_rows_become_arrays(tmp_path, making):
    making.draw(tmp_path / "a.png", 0, 1)
    rows = [
        making.row(tmp_path / "a.png", 2, group="g"),
        making.row(tmp_path / "a.png", -1, labels=[0, 1], target=[0.25, 0.75, 0], group="g"),
    ]
    parts = Pool().add(making.benchmark({"train": rows, "test": rows[:1]}))
    np.testing.assert_array_equal(parts["train"].label, [2, -1])
    np.testing.assert_array_equal(parts["train"].labels, [[0, 0, 1], [1, 1, 0]])
    np.testing.assert_array_equal(parts["train"].target, [[0, 0, 1], [0.25, 0.75, 0]])
    assert list(parts["train"].groups) == ["g", "g"] and len(parts["validation"]) == 0
    both = parts["train"].plus(parts["test"])
    np.testing.assert_array_equal(both.label, [2, -1, 2])
    np.testing.assert_array_equal(both.take(np.array([False, True, True])).label, [-1, 2])


def test_each_picture_is_there_once(tmp_path, making):
    for name in ("a.png", "b.png"):
        making.draw(tmp_path / name, 0, 1)
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    rows = [making.row(a, 0), making.row(a, 1), making.row(a, 0, box=[0, 0, 9, 9])]
    pool = Pool()
    first = pool.add(making.benchmark({"train": rows, "test": [making.row(b, 1)]}))
    np.testing.assert_array_equal(first["train"].place, [0, 0, 1])
    # Another seed of the same benchmark: other splits, the same pictures.
    second = pool.add(making.benchmark({"train": [making.row(b, 1)], "test": rows}))
    np.testing.assert_array_equal(second["test"].place, [0, 0, 1])
    assert len(pool) == 3
    assert pool.open(1).size == (9, 9) and pool.open(2).size[0] == 40


def test_a_picture_is_told_by_its_file_and_its_box(tmp_path, making):
    path = tmp_path / "a.png"
    making.draw(path, 0, 1)
    key = picture_key(making.row(path, 0))
    assert key == picture_key(making.row(path, 1))
    assert key != picture_key(making.row(path, 0, box=[0, 0, 1, 1]))
    os.utime(path, ns=(1, 1))
    assert key != picture_key(making.row(path, 0))
    content = {"image": {"bytes": path.read_bytes(), "path": None}, "box": None}
    assert picture_key(content) == picture_key(
        content | {"image": content["image"] | {"path": "x"}}
    )


def test_missing_pictures_have_a_key_and_a_reason(tmp_path, making):
    rows = [making.row(tmp_path / "none.png", 0)]
    pool = Pool()
    pool.add(making.benchmark({"train": rows, "test": rows}))
    with pytest.raises(ImageError, match=r"none\.png: cannot be read"):
        pool.open(0)


def test_nothing_to_test_on_is_an_error(tmp_path, making):
    making.draw(tmp_path / "a.png", 0, 1)
    with pytest.raises(LinearProbeError, match="Drawn has no rows for test"):
        Pool().add(making.benchmark({"train": [making.row(tmp_path / "a.png", 0)]}))
