import numpy as np
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.evaluation.embed.reading import read_features
from emotionnet_hf.evaluation.embed.writing import FeaturesExistError, Table

VALUES = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


@pytest.fixture
def table(tmp_path):
    return Table(tmp_path / "sub" / "features.parquet", {"features": 4}, "float32")


def fill(table, overwrite=False):
    table.begin({"model": "m"}, overwrite)
    table.write_part(0, "s0", ["a", "b"], {"features": VALUES[:2]}, [("x", "zero bytes")])
    table.write_part(1, "s1", [], {"features": VALUES[:0]}, [("y", "truncated")])
    table.write_part(2, "s2", ["c", "d", "e"], {"features": VALUES[2:]}, [])
    table.join(3, {"model": "m"})


def test_parts_are_joined_and_removed(table):
    fill(table)
    ids, values, metadata = read_features(table.out)
    assert ids == list("abcde") and metadata == {"model": "m"}
    np.testing.assert_array_equal(values, VALUES)
    rejected = pq.read_table(table.quarantine).to_pylist()
    assert rejected == [
        {"id": "x", "reason": "zero bytes"},
        {"id": "y", "reason": "truncated"},
    ]
    assert sorted(path.name for path in table.out.parent.iterdir()) == [
        "features.parquet",
        "features.quarantine.parquet",
    ]


def test_part_counts_only_for_what_it_was_made_from(table):
    table.begin({"model": "m"}, False)
    table.write_part(0, "s0", ["a", "b"], {"features": VALUES[:2]}, [("x", "zero bytes")])
    assert table.rows_of_part(0, "s0") == 3
    assert table.rows_of_part(0, "other") is None
    assert table.rows_of_part(1, "s0") is None
    table.begin({"model": "m"}, False)
    assert table.rows_of_part(0, "s0") == 3
    with pytest.raises(FeaturesExistError, match="another model, whose parts"):
        table.begin({"model": "n"}, False)
    table.begin({"model": "n"}, True)
    assert table.rows_of_part(0, "s0") is None


def test_table_is_replaced_only_when_asked_and_nothing_else_ever(table):
    fill(table)
    with pytest.raises(FeaturesExistError, match="exists; choose another file"):
        table.begin({"model": "m"}, False)
    fill(table, overwrite=True)
    table.out.write_text("mine")
    with pytest.raises(FeaturesExistError, match="is no table of features and is not overwritten"):
        table.begin({"model": "m"}, True)
    assert table.out.read_text() == "mine"


def test_quarantine_of_an_earlier_table_goes(table):
    fill(table)
    table.begin({"model": "m"}, True)
    table.write_part(0, "s", ["a"], {"features": VALUES[:1]}, [])
    table.join(1, {})
    assert not table.quarantine.exists()


def test_halves_take_half_the_space(tmp_path):
    rows = np.zeros((4096, 64), np.float32)
    sizes = {}
    for dtype in ("float32", "float16"):
        table = Table(tmp_path / f"{dtype}.parquet", {"features": 64}, dtype)
        table.begin({}, False)
        table.write_part(0, "", [f"{i}" for i in range(4096)], {"features": rows}, [])
        table.join(1, {})
        sizes[dtype] = table.out.stat().st_size
    assert sizes["float16"] < 0.6 * sizes["float32"]
