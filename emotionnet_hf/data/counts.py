"""The file in which the people and faces of every image are kept, see `people_counts`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from emotionnet_hf.data.tables import CellError, count_cell, id_cell, open_table

COUNTS_SCHEMA = pa.schema(
    {
        "image_id": pa.string(),
        "file_name": pa.string(),
        "people": pa.int32(),
        "faces": pa.int32(),
        "reason": pa.string(),
    }
)
"""Columns of a file of counts: a row for every image, with counts or the reason for none."""


class CountsError(ValueError):
    """Counts that cannot be made or read; the message says what to change."""


class Counts(NamedTuple):
    """What is seen in an image.

    Attributes:
        people: Number of people; None where they were not counted.
        faces: Number of faces; None where they were not counted.
    """

    people: int | None
    faces: int | None


def read_counts(path: str | Path) -> dict[str, Counts]:
    """Read a file of counts.

    Args:
        path: What `emotionnet count-people` wrote; any table with the columns `image_id`, `people`
            and `faces` will do.

    Returns:
        The counts by image id (about 0.2 GB for 1.2 M images); images that could not be counted
        are not in it.

    Raises:
        CountsError: It is no such file, or has an image twice.
        FileNotFoundError: There is no file.
    """
    counts: dict[str, Counts] = {}
    # A million images share a few counts.
    shared: dict[Counts, Counts] = {}
    table = open_table(path, needed=("image_id", "people", "faces"), error=CountsError)
    for row in table:
        try:
            if row.problem:
                raise CellError(row.problem)
            image_id = id_cell(row.cells["image_id"], "image_id")
            value = Counts(*(count_cell(row.cells[name], name) for name in ("people", "faces")))
        except CellError as error:
            raise CountsError(f"{path}: row {row.number + 1}: {error}") from error
        if not image_id or value == (None, None):
            continue
        if image_id in counts:
            raise CountsError(f"{path} has the image {image_id!r} twice")
        counts[image_id] = shared.setdefault(value, value)
    return counts
