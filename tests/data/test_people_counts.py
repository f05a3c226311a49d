import json
import os
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.counts import Counts, CountsError, read_counts
from emotionnet_hf.data.people_counts import CountsExistError, PeopleCounter
from emotionnet_hf.keywords import Vocabulary

REPOSITORY = Path(__file__).resolve().parents[2]
BAD = {"zero.png": b"", "text.jpg": b"hello", "cut.png": None}


class Size:
    """Counts pixels beyond twenty of a picture's width or height: exact, whatever is in it."""

    def __init__(self, side: int, bad: tuple[int, ...] = (), error=ValueError):
        self.side, self.bad, self.error = side, bad, error
        self.seen: list[int] = []

    def settings(self):
        return {"side": self.side}

    def count(self, images):
        self.seen.append(len(images))
        counts = [image.size[self.side] - 20 for image in images]
        if set(counts) & set(self.bad):
            raise self.error("cannot look at this")
        return counts


def png(width: int, height: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), (width, height, 0)).save(file, "PNG")
    return file.getvalue()


def make_source(folder: Path, count=25, bad=True) -> Path:
    folder.mkdir(parents=True)
    rows = []
    for i in range(count):
        (folder / f"{i}.png").write_bytes(png(20 + i % 4, 20 + i % 3))
        rows.append({"file_name": f"{i}.png", "keywords": ["joy"]})
    for name, data in BAD.items() if bad else ():
        (folder / name).write_bytes(png(50, 50)[:60] if data is None else data)
        rows.insert(7, {"file_name": name, "keywords": ["joy"]})
    if bad:
        rows.insert(9, {"file_name": "none.png", "keywords": ["joy"]})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def counter(people=True, faces=True, **changes) -> PeopleCounter:
    values = {
        "people": Size(0) if people is True else people or None,
        "faces": Size(1) if faces is True else faces or None,
        "rows_per_part": 5,
    }
    return PeopleCounter(**(values | changes))


@pytest.fixture
def source(tmp_path):
    return make_source(tmp_path / "source")


def test_every_image_is_counted_or_has_a_reason(source, tmp_path):
    report = counter().run(source, tmp_path / "counts.parquet", progress=False)
    assert (report.images, report.with_people, report.with_one_face) == (25, 18, 8)
    assert report.rejected == {
        "no such image file": 1,
        "not an image": 1,
        "truncated": 1,
        "zero bytes": 1,
    }
    assert report.resumed_parts == 0
    rows = pq.read_table(report.out).to_pylist()
    assert len(rows) == 29
    assert [row["file_name"] for row in rows] == [
        json.loads(line)["file_name"] for line in (source / "metadata.jsonl").open()
    ]
    good = {row["image_id"]: row for row in rows if row["reason"] is None}
    for i in range(25):
        row = good[f"{i}.png"]
        assert (row["people"], row["faces"]) == (i % 4, i % 3)
    assert {path.name for path in tmp_path.iterdir()} == {"source", "counts.parquet"}
    text = report.summary()
    assert "18 (72.0%) with one or more people; paper: about 600 K of 1.17 M" in text
    assert "not counted: no such image file (1), " in text


def test_counts_are_read_for_a_build(source, tmp_path):
    counter().run(source, tmp_path / "counts.parquet", progress=False)
    counts = read_counts(tmp_path / "counts.parquet")
    assert counts == {f"{i}.png": Counts(i % 4, i % 3) for i in range(25)}


def test_data_set_gives_the_counts_of_its_source(source, tmp_path):
    out = tmp_path / "built"
    build_dataset(source, out, emotions=Vocabulary(["joy"]), test=0.5, progress=False)
    report = counter().run(out, tmp_path / "counts.parquet", progress=False)
    assert (report.images, report.rejected) == (25, {})
    assert read_counts(report.out) == {f"{i}.png": Counts(i % 4, i % 3) for i in range(25)}


def test_one_of_the_two_is_enough(source, tmp_path):
    report = counter(people=None).run(source, tmp_path / "counts.parquet", progress=False)
    assert (report.with_people, report.with_one_face) == (None, 8)
    assert read_counts(report.out)["3.png"] == Counts(None, 0)
    assert "people" not in report.summary()
    with pytest.raises(CountsError, match="neither"):
        counter(None, None).run(source, tmp_path / "other.parquet", progress=False)


def test_large_pictures_are_shrunk_before_detection(tmp_path):
    source = make_source(tmp_path / "source", count=1, bad=False)
    (source / "0.png").write_bytes(png(900, 300))
    report = counter(longest_side=90).run(source, tmp_path / "counts.parquet", progress=False)
    assert read_counts(report.out) == {"0.png": Counts(70, 10)}


def test_run_that_stopped_goes_on_where_it_was(source, tmp_path):
    whole = counter().run(source, tmp_path / "whole.parquet", progress=False)
    out = tmp_path / "counts.parquet"

    class Stopping(Size):
        def count(self, images):
            if len(self.seen) == 3:
                raise KeyboardInterrupt
            return super().count(images)

    with pytest.raises(KeyboardInterrupt):
        counter(people=Stopping(0)).run(source, out, progress=False)
    assert not out.exists()
    people = Size(0)
    report = counter(people=people).run(source, out, progress=False)
    assert report.resumed_parts == 3
    assert len(people.seen) == 3
    assert out.read_bytes() == whole.out.read_bytes()


def test_parts_of_other_settings_or_other_files_are_counted_anew(source, tmp_path):
    out = tmp_path / "counts.parquet"
    counter().run(source, tmp_path / "first.parquet", progress=False)

    def stop_at_the_end(**changes):
        """Leave all parts but no file, as a kill in the last moment does."""
        out.mkdir()  # a folder cannot be replaced by a file
        with pytest.raises(OSError):
            counter(**changes).run(source, out, progress=False, overwrite=True)
        out.rmdir()

    stop_at_the_end()
    assert counter().run(source, out, progress=False).resumed_parts == 6
    out.unlink()
    stop_at_the_end()
    assert counter(longest_side=500).run(source, out, progress=False).resumed_parts == 0
    out.unlink()
    stop_at_the_end()
    (source / "24.png").write_bytes(png(23, 21))
    report = counter().run(source, out, progress=False)
    assert report.resumed_parts == 5
    assert read_counts(out)["24.png"] == Counts(3, 1)
    out.unlink()
    stop_at_the_end()
    part = out.with_name("counts.parquet.counting") / "part-000002.parquet"
    part.write_bytes(part.read_bytes()[:50])
    assert counter().run(source, out, progress=False).resumed_parts == 5


SLOW = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tests_people_counts import Size, counter

class Slow(Size):
    def count(self, images):
        time.sleep(0.1)
        return super().count(images)

counter(people=Slow(0)).run(sys.argv[2], sys.argv[3], progress=False)
"""


def test_killed_run_resumes_to_the_same_bytes(source, tmp_path):
    whole = counter().run(source, tmp_path / "whole.parquet", progress=False).out.read_bytes()
    out = tmp_path / "counts.parquet"
    (tmp_path / "tests_people_counts.py").write_text(Path(__file__).read_text())
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    words = [sys.executable, str(script), str(tmp_path), str(source), str(out)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(words, env=environment)
    parts = out.with_name("counts.parquet.counting")
    for _ in range(600):
        if parts.exists() and len(list(parts.glob("part-*"))) >= 2:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    report = counter().run(source, out, progress=False)
    assert report.resumed_parts >= 2
    assert out.read_bytes() == whole


def test_picture_that_a_detector_fails_on_costs_no_other(source, tmp_path):
    out = tmp_path / "counts.parquet"
    report = counter(faces=Size(1, bad=(2,), error=RuntimeError)).run(source, out, progress=False)
    assert report.rejected["the detector failed"] == 8
    counts = read_counts(out)
    assert counts == {f"{i}.png": Counts(i % 4, i % 3) for i in range(25) if i % 3 != 2}
    reasons = {row["reason"] for row in pq.read_table(out).to_pylist() if row["reason"]}
    assert "the detector failed: cannot look at this" in reasons


def test_detector_that_fails_on_all_stops_the_run(source, tmp_path):
    with pytest.raises(ValueError, match="cannot look at this"):
        counter(people=Size(0, bad=(0, 1, 2, 3))).run(source, tmp_path / "c", progress=False)


def test_out_of_memory_is_no_fault_of_a_picture(source, tmp_path):
    class OutOfMemoryError(RuntimeError):
        pass

    detector = Size(0, bad=(2,), error=OutOfMemoryError)
    with pytest.raises(OutOfMemoryError):
        counter(people=detector).run(source, tmp_path / "counts.parquet", progress=False)


def test_wrong_number_of_counts_is_an_error(source, tmp_path):
    class Lazy(Size):
        def count(self, images):
            return [1]

    with pytest.raises(CountsError, match="1 counts for 5 pictures"):
        counter(people=Lazy(0)).run(source, tmp_path / "counts.parquet", progress=False)


def test_memory_holds_a_few_pictures(source, tmp_path):
    people = Size(0)
    counter(people=people, rows_per_part=100).run(source, tmp_path / "c", progress=False)
    assert people.seen == [25]
    many = make_source(tmp_path / "many", count=80, bad=False)
    people = Size(0)
    counter(people=people, rows_per_part=100).run(many, tmp_path / "d", progress=False)
    assert people.seen == [32, 32, 16]


def test_existing_file_is_kept_unless_told_otherwise(source, tmp_path):
    out = tmp_path / "counts.parquet"
    out.write_text("mine")
    with pytest.raises(CountsExistError, match="--overwrite"):
        counter().run(source, out, progress=False)
    assert out.read_text() == "mine"
    counter().run(source, out, progress=False, overwrite=True)
    assert len(read_counts(out)) == 25


def test_source_without_a_row_gives_no_file(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "metadata.csv").write_text("file_name,keywords\n")
    with pytest.raises(CountsError, match="no images"):
        counter().run(tmp_path / "source", tmp_path / "counts.parquet", progress=False)
    with pytest.raises(FileNotFoundError):
        counter().run(tmp_path / "nowhere", tmp_path / "counts.parquet", progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


def test_detectors_are_told_in_the_file(source, tmp_path):
    report = counter().run(source, tmp_path / "counts.parquet", progress=False)
    told = json.loads(pq.read_schema(report.out).metadata[b"emotionnet_detectors"])
    assert told == {"people": {"side": 0}, "faces": {"side": 1}, "longest_side": 640}
