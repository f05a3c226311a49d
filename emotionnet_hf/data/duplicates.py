"""Which images of a source folder, or of a built data set, are near-duplicates of which.

    duplicates.parquet           a row for every image
    duplicates.parquet.hashing/  the hashes of a run that is not finished

Columns: `image_id`; `file_name` (null in a built data set) or `split` (null in a source); `phash`;
`group`, the position in this table of the image that stays for its group; `kept`, whether it is
that image; `kept_by`, the `image_id` of the one that is; `distance`, bits in which the two differ;
and `reason`, why an image has no hash and so no group.

Hashes of pictures without structure (flat ones, gradients in one direction; see
`emotionnet_hf.phash.has_structure`) say nothing of what they show. Those are duplicates only of
pictures that have the very same pixels.

Of a group the first image stays: in the order of the metadata, and in a built data set in the order
train, validation, test. Keywords of the others are not merged into it, and nothing is removed: a
build that is given the file (see `dropped`) leaves out what is not kept.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.dropped import DUPLICATES_SCHEMA, DuplicatesError, is_duplicates
from emotionnet_hf.data.picture_hashes import PictureHasher, stored_hashes
from emotionnet_hf.data.pictures import is_data_set, open_pictures
from emotionnet_hf.data.plan import reason_kind, told
from emotionnet_hf.data.tables import check_parquet_name
from emotionnet_hf.dedup import (
    DEFAULT_RADIUS,
    Linkage,
    NearDuplicates,
    check_rule,
    near_duplicates,
)
from emotionnet_hf.files import explained_full_disk, whole_file
from emotionnet_hf.loading.images import MAX_PIXELS
from emotionnet_hf.lock import one_run
from emotionnet_hf.phash import has_structure, hashes_from_hex

_PIECE = 2**16


class DuplicatesExistError(DuplicatesError, FileExistsError):
    """The file of duplicates exists already."""


@dataclass(frozen=True)
class DuplicatesReport:
    """What was found.

    Attributes:
        out: The file of duplicates.
        images: Images that have a hash.
        kept: Those that stay.
        unstructured: Images without structure, which are compared by their pixels.
        unstructured_equal: Those among them that are not kept.
        groups: Groups of at least two images.
        largest_group: Images of the largest group.
        chained: Images further than two radii from the one that stays for them.
        split_leaks: Groups with images in several splits, by the names of those splits.
        rejected: Rows that have no hash, by kind of reason.
        radius: Bits.
        linkage: The linkage.
        resumed_parts: Parts that an earlier, interrupted run had hashed.
    """

    out: Path
    images: int
    kept: int
    unstructured: int
    unstructured_equal: int
    groups: int
    largest_group: int
    chained: int
    split_leaks: dict[str, int]
    rejected: dict[str, int]
    radius: int
    linkage: Linkage
    resumed_parts: int

    def summary(self) -> str:
        """A few lines for people."""
        lines = [
            f"{self.out}: {self.images:,} images; {self.images - self.kept:,} are near-duplicates "
            f"of the {self.kept:,} that stay (radius {self.radius}, {self.linkage} linkage)",
            f"{self.groups:,} groups, the largest of {self.largest_group:,} images; "
            f"{self.chained:,} images differ in more than {2 * self.radius} bits from the one "
            "that stays",
        ]
        if self.unstructured:
            lines.append(
                f"{self.unstructured:,} images are without structure (flat, or a gradient in one "
                "direction): their hashes say nothing, so they are left alone; only "
                f"{self.unstructured_equal:,} with exactly the pixels of another are its duplicates"
            )
        if self.split_leaks:
            leaks = Counter(self.split_leaks)
            lines.append(f"LEAK: {leaks.total():,} groups are in several splits: {told(leaks)}")
        if self.rejected:
            reasons = Counter(self.rejected)
            lines.append(f"{reasons.total():,} rows have no hash: {told(reasons)}")
        return "\n".join(lines)


def find_duplicates(
    folder: str | Path,
    out: str | Path,
    *,
    radius: int = DEFAULT_RADIUS,
    linkage: Linkage = "single",
    max_pixels: int = MAX_PIXELS,
    rows_per_part: int = 4096,
    num_threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
) -> DuplicatesReport:
    """Find near-duplicates and write which image stays for which.

    Args:
        folder: A source of a build, see `open_source`; or a built data set, whose hashes are
            compared across its splits.
        out: The file of duplicates.
        radius: Hashes that differ in at most so many bits are near, see `near_duplicates`.
        linkage: `single`, `complete` or `representative`, see `near_duplicates`.
        max_pixels: Images with more pixels are not hashed.
        rows_per_part: Images that are hashed and then written, and what a kill costs at most.
        num_threads: Threads; None for one per core.
        progress: Show progress bars.
        overwrite: Replace `out` if it is a file of duplicates.

    Returns:
        The counts.

    Raises:
        DedupError: The radius or the linkage is none.
        SourceError: The source cannot be read.
        BuiltFolderError: The data set is not whole, or lacks the column `phash`.
        DuplicatesError: Another argument is out of range, or no image has a hash.
        AnotherRunError: Another run writes `out`.
        DuplicatesExistError: `out` exists (and, with `overwrite`, is something else).
        DiskFullError: No space left; the same call goes on where it was.
    """
    folder, out = Path(folder), Path(out)
    threads = (os.cpu_count() or 1) if num_threads is None else num_threads
    check_rule(radius, linkage)
    _check(max_pixels=max_pixels, rows_per_part=rows_per_part, num_threads=threads)
    hasher = PictureHasher(out.with_name(f"{out.name}.hashing"), max_pixels, rows_per_part, threads)
    with explained_full_disk(hasher.parts), one_run(out):
        _check_output(out, overwrite)
        if is_data_set(folder):
            table, resumed = stored_hashes(open_built(folder)), 0
        else:
            table, resumed = hasher.run(open_pictures(folder), progress)
        grouped, found = _grouped(folder, table, radius, linkage, threads, progress)
        unstructured = pc.is_valid(table["pixels"])
        with whole_file(out) as file:
            pq.write_table(grouped, file)
        shutil.rmtree(hasher.parts, ignore_errors=True)
    return DuplicatesReport(
        out=out,
        images=len(found.keeper),
        kept=found.num_kept,
        unstructured=pc.sum(unstructured).as_py() or 0,
        unstructured_equal=len(grouped.filter(unstructured).filter(~pc.field("kept"))),
        groups=found.num_groups,
        largest_group=found.largest_group,
        chained=found.num_chained,
        split_leaks=_split_leaks(grouped),
        rejected=dict(sorted(_reasons(grouped).items())),
        radius=radius,
        linkage=linkage,
        resumed_parts=resumed,
    )


def _check(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise DuplicatesError(f"{name}={value} has to be at least 1")


def _check_output(out: Path, overwrite: bool) -> None:
    if not out.exists():
        check_parquet_name(out, DuplicatesError)
        return
    if not overwrite:
        raise DuplicatesExistError(
            f"{out} exists; choose another file, or overwrite it (--overwrite, in Python "
            "overwrite=True)"
        )
    if not is_duplicates(out):
        raise DuplicatesExistError(
            f"{out} is not a file of duplicates and is not overwritten; choose another file"
        )


def _grouped(
    folder: Path, table: pa.Table, radius: int, linkage: Linkage, threads: int, progress: bool
) -> tuple[pa.Table, NearDuplicates]:
    """Add the columns that say who stays for whom."""
    table = table.combine_chunks()
    rows = np.flatnonzero(pc.is_null(table["reason"]).to_numpy())
    if not len(rows):
        raise DuplicatesError(
            f"no image of {folder} has a hash: {told(_reasons(table)) or 'it has no rows'}"
        )
    texts = table["phash"].take(pa.array(rows))
    # In pieces, because four million Python strings would take half a gigabyte.
    pieces = (texts.slice(start, _PIECE).to_pylist() for start in range(0, len(texts), _PIECE))
    hashes = np.concatenate([hashes_from_hex(piece) for piece in pieces])
    structured = has_structure(hashes)
    found = near_duplicates(
        hashes[structured], radius, linkage=linkage, workers=threads, progress=progress
    )
    pixels = table["pixels"].take(pa.array(rows[~structured])).to_pylist()
    found = _with_equal_pixels(found, np.flatnonzero(structured), pixels)
    place = np.full(len(table), -1)
    place[rows] = np.arange(len(rows))
    places = pa.array(place, mask=place < 0)  # rows without a hash get nulls
    keeper = pa.array(rows[found.keeper])
    values = {
        "group": keeper,
        "kept": pa.array(found.kept),
        "kept_by": table["image_id"].take(keeper),
        "distance": pa.array(found.distance),
    }
    for name, column in values.items():
        table = table.append_column(name, column.take(places))
    return table.select(DUPLICATES_SCHEMA.names), found


def _with_equal_pixels(
    found: NearDuplicates, structured: np.ndarray, pixels: Sequence[str]
) -> NearDuplicates:
    """Put the pictures without structure in between, each with the first that has its pixels.

    Args:
        found: The groups of the others.
        structured: The rows of those among all, (N,).
        pixels: What names the pixels of each of the rest, in their order.
    """
    total = len(structured) + len(pixels)
    keeper, distance = np.arange(total), np.zeros(total, np.uint8)
    keeper[structured], distance[structured] = structured[found.keeper], found.distance
    first: dict[str, int] = {}
    for row, digest in zip(np.setdiff1d(np.arange(total), structured), pixels, strict=True):
        keeper[row] = first.setdefault(digest, int(row))
    return NearDuplicates(keeper, distance, found.radius, found.linkage)


def _reasons(table: pa.Table) -> Counter[str]:
    return Counter(map(reason_kind, table["reason"].drop_null().to_pylist()))


def _split_leaks(table: pa.Table) -> dict[str, int]:
    """Groups with images in several splits, by the names of those splits, in their order."""
    table = table.select(["group", "split"]).drop_null()
    names = table["split"].unique()
    splits = pc.index_in(table["split"], names).to_numpy()
    # A bit a split: millions of groups are counted without making a list for each.
    seen = np.zeros(table["group"].to_numpy().max(initial=0) + 1, np.int64)
    np.bitwise_or.at(seen, table["group"].to_numpy(), 1 << splits.astype(np.int64))
    return {
        " and ".join(name for bit, name in enumerate(names.to_pylist()) if mask >> bit & 1): count
        for mask, count in zip(*(a.tolist() for a in np.unique_counts(seen)), strict=True)
        if mask.bit_count() > 1
    }
