import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from emotionnet_hf.data.built_folder import (
    BuiltFolderError,
    BuiltFolderNotFoundError,
    RowPlace,
    open_built,
)

FEATURES = Features(
    {
        "image_id": Value("string"),
        "number": Value("int32"),
        "label": ClassLabel(names=["a", "b"]),
        "deep": List(List(ClassLabel(names=["x", "y", "z"]))),
    }
)


def rows(start: int, count: int) -> list[dict]:
    return [
        {"image_id": f"i{n}", "number": n, "label": n % 2, "deep": [[n % 3]]}
        for n in range(start, start + count)
    ]


def write(folder, name: str, values: list[dict], group=10):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(values, schema=FEATURES.arrow_schema)
    pq.write_table(table, folder / "data" / name, row_group_size=group)


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "out"
    write(out, "validation-00000-of-00001.parquet", rows(0, 5))
    write(out, "train-00001-of-00002.parquet", rows(30, 7))
    write(out, "train-00000-of-00002.parquet", rows(5, 25))
    return out


def test_splits_and_rows_come_in_order(folder):
    built = open_built(folder)
    assert built.name == "out"
    assert list(built.files) == ["train", "validation"]
    assert (built.num_rows(), built.num_rows("train"), built.num_rows("validation")) == (37, 32, 5)
    seen = [
        (split, number)
        for split, _, batch in built.batches(["number"], batch_size=9)
        for number in batch.column("number").to_pylist()
    ]
    wanted = [("train", n) for n in range(5, 37)] + [("validation", n) for n in range(5)]
    assert seen == wanted


def test_only_the_columns_asked_for_are_read(folder):
    _, _, batch = next(open_built(folder).batches(["number"], split="validation"))
    assert batch.schema.names == ["number"]
    assert batch.num_rows == 5


def test_places_lead_back_to_their_rows(folder):
    built = open_built(folder)
    places = {
        number: RowPlace(place.file, place.row + i)
        for _, place, batch in built.batches(["number"], batch_size=4)
        for i, number in enumerate(batch.column("number").to_pylist())
    }
    assert sorted(places) == list(range(37))
    chosen = np.random.default_rng(0).permutation(37)[:15].tolist()
    found = dict(built.rows([places[n] for n in chosen], ["image_id", "deep"]))
    assert len(found) == 15
    for number in chosen:
        assert found[places[number]] == {"image_id": f"i{number}", "deep": [[number % 3]]}


def test_only_row_groups_with_a_wanted_row_are_read(folder, monkeypatch):
    read = []
    original = pq.ParquetFile.read_row_group

    def watched(self, group, columns=None):
        read.append(group)
        return original(self, group, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", watched)
    path = folder / "data" / "train-00000-of-00002.parquet"
    found = list(open_built(folder).rows([RowPlace(path, 24), RowPlace(path, 21)], ["number"]))
    assert [values["number"] for _, values in found] == [26, 29]
    assert read == [2]


def test_class_names_are_found_in_lists_of_lists(folder):
    built = open_built(folder)
    assert built.class_names("label") == ["a", "b"]
    assert built.class_names("deep") == ["x", "y", "z"]
    for column in ("number", "nothing"):
        with pytest.raises(BuiltFolderError, match=column):
            built.class_names(column)


def test_what_datasets_writes_can_be_read_too(tmp_path):
    (tmp_path / "data").mkdir()
    Dataset.from_list(rows(0, 3), features=FEATURES).to_parquet(
        tmp_path / "data" / "train-00000-of-00001.parquet"
    )
    assert open_built(tmp_path).class_names("deep") == ["x", "y", "z"]


def test_no_folder_and_no_parquet_say_what_is_needed(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BuiltFolderNotFoundError, match="emotionnet build"):
            open_built(folder)


def test_a_lost_shard_is_an_error(folder):
    os.remove(folder / "data" / "train-00001-of-00002.parquet")
    with pytest.raises(BuiltFolderError, match="1 of the 2 shards of 'train'"):
        open_built(folder)


def test_unknown_split_names_those_there_are(folder):
    with pytest.raises(BuiltFolderError, match="'dev', only train, validation"):
        open_built(folder).num_rows("dev")


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_damaged_file_is_named(folder, damage):
    path = folder / "data" / "validation-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20] if damage == "cut" else b"hello")
    built = open_built(folder)
    with pytest.raises(
        BuiltFolderError, match=r"validation-00000-of-00001\.parquet is not a whole"
    ):
        list(built.batches(["number"]))


def test_file_without_a_column_is_named(folder):
    path = folder / "data" / "validation-00000-of-00001.parquet"
    pq.write_table(pa.table({"number": [1]}), path)
    built = open_built(folder)
    with pytest.raises(BuiltFolderError, match=r"validation-.*lacks the column label"):
        list(built.batches(["number", "label"]))
    with pytest.raises(BuiltFolderError, match="lacks the column label"):
        list(built.rows([RowPlace(path, 0)], ["label"]))
