"""Pictures that lie in arrays: looked at without reading them, and stored as PNG for `datasets`.

A row of a benchmark holds a path or bytes, and no library opens the picture in an array by its
path. So each is encoded once, without loss, by `Dataset.from_generator`: that writes a file of the
cache of `datasets` with a hundred rows in memory, moves it to its place when it is whole, and finds
it again by what it was made from: the rows, and size and time of the arrays' files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, NamedSplit
from PIL import Image

from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.data.benchmarks.emotic_people import ArrayPlace


def open_array(file: Path) -> np.ndarray:
    """Open an array without reading it.

    Args:
        file: An ``.npy`` file.

    Returns:
        The array, mapped into memory.

    Raises:
        BenchmarkError: It is missing, cut off, or holds Python objects, which are never loaded.
    """
    try:
        array: np.ndarray = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BenchmarkError(f"{file} is no array that can be read: {error}") from error
    return array


def array_fault(place: ArrayPlace) -> str | None:
    """Say why there is no picture at a place.

    Args:
        place: Where it should be.

    Returns:
        The reason, or None for a picture: (H, W, 3) uint8.
    """
    if not place.file.is_file():
        return "the picture is not there"
    try:
        array = _shared(str(place.file), _stamp(place.file))
    except BenchmarkError:
        return "the array cannot be read"
    shape = array.shape if place.row is None else array.shape[1:]
    if len(shape) == 3 and shape[2] == 3 and min(shape) > 0 and array.dtype == np.uint8:
        return None
    return f"the array is no picture of (H, W, 3) uint8: it is {shape} {array.dtype}"


def encoded_dataset(rows: Sequence[Mapping[str, Any]], features: Features, split: str) -> Dataset:
    """Make a data set of rows of which some have their picture in an array.

    Args:
        rows: With all columns; an ``image`` is what `datasets` takes, or an `ArrayPlace`.
        features: Of the columns.
        split: Its name.

    Returns:
        The data set, its pictures from arrays as PNG, in the cache of `datasets`.
    """
    stamps = {row["image"].file for row in rows if isinstance(row["image"], ArrayPlace)}
    return Dataset.from_generator(
        _encoded,
        features=features,
        # Tuples: a list would be taken for shards of the data set.
        gen_kwargs={
            "rows": tuple(rows),
            "stamps": tuple((str(file), _stamp(file)) for file in sorted(stamps)),
        },
        split=NamedSplit(split),
    )


def _encoded(
    rows: Sequence[Mapping[str, Any]], stamps: Sequence[tuple[str, tuple[int, int]]]
) -> Iterator[dict[str, Any]]:
    known = dict(stamps)
    for row in rows:
        image = row["image"]
        if isinstance(image, ArrayPlace):
            array = _shared(str(image.file), known[str(image.file)])
            pixels = np.asarray(array if image.row is None else array[image.row])
            image = {"bytes": _png(pixels), "path": None}
        yield {**row, "image": image}


def _png(pixels: np.ndarray) -> bytes:
    """A PNG; written once and read often, so little time goes into making it small."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4)
def _shared(file: str, stamp: tuple[int, int]) -> np.ndarray:
    """The array of a file, opened once for many rows; another one when the file has changed."""
    return open_array(Path(file))
