import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.evaluation.embed.reading import (
    METADATA_KEY,
    FeaturesError,
    read_features,
    read_metadata,
)

VALUES = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)


def write(path, dtype="float32", rows=7, **options):
    flat = pa.array(VALUES[:rows].astype(dtype).reshape(-1))
    table = pa.table(
        {
            "id": pa.array([f"p{i}" for i in range(rows)], pa.string()),
            "features": pa.FixedSizeListArray.from_arrays(flat, 3),
        }
    )
    pq.write_table(
        table.replace_schema_metadata({METADATA_KEY: json.dumps({"model": "m"})}), path, **options
    )
    return path


@pytest.mark.parametrize("group", [2, 100])
def test_what_was_written_is_read(tmp_path, group):
    ids, values, metadata = read_features(write(tmp_path / "f.parquet", row_group_size=group))
    assert ids == [f"p{i}" for i in range(7)] and metadata == {"model": "m"}
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, VALUES)


def test_halves_are_read_as_float32(tmp_path):
    _, values, _ = read_features(write(tmp_path / "f.parquet", "float16"))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, VALUES, rtol=1e-3)


def test_no_rows(tmp_path):
    ids, values, _ = read_features(write(tmp_path / "f.parquet", rows=0))
    assert ids == [] and values.shape == (0, 3)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "f.parquet"
    with pytest.raises(FileNotFoundError, match=r"no file .*f\.parquet"):
        read_features(path)
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(FeaturesError, match="is no table of features"):
        read_metadata(path)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(FeaturesError, match="is not a whole Parquet file"):
        read_features(path)
    with pytest.raises(FeaturesError, match="no space 'joint', only features"):
        read_features(write(path), "joint")
