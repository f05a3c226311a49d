import json

import numpy as np
import pytest

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.pictures import open_pictures
from emotionnet_hf.data.sources import SourceError
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.images import ImageError


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures") / "source"
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(9):
        values = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"images/{i}.png")
        rows.append({"file_name": f"images/{i}.png", "keywords": ["joy"], "image_id": f"id {i}"})
    rows.insert(4, {"file_name": "images/none.png", "keywords": ["joy"]})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("pictures") / "out"
    emotions = Vocabulary(["joy"])
    return build_dataset(source, out, emotions=emotions, test=0.5, progress=False).out


def test_source_and_data_set_give_the_same_pictures(source, built):
    wanted = {f"id {i}": (source / f"images/{i}.png").read_bytes() for i in range(9)}
    for folder in (source, built):
        pictures = open_pictures(folder)
        usable = [picture for picture in pictures if picture.reason is None]
        loaders = list(pictures.loaders(usable))
        assert {p.image_id: load() for p, load in zip(usable, loaders, strict=True)} == wanted
    assert open_pictures(built).total == 9
    assert open_pictures(source).total is None


def test_row_that_a_source_refuses_keeps_its_place_and_reason(source):
    pictures = open_pictures(source)
    rows = list(pictures)
    assert len(rows) == 10
    assert (rows[4].image_id, rows[4].file_name) == (None, "images/none.png")
    (load,) = pictures.loaders([rows[4]])
    with pytest.raises(ImageError, match="no such image file"):
        load()


def test_stamp_changes_with_the_file(source, tmp_path):
    path = source / "images" / "8.png"
    before = [picture.stamp for picture in open_pictures(source)]
    path.write_bytes(path.read_bytes())
    after = [picture.stamp for picture in open_pictures(source)]
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


def test_folder_that_is_neither_is_an_error(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SourceError, match=r"metadata|no folder"):
            open_pictures(folder)
    (tmp_path / "metadata.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(SourceError, match="lacks file_name"):
        open_pictures(tmp_path)
