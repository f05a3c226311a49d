import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.data.dropped import (
    DUPLICATES_SCHEMA,
    DuplicatesError,
    DuplicatesNotFoundError,
    read_dropped,
)


def test_only_what_another_image_stays_for_is_dropped(tmp_path):
    rows = [
        {"image_id": "a", "kept": True, "kept_by": "a"},
        {"image_id": "b", "kept": False, "kept_by": "a"},
        {"image_id": "c", "reason": "zero bytes"},
    ]
    path = tmp_path / "duplicates.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=DUPLICATES_SCHEMA), path)
    assert read_dropped(path) == {"b": "a"}


def test_reading_something_else(tmp_path):
    with pytest.raises(DuplicatesNotFoundError, match="emotionnet dedup"):
        read_dropped(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("kept,kept_by\n")
    pq.write_table(pa.table({"image_id": ["a"]}), tmp_path / "other.parquet")
    for name in ("text.parquet", "other.parquet"):
        with pytest.raises(DuplicatesError, match=rf"{name} is not a file of duplicates.*kept_by"):
            read_dropped(tmp_path / name)
