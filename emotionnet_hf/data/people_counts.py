"""People and faces of a million pictures: counted once, a part at a time, and kept in a file.

    counts.parquet             image_id, file_name, people, faces, reason: a row for every image
    counts.parquet.counting/   the parts of a run that is not finished

A part is a thousand images; it is written whole or not at all and knows what it was counted from,
so a run that was killed goes on with the part it was at, and nothing is kept of other settings or
other files. `read_counts` gives the counts to a build, whose data set then has the columns
`people` and `faces`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm.auto import tqdm

from emotionnet_hf.data.counts import COUNTS_SCHEMA, CountsError
from emotionnet_hf.data.detection import Detector
from emotionnet_hf.data.pictures import Picture, Pictures, open_pictures
from emotionnet_hf.data.plan import reason_kind, told
from emotionnet_hf.data.tables import check_parquet_name
from emotionnet_hf.data.writing import ordered_map
from emotionnet_hf.files import remove_unfinished, whole_file
from emotionnet_hf.loading.images import ImageError, open_image
from emotionnet_hf.lock import one_run

logger = logging.getLogger(__name__)

_STAMP = b"emotionnet_stamp"
_DETECTORS = b"emotionnet_detectors"
_BATCH = 32

_Item = TypeVar("_Item")


class CountsExistError(CountsError, FileExistsError):
    """The file of counts exists already."""


@dataclass(frozen=True)
class CountReport:
    """What was counted.

    Attributes:
        out: The file of counts.
        images: Images that were counted.
        with_people: Images with at least one person; None if people were not counted.
        with_one_face: Images with exactly one face; None if faces were not counted.
        rejected: Images that could not be counted, by kind of reason.
        resumed_parts: Parts that an earlier, interrupted run had finished.
    """

    out: Path
    images: int
    with_people: int | None
    with_one_face: int | None
    rejected: dict[str, int]
    resumed_parts: int

    def summary(self) -> str:
        """Two or three lines for people."""
        lines = [f"{self.out}: {self.images:,} images counted"]
        for count, what, paper in (
            (self.with_people, "with one or more people", "about 600 K of 1.17 M"),
            (self.with_one_face, "with one face", "about 280 K"),
        ):
            if count is not None and self.images:
                lines.append(f"{count:,} ({count / self.images:.1%}) {what}; paper: {paper}")
        if self.rejected:
            lines.append(f"not counted: {told(Counter(self.rejected))}")
        return "\n".join(lines)


@dataclass(frozen=True)
class PeopleCounter:
    """How people and faces are counted.

    Attributes:
        people: Detector of people; None counts none.
        faces: Detector of faces; None counts none.
        longest_side: Larger pictures are shrunk to this longest side before detection: time and
            memory, and what "clear" means, then do not depend on the file.
        rows_per_part: Images of a part, and what a kill costs at most.
        num_threads: Threads that decode.
    """

    people: Detector | None
    faces: Detector | None
    longest_side: int = 640
    rows_per_part: int = 1000
    num_threads: int = 2

    def run(
        self,
        folder: str | Path,
        out: str | Path,
        *,
        progress: bool = True,
        overwrite: bool = False,
    ) -> CountReport:
        """Count every image of a source folder or of a built data set.

        Args:
            folder: A source folder (see `read_source`), or what a build made of one.
            out: The Parquet file of counts.
            progress: Show a bar.
            overwrite: Replace `out`.

        Returns:
            The counts of the counts.

        Raises:
            CountsError: There is nothing to count, or no detector.
            CountsExistError: `out` exists.
            AnotherRunError: Another run writes `out`.
            SourceError: The source cannot be read.
            BuiltFolderError: The data set is not whole.
        """
        out = Path(out)
        check_parquet_name(out, CountsError)
        if self.people is None and self.faces is None:
            raise CountsError("neither people nor faces are to be counted")
        with one_run(out):
            if out.exists() and not overwrite:
                raise CountsExistError(
                    f"{out} exists; choose another file, or overwrite it (--overwrite, in Python "
                    "overwrite=True)"
                )
            pictures = open_pictures(folder)
            parts = out.with_name(f"{out.name}.counting")
            parts.mkdir(parents=True, exist_ok=True)
            remove_unfinished(parts)
            files, resumed = self._count_parts(pictures, parts, progress)
            if not files:
                shutil.rmtree(parts)
                raise CountsError(f"{folder} has no images to count")
            report = _Tally(self.people is not None, self.faces is not None)
            schema = COUNTS_SCHEMA.with_metadata({_DETECTORS: json.dumps(self.settings()).encode()})
            with (
                whole_file(out, parts) as file,
                pq.ParquetWriter(file, schema) as writer,
            ):
                for path in files:
                    table = pq.read_table(path).replace_schema_metadata(schema.metadata)
                    report.add(table)
                    writer.write_table(table)
            shutil.rmtree(parts)
            return report.report(out, resumed)

    def settings(self) -> dict[str, Any]:
        """Tell everything that decides the counts, as plain values."""
        return {
            "people": self.people and self.people.settings(),
            "faces": self.faces and self.faces.settings(),
            "longest_side": self.longest_side,
        }

    def _count_parts(
        self, pictures: Pictures, parts: Path, progress: bool
    ) -> tuple[list[Path], int]:
        """Count all parts that are not finished; their files, and how many were."""
        files: list[Path] = []
        resumed = 0
        bar = tqdm(total=pictures.total, unit="image", disable=not progress)
        with bar, ThreadPoolExecutor(self.num_threads) as pool:
            for part in _chunks(pictures, self.rows_per_part):
                path = parts / f"part-{len(files):06d}.parquet"
                stamp = self._stamp(part)
                if _stamp_of(path) == stamp:
                    resumed += 1
                    bar.update(len(part))
                else:
                    table = self._count(pictures, part, pool, bar.update)
                    table = table.replace_schema_metadata({_STAMP: stamp})
                    with whole_file(path, parts) as file:
                        pq.write_table(table, file)
                files.append(path)
        if resumed:
            logger.info("%d parts were finished by an earlier run", resumed)
        return files, resumed

    def _stamp(self, part: Sequence[Picture]) -> bytes:
        rows = [[p.image_id, p.file_name, p.stamp, p.reason] for p in part]
        text = json.dumps([self.settings(), rows])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest().encode()

    def _count(
        self,
        pictures: Pictures,
        part: Sequence[Picture],
        pool: ThreadPoolExecutor,
        tick: Callable[[int], object],
    ) -> pa.Table:
        rows: list[dict[str, Any]] = []
        opened = ordered_map(pool, self._open, pictures.loaders(part), 2 * self.num_threads)
        for chunk in _chunks(opened, _BATCH):
            rows.extend(self._count_chunk(chunk))
            tick(len(chunk))
        for row, picture in zip(rows, part, strict=True):
            row |= {"image_id": picture.image_id, "file_name": picture.file_name}
        return pa.Table.from_pylist(rows, schema=COUNTS_SCHEMA)

    def _count_chunk(self, chunk: Sequence[Image.Image | str]) -> list[dict[str, Any]]:
        """Counts or a reason for each of a few opened pictures."""
        images = [image for image in chunk if isinstance(image, Image.Image)]
        people, faces = (
            iter(_counts(detector, images) if detector else [None] * len(images))
            for detector in (self.people, self.faces)
        )
        return [
            {"reason": image} if isinstance(image, str) else _row(next(people), next(faces))
            for image in chunk
        ]

    def _open(self, load: Callable[[], bytes]) -> Image.Image | str:
        """The picture, not larger than it needs to be, or the reason why there is none."""
        try:
            image = open_image(load())
        except ImageError as error:
            return str(error)
        scale = self.longest_side / max(image.size)
        if scale < 1:
            width, height = (max(1, round(length * scale)) for length in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return image


def _row(people: int | str | None, faces: int | str | None) -> dict[str, Any]:
    """Two counts, or none of them if a detector gave a reason instead."""
    reason = next((value for value in (people, faces) if isinstance(value, str)), None)
    return {"reason": reason} if reason else {"people": people, "faces": faces}


def _counts(detector: Detector, images: Sequence[Image.Image]) -> list[int | str]:
    """Count; a picture that a detector fails on gets a reason and costs no other picture."""
    if not images:
        return []
    try:
        counts: list[int | str] = list(detector.count(images))
    except (ValueError, RuntimeError) as error:
        # Out of memory says nothing about a picture.
        if type(error).__name__ == "OutOfMemoryError":
            raise
        if len(images) == 1:
            return [f"the detector failed: {' '.join(str(error).split())[:200]}"]
        singles: list[int | str] = [_counts(detector, [image])[0] for image in images]
        if all(isinstance(count, str) for count in singles):
            raise  # it is not the pictures
        return singles
    if len(counts) != len(images):
        raise CountsError(f"a detector gave {len(counts)} counts for {len(images)} pictures")
    return counts


def _chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _stamp_of(path: Path) -> bytes | None:
    """What a finished part was counted from; None for one that is not there or not whole."""
    try:
        return (pq.read_schema(path).metadata or {}).get(_STAMP)
    except (pa.ArrowException, OSError):
        return None


@dataclass
class _Tally:
    """The report in the making."""

    people: bool
    faces: bool
    images: int = 0
    with_people: int = 0
    with_one_face: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, table: pa.Table) -> None:
        for row in table.select(["people", "faces", "reason"]).to_pylist():
            if row["reason"] is not None:
                self.rejected[reason_kind(row["reason"])] += 1
                continue
            self.images += 1
            self.with_people += bool(row["people"])
            self.with_one_face += row["faces"] == 1

    def report(self, out: Path, resumed: int) -> CountReport:
        return CountReport(
            out=out,
            images=self.images,
            with_people=self.with_people if self.people else None,
            with_one_face=self.with_one_face if self.faces else None,
            rejected=dict(sorted(self.rejected.items())),
            resumed_parts=resumed,
        )
