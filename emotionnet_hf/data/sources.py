"""Reading a source folder: images beside one table of metadata.

    pictures/
        metadata.jsonl (or .csv, .tsv, .json, .parquet, also packed: metadata.csv.gz)
        cats/1.jpg ...

The metadata has the columns `file_name` (a path inside the folder) and `keywords` (a list, or
one text, see `parse_keywords`) and may have `image_id`, `group`, `source`, `people` and `faces`.
Other columns are ignored. Nothing is held in memory but the ids and names that were seen.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Features

from emotionnet_hf.data.image_files import is_archive, walk_folder, writable_name
from emotionnet_hf.data.splits import SPLITS
from emotionnet_hf.data.tables import (
    TABLE_ENDINGS,
    CellError,
    Row,
    count_cell,
    find_table,
    id_cell,
    is_missing,
    open_table,
    printable,
    tables_named,
    text_cell,
)
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.normal_form import KeywordError, parse_keywords
from emotionnet_hf.loading.release import Rejected, RowError, inside
from emotionnet_hf.loading.schema import stockemotion_features

METADATA = "metadata"
"""Name, before its ending, of the table in a folder of images."""

REQUIRED_COLUMNS = ("file_name", "keywords")
OPTIONAL_COLUMNS = ("image_id", "group", "source", "people", "faces")


class SourceError(ValueError):
    """A source folder that cannot be read at all."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """The folder, or the metadata file in it, does not exist."""


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
        self._table = open_table(
            metadata, needed=REQUIRED_COLUMNS, wanted=OPTIONAL_COLUMNS, error=SourceError
        )

    def __iter__(self) -> Iterator[Record | Rejected]:
        seen: set[str] = set()
        named: set[str] = set()
        for row in self._table:
            try:
                name = _file_name(self.folder, row)
                named.add(name)
                yield _record(self.folder, name, row, seen)
            except (RowError, CellError, KeywordError) as error:
                name = printable(row.cells.get("file_name"))
                yield Rejected(row.number, name[:1000], printable(error))
        yield from unnamed_files(self.folder, named, "picture without a row in the metadata")


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
    if folder.is_file():
        kind = "an archive: unpack it first" if is_archive(folder) else "a file and no folder"
        raise SourceError(f"{folder} is {kind}")
    if not folder.is_dir():
        raise SourceNotFoundError(f"there is no folder {folder}")
    found = find_table(folder, METADATA, SourceError)
    if found is None:
        raise SourceNotFoundError(
            f"{folder} has no {METADATA}{f', {METADATA}'.join(TABLE_ENDINGS)}; write one with the "
            "columns file_name and keywords"
        )
    return FolderSource(folder, found)


def has_metadata(folder: Path) -> bool:
    """Tell whether a table of metadata is in a folder, one or several."""
    return bool(tables_named(folder, METADATA))


def unnamed_files(
    folder: Path, named: Container[str], reason: str, start: str = ""
) -> Iterator[Rejected]:
    """Go through the files that no row is about.

    Args:
        folder: The source.
        named: Paths, seen from the folder, that rows are about.
        reason: Of a picture that is not among them.
        start: Where in the folder to look.

    Yields:
        Each such picture, and each file that is none and lies there like one, in the order of
        their paths.
    """
    for path, kind in sorted(walk_folder(folder, start)):
        if path not in named:
            why = f"passed over, {kind}" if kind else reason
            yield Rejected(-1, writable_name(path), why)


def _file_name(folder: Path, row: Row) -> str:
    if row.problem:
        raise RowError(row.problem)
    cells = row.cells
    if is_missing(cells.get("file_name")):
        raise RowError("no file_name")
    return inside(text_cell(cells["file_name"], "file_name"), folder)


def _record(folder: Path, file_name: str, row: Row, seen: set[str]) -> Record:
    cells = row.cells
    if is_missing(given := cells.get("keywords")) and given != "":
        raise RowError("no keywords")
    keywords = parse_keywords(given)
    image_id = id_cell(cells.get("image_id"), "image_id") or file_name
    record = Record(
        image_path=folder / file_name,
        image_id=image_id,
        keywords=keywords,
        group=id_cell(cells.get("group"), "group") or None,
        source=text_cell(cells.get("source"), "source") or None,
        people=count_cell(cells.get("people"), "people"),
        faces=count_cell(cells.get("faces"), "faces"),
        row=row.number,
    )
    # os.path.isfile, because Path.is_file raises on a name that is too long for the disk.
    if not os.path.isfile(record.image_path):
        raise RowError("no such image file")
    if image_id in seen:
        raise RowError(f"image_id given before: {image_id!r}")
    seen.add(image_id)
    return record
