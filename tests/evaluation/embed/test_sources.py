import os

import pytest
from datasets import Dataset, Image

from emotionnet_hf.evaluation.embed.rows import DataSetOptions, EmbedSourceError
from emotionnet_hf.evaluation.embed.sources import open_source

NONE = DataSetOptions()


def ids(source):
    return [item.id for item in open_source(source, NONE).items()]


def test_folder_is_searched_deep_and_ids_start_there(pictures):
    found = open_source(str(pictures), NONE)
    names = [item.id for item in found.items()]
    assert len(names) == found.total == 23
    assert "deep/last.jpg" in names and names == sorted(names)
    last = next(item for item in found.items() if item.id == "deep/last.jpg")
    assert last.load() == (pictures / "deep" / "last.jpg").read_bytes()


def test_file_glob_and_several_words(pictures, monkeypatch):
    assert ids(pictures / "00.png") == ["00.png"]
    assert ids(str(pictures / "0[12].png")) == ["01.png", "02.png"]
    assert ids(str(pictures / "**" / "*.jpg")) == ["07-text.jpg", "deep/last.jpg", "zz-cut.jpg"]
    monkeypatch.chdir(pictures)
    assert ids(["deep", "00.png", "00.png"]) == ["deep/last.jpg", "00.png"]
    assert ids(["deep"]) == ["last.jpg"]


def test_items_from_the_middle(pictures):
    found = open_source(pictures, NONE)
    assert [x.id for x in found.items(20)] == [x.id for x in found.items()][20:]


def test_stamp_knows_a_changed_file(tmp_path, pictures):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.png").write_bytes((pictures / "00.png").read_bytes())
    before = open_source(tmp_path, NONE)
    first, second = before.stamp(0, 2), before.stamp(2, 2)
    os.utime(tmp_path / "c.png", (1, 1))
    after = open_source(tmp_path, NONE)
    assert after.stamp(0, 2) == first and after.stamp(2, 2) != second


def test_nothing_there_is_an_error_that_says_what_may_be_given(tmp_path):
    (tmp_path / "empty").mkdir()
    for word, why in (
        (tmp_path / "empty", "holds no image"),
        (tmp_path / "*.png", "matches nothing"),
        (tmp_path / "nowhere.png", "does not exist"),
        ("nowhere/at-all", "opens as no data set"),
    ):
        with pytest.raises(EmbedSourceError, match=why):
            open_source(str(word), NONE)


def test_options_of_data_sets_are_not_for_files(pictures):
    with pytest.raises(EmbedSourceError, match="stands for image files"):
        open_source(pictures, DataSetOptions(split="train"))


def test_data_set_in_memory(pictures):
    rows = Dataset.from_dict({"image": [str(pictures / "00.png")]}).cast_column("image", Image())
    (item,) = open_source(rows, NONE).items()
    assert (item.id, item.load()) == ("train/0", (pictures / "00.png").read_bytes())
    with pytest.raises(EmbedSourceError, match="int holds no pictures"):
        open_source(3, NONE)


def test_what_is_passed_over_is_counted_and_odd_names_can_be_written(pictures, tmp_path):
    data = next(pictures.rglob("*.png")).read_bytes()
    for name in ("a.png", "mu\udcf1oz.png", "._a.png"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "b.svg").touch()
    source = open_source(str(tmp_path), DataSetOptions())
    assert source.passed_over == {"._*": 1, ".svg": 1}
    assert source.ids == ["a.png", r"mu\xf1oz.png"]
    assert [item.load() for item in source.items()] == [data, data]
    source.stamp(0, 2).encode()
