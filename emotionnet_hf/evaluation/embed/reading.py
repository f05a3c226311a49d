"""Reading a table of features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

METADATA_KEY = b"emotionnet_features"
"""Key of the Parquet schema under which a table says, as JSON, what it was made with."""


class FeaturesError(ValueError):
    """A file that is no table of features; the message says what is wrong with it."""


def read_features(
    path: str | Path, space: str = "features"
) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    """Read what `embed` wrote.

    Args:
        path: The Parquet file.
        space: The column: ``features``, or ``joint`` where it was written.

    Returns:
        The ids; the vectors, float32, (N, D), whatever they are stored in; and what the table says
        of itself: ``model``, ``precision``, ``runtime``, ``preprocessing``, ``versions`` and more.

    Raises:
        FileNotFoundError: There is no such file.
        FeaturesError: It was not written by `embed`, is damaged, or lacks the space.
    """
    path = Path(path)
    metadata = read_metadata(path)
    try:
        with pq.ParquetFile(path) as file:
            width = _width(file.schema_arrow, space, path)
            values = np.empty((file.metadata.num_rows, width), np.float32)
            ids: list[str] = []
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=["id", space])
                rows = slice(len(ids), len(ids) + table.num_rows)
                flat = [chunk.flatten().to_numpy() for chunk in table[space].chunks]
                values[rows] = np.concatenate(flat or [values[:0]], axis=None).reshape(-1, width)
                ids.extend(table["id"].to_pylist())
    except pa.ArrowException as error:
        raise FeaturesError(f"{path} is damaged: {error}") from error
    return ids, values, metadata


def read_metadata(path: Path) -> dict[str, Any]:
    """Read what a table of features says of itself.

    Args:
        path: The Parquet file.

    Returns:
        See `read_features`.

    Raises:
        FileNotFoundError: There is no such file.
        FeaturesError: It was not written by `embed`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; `emotionnet embed` writes one.")
    try:
        found = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
    except pa.ArrowException as error:
        raise FeaturesError(f"{path} is not a whole Parquet file: {error}") from error
    if found is None:
        raise FeaturesError(f"{path} is no table of features; `emotionnet embed` writes one.")
    metadata: dict[str, Any] = json.loads(found)
    return metadata


def _width(schema: pa.Schema, space: str, path: Path) -> int:
    """Size of the vectors of a space."""
    spaces = [name for name in schema.names if pa.types.is_fixed_size_list(schema.field(name).type)]
    if space not in spaces:
        raise FeaturesError(f"{path} has no space {space!r}, only {', '.join(spaces)}.")
    return int(schema.field(space).type.list_size)
