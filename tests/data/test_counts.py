import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.data.counts import COUNTS_SCHEMA, Counts, CountsError, read_counts


def test_images_with_counts_are_read(tmp_path):
    rows = [
        {"image_id": "a", "file_name": "x/a.png", "people": 2, "faces": 1},
        {"image_id": "b", "people": None, "faces": 0},
        {"image_id": "c", "reason": "truncated"},
        {"image_id": None, "file_name": "d.png", "reason": "no keywords"},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=COUNTS_SCHEMA), tmp_path / "counts.parquet")
    counts = read_counts(tmp_path / "counts.parquet")
    assert counts == {"a": Counts(people=2, faces=1), "b": Counts(people=None, faces=0)}


def test_what_is_no_file_of_counts_is_refused(tmp_path):
    path = tmp_path / "counts.parquet"
    path.write_bytes(b"hello")
    with pytest.raises(CountsError, match=r"counts\.parquet is not a Parquet"):
        read_counts(path)
    pq.write_table(pa.table({"image_id": ["a"], "people": [1]}), path)
    with pytest.raises(CountsError, match="lacks faces"):
        read_counts(path)
    table = pa.table({"image_id": ["a", "a"], "people": [1, 2], "faces": [0, 0]})
    pq.write_table(table, path)
    with pytest.raises(CountsError, match="'a' twice"):
        read_counts(path)
    with pytest.raises(FileNotFoundError):
        read_counts(tmp_path / "none.parquet")
