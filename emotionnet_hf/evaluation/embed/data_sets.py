"""Pictures of a data set: built here, saved to disk, in Parquet, on the Hub, or in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
from datasets.utils.file_utils import xopen
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from emotionnet_hf.loading.images import ImageError, read_bytes

_SAVED = ("dataset_dict.json", "state.json")
_ID, _IMAGE = "image_id", "image"


class EmbedSourceError(ValueError):
    """There are no pictures to embed in what was given; the message says what may be given."""


@dataclass(frozen=True)
class DataSetOptions:
    """How to read a data set.

    Attributes:
        split: One split, such as ``test`` or ``train[:1000]``; all, one after another, if None.
        id_column: Column of the ids; ``image_id`` where there is one if None, and else an id is
            split and row, ``train/0``.
        image_column: Column of the pictures; ``image``, or the only one of pictures, if None.
        streaming: Read while iterating and keep nothing on disk.
    """

    split: str | None = None
    id_column: str | None = None
    image_column: str | None = None
    streaming: bool = False

    def told(self) -> dict[str, Any]:
        """Those that decide which row is which, for the identity of a source."""
        return {name: value for name, value in asdict(self).items() if name != "streaming"}


@dataclass(frozen=True)
class Item:
    """A picture that was not opened yet.

    Attributes:
        id: Its name in the table.
        load: Gives the file's bytes, or raises an `ImageError` with the reason why there are none;
            may be called in any thread.
    """

    id: str
    load: Callable[[], bytes]


@dataclass(frozen=True)
class RowsSource:
    """Pictures of the splits of a data set.

    Attributes:
        splits: ``Dataset`` or ``IterableDataset`` by name.
        identity: See `Source`.
        options: How to read them.
    """

    splits: Mapping[str, Any]
    identity: dict[str, Any]
    options: DataSetOptions

    @property
    def total(self) -> int | None:
        """Number of rows; None for streams."""
        known = [_length(rows) for rows in self.splits.values()]
        return None if None in known else sum(length or 0 for length in known)

    def stamp(self, start: int, count: int) -> str:
        """Nothing: the identity knows whether the data set is another."""
        return ""

    def items(self, start: int = 0) -> Iterator[Item]:
        """Give the rows from number ``start`` on."""
        for name, rows in self.splits.items():
            length = _length(rows)
            skipped = start if len(self.splits) == 1 else 0
            skipped = skipped if length is None else min(start, length)
            start -= skipped
            if skipped == length:
                continue
            for row in self._rows(name, rows, skipped):
                if start:  # of a stream nobody knows where it ends without reading it
                    start -= 1
                else:
                    yield row

    def _rows(self, split: str, rows: Any, skipped: int) -> Iterator[Item]:
        columns = _columns(rows)
        image = _image_column(columns, self.options.image_column)
        names = _id_column(columns, self.options.id_column)
        rows = rows.select_columns([name for name in (image, names) if name is not None])
        rows = rows.cast_column(image, datasets.Image(decode=False)).skip(skipped)
        for number, row in enumerate(rows, skipped):
            found = f"{split}/{number}" if names is None else str(row[names])
            yield Item(found, partial(_bytes_of, row[image]))


def open_rows(word: str, options: DataSetOptions) -> RowsSource | None:
    """Open a data set by path or name.

    Args:
        word: See `open_source`.
        options: How to read it.

    Returns:
        Its rows; None for a file, folder or glob of something else.

    Raises:
        EmbedSourceError: No path, and no data set of that name either; or the options do not fit.
    """
    path = Path(word)
    if any((path / name).is_file() for name in _SAVED):
        return _saved(word, options)
    if path.is_dir():
        if not any(path.glob("*.parquet")) and not any((path / "data").glob("*.parquet")):
            return None
        return _built(word, options, word)
    if path.suffix == ".parquet":
        return _built(word, options, "parquet", data_files={"train": word})
    name, _, config = word.partition(":")
    if path.exists() or any(sign in word for sign in "*?["):
        return None
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return _built(word, options, name, config or None)


def rows_in_memory(splits: Mapping[str, Any], options: DataSetOptions) -> RowsSource:
    """Take splits that are open; a stream in memory is known by its names only."""
    prints = {
        name: getattr(rows, "_fingerprint", None) or f"{rows.info.dataset_name} {rows.features}"
        for name, rows in splits.items()
    }
    return RowsSource(splits, {"data_set": prints} | options.told(), options)


def splits_of(data: Any) -> dict[str, Any]:
    """Return the splits of a data set in memory, by name."""
    if isinstance(data, dict):
        return dict(data)
    if not isinstance(data, datasets.Dataset | datasets.IterableDataset):
        raise EmbedSourceError(
            f"a {type(data).__name__} holds no pictures to embed; give files, folders, globs, or a "
            "data set of `datasets`"
        )
    return {str(data.split or "train"): data}


def pick_splits(splits: Mapping[str, Any], wanted: str | None, what: str) -> dict[str, Any]:
    """Keep one split, or all if none is wanted."""
    if wanted is None:
        return dict(splits)
    if wanted not in splits:
        raise EmbedSourceError(f"{what} has no split {wanted!r}, only {', '.join(splits)}.")
    return {wanted: splits[wanted]}


def _saved(word: str, options: DataSetOptions) -> RowsSource:
    splits = pick_splits(splits_of(datasets.load_from_disk(word)), options.split, word)
    if options.streaming:
        raise EmbedSourceError(f"{word} was saved to disk and needs no streaming; leave it out.")
    return rows_in_memory(splits, options)


def _built(word: str, options: DataSetOptions, *arguments: Any, **files: Any) -> RowsSource:
    """Open what `datasets` builds; its hash knows the files, their sizes and their times."""
    try:
        builder = datasets.load_dataset_builder(*arguments, **files)
        if options.streaming:
            data = builder.as_streaming_dataset(split=options.split)
        else:
            builder.download_and_prepare()
            data = builder.as_dataset(split=options.split)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise EmbedSourceError(
            f"{word} is no file, folder or glob of images, and opens as no data set ({reason})."
        ) from error
    splits = dict(data) if isinstance(data, dict) else {options.split or "train": data}
    made_of = [builder.hash, builder.config_id, str(builder.config.data_files)]
    return RowsSource(splits, {"data_set": [word, *made_of]} | options.told(), options)


def _columns(rows: Any) -> dict[str, Any]:
    """Features by column; of a stream that declares none, what its first row shows."""
    if rows.features is not None:
        return dict(rows.features)
    return dict.fromkeys(next(iter(rows.take(1)), {}))


def _image_column(columns: Mapping[str, Any], wanted: str | None) -> str:
    pictures = [name for name, kind in columns.items() if isinstance(kind, datasets.Image)]
    if wanted is None:
        if _IMAGE in columns:
            return _IMAGE
        if len(pictures) == 1:
            return pictures[0]
    elif wanted in columns:
        return wanted
    asked = "no single column of pictures" if wanted is None else f"no column {wanted!r}"
    raise EmbedSourceError(
        f"the data set has {asked}; name one of {', '.join(pictures or columns)} "
        "(--image-column, in Python image_column=)."
    )


def _id_column(columns: Mapping[str, Any], wanted: str | None) -> str | None:
    if wanted is not None and wanted not in columns:
        raise EmbedSourceError(
            f"the data set has no column {wanted!r} for the ids, only {', '.join(columns)}."
        )
    return wanted or (_ID if _ID in columns else None)


def _length(rows: Any) -> int | None:
    return len(rows) if hasattr(rows, "__len__") else None


def _bytes_of(picture: Mapping[str, Any] | None) -> bytes:
    """Return the stored bytes of a picture, or those of the file that its row points to."""
    data, path = (picture or {}).get("bytes"), (picture or {}).get("path")
    if data is not None:
        return bytes(data)
    if not path:
        raise ImageError("no picture in this row")
    if "://" not in path:
        return read_bytes(Path(path))
    try:
        with xopen(path, "rb") as file:
            return bytes(file.read())
    except FileNotFoundError as error:
        raise ImageError(f"cannot be read: {error}") from error
