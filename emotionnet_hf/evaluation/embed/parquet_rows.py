"""Pictures in Parquet files on this disk, read where they lie.

`datasets` would first write a second copy of them into its cache: of a million pictures, tens of
gigabytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from emotionnet_hf.data.local_files import LocalData, find_parquet
from emotionnet_hf.data.tables import cell_value
from emotionnet_hf.evaluation.embed.reading import METADATA_KEY
from emotionnet_hf.evaluation.embed.rows import (
    DataSetOptions,
    EmbedSourceError,
    Item,
    bytes_of,
    id_column,
    image_column,
    picture_column,
    row_id,
)

_BATCH = 32  # rows, with their pictures, that memory holds at a time
_BUFFER = 2**20  # bytes read at a time


@dataclass(frozen=True)
class Piece:
    """Rows of one file.

    Attributes:
        split: Their split.
        path: The file.
        before: Rows of the split in the files before it.
        start: The first row.
        end: The row after the last.
    """

    split: str
    path: Path
    before: int
    start: int
    end: int


@dataclass(frozen=True)
class ParquetSource:
    """Pictures in Parquet files.

    Attributes:
        pieces: Where they are, in order.
        image: Column of the pictures.
        names: Column of the ids; None where an id is split and row, ``train/0``.
        identity: See `Source`.
        passed_over: Nothing.
    """

    pieces: Sequence[Piece]
    image: str
    names: str | None
    identity: dict[str, Any]
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of rows."""
        return sum(piece.end - piece.start for piece in self.pieces)

    def stamp(self, start: int, count: int) -> str:
        """Nothing: the identity knows whether a file is another."""
        return ""

    def items(self, start: int = 0) -> Iterator[Item]:
        """Give the rows from number ``start`` on.

        Raises:
            EmbedSourceError: A file is damaged.
        """
        for piece in self.pieces:
            skipped = min(start, piece.end - piece.start)
            start -= skipped
            if piece.start + skipped < piece.end:
                try:
                    yield from self._rows(piece, piece.start + skipped)
                except pa.ArrowException as error:
                    raise _damaged(piece.path, error) from error

    def _rows(self, piece: Piece, first: int) -> Iterator[Item]:
        # As it comes: with the defaults memory would hold the pictures of a whole row group.
        with pq.ParquetFile(piece.path, pre_buffer=False, buffer_size=_BUFFER) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            group, row = 0, 0
            while row + sizes[group] <= first:
                group, row = group + 1, row + sizes[group]
            columns = [name for name in (self.image, self.names) if name is not None]
            groups = range(group, len(sizes))
            for batch in file.iter_batches(_BATCH, row_groups=groups, columns=columns):
                pictures = datasets.Image().cast_storage(batch.column(self.image))
                names = None if self.names is None else batch.column(self.names)
                for place in range(max(first - row, 0), min(piece.end - row, len(batch))):
                    number = piece.before + row + place
                    given = None if names is None else cell_value(names[place])
                    name = row_id(given, piece.split, number)
                    yield Item(name, partial(bytes_of, pictures[place].as_py()))
                row += len(batch)
                if row >= piece.end:
                    return


def open_parquet(
    files: Mapping[str, Sequence[Path]],
    features: datasets.Features | None,
    identity: dict[str, Any],
    options: DataSetOptions,
) -> ParquetSource:
    """Find rows in files.

    Args:
        files: Of each split, at least one.
        features: Of the data set, where it declares them; else the first file does.
        identity: Of the data set.
        options: Which rows and columns.

    Returns:
        The rows.

    Raises:
        EmbedSourceError: The options do not fit, or a file is damaged.
    """
    starts: dict[str, list[int]] = {}
    for split, paths in files.items():
        starts[split] = [0]
        for path in paths:
            starts[split].append(starts[split][-1] + _num_rows(path))
    first = next(iter(files.values()))[0]
    columns = dict(features or datasets.Features.from_arrow_schema(pq.read_schema(first)))
    pieces = [
        Piece(split, path, before, max(start - before, 0), min(end, after) - before)
        for split, start, end in _wanted(starts, options.split)
        for path, before, after in zip(files[split], starts[split], starts[split][1:], strict=False)
        if max(start, before) < min(end, after)
    ]
    image = image_column(columns, options.image_column)
    return ParquetSource(pieces, image, id_column(columns, options.id_column), identity)


def local_pictures(place: str | Path) -> LocalData | None:
    """Find the Parquet files that a data set on this disk consists of.

    Args:
        place: See `find_parquet`.

    Returns:
        The files, without tables of features; None where it is not of Parquet alone, or leaves
        rows out.
    """
    found = find_parquet(place)
    if found is None:
        return None
    kept = {split: [p for p in paths if not _ours(p)] for split, paths in found.files.items()}
    kept = {split: paths for split, paths in kept.items() if paths}
    return replace(found, files=kept) if kept else None


def holds_rows(folder: Path) -> bool:
    """Tell a data set of Parquet from a folder of pictures, which may hold Parquet beside them.

    Args:
        folder: The folder.

    Returns:
        Whether a file in it, or in its ``data``, has pictures, and is not the pictures' metadata.
    """
    found = (path for place in (folder / "data", folder) for path in place.glob("*.parquet"))
    return any(path.name != "metadata.parquet" and _has_pictures(path) for path in found)


def _has_pictures(path: Path) -> bool:
    """Tell rows with pictures from what lies beside pictures, such as labels or features."""
    try:
        columns = datasets.Features.from_arrow_schema(pq.read_schema(path))
    except pa.ArrowException:
        return True  # whoever reads it says that it is damaged
    return picture_column(columns) is not None


def _ours(path: Path) -> bool:
    """Tell what `embed` wrote: a table of features, or its quarantine."""
    if path.name.endswith(".quarantine.parquet"):
        return True
    try:
        return METADATA_KEY in (pq.read_schema(path).metadata or {})
    except pa.ArrowException:
        return False  # whoever reads it says that it is damaged


def _wanted(starts: Mapping[str, list[int]], split: str | None) -> list[tuple[str, int, int]]:
    """Split, first row, and row after the last, of all splits or of what was asked for."""
    lengths = {name: rows[-1] for name, rows in starts.items()}
    if split is None:
        return [(name, 0, length) for name, length in lengths.items()]
    try:
        chosen = datasets.ReadInstruction.from_spec(split).to_absolute(lengths)
    except ValueError as error:
        known = ", ".join(f"{name} ({length:,} rows)" for name, length in lengths.items())
        raise EmbedSourceError(f"{split!r} is no split of {known}: {error}") from error
    return [(part.splitname, part.from_, part.to) for part in chosen]


def _num_rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowException as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> EmbedSourceError:
    return EmbedSourceError(f"{path} is not a whole Parquet file: {error}")
