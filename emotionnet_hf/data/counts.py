"""The file in which the people and faces of every image are kept, see `people_counts`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

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
        path: What `emotionnet count-people` wrote; any Parquet file with the columns `image_id`,
            `people` and `faces` will do.

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
    try:
        with pq.ParquetFile(path) as file:
            columns = ["image_id", "people", "faces"]
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                raise CountsError(f"{path} lacks {', '.join(missing)}; write it with count-people")
            for batch in file.iter_batches(columns=columns):
                for row in batch.to_pylist():
                    value = Counts(row["people"], row["faces"])
                    if row["image_id"] is None or value == (None, None):
                        continue
                    if row["image_id"] in counts:
                        raise CountsError(f"{path} has the image {row['image_id']!r} twice")
                    counts[row["image_id"]] = shared.setdefault(value, value)
    except pa.ArrowException as error:
        raise CountsError(f"{path} is not a whole Parquet file: {error}") from error
    return counts
