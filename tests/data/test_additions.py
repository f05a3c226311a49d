import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.data.additions import Additions
from emotionnet_hf.data.sources import Record
from emotionnet_hf.loading.release import ReleaseError


def record(tmp_path, **changes):
    values = {
        "image_path": tmp_path / "a.jpg",
        "image_id": "a",
        "keywords": ["joy"],
        "group": None,
        "source": None,
        "people": None,
        "faces": None,
        "row": 0,
    }
    return Record(**values | changes)


def test_nothing_known_adds_nothing(tmp_path):
    assert Additions.read() == Additions()
    assert Additions().columns(record(tmp_path)) == {"people": None, "faces": None}


def test_what_the_source_counts_comes_first(tmp_path):
    additions = Additions(counts={"a": (3, 2)})
    assert additions.columns(record(tmp_path)) == {"people": 3, "faces": 2}
    assert additions.columns(record(tmp_path, people=0)) == {"people": 0, "faces": 2}
    assert additions.columns(record(tmp_path, image_id="b")) == {"people": None, "faces": None}


def test_pseudo_labels_are_joined_by_id(tmp_path):
    table = pa.table({"image_id": ["a"], "scores": [[0.0] * 7 + [1.0]]})
    pq.write_table(table, tmp_path / "basic8.parquet")
    additions = Additions.read(basic8=tmp_path / "basic8.parquet")
    assert additions.columns(record(tmp_path))["basic8"] == 7
    with pytest.raises(ReleaseError, match="no row for the image b"):
        additions.columns(record(tmp_path, image_id="b"))
