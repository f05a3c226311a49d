"""A picture that was not opened yet, and the columns that pictures and ids come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
from datasets.utils.file_utils import xopen

from emotionnet_hf.data.image_files import writable_name
from emotionnet_hf.loading.images import ImageError, read_bytes

_ID, _IMAGE = "image_id", "image"


class EmbedSourceError(ValueError):
    """There are no pictures to embed in what was given; the message says what may be given."""


@dataclass(frozen=True)
class DataSetOptions:
    """How to read a data set.

    Attributes:
        split: One split, such as ``test``, or of what is not in memory or saved to disk a part of
            it, ``train[:1000]``; all splits, one after another, if None.
        id_column: Column of the ids; ``image_id`` where there is one if None. Where there is
            none, or it is empty, an id is split and row, ``train/0``.
        image_column: Column of the pictures; ``image``, or the only one of pictures, if None.
        streaming: Read while iterating and keep nothing on disk; Parquet files on this disk are
            read so anyway.
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


def image_column(columns: Mapping[str, Any], wanted: str | None) -> str:
    """Find the column of pictures.

    Args:
        columns: Features by column.
        wanted: Its name, if it was asked for.

    Returns:
        Its name.

    Raises:
        EmbedSourceError: There is none, or there are several.
    """
    pictures = _pictures(columns)
    if wanted is None:
        found = picture_column(columns)
        if found == _IMAGE or (found and len(pictures) == 1):
            return found
    elif wanted in columns:
        return wanted
    asked = "no single column of pictures" if wanted is None else f"no column {wanted!r}"
    raise EmbedSourceError(
        f"the data set has {asked}; name one of {', '.join(pictures or columns)} "
        "(--image-column, in Python image_column=)."
    )


def picture_column(columns: Mapping[str, Any]) -> str | None:
    """Find the column of pictures where nobody named it.

    Args:
        columns: Features by column.

    Returns:
        ``image``, of whatever type, as files have it that `datasets` did not write; else the first
        column of pictures, None where there is none.
    """
    return _IMAGE if _IMAGE in columns else next(iter(_pictures(columns)), None)


def _pictures(columns: Mapping[str, Any]) -> list[str]:
    return [name for name, kind in columns.items() if isinstance(kind, datasets.Image)]


def id_column(columns: Mapping[str, Any], wanted: str | None) -> str | None:
    """Find the column of ids.

    Args:
        columns: Features by column.
        wanted: Its name, if it was asked for.

    Returns:
        Its name; None where an id is split and row.

    Raises:
        EmbedSourceError: There is no column of that name.
    """
    if wanted is not None and wanted not in columns:
        raise EmbedSourceError(
            f"the data set has no column {wanted!r} for the ids, only {', '.join(columns)}."
        )
    return wanted or (_ID if _ID in columns else None)


def row_id(given: Any, split: str, number: int) -> str:
    """Name a row, the same wherever it is read.

    Args:
        given: What its column of ids holds; None where that is empty or there is none.
        split: Its split.
        number: Its number in the split.

    Returns:
        Its id, ``train/0`` where none is given; one that is not UTF-8 as `writable_name` has it.
    """
    return f"{split}/{number}" if given is None else writable_name(str(given))


def bytes_of(picture: Mapping[str, Any] | None) -> bytes:
    """Return the stored bytes of a picture, or those of the file that its row points to.

    Args:
        picture: ``bytes`` and ``path``, as `datasets` stores them; None for an empty row.

    Returns:
        The bytes.

    Raises:
        ImageError: There are none.
    """
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
