"""Reading a built data-set folder column by column, without `datasets` and without its pictures.

Whoever counts needs a few small columns of a million rows, whoever looks at a sample needs a few
pictures: both are read from the Parquet files as they lie, a batch at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features

from emotionnet_hf.data.plan import split_of
from emotionnet_hf.data.splits import SPLITS

_SHARD = re.compile(r"(?P<part>.+?)-(?P<index>\d+)-of-(?P<total>\d+)")


class BuiltFolderError(ValueError):
    """A folder that is not a whole built data set; the message says what is wrong with it."""


class BuiltFolderNotFoundError(BuiltFolderError, FileNotFoundError):
    """There is no such folder, or no Parquet file in its `data`."""


@dataclass(frozen=True)
class RowPlace:
    """Where a row lies.

    Attributes:
        file: The Parquet file.
        row: Its position in the file, from 0.
    """

    file: Path
    row: int


@dataclass(frozen=True)
class BuiltFolder:
    """A built data set, its files found and its columns known.

    Attributes:
        folder: The folder.
        features: The schema, from the first file.
        files: The Parquet files of each split; train, validation, test, then any others.
    """

    folder: Path
    features: Features
    files: Mapping[str, Sequence[Path]]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name

    def num_rows(self, split: str | None = None) -> int:
        """Count rows in the files' footers.

        Args:
            split: One split; None for all.

        Returns:
            The number of rows.

        Raises:
            BuiltFolderError: A file is damaged, or there is no such split.
        """
        total = 0
        for _, path in self._files_of(split):
            with _named(path):
                total += pq.read_metadata(path).num_rows
        return total

    def batches(
        self, columns: Sequence[str], *, split: str | None = None, batch_size: int = 16384
    ) -> Iterator[tuple[str, RowPlace, pa.RecordBatch]]:
        """Read some columns of all rows, in order.

        Args:
            columns: Their names.
            split: One split; None for all.
            batch_size: Rows of a batch, and so what memory holds.

        Yields:
            The split, the place of the batch's first row, and the batch.

        Raises:
            BuiltFolderError: A file is damaged or lacks a column.
        """
        for name, path in self._files_of(split):
            row = 0
            with _named(path), pq.ParquetFile(path) as file:
                _check_columns(path, file.schema_arrow.names, columns)
                for batch in file.iter_batches(batch_size, columns=list(columns)):
                    yield name, RowPlace(path, row), batch
                    row += batch.num_rows

    def rows(
        self, places: Iterable[RowPlace], columns: Sequence[str]
    ) -> Iterator[tuple[RowPlace, dict[str, Any]]]:
        """Read a few rows, wherever they lie.

        Parquet gives row groups (100 rows in a built folder), so the groups that hold the rows are
        read, one at a time, and no other.

        Args:
            places: The rows, from `batches`.
            columns: What to read of them.

        Yields:
            Place and values of each row, in the order of the files.

        Raises:
            BuiltFolderError: A file is damaged or lacks a column.
        """
        wanted: dict[Path, list[int]] = {}
        for place in places:
            wanted.setdefault(place.file, []).append(place.row)
        for path in (path for _, path in self._files_of(None) if path in wanted):
            with _named(path), pq.ParquetFile(path) as file:
                _check_columns(path, file.schema_arrow.names, columns)
                for row, values in _rows_of(file, sorted(wanted[path]), list(columns)):
                    yield RowPlace(path, row), values

    def class_names(self, column: str) -> list[str]:
        """Names behind a column of ClassLabel, however deep it lies in lists.

        Args:
            column: For example `emotion_keywords`.

        Returns:
            The names, in the order of their ids.

        Raises:
            BuiltFolderError: There is no such column, or it is no ClassLabel.
        """
        feature = self.features.get(column)
        while not isinstance(feature, ClassLabel):
            inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
            if inner is None:
                raise BuiltFolderError(
                    f"the column {column!r} of {self.folder} is {self.features.get(column)}, and "
                    "not of ClassLabel; build the data set with `emotionnet build`"
                )
            feature = inner
        return list(feature.names)

    def _files_of(self, split: str | None) -> Iterator[tuple[str, Path]]:
        if split is not None and split not in self.files:
            raise BuiltFolderError(
                f"{self.folder} has no split {split!r}, only {', '.join(self.files)}"
            )
        for name, paths in self.files.items():
            if split in (None, name):
                yield from ((name, path) for path in paths)


def open_built(folder: str | Path) -> BuiltFolder:
    """Find the files of a built data set and read its schema.

    Args:
        folder: What `emotionnet build` wrote: `data/{split}-{i}-of-{n}.parquet`.

    Returns:
        The folder, to be read from.

    Raises:
        BuiltFolderNotFoundError: There is no folder, or no Parquet file in its `data`.
        BuiltFolderError: A file is missing among its shards, or is not Parquet.
    """
    folder = Path(folder)
    paths = sorted((folder / "data").glob("*.parquet"))
    if not paths:
        problem = "has no data/*.parquet" if folder.is_dir() else "does not exist"
        raise BuiltFolderNotFoundError(
            f"{folder} {problem}; give a folder that `emotionnet build` wrote"
        )
    parts: dict[str, list[Path]] = {}
    for path in paths:
        match = _SHARD.fullmatch(path.stem)
        parts.setdefault(match["part"] if match else path.stem, []).append(path)
    files: dict[str, list[Path]] = {}
    for part, shards in parts.items():
        _check_whole(shards)
        files.setdefault(split_of(part), []).extend(shards)
    order = [*SPLITS, *sorted(set(files) - set(SPLITS))]
    with _named(paths[0]):
        features = Features.from_arrow_schema(pq.read_schema(paths[0]))
    return BuiltFolder(folder, features, {split: files[split] for split in order if split in files})


def _check_whole(shards: Sequence[Path]) -> None:
    """Refuse a split of which a shard was lost, as an interrupted download leaves it."""
    matches = [match for match in (_SHARD.fullmatch(path.stem) for path in shards) if match]
    totals = {int(match["total"]) for match in matches}
    if len(totals) > 1 or (totals and len(matches) != max(totals)):
        raise BuiltFolderError(
            f"{shards[0].parent} has {len(matches)} of the {max(totals)} shards of "
            f"{matches[0]['part']!r}; fetch or build the folder again"
        )


def _check_columns(path: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise BuiltFolderError(
            f"{path} lacks the column {', '.join(missing)}; the columns found are: "
            f"{', '.join(found)}"
        )


def _rows_of(
    file: pq.ParquetFile, wanted: list[int], columns: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        inside = [row for row in wanted if start <= row < end]
        if inside:
            table = file.read_row_group(group, columns=columns)
            for row in inside:
                yield row, table.slice(row - start, 1).to_pylist()[0]
        start = end


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in what pyarrow has to say about it."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        # A failing disk has a number; it says nothing about the file.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BuiltFolderError(f"{path} is not a whole Parquet file: {error}") from error
