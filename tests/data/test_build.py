import errno
import json
import os
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import datasets
import imagehash
import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from PIL import Image

from emotionnet_hf import files
from emotionnet_hf.data import build, build_dataset, emotion_vocabulary, open_image
from emotionnet_hf.data.build import BuildError, OutputExistsError
from emotionnet_hf.files import DiskFullError
from emotionnet_hf.keywords import Vocabulary

REPOSITORY = Path(__file__).resolve().parents[2]
EMOTIONS = Vocabulary(["fear", "joy", "hope"])
BAD_PICTURES = {
    "zero.png": (b"", "zero bytes"),
    "text.jpg": (b"hello", "not an image"),
    "cut.png": (None, "truncated"),
    "large.png": (None, "too large"),
}


def png(seed: int, size=(20, 16)) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def make_source(folder: Path, count=60, bad=True, **more) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(count):
        (folder / f"images/{i}.png").write_bytes(png(i))
        keywords = ["Joy", "tree", f"word {i % 7}"] + (["fear"] if i % 2 else [])
        rows.append({"file_name": f"images/{i}.png", "keywords": keywords, "source": "drawn"})
        rows[-1].update(more)
    for name, (data, _) in BAD_PICTURES.items() if bad else ():
        if data is None:
            data = png(0)[:300] if name == "cut.png" else png(0, (500, 500))
        (folder / f"images/{name}").write_bytes(data)
        rows.insert(count // 2, {"file_name": f"images/{name}", "keywords": "joy"})
    if bad:
        rows.append({"file_name": "images/1.png", "keywords": "tree", "image_id": "calm"})
        rows.append({"file_name": "images/nothing.png", "keywords": "joy"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def options(**changes):
    values = {
        "emotions": EMOTIONS,
        "validation": 0.2,
        "test": 0.2,
        "rows_per_shard": 8,
        "max_pixels": 10**5,
        "num_threads": 2,
        "progress": False,
    }
    return values | changes


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("source") / "pictures")


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "out"
    return build_dataset(source, out, **options())


@pytest.fixture(scope="module")
def loaded(built, tmp_path_factory):
    return load_dataset(str(built.out), cache_dir=str(tmp_path_factory.mktemp("cache")))


def test_report_counts_every_row(built):
    assert sum(built.rows.values()) == 60
    assert built.quarantined == {
        "fewer than 1 emotion keywords": 1,
        "no such image file": 1,
        "not an image": 1,
        "too large": 1,
        "truncated": 1,
        "zero bytes": 1,
    }
    assert (built.mean_keywords, built.mean_emotion_keywords) == (3.5, 1.5)
    assert "60 images" in built.summary()
    assert "6 rows in quarantine" in built.summary()


def test_folder_holds_nothing_else(built):
    names = {path.name for path in built.out.iterdir()}
    assert names == {"README.md", "data", "quarantine.parquet", "build.json"}
    assert list(built.out.parent.iterdir()) == [built.out]


def test_load_dataset_gives_rows_and_features(built, loaded):
    assert {name: split.num_rows for name, split in loaded.items()} == built.rows
    assert set(built.rows) == {"train", "validation", "test"}
    features = loaded["train"].features
    assert emotion_vocabulary(features) == EMOTIONS
    rows = {row["image_id"]: row for split in loaded.values() for row in split}
    assert set(rows) == {f"images/{i}.png" for i in range(60)}
    row = rows["images/3.png"]
    assert row["keywords"] == ["joy", "tree", "word 3", "fear"]
    assert row["emotion_keywords"] == [1, 0]
    assert row["source"] == "drawn"
    picture = open_image(png(3))
    assert (np.asarray(row["image"]) == np.asarray(picture)).all()
    assert row["phash"] == str(imagehash.phash(picture))
    assert len(row["phash"]) == 16


def test_pictures_are_kept_byte_for_byte(loaded):
    split = loaded["test"].cast_column("image", datasets.Image(decode=False))
    for row in split:
        number = int(row["image_id"].split("/")[1].split(".")[0])
        assert row["image"]["bytes"] == png(number)
        assert row["image"]["path"] == f"{number}.png"


def test_streaming_gives_the_same_rows(built, loaded):
    streamed = load_dataset(str(built.out), streaming=True)
    assert set(streamed) == set(loaded)
    for split, rows in streamed.items():
        assert rows.features == loaded[split].features
        ids = []
        for row in rows:
            assert row["image"].size == (20, 16)
            ids.append(row["image_id"])
        assert ids == loaded[split]["image_id"][:]


def test_quarantine_names_row_file_and_reason(built):
    rows = pq.read_table(built.out / "quarantine.parquet").to_pylist()
    assert [row["row"] for row in rows] == sorted(row["row"] for row in rows)
    reasons = {Path(row["file_name"]).name: row["reason"] for row in rows}
    for name, (_, reason) in BAD_PICTURES.items():
        assert reasons[name].startswith(reason)
    assert reasons["large.png"] == "too large: 500x500 pixels (limit 100000)"


def test_build_json_says_how(built):
    note = json.loads((built.out / "build.json").read_text())
    assert note["rows"] == built.rows
    assert note["source"] == "pictures"
    assert note["arguments"]["rows_per_shard"] == 8
    assert note["quarantined"] == built.quarantined
    assert set(note["versions"]) >= {"datasets", "pillow", "pyarrow", "imagehash"}


def test_the_same_call_gives_the_same_bytes(built, source, tmp_path):
    again = build_dataset(source, tmp_path / "out", **options(num_threads=5))
    assert content(again.out) == content(built.out)


def test_growing_data_moves_no_image(source, loaded, tmp_path):
    bigger = make_source(tmp_path / "bigger", count=90, bad=False)
    report = build_dataset(bigger, tmp_path / "out", **options(rows_per_shard=1000))
    grown = load_dataset(str(report.out), cache_dir=str(tmp_path / "cache"))
    for split in loaded:
        assert set(loaded[split]["image_id"]) <= set(grown[split]["image_id"])


def test_a_group_is_in_one_split(tmp_path):
    source = make_source(tmp_path / "pictures", count=20, bad=False, group="all of them")
    assert len(build_dataset(source, tmp_path / "out", **options()).rows) == 1


def test_empty_splits_are_left_out(tmp_path):
    source = make_source(tmp_path / "pictures", count=5, bad=False)
    report = build_dataset(source, tmp_path / "out", **options(validation=0, test=0))
    dataset = load_dataset(str(report.out), cache_dir=str(tmp_path / "cache"))
    assert dict(dataset.num_rows) == {"train": 5}


@pytest.mark.parametrize("streaming", [False, True])
def test_a_shard_without_a_usable_picture_does_no_harm(tmp_path, streaming):
    source = make_source(tmp_path / "pictures", count=6, bad=False)
    for i in (0, 3, 5):
        (source / f"images/{i}.png").write_bytes(b"")
    choice = options(rows_per_shard=1, validation=0, test=0)
    report = build_dataset(source, tmp_path / "out", **choice)
    dataset = load_dataset(
        str(report.out), split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    assert [row["image_id"] for row in dataset] == [f"images/{i}.png" for i in (1, 2, 4)]
    assert all(row["image"].size == (20, 16) for row in dataset)


def test_people_and_faces_are_columns_where_known(tmp_path):
    source = make_source(tmp_path / "pictures", count=5, bad=False, people=2)
    report = build_dataset(source, tmp_path / "out", **options(validation=0, test=0))
    dataset = load_dataset(str(report.out), split="train", cache_dir=str(tmp_path / "cache"))
    assert dataset["people"][:] == [2] * 5
    assert "faces" not in dataset.features


def test_pictures_of_every_kind_come_out_as_rgb(tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(BytesIO(png(0))).convert("RGB")
    grey = Image.fromarray(np.full((16, 20), 32896, np.uint16))
    picture.convert("CMYK").save(source / "cmyk.jpg")
    picture.quantize(8).save(source / "palette.png")
    grey.save(source / "deep.png")
    picture.convert("RGBA").save(source / "alpha.png")
    picture.save(source / "turned.jpg", exif=exif)
    picture.save(source / "plain.bmp")
    names = sorted(path.name for path in source.iterdir())
    rows = "".join(f'{name},"joy, tree"\n' for name in names)
    (source / "metadata.csv").write_text("file_name,keywords\n" + rows)
    report = build_dataset(source, tmp_path / "out", **options(validation=0, test=0))
    dataset = load_dataset(str(report.out), split="train", cache_dir=str(tmp_path / "cache"))
    images = dict(zip(dataset["image_id"], dataset["image"], strict=True))
    assert sorted(images) == names
    assert {image.mode for image in images.values()} == {"RGB"}
    assert images["turned.jpg"].size == (16, 20)
    assert images["deep.png"].getpixel((0, 0)) == (128, 128, 128)


def test_shorter_side_shrinks(tmp_path):
    source = make_source(tmp_path / "pictures", count=3, bad=False)
    choice = options(validation=0, test=0, shorter_side=8)
    report = build_dataset(source, tmp_path / "out", **choice)
    dataset = load_dataset(str(report.out), split="train", cache_dir=str(tmp_path / "cache"))
    assert {image.size for image in dataset["image"]} == {(10, 8)}


def test_vocabulary_that_matches_nothing(source, tmp_path):
    with pytest.raises(BuildError, match=r"weltschmerz.*'joy'.*'tree'.*vocabulary"):
        build_dataset(source, tmp_path / "out", **options(emotions=Vocabulary(["weltschmerz"])))
    assert list(tmp_path.iterdir()) == []


def test_the_default_vocabulary(source, tmp_path):
    report = build_dataset(source, tmp_path / "out", **options(emotions=None))
    assert report.mean_emotion_keywords == 1.5


def test_source_without_a_usable_picture(tmp_path):
    source = make_source(tmp_path / "pictures", count=3, bad=False)
    for i in range(3):
        (source / f"images/{i}.png").write_bytes(b"")
    with pytest.raises(BuildError, match=r"no image .* zero bytes \(3\)"):
        build_dataset(source, tmp_path / "out", **options())
    assert list(tmp_path.iterdir()) == [source]


def test_source_without_rows(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,keywords\n")
    with pytest.raises(BuildError, match="no rows"):
        build_dataset(tmp_path, tmp_path / "out", **options())


def test_too_many_emotion_keywords_asked_for(source, tmp_path):
    with pytest.raises(BuildError, match="fewer than 9 emotion keywords"):
        build_dataset(source, tmp_path / "out", **options(min_emotion_keywords=9))


@pytest.mark.parametrize(
    "change",
    [
        {"rows_per_shard": 0},
        {"num_threads": 0},
        {"max_pixels": 0},
        {"shorter_side": 0},
        {"min_emotion_keywords": -1},
        {"validation": 0.9, "test": 0.2},
    ],
)
def test_arguments_out_of_range(source, tmp_path, change):
    with pytest.raises(BuildError, match=next(iter(change))):
        build_dataset(source, tmp_path / "out", **options(**change))


def test_existing_output_is_kept_unless_told_otherwise(tmp_path):
    source = make_source(tmp_path / "pictures", count=5, bad=False)
    out = tmp_path / "out"
    choice = options(validation=0, test=0)
    build_dataset(source, out, **choice)
    before = content(out)
    with pytest.raises(OutputExistsError, match="overwrite"):
        build_dataset(source, out, **choice)
    assert content(out) == before
    report = build_dataset(source, out, **(choice | {"overwrite": True, "shorter_side": 8}))
    assert content(out) != before
    assert report.rows == {"train": 5}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pictures"]


def test_overwrite_spares_what_no_build_made(tmp_path):
    source = make_source(tmp_path / "pictures", count=2, bad=False)
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter.txt").write_text("years of work")
    for out in (precious, source, tmp_path):
        with pytest.raises(OutputExistsError, match="not overwritten"):
            build_dataset(source, out, **options(overwrite=True))
    assert (precious / "chapter.txt").exists()


def test_output_may_be_an_empty_folder(tmp_path):
    source = make_source(tmp_path / "pictures", count=2, bad=False)
    (tmp_path / "out").mkdir()
    assert sum(build_dataset(source, tmp_path / "out", **options()).rows.values()) == 2


def test_full_disk_keeps_what_is_finished(built, source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    real, calls = build.ShardWriter._fill, []

    def fill(self, file, rows, result):
        calls.append(1)
        if len(calls) == 4:
            file.write(b"half a shard")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, file, rows, result)

    monkeypatch.setattr(build.ShardWriter, "_fill", fill)
    with pytest.raises(DiskFullError, match=r"disk is full.*goes on from there"):
        build_dataset(source, out, **options())
    assert not out.exists()
    finished = list((tmp_path / "out.building/dataset/data").iterdir())
    assert len(finished) == 3
    assert all(pq.ParquetFile(path).metadata.num_rows for path in finished)
    monkeypatch.undo()
    report = build_dataset(source, out, **options())
    assert report.resumed_shards == 3
    assert content(out) == content(built.out)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_really_full_disk(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    real = files._open_unfinished

    def full(path, folder):
        if path.suffix != ".parquet":
            return real(path, folder)
        assert folder == tmp_path / "out.building/notes"
        (folder / "full").symlink_to("/dev/full")
        return folder / "full", (folder / "full").open("wb")

    monkeypatch.setattr(files, "_open_unfinished", full)
    with pytest.raises(DiskFullError) as caught:
        build_dataset(source, out, **options())
    assert caught.value.errno == errno.ENOSPC
    assert not out.exists()
    assert not list((tmp_path / "out.building/dataset/data").iterdir())


def test_other_arguments_start_over(built, source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    real, calls = build.ShardWriter.write, []

    def write(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(build.ShardWriter, "write", write)
    with pytest.raises(KeyboardInterrupt):
        build_dataset(source, out, **options(shorter_side=8))
    monkeypatch.undo()
    assert build_dataset(source, out, **options()).resumed_shards == 0
    assert content(out) == content(built.out)


KILLED = """
import sys, time
from emotionnet_hf.data import writing, build_dataset
from emotionnet_hf.keywords import Vocabulary
real = writing.ShardWriter._load
def slow(self, row):
    time.sleep(0.02)
    return real(self, row)
writing.ShardWriter._load = slow
build_dataset(sys.argv[1], sys.argv[2], emotions=Vocabulary(["fear", "joy", "hope"]),
              validation=0.2, test=0.2, rows_per_shard=8, max_pixels=10**5, num_threads=2,
              progress=False)
"""


def test_kill_and_resume_ends_with_the_same_bytes(built, source, tmp_path):
    out = tmp_path / "out"
    data = tmp_path / "out.building/dataset/data"
    process = subprocess.Popen([sys.executable, "-c", KILLED, source, out], cwd=REPOSITORY)
    try:
        deadline = time.monotonic() + 60
        while not data.is_dir() or len(list(data.iterdir())) < 3:
            assert process.poll() is None, "it was over before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()
    report = build_dataset(source, out, **options())
    assert report.resumed_shards >= 2
    assert report.rows == built.rows
    assert content(out) == content(built.out)
    assert not (tmp_path / "out.building").exists()


@pytest.mark.parametrize("step", ["_describe", "_move_into_place"])
def test_stopped_at_the_end_and_resumed(built, source, tmp_path, monkeypatch, step):
    out = tmp_path / "out"
    real = getattr(build._Build, step)

    def stop(self, *arguments):
        if step == "_describe":
            real(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(build._Build, step, stop)
    with pytest.raises(KeyboardInterrupt):
        build_dataset(source, out, **options())
    monkeypatch.undo()
    report = build_dataset(source, out, **options())
    assert report.resumed_shards > 3
    assert content(out) == content(built.out)


def test_a_changed_picture_starts_over(source, tmp_path, monkeypatch):
    mine = make_source(tmp_path / "pictures", count=20, bad=False)
    monkeypatch.setattr(build._Build, "_move_into_place", lambda self: None)
    build_dataset(mine, tmp_path / "out", **options())
    (mine / "images/0.png").write_bytes(png(99))
    monkeypatch.undo()
    assert build_dataset(mine, tmp_path / "out", **options()).resumed_shards == 0


def test_real_pictures(real_data, tmp_path):
    report = build_dataset(real_data / "bass", tmp_path / "out", shorter_side=64, progress=False)
    assert sum(report.rows.values()) + sum(report.quarantined.values()) == 583
    assert set(report.quarantined) <= {"fewer than 1 emotion keywords"}
    dataset = load_dataset(str(report.out), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in dataset.items()} == report.rows


def test_killed_between_the_two_renames_the_old_data_set_comes_back(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    build_dataset(source, out, **options())
    before = content(out)
    real, renames = os.replace, []

    def replace(*paths):
        renames.append(paths)
        real(*paths)
        if Path(paths[0]) == out:
            raise KeyboardInterrupt

    monkeypatch.setattr(build.os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        build_dataset(source, out, **options(seed=1, overwrite=True))
    monkeypatch.undo()
    assert not out.exists()
    (source / "images" / "nowhere").mkdir(exist_ok=True)
    with pytest.raises(BuildError):
        build_dataset(source, out, **options(emotions=Vocabulary(["zorblax"]), overwrite=True))
    assert content(out) == before
    build_dataset(source, out, **options(seed=1, overwrite=True))
    assert content(out) != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
