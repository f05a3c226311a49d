import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Image

from emotionnet_hf.data.built_folder import BuiltFolderError
from emotionnet_hf.evaluation.embed.data_sets import open_rows
from emotionnet_hf.evaluation.embed.reading import METADATA_KEY
from emotionnet_hf.evaluation.embed.rows import DataSetOptions, EmbedSourceError

NONE = DataSetOptions()
README = """\
---
configs:
- config_name: default
  columns: [image, image_id]
  data_files:
  - {split: train, path: data/train-*}
  - {split: test, path: data/test-*}
---
"""


def rows(pictures, numbers, **columns):
    values = [{"bytes": (pictures / f"{n:02d}.png").read_bytes(), "path": None} for n in numbers]
    return Dataset.from_dict({"image": values, **columns}).cast_column("image", Image())


@pytest.fixture(scope="module")
def built(tmp_path_factory, pictures):
    """Five rows of train in two shards, two of test."""
    folder = tmp_path_factory.mktemp("parquet")
    (folder / "data").mkdir()
    shards = {"train-00000-of-00002": (0, 1, 2), "train-00001-of-00002": (3, 4)}
    for name, numbers in {**shards, "test-00000-of-00001": (5, 6)}.items():
        part = rows(pictures, numbers, image_id=[f"i{n}" for n in numbers])
        part.to_parquet(folder / "data" / f"{name}.parquet")
    (folder / "README.md").write_text(README)
    return folder


def ids(source, start=0):
    return [item.id for item in source.items(start)]


def test_parquet_is_read_where_it_lies(built, monkeypatch):
    monkeypatch.setattr("datasets.DatasetBuilder.download_and_prepare", None)
    monkeypatch.setattr("datasets.DatasetBuilder.as_streaming_dataset", None)
    assert len(ids(open_rows(str(built), NONE))) == 7


def test_slices_keep_the_numbers_of_the_rows(built, pictures, tmp_path):
    sliced = open_rows(str(built), DataSetOptions(split="train[2:4]+test[1:]"))
    assert (ids(sliced), sliced.total) == (["i2", "i3", "i6"], 3)
    assert [ids(sliced, start) for start in (1, 2, 3)] == [["i3", "i6"], ["i6"], []]
    rows(pictures, range(6)).to_parquet(tmp_path / "train.parquet", batch_size=2)
    plain = open_rows(str(tmp_path), DataSetOptions(split="train[3:]"))
    assert ids(plain) == ["train/3", "train/4", "train/5"]
    assert next(plain.items(1)).load() == (pictures / "04.png").read_bytes()


def test_only_some_pictures_are_in_memory(tmp_path):
    """Of a file that is a single row group."""
    noise = np.random.default_rng(0).bytes(20_000)
    values = [{"bytes": noise + str(number).encode(), "path": None} for number in range(3000)]
    table = pa.Table.from_pylist([{"image": value} for value in values])
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path, row_group_size=3000, write_batch_size=16, compression="none")
    assert path.stat().st_size > 60_000_000
    del table
    source = open_rows(str(path), NONE)
    before = pa.total_allocated_bytes()
    items = source.items(1000)
    assert next(items).load() == values[1000]["bytes"]
    assert pa.total_allocated_bytes() - before < 15_000_000
    items.close()


def test_lost_shard_and_damaged_file_are_named(built, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    (copy / "build.json").write_text("{}")
    assert len(ids(open_rows(str(copy), NONE))) == 7
    (copy / "data" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(BuiltFolderError, match="1 of the 2 shards"):
        open_rows(str(copy), NONE)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(EmbedSourceError, match=r"cut\.parquet is not a whole Parquet file"):
        open_rows(str(tmp_path / "cut.parquet"), NONE)


def test_pictures_with_tables_beside_them_are_pictures(pictures, tmp_path):
    shutil.copy(pictures / "00.png", tmp_path)
    pq.write_table(pa.table({"file_name": ["00.png"]}), tmp_path / "metadata.parquet")
    table = pa.table({"id": ["00.png"]}).replace_schema_metadata({METADATA_KEY: b"{}"})
    pq.write_table(table, tmp_path / "features.parquet")
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "features.quarantine.parquet")
    pq.write_table(pa.table({"image_id": ["x"], "scores": [[0.5]]}), tmp_path / "basic8.parquet")
    assert open_rows(str(tmp_path), NONE) is None


def test_rows_without_an_id_are_named_by_split_and_number(pictures, tmp_path):
    rows(pictures, (0, 1, 2), image_id=["a", None, None]).to_parquet(tmp_path / "t.parquet")
    assert ids(open_rows(str(tmp_path / "t.parquet"), NONE)) == ["a", "train/1", "train/2"]
