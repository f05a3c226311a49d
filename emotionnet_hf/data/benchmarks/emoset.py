"""EmoSet-118K: pictures with Mikels' eight emotions, and splits of its own (Yang et al. 2023)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from emotionnet_hf.data.benchmarks.benchmark import Benchmark, BenchmarkError, LayoutError
from emotionnet_hf.data.benchmarks.dropped import NO_PICTURE, Dropped
from emotionnet_hf.data.benchmarks.listing import (
    Pictures,
    check_folder,
    found_in,
)
from emotionnet_hf.data.benchmarks.rows import Rows, single_label_benchmark
from emotionnet_hf.data.image_files import is_image

NAME = "EmoSet-118K"

CLASSES = (
    "amusement",
    "awe",
    "contentment",
    "excitement",
    "anger",
    "disgust",
    "fear",
    "sadness",
)
"""The classes in the order of EmoSet's own ids: Mikels' emotions, the positive ones first."""

LAYOUTS = (
    "train.json, val.json and test.json with rows [EMOTION, image/....jpg, annotation/....json], "
    "and the pictures at those paths",
    "the same with rows [EMOTION, ID, image/....jpg, annotation/....json]",
)
"""Layouts that `read` knows: that of the current download and an older one."""

_ORIGIN = "Its authors (Yang et al., ICCV 2023) give it out on the home page of EmoSet."
# A picture that is listed twice stays in the test split.
_LISTS = {"test": "test.json", "validation": "val.json", "train": "train.json"}


def read(folder: Path, *, seed: int = 0) -> Benchmark:
    """Read EmoSet-118K.

    Args:
        folder: In one of `LAYOUTS`; rows of both may be in one file.
        seed: Not used, because the splits are EmoSet's.

    Returns:
        The benchmark.

    Raises:
        BenchmarkNotFoundError: There is no such folder.
        LayoutError: It is in no known layout.
        BenchmarkError: A list is not JSON or no list, or pictures are missing.
    """
    folder = check_folder(Path(folder), NAME, _ORIGIN)
    if not all((folder / name).is_file() for name in _LISTS.values()):
        raise LayoutError(NAME, folder, LAYOUTS, found_in(folder))
    lists = {split: _rows_of(folder / name) for split, name in _LISTS.items()}
    dropped = Dropped()
    pictures = Pictures(folder, dropped=dropped)
    seen: set[str] = set()
    parts = {split: _good(rows, split, pictures, seen, dropped) for split, rows in lists.items()}
    older = any(isinstance(row, list) and len(row) > 3 for row in lists["train"])
    return single_label_benchmark(
        NAME,
        folder,
        CLASSES,
        parts,
        release="Yang et al. 2023",
        layout=LAYOUTS[older],
        dropped=dropped,
        notes=("The splits are EmoSet's own.",),
    )


def _rows_of(path: Path) -> list[Any]:
    try:
        rows = json.loads(path.read_text("utf-8-sig"))
    except ValueError as error:  # also of text that is not UTF-8
        raise BenchmarkError(f"{path} is not JSON: {error}; get it again") from error
    if not isinstance(rows, list):
        raise BenchmarkError(f"{path} holds no list of rows; get it again")
    return rows


def _good(
    rows: list[Any], split: str, pictures: Pictures, seen: set[str], dropped: Dropped
) -> Rows:
    paths: list[str] = []
    labels: list[int] = []
    for row in rows:
        found = _row(row)
        if isinstance(found, str):
            dropped.add(found)
            continue
        path, is_there = pictures.find(found[0])
        if not is_there:
            dropped.add(NO_PICTURE, path, lost_from=split)
        elif path in seen:
            dropped.add("listed twice")
        else:
            seen.add(path)
            paths.append(path)
            labels.append(found[1])
    return Rows(paths, np.array(labels, np.int64))


def _row(row: Any) -> tuple[str, int] | str:
    """Picture and class of a row, or why it is not used."""
    if not isinstance(row, list) or not row or not all(isinstance(v, str | int) for v in row):
        return "row of the wrong shape"
    emotion, *fields = map(str, row)
    # The fields are told apart by their endings: the older rows have an id before the picture.
    path = next((field for field in fields if is_image(field)), None)
    if path is None:
        return "row without a picture"
    if emotion.lower() not in CLASSES:
        return f"unknown class: {emotion:.40}"
    return path, CLASSES.index(emotion.lower())
