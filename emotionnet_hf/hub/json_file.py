"""JSON files of folders that are about to be published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: Path, error: type[ValueError]) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Args:
        path: The file.
        error: What to raise where it is damaged.

    Returns:
        Its content.

    Raises:
        ValueError: As ``error``, with the file and the remedy.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as cause:  # UnicodeDecodeError too
        raise error(
            f"{path} is no whole JSON file ({cause}): copy the folder again, or have it written "
            "again by the command that made it."
        ) from cause
    if not isinstance(value, dict):
        raise error(f"{path} holds a {type(value).__name__} and no JSON object: copy it again.")
    return value
