import json
from pathlib import Path

import imagehash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data import picture_hashes as module
from emotionnet_hf.data.built_folder import BuiltFolderError, open_built
from emotionnet_hf.data.picture_hashes import HASHES_SCHEMA, PictureHasher, stored_hashes
from emotionnet_hf.data.pictures import open_pictures
from emotionnet_hf.loading.images import open_image


def save(path: Path, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((60, 40)).save(path, quality=95)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = [f"{i}.jpg" for i in range(20)]
    for i, name in enumerate(names):
        save(folder / name, i)
    (folder / "3.jpg").write_bytes(b"")
    (folder / "11.jpg").unlink()
    rows = [
        json.dumps({"file_name": name, "keywords": ["joy"], "image_id": f"id {name}"})
        for name in names
    ]
    rows[5] = "{not json"
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    return folder


def run(source: Path, parts: Path, **changes) -> tuple[list[dict], int]:
    values = {"max_pixels": 10**6, "rows_per_part": 6, "threads": 2} | changes
    table, resumed = PictureHasher(parts, **values).run(open_pictures(source), progress=False)
    assert table.schema == HASHES_SCHEMA
    return table.to_pylist(), resumed


def test_every_row_has_a_hash_or_a_reason(source, tmp_path):
    rows, resumed = run(source, tmp_path / "parts")
    assert (len(rows), resumed) == (21, 0)
    # The row that cannot be read was that of a picture.
    assert (rows[20]["file_name"], rows[20]["phash"]) == ("5.jpg", None)
    assert rows[20]["reason"] == "picture without a row in the metadata"
    for i, row in enumerate(rows[:20]):
        assert (row["phash"] is None) == (row["reason"] is not None) == (i in (3, 5, 11))
        if row["reason"] is None:
            assert row["image_id"] == f"id {row['file_name']}" == f"id {i}.jpg"
            assert row["phash"] == str(imagehash.phash(open_image(source / f"{i}.jpg")))
    assert rows[3]["reason"] == "zero bytes"
    assert rows[5]["reason"].startswith("not JSON")
    assert rows[11]["reason"] == "no such image file"


def test_what_is_hashed_is_not_hashed_again(source, tmp_path, monkeypatch):
    first, _ = run(source, tmp_path / "parts")
    monkeypatch.setattr(module, "phash_file", None)
    assert run(source, tmp_path / "parts", threads=1) == (first, 4)


def test_a_changed_picture_costs_its_part(source, tmp_path):
    first, _ = run(source, tmp_path / "parts")
    save(source / "7.jpg", 99)
    again, resumed = run(source, tmp_path / "parts")
    assert resumed == 3
    assert [i for i in range(20) if first[i] != again[i]] == [7]


@pytest.mark.parametrize("changes", [{"max_pixels": 100}, {"rows_per_part": 7}])
def test_other_settings_start_over(source, tmp_path, changes):
    run(source, tmp_path / "parts")
    assert run(source, tmp_path / "parts", **changes)[1] == 0


def test_other_versions_start_over(source, tmp_path, monkeypatch):
    run(source, tmp_path / "parts")
    monkeypatch.setattr(module, "version", lambda name: "0")
    assert run(source, tmp_path / "parts")[1] == 0


def test_a_shorter_source_leaves_out_what_is_gone(source, tmp_path):
    run(source, tmp_path / "parts")
    lines = (source / "metadata.jsonl").read_text().splitlines()
    (source / "metadata.jsonl").write_text("\n".join(lines[:13]))
    rows, resumed = run(source, tmp_path / "parts")
    listed = [row for row in rows if row["reason"] != "picture without a row in the metadata"]
    assert (len(listed), len(rows), resumed) == (13, 13 + 8, 2)


def test_no_row(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,keywords\n")
    assert run(tmp_path, tmp_path / "parts") == ([], 0)


def test_a_failing_disk_is_no_fault_of_the_picture(source, tmp_path, monkeypatch):
    def fail(data, *, max_pixels):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "phash_file", fail)
    with pytest.raises(OSError, match="Input/output"):
        run(source, tmp_path / "parts")
    assert not list((tmp_path / "parts").iterdir())


def built(folder: Path, **splits: list) -> Path:
    (folder / "data").mkdir(parents=True)
    for split, hashes in splits.items():
        ids = [f"{split} {i}" for i in range(len(hashes))]
        table = pa.table({"image_id": ids, "phash": pa.array(hashes, pa.string())})
        pq.write_table(table, folder / f"data/{split}-00000-of-00001.parquet")
    return folder


def test_stored_hashes_are_read_split_by_split(tmp_path):
    folder = built(tmp_path, test=["3" * 16], train=["f" * 16, "1" * 16])
    rows = stored_hashes(open_built(folder)).to_pylist()
    assert [(row["image_id"], row["split"], row["phash"]) for row in rows] == [
        ("train 0", "train", "f" * 16),
        ("train 1", "train", "1" * 16),
        ("test 0", "test", "3" * 16),
    ]
    assert all(row["reason"] is None and row["file_name"] is None for row in rows)


def test_of_pictures_without_structure_the_pixels_are_told(tmp_path):
    cards = {"red": (9, 9), "blue": (9, 9), "large": (18, 9)}
    folder = tmp_path / "source"
    folder.mkdir()
    for name, size in cards.items():
        colour = "red" if name == "large" else name
        Image.new("RGB", size, colour).save(folder / f"{name}.png")
    Image.new("RGB", (9, 9), "red").save(folder / "red again.bmp")
    names = [*(f"{name}.png" for name in cards), "red again.bmp"]
    rows = ({"file_name": name, "keywords": ["joy"]} for name in names)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_dataset(folder, tmp_path / "built", validation=0, test=0, progress=False)
    stored = stored_hashes(open_built(tmp_path / "built")).to_pylist()
    hashed = run(folder, tmp_path / "parts")[0]
    for rows in (stored, hashed):
        pixels = {row["image_id"]: row["pixels"] for row in rows}
        red, blue, large, again = (pixels[name] for name in names)
        assert red == again
        assert len({red, blue, large}) == 3
        assert {row["phash"] for row in rows} == {"8000000000000000"}
    assert sorted(row["pixels"] for row in stored) == sorted(row["pixels"] for row in hashed)


def test_stored_hashes_that_are_none(tmp_path):
    folder = built(tmp_path, train=[None, "f" * 16, "joy"], test=[None])
    table = stored_hashes(open_built(folder))
    assert table.schema == HASHES_SCHEMA
    assert [row["phash"] for row in table.to_pylist()] == [None, "f" * 16, None, None]
    assert table["reason"].to_pylist() == [
        "no perceptual hash: None",
        None,
        "no perceptual hash: 'joy'",
        "no perceptual hash: None",
    ]


def test_a_data_set_without_hashes(tmp_path):
    (tmp_path / "data").mkdir()
    table = pa.table({"image_id": ["a"]})
    pq.write_table(table, tmp_path / "data/train-00000-of-00001.parquet")
    with pytest.raises(BuiltFolderError, match="lacks the column phash"):
        stored_hashes(open_built(tmp_path))
