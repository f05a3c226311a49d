"""A table: its columns, and its rows one after another."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from emotionnet_hf.data.tables.text import (
    PACKED_ENDINGS,
    Record,
    bare_suffix,
    named,
    open_bytes,
    read_lines,
    read_records,
)
from emotionnet_hf.loading.normal_form import brief

_BATCH = 4096


class TableError(ValueError):
    """A table that cannot be read; the message names the file and the remedy."""


class TableNotFoundError(TableError, FileNotFoundError):
    """There is no such file."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row, good or bad.

    Attributes:
        number: Position among the rows, from 0; blank lines count, a header does not.
        line: Where it begins, from 1: a line of a text file, else a row.
        cells: Values by column; of a bad row none.
        problem: Why the row cannot be read; empty for a good one.
    """

    number: int
    line: int
    cells: Mapping[str, Any]
    problem: str = ""


class Table:
    """A table on disk, to be iterated over as often as needed; a blank line gives no row.

    Args:
        path: The file.
        needed: Columns that it has to have.
        wanted: More columns to read where they are there; None for all.
        error: What to raise.
        names: See `open_table`.

    Attributes:
        path: The file.
        columns: Names of the columns: of a header or schema, of JSON those of the first good row,
            and of those after it until every needed one was seen.
    """

    def __init__(
        self,
        path: Path,
        needed: Sequence[str] = (),
        wanted: Sequence[str] | None = (),
        error: type[ValueError] = TableError,
        names: Sequence[str] = (),
    ) -> None:
        self.path, self.needed, self.error, self.names = path, tuple(needed), error, list(names)
        self.wanted = None if wanted is None else tuple(dict.fromkeys((*needed, *wanted)))
        self.columns: tuple[str, ...] = tuple(self._find_columns())
        if missing := [name for name in needed if name not in self.columns]:
            found = ", ".join(self.columns) or "none"
            raise error(f"{path} lacks {', '.join(missing)}; the columns found are: {found}")
        self._check_once(self.columns)

    def __iter__(self) -> Iterator[Row]:
        for number, (line, found) in enumerate(self._rows()):
            if isinstance(found, str):
                yield Row(number, line, {}, found)
            elif found is not None:
                yield Row(number, line, found)

    def where(self, row: Row) -> str:
        """Name a row for a message: `metadata.csv: line 7`."""
        return f"{self.path.name}: {self._unit} {row.line}"

    _unit = "line"

    def _find_columns(self) -> Iterable[str]:
        raise NotImplementedError

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any] | str | None]]:
        """Line, and cells, or why there are none, or None for a blank line."""
        raise NotImplementedError

    def _reads(self, name: str) -> bool:
        return self.wanted is None or name in self.wanted

    def _check_once(self, columns: Iterable[str]) -> None:
        """Refuse a column that is there twice, if it is read: nobody knows which one counts."""
        twice = [n for n, k in Counter(columns).items() if k > 1 and n and self._reads(n)]
        if twice:
            raise self.error(
                f"{self.path} has the column {', '.join(twice)} twice; rename or remove one"
            )


class _Delimited(Table):
    """CSV and TSV."""

    def _find_columns(self) -> Iterable[str]:
        return self._begun(self._records())[0]

    def _records(self) -> Iterator[Record]:
        return read_records(self.path, self.needed, self.error, width=len(self.names))

    def _begun(self, records: Iterator[Record]) -> tuple[list[str], Iterator[Record]]:
        """The header, and the records after it."""
        for line, cells in records:
            if isinstance(cells, str):
                raise self.error(f"{self.path} has a header that is {cells}")
            if any(cells):
                header = [cell.strip() for cell in cells]
                if len(cells) == len(self.names) and not set(self.needed) <= set(header):
                    return self.names, chain([(line, cells)], records)
                return header, records
        return [], records

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any] | str | None]]:
        header, records = self._begun(self._records())
        read = [(place, name) for place, name in enumerate(header) if name and self._reads(name)]
        for line, cells in records:
            if isinstance(cells, str):
                yield line, cells
            elif not cells:
                yield line, None
            elif len(cells) < len(header) or any(cells[len(header) :]):
                count = f"{len(cells)} under a header of {len(header)}"
                yield line, f"wrong number of fields: {count}"
            else:
                yield line, {name: cells[place] for place, name in read}


class _JsonLines(Table):
    """An object a line."""

    def _find_columns(self) -> Iterable[str]:
        columns: dict[str, None] = {}
        problem = "it has no rows"
        for _, row in self._rows(everything=True):
            if isinstance(row, Mapping):
                columns.update(dict.fromkeys(row))
                if all(name in columns for name in self.needed):
                    break
            elif row:
                problem = row
        if not columns:
            raise self.error(f"{self.path} has no usable line: {problem}")
        return columns

    def _rows(
        self, everything: bool = False
    ) -> Iterator[tuple[int, Mapping[str, Any] | str | None]]:
        for line, row in self._values():
            if not isinstance(row, dict) or everything:
                yield line, row if isinstance(row, dict | str | None) else "not a JSON object"
            elif isinstance(row, _Twice) and (twice := [n for n in row.twice if self._reads(n)]):
                yield line, f"column given twice: {brief(twice[0])}"
            elif self.wanted is None:
                yield line, row
            else:
                yield line, {name: row[name] for name in self.wanted if name in row}

    def _values(self) -> Iterator[tuple[int, Any]]:
        for line, text in enumerate(read_lines(self.path, self.error), 1):
            yield line, _parsed(text) if text.strip() else None


class _Json(_JsonLines):
    """A list of objects; memory holds all of it."""

    _unit = "row"

    def _values(self) -> Iterator[tuple[int, Any]]:
        text = "".join(read_lines(self.path, self.error))
        try:
            rows = json.loads(text, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise self.error(f"{self.path} is not JSON: {error}") from error
        if not isinstance(rows, list):
            raise self.error(
                f"{self.path} holds {brief(rows)} and not a list of rows; write JSON lines, or a "
                "list of objects (of pandas orient='records')"
            )
        for number, row in enumerate(rows, 1):
            yield number, row if isinstance(row, dict) else "not a JSON object"


class _Parquet(Table):
    """Parquet, of which only the columns that are read are looked at."""

    _unit = "row"

    def _find_columns(self) -> Iterable[str]:
        with named(self.path, self.error, "a Parquet file"), open_bytes(self.path) as file:
            return list(pq.read_schema(_seekable(file)).names)

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any] | str | None]]:
        number = 0
        with named(self.path, self.error, "a whole Parquet file"), open_bytes(self.path) as binary:
            file = pq.ParquetFile(_seekable(binary))
            names = [name for name in dict.fromkeys(self.columns) if self._reads(name)]
            for batch in file.iter_batches(batch_size=_BATCH, columns=names):
                for row in _cells(batch):
                    number += 1
                    yield number, row


def _seekable(file: Any) -> Any:
    return file if file.seekable() and hasattr(file, "fileno") else pa.BufferReader(file.read())


def _cells(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | str]:
    try:
        yield from batch.to_pylist()
    except ValueError:  # text that is not UTF-8, or a time that Python has no type for
        for row in range(len(batch)):
            yield _row_cells(batch, row)


def _row_cells(batch: pa.RecordBatch, row: int) -> dict[str, Any] | str:
    cells = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            cells[name] = column[row].as_py()
        except UnicodeDecodeError as error:
            return f"{name} is not valid Unicode: {error.object[:60]!r}"
        except ValueError as error:
            return f"{name} cannot be read: {error}"
    return cells


class _Twice(dict[str, Any]):
    """An object that gives a name twice."""

    twice: Collection[str] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) == len(pairs):
        return row
    doubtful = _Twice(row)
    doubtful.twice = [name for name, count in Counter(n for n, _ in pairs).items() if count > 1]
    return doubtful


def _parsed(text: str) -> Any:
    """Value of a line; a text for what is no JSON object."""
    try:
        row = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return row if isinstance(row, dict) else "not a JSON object"


def _json_kind(path: Path, error: type[ValueError]) -> type[Table]:
    """Tell JSON lines that are called .json from a list."""
    first = next((line for line in read_lines(path, error) if line.strip()), "")
    return _JsonLines if isinstance(_parsed(first), dict) else _Json


_KINDS: dict[str, type[Table]] = {
    ".jsonl": _JsonLines,
    ".csv": _Delimited,
    ".tsv": _Delimited,
    ".parquet": _Parquet,
    ".json": _Json,
    ".ndjson": _JsonLines,
}

_NO_PARQUET = (".txt", ".npy", ".npz", ".pkl", ".xlsx", ".arrow", ".feather", ".html", ".md")

TABLE_ENDINGS = tuple(_KINDS)
"""What names of tables end in, but for what packed them."""


def open_table(
    path: str | Path,
    *,
    needed: Sequence[str] = (),
    wanted: Sequence[str] | None = (),
    error: type[ValueError] = TableError,
    names: Sequence[str] = (),
) -> Table:
    """Open a table by the ending of its name.

    Args:
        path: `.csv`, `.tsv`, `.jsonl`, `.json` or `.parquet`; behind that `.gz`, `.bz2`, `.xz` or
            `.zst`.
        needed: Columns that it has to have.
        wanted: More columns to read where they are there; None for all. Of columns that are not
            read neither types nor names matter.
        error: What to raise for a table that cannot be read.
        names: Of the columns of CSV and TSV that may come without a header: where the first line
            lacks a needed column and has as many cells, it is a row.

    Returns:
        The table, to be iterated over.

    Raises:
        TableNotFoundError: There is no such file.
        ValueError: ``error``; it is no table by its name or its first bytes, lacks a column, or
            has one twice.
    """
    path = Path(path)
    if not path.is_file():
        raise TableNotFoundError(f"there is no file {path}")
    kind = _KINDS.get(bare_suffix(path))
    if kind is None:
        raise error(f"{path} is no table by its name, which ends in {', '.join(_KINDS)}")
    if kind is _Json:
        kind = _json_kind(path, error)
    return kind(path, needed, wanted, error, names)


def check_parquet_name(path: str | Path, error: type[ValueError] = TableError) -> None:
    """Refuse to write Parquet under the name of another format.

    Args:
        path: Where a table is to be written.
        error: What to raise.

    Raises:
        ValueError: ``error``; the name says CSV, JSON, or the like.
    """
    ending = bare_suffix(Path(path))
    if ending != ".parquet" and ending in (*TABLE_ENDINGS, *_NO_PARQUET):
        raise error(f"{path} would be Parquet; let its name end in .parquet and not in {ending}")


def find_table(folder: Path, name: str, error: type[ValueError] = TableError) -> Path | None:
    """Find the one table of a name in a folder.

    Args:
        folder: The folder.
        name: Of the table, without its endings.
        error: What to raise.

    Returns:
        Its path; None where there is none.

    Raises:
        ValueError: ``error``; there are several.
    """
    found = tables_named(folder, name)
    if len(found) > 1:
        raise error(f"{folder} has {' and '.join(p.name for p in found)}; keep one of them")
    return found[0] if found else None


def tables_named(folder: Path, name: str) -> list[Path]:
    """List the tables of a name in a folder, whatever their formats."""
    endings = (kind + packed for kind in TABLE_ENDINGS for packed in ("", *PACKED_ENDINGS))
    paths = (folder / f"{name}{ending}" for ending in endings)
    return [path for path in paths if path.is_file()]
