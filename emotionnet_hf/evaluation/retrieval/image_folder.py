"""A folder of images that is searched, with what tables beside them say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from emotionnet_hf.data.image_files import NoImagesError, find_images, writable_name
from emotionnet_hf.data.sources import METADATA
from emotionnet_hf.data.tables import CellError, Row, Table, find_table, open_table, text_cell
from emotionnet_hf.evaluation.retrieval.words import (
    ALONE,
    LABELS,
    SCHEMA,
    GalleryError,
    keyword_list,
    label_list,
)
from emotionnet_hf.loading.normal_form import KeywordError
from emotionnet_hf.loading.release import RowError, inside


@dataclass
class _Told:
    """What the tables say.

    Attributes:
        words: Of each file its keywords and its labels by column.
        columns: Columns that were met, in their order.
        notes: Rows that are of no use, by reason.
    """

    words: dict[str, tuple[list[str], Mapping[str, list[str]]]] = field(default_factory=dict)
    columns: dict[str, None] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)


class ImageFolder:
    """A folder of images.

    Args:
        root: The folder, or one image.
        label: Column of labels, see `open_gallery`.

    Attributes:
        root: See `Gallery`.
        label: See `Gallery`.
        notes: See `Gallery`.

    Raises:
        GalleryError: There is no image, no row of a table is about one, or there is no such
            column.
        OSError: A folder may not be read.
    """

    def __init__(self, root: Path, label: str | None) -> None:
        try:
            found = find_images(str(root))
        except NoImagesError as error:
            raise GalleryError(str(error)) from error
        self.root = root if root.is_dir() else root.parent
        kinds = {f"passed over, {kind}": count for kind, count in found.passed_over.items()}
        self.notes: Mapping[str, int] = kinds
        self._files = [
            writable_name(Path(path).relative_to(self.root).as_posix()) for path in found.paths
        ]
        self._told = self._read(root, label) if root.is_dir() else None
        self.label = self._label(label)

    def _read(self, root: Path, label: str | None) -> _Told | None:
        tables = list(_tables(root, self._files, label))
        if not tables:
            return None
        told, files = _Told(), set(self._files)
        for table in tables:
            features = _features(table)
            told.columns |= dict.fromkeys(features)
            for row in table:
                _add(told, table, features, row, root, files)
        if not told.words:
            names = ", ".join(table.path.relative_to(root).as_posix() for table in tables)
            reasons = "; ".join(f"{reason}: {count:,}" for reason, count in told.notes.items())
            raise GalleryError(
                f"no row of the metadata of {root} ({names}) is about an image there "
                f"({reasons or 'it has no rows'}); file_name is a path from the table's folder"
            )
        if unnamed := len(files) - len(told.words):
            told.notes["image without a row in the metadata"] = unnamed
        self.notes = {**self.notes, **told.notes}
        return told

    def _label(self, label: str | None) -> str | None:
        if self._told is not None:
            columns = self._told.columns
            if label is None:
                return next((name for name in LABELS if name in columns), None)
            if label in columns:
                return label
            raise GalleryError(f"{self.root} has no column {label!r}, only {', '.join(columns)}")
        if label is None or label == "label":
            # As `datasets` does it: a folder for each class.
            folders = {str(Path(file).parent) for file in self._files}
            return "label" if len(folders) > 1 else None
        raise GalleryError(f"{self.root} has no metadata file with a column {label!r}")

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows, see `Gallery`."""
        count = len(self._files)
        words: dict[str, list[list[str]]] = {"keywords": [[]] * count, "labels": [[]] * count}
        if self._told is not None:
            told, label = self._told, self.label or ""
            rows = [told.words.get(file, ([], {})) for file in self._files]
            words["keywords"] = [keywords for keywords, _ in rows]
            words["labels"] = [
                keywords if label == "keywords" else labels.get(label, [])
                for keywords, labels in rows
            ]
        elif self.label:
            words["labels"] = [[Path(file).parent.name] for file in self._files]
        columns = {"id": self._files, **words, "file": self._files, "row": [ALONE] * count}
        yield pa.record_batch(columns, schema=SCHEMA)


def _tables(root: Path, files: Sequence[str], label: str | None) -> Iterator[Table]:
    """Open the tables that lie beside files or above them; each names files from its place."""
    beside = {PurePosixPath(folder) for folder in {file.rpartition("/")[0] for file in files}}
    wanted = ("keywords", *LABELS, *([label] if label else []))
    for folder in sorted(beside.union(*(folder.parents for folder in beside))):
        if path := find_table(root / folder, METADATA, GalleryError):
            yield open_table(path, needed=("file_name",), wanted=wanted, error=GalleryError)


def _features(table: Table) -> dict[str, Any]:
    """Columns of a table; a Parquet file may say which names are behind its numbers."""
    if table.path.suffix == ".parquet":
        return dict(Features.from_arrow_schema(pq.read_schema(table.path)))
    return dict.fromkeys(table.columns)


def _add(
    told: _Told,
    table: Table,
    features: Mapping[str, Any],
    row: Row,
    root: Path,
    files: set[str],
) -> None:
    """Keep what a row says of a file, or count why not."""
    folder = table.path.parent
    try:
        if row.problem:
            raise RowError(row.problem)
        name = inside(text_cell(row.cells.get("file_name"), "file_name"), folder)
        file = (folder.relative_to(root) / name).as_posix()
        if file not in files:
            raise RowError("metadata of an image that is not there")
        keywords = keyword_list(row.cells.get("keywords"))
        told.columns |= dict.fromkeys(row.cells)  # of JSON not every row has all
        labels = {
            column: label_list(cell, features.get(column))
            for column, cell in row.cells.items()
            if column not in ("file_name", "keywords")
        }
    except (RowError, CellError, KeywordError) as error:
        told.notes[str(error).partition(":")[0]] += 1
        return
    if file in told.words:
        told.notes["metadata of an image that has some already"] += 1
    else:
        told.words[file] = (keywords, labels)
