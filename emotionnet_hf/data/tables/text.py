"""Lines and records of text files from strangers: packed or not, with any mark at their start.

Bytes that are not UTF-8 are carried along (as `surrogateescape` does), so that they cost the rows
that need them and not the file.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

PACKED_ENDINGS = (".gz", ".bz2", ".xz", ".zst")
"""Endings of packed files, behind that of the table: `metadata.csv.gz`."""

# By their first bytes and not by their names: a server may have unpacked a .gz already.
_PACKERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda file: pa.CompressedInputStream(file, "zstd"),
}
_OTHERS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet; save it as CSV",
    b"PAR1": "Parquet; let its name end in .parquet",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite": "a data base; export it as CSV",
}
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, pa.ArrowException, UnicodeError)
_DELIMITERS = (",", ";", "\t")
_MOST = 2**24  # characters of a cell, such as a picture in base64 that nobody needs

Record = tuple[int, list[str] | str]
"""Line, from 1, and cells of a row (none of a blank one), or why it cannot be read."""


def bare_suffix(path: Path) -> str:
    """Ending of a table in small letters, whatever packed it: `.csv` of `A.CSV.gz`."""
    name = path.name.lower()
    for ending in PACKED_ENDINGS:
        name = name.removesuffix(ending)
    return Path(name).suffix


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, unpacked if it is packed.

    Args:
        path: The file.

    Yields:
        Its bytes.
    """
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        packer = next((p for magic, p in _PACKERS.items() if start.startswith(magic)), None)
        if packer is None:
            yield file
        else:
            with packer(file) as unpacked:
                yield unpacked


@contextmanager
def named(path: Path, error: type[ValueError], what: str) -> Iterator[None]:
    """Name the file in what libraries have to say about it.

    Args:
        path: The file.
        error: What to raise.
        what: What it was to be.

    Raises:
        ValueError: ``error``, for what is wrong with the file; a failing disk passes through.
    """
    try:
        yield
    except OSError as problem:
        # A failing disk has a number; it says nothing about the file.
        if problem.errno is not None:
            raise
        raise error(f"{path} is not {what}: {problem}") from problem
    except _DAMAGE as problem:
        raise error(f"{path} is not {what}: {problem or type(problem).__name__}") from problem


def read_lines(
    path: Path, error: type[ValueError] = ValueError, newline: str | None = "\n"
) -> Iterator[str]:
    """Read a text file line by line, in UTF-8, or in UTF-16 with its mark.

    Args:
        path: The file.
        error: What to raise.
        newline: What ends a line, as `open` takes it.

    Yields:
        The lines with their ends.

    Raises:
        ValueError: ``error``; it is packed and damaged, or no text by its first bytes.
    """
    with named(path, error, "a whole text file"), open_bytes(path) as binary:
        buffered = io.BufferedReader(cast(io.RawIOBase, binary))
        start = buffered.peek(8)[:8]
        for magic, kind in _OTHERS.items():
            if start.startswith(magic):
                raise error(f"{path} is no table in text but {kind}")
        wide = start.startswith((b"\xff\xfe", b"\xfe\xff"))
        encoding, errors = ("utf-16", "strict") if wide else ("utf-8-sig", "surrogateescape")
        yield from io.TextIOWrapper(buffered, encoding, errors=errors, newline=newline)


def read_records(
    path: Path,
    needed: Iterable[str] = (),
    error: type[ValueError] = ValueError,
    delimiter: str | None = None,
    width: int = 0,
) -> Iterator[Record]:
    """Read the rows of a CSV or TSV file, its header among them.

    What separates cells is told by the header: that of comma, semicolon and tab which gives the
    needed columns, else the most cells. In a file with tabs a line is a row, and a quote is a
    quote unless it is around a whole cell. In the others a cell in quotes may have several lines;
    where that does not come out, its first line costs itself and the next is read anew.

    Args:
        path: The file.
        needed: Columns that the header is expected to have.
        error: What to raise.
        delimiter: What separates cells, where a first line cannot tell.
        width: Number of cells of a file that may come without a header.

    Yields:
        Line, and cells or the reason why there are none.

    Raises:
        ValueError: ``error``; see `read_lines`.
    """
    lines = _Lines(read_lines(path, error, newline=""))
    first = lines.first()
    if told := re.fullmatch(r"sep=(.)\r?\n?", first):  # as Excel writes it
        lines.drop()
        delimiter = told[1]
    elif delimiter is None:
        order = _DELIMITERS if bare_suffix(path) != ".tsv" else _DELIMITERS[::-1]
        delimiter = _delimiter(first, order, set(needed), width)
    return _tab_records(lines) if delimiter == "\t" else _csv_records(lines, delimiter)


def _delimiter(header: str, order: Sequence[str], needed: set[str], width: int) -> str:
    found = {delimiter: split_line(header, delimiter) for delimiter in order}
    fitting = [d for d in order if needed and needed <= {cell.strip() for cell in found[d]}]
    fitting += [d for d in order if len(found[d]) == width]
    return fitting[0] if fitting else max(order, key=lambda d: len(found[d]))


def split_line(line: str, delimiter: str) -> list[str]:
    """Split one line into cells; see `read_records`."""
    line = line.rstrip("\r\n")
    if delimiter == "\t":
        return [_unquoted(cell) for cell in line.split("\t")] if line else []
    return next(csv.reader([line], delimiter=delimiter), [])


class _Lines:
    """Lines of a file, of which those that a record took can be given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._waiting = lines, deque[str]()
        self.taken: list[str] = []

    def first(self) -> str:
        """Look at the first line, without taking it."""
        self._waiting.extend(line for line in [next(self._lines, None)] if line is not None)
        return self._waiting[0] if self._waiting else ""

    def drop(self) -> None:
        """Pass over the first line."""
        self._waiting.popleft()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self.taken.append(line)
        return line

    def give_back(self) -> None:
        """Take back all lines but the first that the record took."""
        self._waiting.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def _csv_records(lines: _Lines, delimiter: str) -> Iterator[Record]:
    csv.field_size_limit(max(_MOST, csv.field_size_limit()))
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    line, width = 1, None
    while True:
        lines.taken.clear()
        found: list[str] | str
        try:
            found = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            found = f"not CSV: {error}"
        # A quote that is never closed runs on into other rows.
        if len(lines.taken) > 1 and (isinstance(found, str) or len(found) != (width or len(found))):
            lines.give_back()
            found = "not CSV: a quote is opened and not closed"
        if width is None and not isinstance(found, str):
            width = len(found) or None
        yield line, found
        line += len(lines.taken)


def _tab_records(lines: Iterable[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        yield number, split_line(line, "\t") if line.strip() else []


def _unquoted(cell: str) -> str:
    inside = cell[1:-1]
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inside.replace('""', ""):
        return inside.replace('""', '"')
    return cell
