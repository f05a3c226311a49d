import json

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from emotionnet_hf.evaluation.retrieval.gallery import GalleryError, open_gallery, open_picture


@pytest.fixture
def pictures(folder, tmp_path):
    """Three pictures, one of them in a folder."""
    for name in ("0.png", "1.png", "x/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((folder / "00.png").read_bytes())
    return tmp_path


def jsonl(folder, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines))


def read(folder, label=None):
    gallery = open_gallery(folder, label)
    rows = [row for batch in gallery.batches() for row in batch.to_pylist()]
    return {row["id"]: (row["keywords"], row["labels"]) for row in rows}, gallery.notes


def test_every_name_of_a_file_is_that_file(pictures):
    jsonl(
        pictures,
        {"file_name": "./0.png", "keywords": ["joy"], "label": "a"},
        {"file_name": str(pictures / "1.png"), "keywords": "['joy' 'fear']", "label": "b"},
        {"file_name": "x\\2.png", "keywords": "joy; sky", "label": "007"},
    )
    assert read(pictures) == (
        {
            "0.png": (["joy"], ["a"]),
            "1.png": (["joy", "fear"], ["b"]),
            "x/2.png": (["joy", "sky"], ["007"]),
        },
        {},
    )


def test_what_fits_no_picture_is_told(pictures):
    (pictures / "a.heic.svg").touch()
    jsonl(
        pictures,
        {"file_name": "0.png", "keywords": ["joy"]},
        {"file_name": "0.png", "keywords": ["fear"]},
        {"file_name": "gone.png", "keywords": ["joy"]},
        {"file_name": "../0.png", "keywords": ["joy"]},
        '{"file_name": "1.png", "keyw',
    )
    found, notes = read(pictures)
    assert found["0.png"] == (["joy"], [])
    assert notes == {
        "passed over, .svg": 1,
        "metadata of an image that has some already": 1,
        "metadata of an image that is not there": 1,
        "file name leads out of the folder": 1,
        "not JSON": 1,
        "image without a row in the metadata": 2,
    }
    jsonl(pictures, {"file_name": "images/0.png", "label": "a"})
    with pytest.raises(
        GalleryError, match=r"no row of the metadata of .*metadata\.jsonl.*not there: 1"
    ):
        open_gallery(pictures)


def test_columns_that_nobody_needs_do_not_matter(pictures):
    lines = ["file_name,label,price", *["gone.png,a,1"] * 5000, "0.png,None,free", "1.png,NA,3"]
    (pictures / "metadata.csv").write_text("\n".join(lines))
    found, _ = read(pictures)
    assert [labels for _, labels in found.values()] == [["None"], ["NA"], []]
    (pictures / "metadata.csv").unlink()
    jsonl(
        pictures,
        {"file_name": "0.png", "note": 1},
        {"file_name": "1.png", "note": {"a": [1]}, "label": "late"},
    )
    assert read(pictures)[0]["1.png"] == ([], ["late"])


def test_numbers_of_classes_are_those_of_their_own_table(pictures):
    label = Features({"file_name": Value("string"), "label": ClassLabel(names=["calm", "joy"])})
    rows = {"file_name": ["2.png"], "label": [1]}
    Dataset.from_dict(rows, features=label).to_parquet(pictures / "x" / "metadata.parquet")
    (pictures / "metadata.csv").write_text("file_name,label\n0.png,fear\n1.png,1\n")
    found, _ = read(pictures)
    assert [labels for _, labels in found.values()] == [["fear"], ["1"], ["joy"]]


def test_a_name_that_is_not_utf_8_is_written_and_opened(pictures):
    (pictures / "0.png").rename(pictures / "mu\udcf1oz.png")
    found, _ = read(pictures)
    assert set(found) == {"1.png", r"mu\xf1oz.png", "x/2.png"}
    assert (
        open_picture(pictures, r"mu\xf1oz.png", -1).size == open_picture(pictures, "1.png", -1).size
    )
