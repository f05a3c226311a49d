import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.image_files import NoImagesError, find_images


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
