"""The rows that are searched: id, words and place of the picture of each.

Words are read as Arrow, a batch at a time where there may be a million rows; pictures stay where
they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, Features
from PIL import Image

from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.image_files import named_file
from emotionnet_hf.data.load import is_built
from emotionnet_hf.data.tables import cell_values
from emotionnet_hf.evaluation.embed.parquet_rows import holds_rows, local_pictures
from emotionnet_hf.evaluation.embed.rows import picture_column, row_id
from emotionnet_hf.evaluation.retrieval.image_folder import ImageFolder
from emotionnet_hf.evaluation.retrieval.words import (
    ALONE,
    LABELS,
    SCHEMA,
    GalleryError,
    keyword_list,
    label_list,
)
from emotionnet_hf.loading.images import open_image, open_stored
from emotionnet_hf.loading.normal_form import KeywordError

_ID = "image_id"
_BATCH, _PICTURES = 4096, 32  # rows read at a time, without and with their pictures
_BUFFER = 2**20  # bytes


class Gallery(Protocol):
    """A data set as it is searched.

    Attributes:
        root: What the files of its rows are relative to.
        label: The column of labels, None where there is none.
        notes: What is not searched, or not told by its metadata, by reason.
    """

    root: Path
    label: str | None
    notes: Mapping[str, int]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows, batches of `SCHEMA`.

        Raises:
            GalleryError: A file is damaged.
        """


def open_gallery(source: str | Path, label: str | None = None) -> Gallery:
    """Find the rows of a data set.

    Args:
        source: A folder that `emotionnet build` wrote, another folder or file of Parquet, what
            `Dataset.save_to_disk` wrote, or a folder of images: with tables named metadata beside
            or above them (`file_name` and other columns), or in a folder for each class, or bare.
        label: Column of the labels by which retrieval is scored; `label`, `labels` or
            `emotion_keywords`, whichever is there, if None.

    Returns:
        The gallery; nothing of its pictures was read.

    Raises:
        GalleryError: There is no such place, it has no pictures, or lacks the column.
        BuiltFolderError: A shard of a built folder is missing.
    """
    root = Path(source).resolve()
    if not root.exists():
        raise GalleryError(f"{source} does not exist; give a data set or a folder of images")
    if any((root / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return _Saved(root, label)
    splits = _parquet_files(root)
    return _Parquet(root, splits, label) if splits else ImageFolder(root, label)


def open_picture(root: Path, file: str, row: int) -> Image.Image:
    """Open the picture of a row.

    Args:
        root: The gallery's.
        file: Of the row.
        row: Of the row.

    Returns:
        RGB.

    Raises:
        GalleryError: The data set is not where it was, or has changed.
        ImageError: The picture is damaged.
    """
    path = named_file(root, file)
    if not path.exists():
        raise GalleryError(
            f"{path} is gone, which held a picture; say where the data set is now (--pictures)"
        )
    if row == ALONE:
        return open_image(path)
    value = _parquet_picture(path, row) if path.is_file() else _saved_picture(path, row)
    if value is None or (value["bytes"] is None and value["path"] is None):
        raise GalleryError(f"row {row} of {path} holds no picture: it is not what it was")
    return open_stored(value)


class _Columns:
    """Which columns of a table matter, and what they are in `SCHEMA`."""

    def __init__(self, source: Path, features: Features, label: str | None) -> None:
        if picture_column(features) is None:
            raise GalleryError(f"{source} has no column of pictures, only {', '.join(features)}")
        self.features, self.label = features, _label(source, features, label)
        self.id = _ID if _ID in features else None
        wanted = {self.id, "keywords" if "keywords" in features else None, self.label}
        self.names = sorted(wanted - {None}, key=str)

    def batch(
        self, table: pa.Table, file: str, start: int, split: str, before: int
    ) -> pa.RecordBatch:
        """Put what was read into `SCHEMA`; without ids, by split and row as `embed` names them."""
        places = range(start, start + table.num_rows)
        given = cell_values(table[self.id]) if self.id else [None] * len(places)
        ids = [row_id(id, split, before + row) for id, row in zip(given, places, strict=True)]
        lists: dict[str, list[list[str]]] = {
            name: _words(table, column, self.features[column], file, start)
            if column in table.column_names
            else [[]] * len(ids)
            for name, column in (("keywords", "keywords"), ("labels", self.label))
        }
        columns = {"id": ids, **lists, "file": [file] * len(ids), "row": list(places)}
        return pa.record_batch(columns, schema=SCHEMA)


class _Parquet:
    """Files of Parquet with pictures in them."""

    notes: Mapping[str, int] = MappingProxyType({})

    def __init__(self, root: Path, splits: Mapping[str, Sequence[Path]], label: str | None) -> None:
        self.root, self._splits = root if root.is_dir() else root.parent, splits
        first = next(iter(splits.values()))[0]
        try:
            features = Features.from_arrow_schema(pq.read_schema(first))
        except pa.ArrowException as error:
            raise GalleryError(f"{first} is not a whole Parquet file: {error}") from error
        self._columns = _Columns(root, features, label)
        self.label = self._columns.label

    def batches(self) -> Iterator[pa.RecordBatch]:
        for split, paths in self._splits.items():
            before = 0
            for path in paths:
                for start, table in self._tables(path):
                    name = path.relative_to(self.root).as_posix()
                    yield self._columns.batch(table, name, start, split, before)
                before += pq.read_metadata(path).num_rows

    def _tables(self, path: Path) -> Iterator[tuple[int, pa.Table]]:
        start = 0
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH, columns=self._columns.names):
                    yield start, pa.Table.from_batches([batch])
                    start += batch.num_rows
        except (pa.ArrowException, KeyError) as error:
            raise GalleryError(f"{path} is not a whole Parquet file: {error}") from error


class _Saved:
    """What `save_to_disk` wrote."""

    notes: Mapping[str, int] = MappingProxyType({})

    def __init__(self, root: Path, label: str | None) -> None:
        opened = datasets.load_from_disk(str(root))
        self.root = root
        whole = isinstance(opened, Dataset)
        self._parts = {str(opened.split or "train"): opened} if whole else dict(opened)
        self._files = dict.fromkeys(self._parts, ".") if whole else {n: n for n in self._parts}
        self._columns = _Columns(root, next(iter(self._parts.values())).features, label)
        self.label = self._columns.label

    def batches(self) -> Iterator[pa.RecordBatch]:
        for name, part in self._parts.items():
            rows = part.select_columns(self._columns.names).with_format("arrow")
            for start in range(0, len(part), _BATCH):
                table = rows[start : start + _BATCH]
                yield self._columns.batch(table, self._files[name], start, name, 0)


def _label(source: Path, features: Features, label: str | None) -> str | None:
    if label is None:
        return next((name for name in LABELS if name in features), None)
    if label not in features:
        raise GalleryError(f"{source} has no column {label!r}, only {', '.join(features)}")
    return label


def _parquet_files(root: Path) -> dict[str, Sequence[Path]]:
    """Return the Parquet files of a place by split; none of another kind of place."""
    if root.is_file():
        return {"train": [root]} if root.suffix == ".parquet" else {}
    if not holds_rows(root):
        return {}
    if is_built(root):
        open_built(root)  # refuses a folder of which a shard was lost
    # As `embed` sees it: without a column of ids a row is named by its split.
    found = local_pictures(root)
    return dict(found.files) if found else {}


def _parquet_picture(path: Path, row: int) -> dict[str, Any] | None:
    # Not the whole group at once: some writers put all their pictures into one.
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
        image = picture_column(Features.from_arrow_schema(file.schema_arrow))
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if row < size:
                for batch in file.iter_batches(_PICTURES, row_groups=[group], columns=[image]):
                    if row < len(batch):
                        pictures = datasets.Image().cast_storage(batch.column(0))
                        value: dict[str, Any] = pictures[row].as_py()
                        return value
                    row -= len(batch)
            row -= size
    return None


def _saved_picture(path: Path, row: int) -> dict[str, Any] | None:
    saved = datasets.load_from_disk(str(path))
    image = picture_column(saved.features)
    if image is None or row >= len(saved):
        return None
    value: dict[str, Any] = saved.cast_column(image, datasets.Image(decode=False))[row][image]
    return value


def _words(
    table: pa.Table, column: str | None, feature: Any, file: str, start: int
) -> list[list[str]]:
    found: list[list[str]] = []
    for row, value in enumerate(cell_values(table[column]), start + 1):
        try:
            read = keyword_list(value) if column == "keywords" else label_list(value, feature)
        except KeywordError as error:
            raise GalleryError(f"{file}: row {row}: {column}: {error}") from error
        found.append(read)
    return found
