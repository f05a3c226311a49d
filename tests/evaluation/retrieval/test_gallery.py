import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value

from emotionnet_hf.evaluation.embed import embed, read_features
from emotionnet_hf.evaluation.retrieval.gallery import GalleryError, open_gallery, open_picture
from emotionnet_hf.loading.images import open_image

FEATURES = Features(
    {
        "image": Image(),
        "keywords": List(Value("string")),
        "emotion_keywords": List(ClassLabel(names=["fear", "joy"])),
    }
)


def rows(folder, numbers, **more):
    return [
        {
            "image": {"bytes": (folder / f"{n:02d}.png").read_bytes(), "path": None},
            "keywords": ["tree", f"word {n}"],
            "emotion_keywords": [n % 2],
            **{name: make(n) for name, make in more.items()},
        }
        for n in numbers
    ]


def table(path, values, features=FEATURES):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pa.Table.from_pylist(values, schema=features.arrow_schema)
    pq.write_table(rows, path, row_group_size=2)


def read(gallery):
    return [row for batch in gallery.batches() for row in batch.to_pylist()]


def check_pictures(gallery, folder, numbers):
    for row, number in zip(read(gallery), numbers, strict=True):
        picture = open_picture(gallery.root, row["file"], row["row"])
        assert picture.tobytes() == open_image(folder / f"{number:02d}.png").tobytes()


def test_folder_of_images_with_metadata(folder):
    gallery = open_gallery(folder)
    found = read(gallery)
    assert [row["id"] for row in found] == [*(f"{n:02d}.png" for n in range(12)), "bad.png"]
    assert found[1]["keywords"] == ["joy", "tree"]
    assert [row["labels"] for row in found[:3]] == [["fear"], ["joy"], ["fear"]]
    assert (found[-1]["keywords"], found[-1]["labels"]) == ([], [])


def test_folder_for_each_class(drawing, tmp_path):
    for name in ("fear", "joy"):
        drawing.draw(tmp_path / name / "a.png", drawing.colours[name], 0)
    gallery = open_gallery(tmp_path)
    assert gallery.label == "label"
    assert [(row["id"], row["labels"]) for row in read(gallery)] == [
        ("fear/a.png", ["fear"]),
        ("joy/a.png", ["joy"]),
    ]


def test_built_folder(folder, tmp_path):
    features = Features({**FEATURES, "image_id": Value("string")})
    named = {"image_id": lambda n: f"id{n}"}
    table(
        tmp_path / "data" / "train-00000-of-00002.parquet",
        rows(folder, range(5), **named),
        features,
    )
    table(
        tmp_path / "data" / "train-00001-of-00002.parquet",
        rows(folder, range(5, 8), **named),
        features,
    )
    table(
        tmp_path / "data" / "test-00000-of-00001.parquet",
        rows(folder, range(8, 9), **named),
        features,
    )
    gallery = open_gallery(tmp_path)
    assert gallery.label == "emotion_keywords"
    assert [row["id"] for row in read(gallery)] == [f"id{n}" for n in range(9)]
    assert read(gallery)[3]["labels"] == ["joy"]
    check_pictures(gallery, folder, range(9))


@pytest.mark.parametrize("kind", ["built", "named", "file", "saved", "saved_splits"])
def test_rows_without_ids_are_named_as_embed_names_them(folder, checkpoint, tmp_path, kind):
    source = tmp_path / "source"
    if kind == "built":
        table(source / "data" / "train-00000-of-00002.parquet", rows(folder, range(3)))
        table(source / "data" / "train-00001-of-00002.parquet", rows(folder, range(3, 5)))
        table(source / "data" / "test-00000-of-00001.parquet", rows(folder, range(5, 7)))
    elif kind == "named":
        table(source / "train.parquet", rows(folder, range(4)))
        table(source / "test.parquet", rows(folder, range(4, 7)))
    elif kind == "file":
        source = tmp_path / "source.parquet"
        table(source, rows(folder, range(7)))
    elif kind == "saved":
        Dataset.from_list(rows(folder, range(7)), features=FEATURES).save_to_disk(source)
    else:
        parts = {"train": range(4), "test": range(4, 7)}
        splits = {
            n: Dataset.from_list(rows(folder, r), features=FEATURES) for n, r in parts.items()
        }
        DatasetDict(splits).save_to_disk(source)
    embed(source, checkpoint, tmp_path / "f.parquet", progress=False)
    ids, _, _ = read_features(tmp_path / "f.parquet")
    gallery = open_gallery(source)
    assert sorted(row["id"] for row in read(gallery)) == sorted(ids)
    assert len(set(ids)) == 7
    check_pictures(gallery, folder, range(7))


def test_table_without_words_has_rows(folder, tmp_path):
    values = [{"image": row["image"]} for row in rows(folder, range(3))]
    table(tmp_path / "t.parquet", values, Features({"image": Image()}))
    gallery = open_gallery(tmp_path / "t.parquet")
    assert gallery.label is None
    assert [(row["id"], row["labels"]) for row in read(gallery)] == [
        (f"train/{n}", []) for n in range(3)
    ]


def test_label_is_the_one_asked_for(folder):
    gallery = open_gallery(folder, "keywords")
    assert read(gallery)[0]["labels"] == ["fear", "tree"]
    with pytest.raises(GalleryError, match="'mood'"):
        open_gallery(folder, "mood")


def test_places_that_are_no_data_set_are_named(tmp_path):
    with pytest.raises(GalleryError, match="does not exist"):
        open_gallery(tmp_path / "nowhere")
    with pytest.raises(GalleryError, match="holds no image"):
        open_gallery(tmp_path)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with pytest.raises(GalleryError, match="no column of pictures"):
        open_gallery(tmp_path / "x.parquet")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(GalleryError, match="not a whole Parquet"):
        open_gallery(tmp_path)


def test_picture_that_is_gone_is_named(folder, tmp_path):
    with pytest.raises(GalleryError, match="--pictures"):
        open_picture(tmp_path, "00.png", -1)
    table(tmp_path / "t.parquet", rows(folder, range(2)))
    with pytest.raises(GalleryError, match="row 5"):
        open_picture(tmp_path, "t.parquet", 5)


def test_a_picture_is_found_in_a_file_that_is_one_group(folder, tmp_path):
    values = rows(folder, [n % 12 for n in range(100)])
    columns = pa.Table.from_pylist(values, schema=FEATURES.arrow_schema)
    pq.write_table(columns, tmp_path / "t.parquet", row_group_size=70)
    for row in (0, 40, 69, 70, 99):
        picture = open_picture(tmp_path, "t.parquet", row)
        assert picture.tobytes() == open_image(folder / f"{row % 12:02d}.png").tobytes()
    with pytest.raises(GalleryError, match="row 100"):
        open_picture(tmp_path, "t.parquet", 100)


def test_keywords_of_a_csv_file_are_split_as_a_build_splits_them(folder, tmp_path):
    lines = ['00.png,"Joy, candy  cane"', "01.png,\"['awe', 'sky']\"", "02.png,"]
    for line in lines:
        name = line.partition(",")[0]
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,keywords", *lines]))
    found = read(open_gallery(tmp_path, "keywords"))
    assert [row["keywords"] for row in found] == [["joy", "candy cane"], ["awe", "sky"], []]
    assert [row["labels"] for row in found] == [row["keywords"] for row in found]


def test_metadata_may_lie_beside_the_pictures_of_each_split(folder, tmp_path):
    for split, label in (("train", "fear"), ("test", "joy")):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.png").write_bytes((folder / "00.png").read_bytes())
        told = {"file_name": "a.png", "keywords": [label], "label": label}
        (tmp_path / split / "metadata.jsonl").write_text(json.dumps(told))
    found = {row["id"]: row for row in read(open_gallery(tmp_path))}
    assert {id: row["labels"] for id, row in found.items()} == {
        "test/a.png": ["joy"],
        "train/a.png": ["fear"],
    }
    assert found["test/a.png"]["keywords"] == ["joy"]
    (tmp_path / "test" / "metadata.jsonl").write_text('{"file_name": "a.png", "label": 3}')
    found = {row["id"]: row["labels"] for row in read(open_gallery(tmp_path))}
    assert found == {"test/a.png": ["3"], "train/a.png": ["fear"]}


def test_two_metadata_files_of_one_folder_are_refused(folder, tmp_path):
    (tmp_path / "a.png").write_bytes((folder / "00.png").read_bytes())
    (tmp_path / "metadata.csv").write_text("file_name,keywords,mood\na.png,joy,3\n")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "keywords": ["fear"]}')
    with pytest.raises(GalleryError, match=r"metadata\.jsonl and metadata\.csv; keep one of them"):
        open_gallery(tmp_path)


def test_rows_that_datasets_did_not_write(folder, tmp_path):
    values = [row["image"] for row in rows(folder, range(3))]
    pq.write_table(
        pa.table({"image": values, "image_id": ["a", None, "c"]}), tmp_path / "t.parquet"
    )
    gallery = open_gallery(tmp_path / "t.parquet")
    assert [row["id"] for row in read(gallery)] == ["a", "train/1", "c"]
    check_pictures(gallery, folder, range(3))


def not_utf_8(*texts):
    """A column of text that is not checked, as a file of strangers may have it."""
    return pa.StringArray.from_buffers(len(texts), *pa.array(texts, pa.binary()).buffers()[1:])


def test_text_that_is_not_utf_8_is_named(folder, checkpoint, tmp_path):
    values = [row["image"] for row in rows(folder, range(2))]
    table = {"image": values, "image_id": not_utf_8(b"a", b"mu\xf1oz")}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    assert [row["id"] for row in read(open_gallery(tmp_path / "t.parquet"))] == ["a", r"mu\xf1oz"]
    embed(tmp_path / "t.parquet", checkpoint, tmp_path / "f.parquet", progress=False)
    assert read_features(tmp_path / "f.parquet")[0] == ["a", r"mu\xf1oz"]
    table["keywords"] = not_utf_8(b"joy", b"caf\xe9")
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    with pytest.raises(GalleryError, match=r"t\.parquet: row 2: keywords: not valid Unicode"):
        read(open_gallery(tmp_path / "t.parquet"))
