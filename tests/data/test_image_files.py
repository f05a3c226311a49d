import os

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data import image_files
from emotionnet_hf.data.image_files import (
    IMAGE_ENDINGS,
    NoImagesError,
    glob_root,
    is_archive,
    is_image,
    is_walked,
    named_file,
    told_passed_over,
    walk_folder,
    writable_name,
)


def find_images(word):
    return image_files.find_images(word).paths


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def save(path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path, **options)
    return str(path)


def test_file_stands_for_itself_whatever_its_name(tmp_path):
    name = save(tmp_path / "odd[1]name", format="PNG")
    assert find_images(name) == [name]


def test_folder_is_searched_deep_and_sorted(tmp_path):
    names = [
        save(tmp_path / "a" / "deep" / "2.jpg"),
        save(tmp_path / "a" / "z.PNG"),
        save(tmp_path / "a" / "0.webp"),
    ]
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    assert find_images(str(tmp_path / "a")) == sorted(names)


def test_folder_search_passes_over_formats_that_are_never_opened(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "logo.eps")
    assert find_images(str(tmp_path)) == [str(tmp_path / "a.png")]


def test_glob_is_resolved_and_sorted(tmp_path):
    names = [save(tmp_path / f"{i}.png") for i in range(3)]
    save(tmp_path / "3.jpg")
    assert find_images(str(tmp_path / "*.png")) == names
    assert len(find_images(str(tmp_path / "**" / "*"))) == 4


def test_nothing_found_is_an_error_that_names_what_was_looked_for(tmp_path):
    with pytest.raises(NoImagesError, match=r"nowhere\.png does not exist"):
        find_images(str(tmp_path / "nowhere.png"))
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(NoImagesError, match="holds no image"):
        find_images(str(tmp_path))


def test_every_format_that_is_opened_has_its_endings():
    known = {
        ".heic",
        ".heif",
        ".hif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".avif",
        ".jp2",
        ".tif",
        ".webp",
        ".bmp",
        ".gif",
        ".ppm",
    }
    assert known <= IMAGE_ENDINGS
    assert not {".eps", ".svg", ".pdf", ".ico"} & IMAGE_ENDINGS
    assert is_image("x.JFIF") and not is_image("jpg") and not is_image("x.jpg.json")


def test_what_is_passed_over_is_counted_by_its_ending(tmp_path):
    touch(tmp_path, "a.png", "b.HEIC", "c.cr2", "d.CR2", "e.mp4", "._a.png", ".b.png", "photo")
    touch(tmp_path, ".git/config", "__MACOSX/x.png", "d/f.svg", "metadata.csv.gz", "notes.txt")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    found = image_files.find_images(str(tmp_path))
    kinds = {
        **{".cr2": 2, ".mp4": 1, ".svg": 1, "._*": 1, "hidden": 1, "no ending": 1},
        **{"hidden folder": 1, "__MACOSX": 1, "link to nothing": 1},
    }
    # With or without the extra for it: who opens a HEIC names what is missing.
    assert found.paths == [str(tmp_path / "a.png"), str(tmp_path / "b.HEIC")]
    assert found.passed_over == kinds
    assert told_passed_over({".svg": 1, ".mp4": 1200}) == "1,200 .mp4, 1 .svg"
    with pytest.raises(NoImagesError, match=r"holds no image \(passed over: 1 \.svg\)"):
        find_images(str(tmp_path / "d"))
    (tmp_path / "d/g.png").touch()
    assert image_files.find_images(str(tmp_path / "d/*")).passed_over == {".svg": 1}


def test_linked_folders_are_followed_once_and_loops_cut(tmp_path):
    touch(tmp_path, "outside.png", "elsewhere/1.png", "top/z/2.png", "top/z/deep/3.png")
    top = tmp_path / "top"
    (top / "a").symlink_to("z")  # its pictures have the names that they have without it
    (top / "b").symlink_to("../elsewhere")
    (top / "c").symlink_to("../elsewhere")
    (top / "z" / "up").symlink_to("..")
    (top / "z" / "above").symlink_to(tmp_path)
    (tmp_path / "elsewhere" / "back").symlink_to("../top")
    found = [path for path, kind in walk_folder(top)]
    assert sorted(found) == ["b/1.png", "z/2.png", "z/deep/3.png"]
    assert [path for path, _ in walk_folder(top, "z/deep")] == ["z/deep/3.png"]
    assert is_walked(str(top / "a")) and not is_walked(str(top / "z/up"))
    assert not is_walked(str(top / ".git"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path):
    touch(tmp_path, "a/1.png")
    (tmp_path / "a").chmod(0)
    with pytest.raises(PermissionError, match="a"):
        list(walk_folder(tmp_path))


def test_brackets_in_the_name_of_a_folder_are_no_pattern(tmp_path):
    folder = tmp_path / "pics [1]"
    names = [save(folder / f"{i}.png") for i in range(2)]
    save(tmp_path / "pics 1" / "0.png")
    assert find_images(str(folder)) == names
    assert find_images(str(folder / "*.png")) == names
    assert find_images(str(folder / "[1].png")) == names[1:]
    assert glob_root(str(folder / "x*" / "y")) == folder
    assert glob_root(str(folder / "0.png")) == folder / "0.png"


def test_names_that_are_not_utf_8_can_be_written_and_found_again(tmp_path):
    touch(tmp_path, "mu\udcf1oz.png", r"a\x41.png")
    names = [writable_name(path) for path, _ in walk_folder(tmp_path)]
    assert sorted(names) == [r"a\x41.png", r"mu\xf1oz.png"]
    for name in names:
        name.encode()
        assert named_file(tmp_path, name).is_file()
    assert not named_file(tmp_path, r"no\xf1.png").exists()


def test_an_archive_is_named_as_such(tmp_path):
    touch(tmp_path, "pics.ZIP", "folder.zip/a.png")
    with pytest.raises(NoImagesError, match=r"pics\.ZIP is an archive; unpack it first"):
        find_images(str(tmp_path / "pics.ZIP"))
    assert not is_archive(tmp_path / "folder.zip")
