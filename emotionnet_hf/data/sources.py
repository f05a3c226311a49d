"""Reading a source folder: images beside one file of metadata.

    pictures/
        metadata.jsonl (or metadata.csv, metadata.parquet)
        cats/1.jpg ...

The metadata has the columns `file_name` (a path inside the folder) and `keywords` (a list, or
one comma-separated string) and may have `image_id`, `group`, `source`, `people` and `faces`.
Other columns are ignored. Nothing is held in memory but the image ids that were seen.
"""

from __future__ import annotations

import ast
import csv
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from emotionnet_hf.data.splits import SPLITS
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.normal_form import KeywordError, parse_keywords
from emotionnet_hf.loading.release import Rejected
from emotionnet_hf.loading.schema import stockemotion_features

METADATA_FILES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
REQUIRED_COLUMNS = ("file_name", "keywords")
OPTIONAL_COLUMNS = ("image_id", "group", "source", "people", "faces")

# A parsed row, or the reason why it could not be parsed.
_Row = Mapping[str, object] | str


class SourceError(ValueError):
    """A source folder that cannot be read at all."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """The folder, or the metadata file in it, does not exist."""


class _RowError(ValueError):
    """One row cannot be used; the message is the reason."""


@dataclass(frozen=True)
class Record:
    """One usable row.

    Attributes:
        image_path: The image file; it existed when the row was read.
        image_id: Unique in the source; the posix path inside the folder unless given.
        keywords: In normal form, in the uploader's order.
        group: Images of one group stay in one split; None for an image of its own.
        source: Where the image came from.
        people: Number of people seen, where known.
        faces: Number of faces seen, where known.
        row: Position among the metadata's rows, from 0.
        split: Where the source decides that.
        columns: What the source has for columns of its own.
    """

    image_path: Path
    image_id: str
    keywords: list[str]
    group: str | None
    source: str | None
    people: int | None
    faces: int | None
    row: int
    split: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


class Source(ABC):
    """What a data set is built from.

    Iterating gives every row in order, as a `Record` or as a `Rejected`, and reads the files anew
    each time.

    Attributes:
        folder: Where the images are.
        metadata: Where the rows are, for messages.
        emotions: The source's own emotion keywords, None where it has none.
        splits: Names of the splits, in order.
        own_splits: The source decides which image is in which.
        subsets: The training images are dealt to the nested subsets of Table 5.
        min_emotion_keywords: An image with fewer is left out, unless the user thinks otherwise.
        about: What the data set is, for its card.
        split_rule: How its splits came about, for its card.
    """

    folder: Path
    metadata: Path
    emotions: Vocabulary | None = None
    splits: tuple[str, ...] = SPLITS
    own_splits = False
    subsets = False
    min_emotion_keywords = 1
    about = "Images with the keyword lists of their uploaders, in the schema of StockEmotion"
    split_rule = (
        "An image's split depends only on a hash of its group or id, so it stays where it is when "
        "the data grows."
    )

    @property
    def all_keywords(self) -> Vocabulary | tuple[()]:
        """Keywords that the source numbers itself, for `keyword_ids`; empty where it does not."""
        return ()

    @abstractmethod
    def __iter__(self) -> Iterator[Record | Rejected]:
        """Read the rows."""

    def text_rows(self, emotions: Vocabulary) -> dict[str, list[dict[str, Any]]]:
        """Rows, by split, of a configuration `text` without pictures, where there is one."""
        return {}

    def features(
        self,
        emotions: Vocabulary,
        *,
        people: bool,
        faces: bool,
        basic8: bool,
        all_keywords: Iterable[str],
    ) -> Features:
        """Columns of the data set."""
        return stockemotion_features(
            emotions, people=people, faces=faces, basic8=basic8, all_keywords=all_keywords
        )


class FolderSource(Source):
    """A folder of images whose metadata file has been found and has the columns needed."""

    def __init__(self, folder: Path, metadata: Path) -> None:
        self.folder, self.metadata = folder, metadata

    def __iter__(self) -> Iterator[Record | Rejected]:
        seen: set[str] = set()
        for number, row in enumerate(_rows(self.metadata)):
            if row == "":  # a blank line is no row, but it counts, as in an editor
                continue
            try:
                yield _record(self.folder, number, row, seen)
            except (_RowError, KeywordError) as error:
                name = row.get("file_name") if isinstance(row, Mapping) else None
                yield Rejected(number, _printable(name)[:1000], _printable(error))


def read_source(folder: str | Path) -> FolderSource:
    """Find a source folder's metadata and check its columns.

    Args:
        folder: The folder.

    Returns:
        The source, to be iterated over.

    Raises:
        SourceNotFoundError: No such folder, or no metadata file in it.
        SourceError: Several metadata files, a column missing, or a file that is not what its
            ending says.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SourceNotFoundError(f"there is no folder {folder}")
    found = [name for name in METADATA_FILES if (folder / name).is_file()]
    if not found:
        raise SourceNotFoundError(
            f"{folder} has none of {', '.join(METADATA_FILES)}; write one with the columns "
            "file_name and keywords"
        )
    if len(found) > 1:
        raise SourceError(f"{folder} has {' and '.join(found)}; keep one of them")
    _check_columns(folder / found[0])
    return FolderSource(folder, folder / found[0])


def _check_columns(metadata: Path) -> None:
    """Refuse a file that lacks a column; names the columns found."""
    readers = {".jsonl": _jsonl_columns, ".csv": _csv_columns, ".parquet": _parquet_columns}
    columns = readers[metadata.suffix](metadata)
    missing = ", ".join(name for name in REQUIRED_COLUMNS if name not in columns)
    if missing:
        found = ", ".join(columns) or "none"
        raise SourceError(f"{metadata} lacks {missing}; the columns found are: {found}")


def _jsonl_columns(path: Path) -> list[str]:
    """Columns of the rows up to where all needed ones were seen; mostly the first row."""
    columns: dict[str, None] = {}
    problem = "it has no rows"
    for row in _jsonl_rows(path):
        if isinstance(row, Mapping):
            columns.update(dict.fromkeys(row))
        elif row:
            problem = row
        if all(name in columns for name in REQUIRED_COLUMNS):
            break
    if not columns:
        raise SourceError(f"{path} has no usable line: {problem}")
    return list(columns)


def _csv_columns(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return next(csv.reader(file), [])


def _parquet_columns(path: Path) -> list[str]:
    try:
        return pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is not a Parquet file: {error}") from error


def _rows(metadata: Path) -> Iterator[_Row]:
    readers = {".jsonl": _jsonl_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
    return readers[metadata.suffix](metadata)


def _jsonl_rows(path: Path) -> Iterator[_Row]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            if number == 0:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                yield ""
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield f"not JSON: {error}"
                continue
            yield row if isinstance(row, dict) else "not a JSON object"


def _csv_rows(path: Path) -> Iterator[_Row]:
    # Bytes that are not UTF-8 are carried along, so that they cost their row and not the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield f"not CSV: {error}"
                continue
            if len(cells) != len(header):
                yield _miscounted(cells, header)
                continue
            row: dict[str, object] = dict(zip(header, cells, strict=True))
            row["keywords"] = unquoted_list(row["keywords"])
            yield row


def _miscounted(cells: list[str], header: list[str]) -> str:
    if not cells:
        return ""
    return f"wrong number of fields: {len(cells)} under a header of {len(header)}"


def unquoted_list(cell: object) -> object:
    """Undo what a program does that writes a list into a CSV cell: JSON, or Python's repr.

    Args:
        cell: Of a CSV file.

    Returns:
        The list, or the cell if it is none.
    """
    text = str(cell).strip()
    if not (text.startswith("[") and text.endswith("]")):
        return cell
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue  # the other notation, or plain text in brackets
    return cell


def _parquet_rows(path: Path) -> Iterator[_Row]:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            wanted = [n for n in names if n in REQUIRED_COLUMNS + OPTIONAL_COLUMNS]
            for batch in file.iter_batches(batch_size=4096, columns=wanted):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} is not a whole Parquet file: {error}") from error


def _record(folder: Path, number: int, row: _Row, seen: set[str]) -> Record:
    if isinstance(row, str):
        raise _RowError(row)
    for name in REQUIRED_COLUMNS:
        if row.get(name) is None:
            raise _RowError(f"no {name}")
    file_name = _inside(_text(row, "file_name"))
    keywords = parse_keywords(row["keywords"])
    image_id = _text(row, "image_id") or str(file_name)
    record = Record(
        image_path=folder / file_name,
        image_id=image_id,
        keywords=keywords,
        group=_text(row, "group") or None,
        source=_text(row, "source") or None,
        people=_number(row, "people"),
        faces=_number(row, "faces"),
        row=number,
    )
    # os.path.isfile, because Path.is_file raises on a name that is too long for the disk.
    if not os.path.isfile(record.image_path):
        raise _RowError("no such image file")
    if image_id in seen:
        raise _RowError(f"image_id given before: {image_id!r}")
    seen.add(image_id)
    return record


def _inside(name: str) -> PurePosixPath:
    """Refuse a path that leads out of the folder."""
    path = PurePosixPath(name)
    if not name or path == PurePosixPath("."):
        raise _RowError("no file_name")
    # Both kinds of path, so that a source means the same on every system.
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        raise _RowError("file_name leads out of the folder")
    if "\0" in name:
        raise _RowError("file_name holds a zero byte")
    return path


def _text(row: Mapping[str, object], name: str) -> str:
    """Read a cell of text; the empty string where there is none."""
    value = row.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _RowError(f"{name} is not text: {value!r:.60}")
    text = str(value)
    if _printable(text) != text:
        raise _RowError(f"{name} is not valid Unicode")
    return text


def _number(row: Mapping[str, object], name: str) -> int | None:
    """Read a count; None where there is none."""
    value = row.get(name)
    # A table program writes 2.0 for 2 and NaN for nothing once a column has gaps.
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            if number.is_integer() and 0 <= number < 2**31:
                return int(number)
    except (ValueError, OverflowError):
        pass  # reported below with all other values that are no counts
    raise _RowError(f"{name} is not a count: {value!r:.60}")


def _printable(value: object) -> str:
    """Make any value text that UTF-8 can hold."""
    text = "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")
