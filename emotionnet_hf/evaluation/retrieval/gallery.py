"""The rows that are searched: id, words and place of the picture of each.

Words are read as Arrow, a batch at a time where there may be a million rows; pictures stay where
they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features
from PIL import Image

from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.image_files import NoImagesError, find_images
from emotionnet_hf.data.load import is_built
from emotionnet_hf.data.sources import unquoted_list
from emotionnet_hf.evaluation.embed.parquet_rows import holds_rows, local_files
from emotionnet_hf.evaluation.embed.rows import picture_column, row_id
from emotionnet_hf.loading.images import open_image, open_stored
from emotionnet_hf.loading.normal_form import parse_keywords

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "keywords": pa.list_(pa.string()),
        "labels": pa.list_(pa.string()),
        "file": pa.string(),
        "row": pa.int64(),
    }
)
"""Of every gallery: the picture is `file`, or its row `row` where that is not -1."""

ALONE = -1
_ID = "image_id"
_LABELS = ("label", "labels", "emotion_keywords")
_READERS: dict[str, Callable[[str], Dataset]] = {
    "jsonl": Dataset.from_json,
    "csv": Dataset.from_csv,
    "parquet": Dataset.from_parquet,
}
_BATCH, _PICTURES = 4096, 32  # rows read at a time, without and with their pictures
_BUFFER = 2**20  # bytes


class GalleryError(ValueError):
    """A data set that cannot be searched; the message says what is missing."""


class Gallery(Protocol):
    """A data set as it is searched.

    Attributes:
        root: What the files of its rows are relative to.
        label: The column of labels, None where there is none.
    """

    root: Path
    label: str | None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows, batches of `SCHEMA`.

        Raises:
            GalleryError: A file is damaged.
        """


def open_gallery(source: str | Path, label: str | None = None) -> Gallery:
    """Find the rows of a data set.

    Args:
        source: A folder that `emotionnet build` wrote, another folder or file of Parquet, what
            `Dataset.save_to_disk` wrote, or a folder of images: with a metadata file as `datasets`
            knows it (`file_name` and other columns), or in a folder for each class, or bare.
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
    return _Parquet(root, splits, label) if splits else _Images(root, label)


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
    path = root / file
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
        given = table[self.id].to_pylist() if self.id else [None] * len(places)
        ids = [row_id(id, split, before + row) for id, row in zip(given, places, strict=True)]
        lists: dict[str, list[list[str]]] = {
            name: _words(table[column].to_pylist(), self.features[column], column)
            if column in table.column_names
            else [[]] * len(ids)
            for name, column in (("keywords", "keywords"), ("labels", self.label))
        }
        columns = {"id": ids, **lists, "file": [file] * len(ids), "row": list(places)}
        return pa.record_batch(columns, schema=SCHEMA)


class _Parquet:
    """Files of Parquet with pictures in them."""

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


class _Images:
    """A folder of images."""

    def __init__(self, root: Path, label: str | None) -> None:
        try:
            paths = find_images(str(root))
        except NoImagesError as error:
            raise GalleryError(str(error)) from error
        self.root = root if root.is_dir() else root.parent
        self._files = [Path(path).relative_to(self.root).as_posix() for path in paths]
        self._told = _metadata(root, self._files) if root.is_dir() else None
        self.label: str | None
        if self._told is not None:
            self.label = _label(root, self._told.features, label)
        elif label is None or label == "label":
            # As `datasets` does it: a folder for each class.
            self.label = (
                "label" if len({str(Path(file).parent) for file in self._files}) > 1 else None
            )
        else:
            raise GalleryError(f"{root} has no metadata file with a column {label!r}")

    def batches(self) -> Iterator[pa.RecordBatch]:
        count = len(self._files)
        words: dict[str, list[list[str]]] = {"keywords": [[]] * count, "labels": [[]] * count}
        if self._told is not None:
            words = {
                name: self._found(column)
                for name, column in (("keywords", "keywords"), ("labels", self.label))
            }
        elif self.label:
            words["labels"] = [[Path(file).parent.name] for file in self._files]
        columns = {"id": self._files, **words, "file": self._files, "row": [ALONE] * count}
        yield pa.record_batch(columns, schema=SCHEMA)

    def _found(self, column: str | None) -> list[list[str]]:
        """What the metadata says of each file; nothing of files that it does not know."""
        told = self._told
        if told is None or column not in told.column_names:
            return [[]] * len(self._files)
        named = told.with_format("arrow")[:]
        place = pc.index_in(pa.array(self._files), value_set=named["file_name"].combine_chunks())
        return _words(named[column].take(place).to_pylist(), told.features[column], column)


def _metadata(root: Path, files: Sequence[str]) -> Dataset | None:
    """Read the metadata that lies beside files or above them; each names files from its place."""
    beside = {PurePosixPath(folder) for folder in {file.rpartition("/")[0] for file in files}}
    folders = sorted(beside.union(*(folder.parents for folder in beside)))
    found = [path for folder in folders if (path := _metadata_file(root / folder))]
    if not found:
        return None
    try:
        return datasets.concatenate_datasets([_told(path, root) for path in found])
    except ValueError as error:
        names = ", ".join(path.relative_to(root).as_posix() for path in found)
        raise GalleryError(
            f"the metadata of {root} ({names}) do not fit together: {error}"
        ) from error


def _metadata_file(folder: Path) -> Path | None:
    paths = (folder / f"metadata.{suffix}" for suffix in _READERS)
    return next((path for path in paths if path.is_file()), None)


def _told(path: Path, root: Path) -> Dataset:
    told = _READERS[path.suffix[1:]](str(path))
    if "file_name" not in told.column_names:
        raise GalleryError(f"{path} has no column 'file_name'")
    if path.parent == root:
        return told
    place = path.parent.relative_to(root)
    names = [(place / name).as_posix() for name in told["file_name"][:]]
    return told.remove_columns("file_name").add_column("file_name", names)


def _label(source: Path, features: Features, label: str | None) -> str | None:
    if label is None:
        return next((name for name in _LABELS if name in features), None)
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
    return dict(local_files(datasets.load_dataset_builder(str(root))))


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


def _words(values: list[Any], feature: Any, column: str | None) -> list[list[str]]:
    """Turn a column of labels or of words, or of lists of either, into lists of words."""
    if column == "keywords":  # in CSV files one text, which `emotionnet build` splits as well
        values = [parse_keywords(unquoted_list(v)) if isinstance(v, str) else v for v in values]
    lists = [v if isinstance(v, list) else [] if v is None else [v] for v in values]
    names = _class_names(feature)
    if names:
        return [[names[i] for i in value if i is not None and i >= 0] for value in lists]
    return [[str(word) for word in value if word is not None] for value in lists]


def _class_names(feature: Any) -> list[str]:
    """Return the names behind a column of ClassLabel or of lists of it; none of another column."""
    while not isinstance(feature, ClassLabel):
        feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
        if feature is None:
            return []
    return list(feature.names)
