from pathlib import Path

import pytest

from emotionnet_hf.data.benchmarks.dropped import Dropped
from emotionnet_hf.data.benchmarks.listing import (
    BenchmarkNotFoundError,
    Pictures,
    check_folder,
    files,
    found_in,
    pictures_below,
    subfolders,
)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_pictures_are_found_at_any_depth_and_junk_is_not(tmp_path):
    good = ["B.JPG", "a/1.jpeg", "a/b/2.png", "a/b/3.WebP", "c.tiff"]
    junk = ["__MACOSX/1.jpg", ".hidden/1.jpg", "a/._1.jpg", "a/Thumbs.db", ".DS_Store", "a/x.txt"]
    touch(tmp_path, *good, *junk)
    assert pictures_below(tmp_path) == good
    assert pictures_below(tmp_path, "a") == good[1:4]
    assert pictures_below(tmp_path, "a/b") == good[2:4]
    assert subfolders(tmp_path) == ["a"]


def test_linked_folders_are_followed(tmp_path):
    touch(tmp_path / "elsewhere", "1.jpg")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "anger").symlink_to(tmp_path / "elsewhere")
    assert pictures_below(tmp_path / "here") == ["anger/1.jpg"]
    assert subfolders(tmp_path / "here") == ["anger"]


def test_links_that_lead_back_are_not_followed(tmp_path):
    touch(tmp_path / "fi", "anger/1.jpg", "fear/deep/2.jpg")
    (tmp_path / "fi" / "anger" / "loop").symlink_to("..")
    (tmp_path / "fi" / "anger" / "above").symlink_to(tmp_path)
    (tmp_path / "fi" / "all").symlink_to(".")
    (tmp_path / "link").symlink_to("fi")
    for folder in (tmp_path / "fi", tmp_path / "link"):
        assert pictures_below(folder) == ["anger/1.jpg", "fear/deep/2.jpg"]
        assert pictures_below(folder, "anger") == ["anger/1.jpg"]
        assert subfolders(folder) == ["anger", "fear"]


def test_two_folders_that_link_to_each_other_end(tmp_path):
    touch(tmp_path, "anger/1.jpg", "fear/2.jpg")
    (tmp_path / "anger" / "x").symlink_to("../fear")
    (tmp_path / "fear" / "y").symlink_to("../anger")
    assert pictures_below(tmp_path, "anger") == ["anger/1.jpg", "anger/x/2.jpg"]


def test_lists_may_name_a_linked_folder_by_either_name(tmp_path):
    touch(tmp_path, "image/1.jpg")
    (tmp_path / "a").symlink_to("image")
    assert pictures_below(tmp_path) == ["image/1.jpg"]
    pictures = Pictures(tmp_path)
    assert pictures.find("image/1.jpg") == ("image/1.jpg", True)
    assert pictures.find(r".\a\1.jpg") == ("a/1.jpg", True)
    assert pictures.find("a/2.jpg") == ("a/2.jpg", False)
    assert pictures.find("../1.jpg") == ("../1.jpg", False)
    assert Pictures(tmp_path, "image").find("./1.jpg ") == ("image/1.jpg", True)


def test_what_is_passed_over_is_counted(tmp_path):
    touch(tmp_path, "bad\udcff.jpg", "a/1.heic.svg", "a/._1.jpg", "a/2.jpg", "x.csv")
    dropped = Dropped()
    assert pictures_below(tmp_path, dropped=dropped) == ["a/2.jpg"]
    assert dropped.counts == {
        "file name is not UTF-8": 1,
        "passed over, .svg": 1,
        "passed over, ._*": 1,
    }
    assert dropped.examples["file name is not UTF-8"] == r"bad\xff.jpg"


def test_files_are_those_of_the_folder_alone(tmp_path):
    touch(tmp_path, "b.CSV", "a.csv", "deep/c.csv", ".d.csv", "e.txt")
    (tmp_path / "folder.csv").mkdir()
    found = files(tmp_path, lambda name: name.endswith(".csv"))
    assert [path.name for path in found] == ["a.csv", "b.CSV"]
    assert files(tmp_path / "nowhere", lambda name: True) == []


def test_what_is_found_is_told_briefly(tmp_path):
    touch(tmp_path, *(f"{number:02}.txt" for number in range(11)), "a/x")
    assert found_in(tmp_path) == [*(f"{number:02}.txt" for number in range(10)), "and 2 more"]
    (tmp_path / "a" / "b").mkdir()
    assert found_in(tmp_path / "a") == ["b/", "x"]


def test_missing_folder_says_where_the_benchmark_comes_from(tmp_path, monkeypatch):
    with pytest.raises(BenchmarkNotFoundError, match=r"nowhere does not exist.*FI.*Ask\."):
        check_folder(tmp_path / "nowhere", "FI", "Ask.")
    touch(tmp_path, "file")
    with pytest.raises(FileNotFoundError, match="file is not a folder"):
        check_folder(tmp_path / "file", "FI", "Ask.")
    monkeypatch.chdir(tmp_path)
    assert check_folder(Path("."), "FI", "Ask.") == tmp_path
