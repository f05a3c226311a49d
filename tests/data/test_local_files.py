from pathlib import Path

import datasets
import pytest
from datasets import Dataset, DatasetDict

from emotionnet_hf.data.local_files import (
    LocalDataError,
    find_parquet,
    load_parquet,
    parquet_builder,
)

CARD = """---
dataset_info:
- config_name: default
  features:
  - name: a
    dtype: int64
configs:
- config_name: default
  default: true
  columns: [a]
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: data/test-*
- config_name: half
  columns: [b]
  data_files:
  - split: train
    path: data/train-00000-*
---
"""


@pytest.fixture(params=["plain", "out [v2]", "a*b?c"])
def folder(request, tmp_path):
    place = tmp_path / request.param
    (place / "data").mkdir(parents=True)
    names = ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001")
    for number, name in enumerate(names):
        rows = Dataset.from_dict({"a": [number, number], "b": ["x", "y"]})
        rows.to_parquet(place / "data" / f"{name}.parquet")
    return place


def files(found):
    return {split: [path.name for path in paths] for split, paths in found.files.items()}


def test_splits_and_configurations_are_those_of_datasets(folder):
    assert files(find_parquet(folder)) == {
        "train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        "test": ["test-00000-of-00001.parquet"],
    }
    (folder / "README.md").write_text(CARD)
    loaded = {config: load_parquet(folder, config) for config in (None, "default", "half")}
    assert list(loaded[None]) == ["train", "test"]
    assert loaded[None]["train"][:] == {"a": [0, 0, 1, 1]}
    assert loaded["half"]["train"][:] == {"b": ["x", "y"]}
    if folder.name == "plain":  # elsewhere `datasets` takes the name for a pattern
        for config, ours in loaded.items():
            theirs = datasets.load_dataset(str(folder), config)
            assert isinstance(ours, DatasetDict) and list(ours) == list(theirs)
            for split in theirs:
                assert ours[split].features == theirs[split].features
                assert ours[split][:] == theirs[split][:]
    with pytest.raises(LocalDataError, match="no configuration 'x', only default, half"):
        find_parquet(folder, "x")


def test_files_and_globs(folder):
    one = folder / "data" / "test-00000-of-00001.parquet"
    assert files(find_parquet(one)) == {"train": [one.name]}
    assert len(find_parquet(folder / "data" / "train-*.parquet").files["train"]) == 2
    assert find_parquet(folder / "data" / "none-*.parquet") is None
    assert find_parquet(folder / "data.csv") is None


def test_what_is_not_parquet_alone_is_left_to_datasets(tmp_path):
    assert find_parquet(tmp_path) is None
    (tmp_path / "train.csv").write_text("a\n1\n")
    assert find_parquet(tmp_path) is None
    with pytest.raises(LocalDataError, match="no data set of Parquet files"):
        parquet_builder(tmp_path)


def test_the_stamp_knows_another_file(folder):
    before = find_parquet(folder).stamp()
    assert before == find_parquet(folder).stamp()
    Dataset.from_dict({"a": [7], "b": ["z"]}).to_parquet(
        folder / "data/test-00000-of-00001.parquet"
    )
    assert before != find_parquet(folder).stamp()


def test_a_cache_that_cannot_be_written_is_named(folder, monkeypatch):
    cache = Path("/proc/no/such/cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    assert find_parquet(folder) is not None
    with pytest.raises(LocalDataError, match=r"cache /proc/no/such/cache .*set HF_HOME"):
        load_parquet(folder)


def test_a_damaged_file_is_no_fault_of_the_cache(folder):
    path = folder / "data/train-00000-of-00002.parquet"
    path.write_bytes(path.read_bytes().replace(b"PAR1", b"PAR2"))
    with pytest.raises(LocalDataError, match=r"is damaged \(.+fetch or build it again") as told:
        load_parquet(folder)
    assert "An error occurred" not in str(told.value)


def test_a_file_that_the_card_names_and_is_not_there_is_an_error(folder):
    (folder / "README.md").write_text(CARD.replace("data/test-*", "data/gone.parquet"))
    with pytest.raises(LocalDataError, match=r"gone\.parquet"):
        find_parquet(folder)
