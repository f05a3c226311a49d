import os
from dataclasses import replace

import pytest
from datasets import Dataset, DatasetDict, Image, IterableDataset

from emotionnet_hf.evaluation.embed.data_sets import open_rows, rows_in_memory
from emotionnet_hf.evaluation.embed.rows import DataSetOptions, EmbedSourceError
from emotionnet_hf.loading.images import ImageError

NONE = DataSetOptions()
STREAM = DataSetOptions(streaming=True)


def rows(pictures, numbers, **columns):
    values = [{"bytes": (pictures / f"{n:02d}.png").read_bytes(), "path": None} for n in numbers]
    return Dataset.from_dict({"image": values, **columns}).cast_column("image", Image())


@pytest.fixture(scope="module")
def built(tmp_path_factory, pictures):
    """A folder as `emotionnet build` lays it out: five rows of train in two shards, two of test."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "data").mkdir()
    for name, numbers in {
        "train-00000-of-00002": (0, 1, 2),
        "train-00001-of-00002": (3, 4),
    }.items():
        part = rows(pictures, numbers, image_id=[f"i{n}" for n in numbers])
        part.to_parquet(folder / "data" / f"{name}.parquet")
    part = rows(pictures, (5, 6), image_id=["i5", "i6"])
    part.to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    return folder


def ids(source, start=0):
    return [item.id for item in source.items(start)]


@pytest.mark.parametrize("options", [NONE, STREAM], ids=["prepared", "streamed"])
def test_built_folder_gives_all_splits_and_their_ids(built, pictures, options):
    source = open_rows(str(built), options)
    assert ids(source) == [f"i{n}" for n in range(7)]
    assert source.total == 7
    for start in (2, 5, 6, 7):
        assert ids(source, start) == [f"i{n}" for n in range(start, 7)]
    first = next(source.items(3))
    assert first.load() == (pictures / "03.png").read_bytes()


@pytest.mark.parametrize("options", [NONE, STREAM], ids=["prepared", "streamed"])
def test_one_split(built, options):
    source = open_rows(str(built), replace(options, split="test"))
    assert ids(source) == ["i5", "i6"] and ids(source, 1) == ["i6"]
    with pytest.raises(EmbedSourceError, match=r"'dev' is no split of train \(5 rows\), test"):
        open_rows(str(built), replace(options, split="dev"))


def test_parquet_file_and_rows_without_ids(built, pictures, tmp_path):
    path = tmp_path / "rows.parquet"
    rows(pictures, (1, 2), name=["one", "two"]).to_parquet(path)
    assert ids(open_rows(str(path), NONE)) == ["train/0", "train/1"]
    assert ids(open_rows(str(path), STREAM), 1) == ["train/1"]
    assert ids(open_rows(str(path), DataSetOptions(id_column="name"))) == ["one", "two"]
    glob = str(built / "data" / "train-*.parquet")
    assert ids(open_rows(glob, NONE)) == ["i0", "i1", "i2", "i3", "i4"]


def test_stream_that_declares_no_columns(pictures):
    data = (pictures / "01.png").read_bytes()
    stream = IterableDataset.from_generator(lambda: iter([{"image": data, "image_id": "a"}]))
    (item,) = rows_in_memory({"train": stream}, NONE).items()
    assert (item.id, item.load()) == ("a", data)


def test_folder_saved_to_disk(pictures, tmp_path):
    DatasetDict({"a": rows(pictures, (0,)), "b": rows(pictures, (1,))}).save_to_disk(tmp_path / "d")
    assert ids(open_rows(str(tmp_path / "d"), NONE)) == ["a/0", "b/0"]
    assert ids(open_rows(str(tmp_path / "d"), DataSetOptions(split="b"))) == ["b/0"]
    with pytest.raises(EmbedSourceError, match="no split 'c', only a, b"):
        open_rows(str(tmp_path / "d"), DataSetOptions(split="c"))
    with pytest.raises(EmbedSourceError, match=r"only a, b\. A part of it cannot"):
        open_rows(str(tmp_path / "d"), DataSetOptions(split="a[:1]"))
    with pytest.raises(EmbedSourceError, match="needs no streaming"):
        open_rows(str(tmp_path / "d"), STREAM)


def test_identity_knows_another_file_behind_the_same_name(pictures, tmp_path):
    path = tmp_path / "rows.parquet"
    rows(pictures, (1, 2)).to_parquet(path)
    first = open_rows(str(path), STREAM).identity
    assert open_rows(str(path), STREAM).identity == first
    rows(pictures, (3, 4)).to_parquet(path)
    os.utime(path, (1, 1))
    assert open_rows(str(path), STREAM).identity != first


def test_columns_are_named_where_they_are_not_clear(pictures):
    one = rows(pictures, (1,)).rename_column("image", "left")
    two = one.add_column("right", [None]).cast_column("right", Image())
    assert ids(rows_in_memory({"train": one}, NONE)) == ["train/0"]
    with pytest.raises(EmbedSourceError, match="no single column of pictures; name one of left"):
        ids(rows_in_memory({"train": two}, NONE))
    found = rows_in_memory({"train": two}, DataSetOptions(image_column="left"))
    assert next(found.items()).load() == (pictures / "01.png").read_bytes()
    with pytest.raises(EmbedSourceError, match="no column 'name' for the ids, only left"):
        ids(rows_in_memory({"train": one}, DataSetOptions(id_column="name")))


def test_row_without_a_picture_is_its_own_fault(pictures, tmp_path):
    data = Dataset.from_dict({"image": [None, str(tmp_path / "gone.png")]})
    data = data.cast_column("image", Image())
    for item, why in zip(rows_in_memory({"x": data}, NONE).items(), ("no picture", "cannot be")):
        with pytest.raises(ImageError, match=why):
            item.load()


def test_what_is_no_data_set_is_left_to_others(pictures):
    assert open_rows(str(pictures), NONE) is None
    assert open_rows(str(pictures / "*.png"), NONE) is None
    assert open_rows(str(pictures / "00.png"), NONE) is None


def test_rows_without_an_id_are_named_by_split_and_number(pictures):
    some = rows(pictures, (0, 1), image_id=[None, "b"])
    assert ids(rows_in_memory({"x": some}, NONE)) == ["x/0", "b"]
