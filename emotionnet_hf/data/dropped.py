"""The file that `duplicates` writes, and what a build leaves out for it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

DUPLICATES_SCHEMA = pa.schema(
    {
        "image_id": pa.string(),
        "file_name": pa.string(),
        "split": pa.string(),
        "phash": pa.string(),
        "group": pa.int64(),
        "kept": pa.bool_(),
        "kept_by": pa.string(),
        "distance": pa.uint8(),
        "reason": pa.string(),
    }
)
"""Columns of a file of duplicates."""


class DuplicatesError(ValueError):
    """Duplicates cannot be found, or not be read from a file; the message says what to do."""


class DuplicatesNotFoundError(DuplicatesError, FileNotFoundError):
    """There is no such file of duplicates."""


def is_duplicates(path: Path) -> bool:
    """Tell by its columns whether a file is one of duplicates."""
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return False
    return set(DUPLICATES_SCHEMA.names) <= set(names)


def read_dropped(path: str | Path) -> dict[str, str]:
    """Read which images another one stays for.

    Args:
        path: A file of duplicates.

    Returns:
        For the `image_id` of each image that is not kept the one of the image that stays for it.

    Raises:
        DuplicatesNotFoundError: There is no such file.
        DuplicatesError: It is something else.
    """
    path = Path(path)
    if not path.is_file():
        raise DuplicatesNotFoundError(f"there is no file {path}; make it with `emotionnet dedup`")
    if not is_duplicates(path):
        raise DuplicatesError(
            f"{path} is not a file of duplicates: that is Parquet with the columns "
            f"{', '.join(DUPLICATES_SCHEMA.names)}. Make one with `emotionnet dedup`"
        )
    columns = ["image_id", "kept", "kept_by"]
    dropped: dict[str, str] = {}
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=columns):
            gone = batch.filter(pc.equal(batch["kept"], False))  # rows without a hash are neither
            dropped.update(
                zip(*(gone[n].to_pylist() for n in ("image_id", "kept_by")), strict=True)
            )
    return dropped
