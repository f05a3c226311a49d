import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from emotionnet_hf.data import build_dataset, picture_hashes
from emotionnet_hf.data.dropped import DUPLICATES_SCHEMA, DuplicatesError, read_dropped
from emotionnet_hf.data.duplicates import DuplicatesExistError, find_duplicates
from emotionnet_hf.data.sources import SourceError
from emotionnet_hf.dedup import DedupError
from emotionnet_hf.files import DiskFullError
from emotionnet_hf.keywords import Vocabulary

REPOSITORY = Path(__file__).resolve().parents[2]


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


def make_source(folder: Path, count: int = 12) -> Path:
    """Pictures of which every third comes again at the end: re-encoded, smaller, as another kind.

    Further an empty file and a row without a file.
    """
    folder.mkdir(parents=True)
    names = []
    for i in range(count):
        names.append(f"{i}.png")
        picture(i).save(folder / names[-1])
    for i in range(0, count, 3):
        again = picture(i)
        names += [f"{i}-low.jpg", f"{i}-small.jpg", f"{i}.webp"]
        again.save(folder / names[-3], quality=6)
        again.resize((40, 30)).save(folder / names[-2], quality=50)
        again.save(folder / names[-1])
    (folder / "empty.jpg").touch()
    names[4:4] = ["empty.jpg", "none.jpg"]
    # Ids that are no file names: they are what a build knows an image by.
    rows = [{"file_name": n, "image_id": f"id-{n}", "keywords": ["joy"]} for n in names]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("source") / "pictures")


def find(folder: Path, out: Path, **options):
    return find_duplicates(folder, out, **({"rows_per_part": 5, "progress": False} | options))


def test_copies_are_found_and_the_first_stays(source, tmp_path):
    report = find(source, tmp_path / "duplicates.parquet")
    assert (report.images, report.kept, report.groups, report.largest_group) == (24, 12, 4, 4)
    assert (report.chained, report.split_leaks, report.resumed_parts) == (0, {}, 0)
    assert report.rejected == {"no such image file": 1, "zero bytes": 1}
    table = pq.read_table(report.out)
    assert table.schema == DUPLICATES_SCHEMA
    rows = table.to_pylist()
    assert [row["file_name"] for row in rows] == [
        json.loads(line)["file_name"] for line in (source / "metadata.jsonl").open()
    ]
    for place, row in enumerate(rows):
        if row["reason"]:
            given = ("phash", "group", "kept", "kept_by", "distance")
            assert [row[name] for name in given] == [None] * 5
            continue
        original = row["file_name"].partition(".")[0].partition("-")[0] + ".png"
        assert row["kept_by"] == f"id-{original}"
        assert rows[row["group"]]["file_name"] == original
        assert row["kept"] == (row["group"] == place) == (row["file_name"] == original)
        bits = int(row["phash"], 16) ^ int(rows[row["group"]]["phash"], 16)
        assert row["distance"] == bits.bit_count() <= 4
    assert [path.name for path in tmp_path.iterdir()] == ["duplicates.parquet"]


def test_the_summary_tells_it_all(source, tmp_path):
    text = find(source, tmp_path / "d.parquet").summary()
    assert "24 images; 12 are near-duplicates of the 12 that stay (radius 4, single" in text
    assert "4 groups, the largest of 4 images; 0 images differ in more than 8 bits" in text
    assert "2 rows have no hash: no such image file (1), zero bytes (1)" in text
    assert "LEAK" not in text


def test_what_is_dropped_is_read_back(source, tmp_path):
    report = find(source, tmp_path / "d.parquet")
    dropped = read_dropped(report.out)
    assert len(dropped) == 12
    assert dropped["id-3-low.jpg"] == dropped["id-3.webp"] == "id-3.png"
    assert not set(dropped) & set(dropped.values())


def test_radius_and_linkage_are_passed_on(source, tmp_path):
    assert find(source, tmp_path / "a.parquet", radius=0).kept > 12
    # Grey to grey, a step at a time: hashes a few bits apart, ends far apart.
    folder = tmp_path / "steps"
    folder.mkdir()
    one, two = (np.asarray(picture(seed), np.float64) for seed in (1, 2))
    names = [f"{i}.png" for i in range(60)]
    for i, name in enumerate(names):
        mixed = one + (two - one) * i / 59
        Image.fromarray(mixed.astype(np.uint8)).save(folder / name)
    (folder / "metadata.csv").write_text(
        "file_name,keywords\n" + "".join(f"{n},joy\n" for n in names)
    )
    reports = {
        linkage: find(folder, tmp_path / f"{linkage}.parquet", linkage=linkage, radius=6)
        for linkage in ("single", "complete", "representative")
    }
    assert reports["single"].kept < reports["representative"].kept <= reports["complete"].kept
    assert reports["single"].chained > 0 == reports["representative"].chained
    farthest = pq.read_table(reports["representative"].out)["distance"].to_pylist()
    assert max(farthest) <= 6


def built(folder: Path, **splits: list[str]) -> Path:
    (folder / "data").mkdir(parents=True)
    for split, hashes in splits.items():
        ids = [f"{split}-{i}" for i in range(len(hashes))]
        table = pa.table({"image_id": ids, "phash": pa.array(hashes, pa.string())})
        pq.write_table(table, folder / f"data/{split}-00000-of-00001.parquet")
    return folder


def test_leaks_between_splits_are_named(tmp_path):
    one, two, three, four = "3" * 16, "00ff" * 4, "f" * 16, "0f0f" * 4
    folder = built(
        tmp_path / "built",
        test=[one, two, None, four],
        train=[two, one, one, three],
        validation=[one, three[:-1] + "e", four],
    )
    report = find(folder, tmp_path / "d.parquet")
    assert report.split_leaks == {
        "train and validation and test": 1,
        "train and test": 1,
        "train and validation": 1,
        "validation and test": 1,
    }
    assert "LEAK: 4 groups are in several splits: " in report.summary()
    assert report.rejected == {"no perceptual hash": 1}
    # Training images stay before those of the other splits.
    assert read_dropped(report.out) == {
        "train-2": "train-1",
        "validation-0": "train-1",
        "validation-1": "train-3",
        "test-0": "train-1",
        "test-1": "train-0",
        "test-3": "validation-2",
    }


def test_a_built_data_set_has_the_groups_of_its_source(source, tmp_path):
    build_dataset(
        source,
        tmp_path / "built",
        emotions=Vocabulary(["joy"]),
        validation=0.3,
        test=0.3,
        progress=False,
    )
    of_source = find(source, tmp_path / "a.parquet")
    of_built = find(tmp_path / "built", tmp_path / "b.parquet")
    assert (of_built.images, of_built.kept) == (24, 12)
    assert of_built.split_leaks
    groups = []
    for report in (of_source, of_built):
        together: dict[int, set[str]] = {}
        for row in pq.read_table(report.out).to_pylist():
            if row["group"] is not None:
                together.setdefault(row["group"], set()).add(row["image_id"])
        groups.append(sorted(map(sorted, together.values())))
    assert groups[0] == groups[1]


def flat_source(folder: Path) -> Path:
    """Cards, gradients and stripes, all of them with hashes that are near one another."""
    folder.mkdir(parents=True)
    gradient = Image.linear_gradient("L").resize((80, 60))
    pictures = {
        **{name: Image.new("RGB", (80, 60), name) for name in ("red", "blue", "white", "black")},
        "red again": Image.new("RGB", (80, 60), "red"),
        "large": Image.new("RGB", (160, 60), "red"),
        "down": gradient,
        "up": gradient.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        "across": gradient.transpose(Image.Transpose.ROTATE_90),
        "faint": gradient.point(lambda value: 90 + value // 60),
        "stripes": Image.fromarray(np.tile(np.uint8([0, 0, 0, 255, 255, 255]), (60, 9))),
        "real": picture(1),
        "copy": picture(1).resize((80, 60)),
    }
    for name, image in pictures.items():
        image.convert("RGB").save(folder / f"{name}.png")
    rows = ({"file_name": f"{name}.png", "keywords": ["joy"]} for name in pictures)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("linkage", ["single", "complete", "representative"])
def test_pictures_without_structure_are_left_alone(tmp_path, linkage):
    source = flat_source(tmp_path / "source")
    report = find(source, tmp_path / "d.parquet", linkage=linkage, radius=8)
    assert read_dropped(report.out) == {"red again.png": "red.png", "copy.png": "real.png"}
    assert (report.images, report.kept, report.groups, report.largest_group) == (13, 11, 2, 2)
    assert (report.unstructured, report.unstructured_equal) == (11, 1)
    assert "11 images are without structure (flat, or a gradient in one direct" in report.summary()
    assert "only 1 with exactly the pixels of another are its duplicates" in report.summary()
    # As a build drops them, and of what it has built.
    built = build_dataset(
        source, tmp_path / "built", duplicates=report.out, validation=0, test=0, progress=False
    )
    assert built.rows == {"train": 11}
    again = find(tmp_path / "built", tmp_path / "again.parquet", linkage=linkage, radius=8)
    assert (again.kept, again.unstructured, again.unstructured_equal) == (11, 10, 0)


def test_nothing_but_pictures_without_structure(tmp_path):
    source = flat_source(tmp_path / "source")
    rows = (source / "metadata.jsonl").read_text().splitlines(keepends=True)
    (source / "metadata.jsonl").write_text("".join(rows[:3]))
    report = find(source, tmp_path / "d.parquet")
    assert (report.images, report.kept, report.unstructured) == (3, 3, 3)


KILLED = """
import sys, time
from emotionnet_hf.data import picture_hashes
from emotionnet_hf.data.duplicates import find_duplicates
real = picture_hashes.phash_file
def slow(data, *, max_pixels):
    time.sleep(0.03)
    return real(data, max_pixels=max_pixels)
picture_hashes.phash_file = slow
find_duplicates(sys.argv[1], sys.argv[2], rows_per_part=5, progress=False)
"""


def test_kill_and_resume_ends_with_the_same_bytes(source, tmp_path):
    expected = find(source, tmp_path / "whole.parquet").out.read_bytes()
    out, parts = tmp_path / "d.parquet", tmp_path / "d.parquet.hashing"
    process = subprocess.Popen([sys.executable, "-c", KILLED, source, out], cwd=REPOSITORY)
    try:
        deadline = time.monotonic() + 60
        while not parts.is_dir() or len(list(parts.glob("part-*"))) < 2:
            assert process.poll() is None, "it was over before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()
    report = find(source, out)
    assert report.resumed_parts >= 2
    assert out.read_bytes() == expected
    assert not parts.exists()


def test_another_radius_uses_the_hashes_of_a_stopped_run(source, tmp_path, monkeypatch):
    out = tmp_path / "d.parquet"
    with monkeypatch.context() as stopped:
        stopped.setattr("emotionnet_hf.data.duplicates.near_duplicates", None)
        with pytest.raises(TypeError):
            find(source, out)
    monkeypatch.setattr(picture_hashes, "phash_file", None)
    assert find(source, out, radius=6).resumed_parts == 6


def test_full_disk_keeps_what_is_finished(source, tmp_path, monkeypatch):
    out = tmp_path / "d.parquet"
    real, calls = pq.write_table, []

    def write(table, file):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(table, file)

    monkeypatch.setattr(picture_hashes.pq, "write_table", write)
    with pytest.raises(DiskFullError, match=r"disk is full.*goes on from there"):
        find(source, out)
    monkeypatch.undo()
    assert not out.exists()
    assert find(source, out).resumed_parts == 2


def test_existing_output_is_kept_unless_told_otherwise(source, tmp_path):
    out = tmp_path / "d.parquet"
    find(source, out)
    before = out.read_bytes()
    with pytest.raises(DuplicatesExistError, match="overwrite"):
        find(source, out, radius=0)
    assert out.read_bytes() == before
    find(source, out, radius=0, overwrite=True)
    assert out.read_bytes() != before


def test_overwrite_spares_what_is_something_else(source, tmp_path):
    for name, data in {"thesis.txt": b"years of work", "empty.parquet": b""}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DuplicatesExistError, match="not overwritten"):
            find(source, tmp_path / name, overwrite=True)
        assert (tmp_path / name).read_bytes() == data
    with pytest.raises(DuplicatesExistError, match="not overwritten"):
        find(source, source, overwrite=True)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"radius": 99}, DedupError),
        ({"linkage": "average"}, DedupError),
        ({"max_pixels": 0}, DuplicatesError),
        ({"rows_per_part": 0}, DuplicatesError),
        ({"num_threads": 0}, DuplicatesError),
    ],
)
def test_arguments_out_of_range_are_found_before_the_work(source, tmp_path, change, error):
    with pytest.raises(error, match=next(iter(change))):
        find(source, tmp_path / "d.parquet", **change)
    assert not list(tmp_path.iterdir())


def test_no_image_with_a_hash(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "metadata.csv").write_text("file_name,keywords\na.jpg,joy\n")
    with pytest.raises(DuplicatesError, match=r"no image .* has a hash: zero bytes \(1\)"):
        find(tmp_path, tmp_path / "d.parquet")
    (tmp_path / "metadata.csv").write_text("file_name,keywords\n")
    with pytest.raises(DuplicatesError, match="has a hash: picture without a row in the metadata"):
        find(tmp_path, tmp_path / "d.parquet")
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DuplicatesError, match="has a hash: it has no rows"):
        find(tmp_path, tmp_path / "d.parquet")


def test_no_source(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(SourceError):
            find(folder, tmp_path / "d.parquet")


def test_real_pictures(real_data, tmp_path):
    report = find(real_data / "bass", tmp_path / "d.parquet", rows_per_part=4096)
    assert report.images + sum(report.rejected.values()) == 583
    assert 0 < report.images - report.kept < 20
