"""DeepEmotion, also known as FI: 23 K pictures with Mikels' eight emotions (You et al. 2016).

Workers were shown a picture beside the emotion that it was searched with, and agreed or not. The
CSV files give those votes; a picture counts where more agree than not, and more than two agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import numpy as np

from emotionnet_hf.data.benchmarks.benchmark import Benchmark, BenchmarkError, LayoutError
from emotionnet_hf.data.benchmarks.dropped import NO_PICTURE, Dropped
from emotionnet_hf.data.benchmarks.listing import (
    check_folder,
    files,
    found_in,
    pictures_below,
    subfolders,
)
from emotionnet_hf.data.benchmarks.rows import (
    Rows,
    class_rows,
    drop_outside,
    has_class_folders,
    single_label_benchmark,
)
from emotionnet_hf.data.benchmarks.splits import HOW, TEST_SHARE, VALIDATION_SHARE, draw
from emotionnet_hf.data.tables import read_records
from emotionnet_hf.emotions import MIKELS

NAME = "DeepEmotion"

LAYOUTS = (
    "{train,val,test}/EMOTION/*.jpg, where val may be missing",
    "*.csv or agg/*.csv with lines EMOTION,URL,DISAGREE,AGREE, and anywhere beside them the "
    "pictures, each named as in its URL",
    "EMOTION/*.jpg",
)
"""Layouts that `read` knows, in the order in which it looks for them."""

_ORIGIN = (
    "The authors of 'Building a Large Scale Dataset for Image Emotion Recognition' (You et al., "
    "AAAI 2016) give it out on request."
)
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_HEADER = ["emotion", "url", "disagree", "agree"]


def read(folder: Path, *, seed: int = 0) -> Benchmark:
    """Read DeepEmotion.

    The paper trains on 80 % and tests on 20 %, as Panda et al. 2018 did, whose lists are not
    released. A folder's own split is kept; otherwise we draw one.

    Args:
        folder: In one of `LAYOUTS`.
        seed: Of the splits that are drawn.

    Returns:
        The benchmark.

    Raises:
        BenchmarkNotFoundError: There is no such folder.
        LayoutError: It is in no known layout.
        BenchmarkError: A folder is not named as a class, CSV files hold no votes, or pictures are
            missing.
    """
    folder = check_folder(Path(folder), NAME, _ORIGIN)
    dropped = Dropped()
    own = _split_folders(folder)
    if {"train", "test"} <= set(own):
        layout = LAYOUTS[0]
        parts = {split: class_rows(folder, MIKELS, name) for split, name in own.items()}
        drop_outside(folder, parts.values(), dropped)
        notes = ["Train and test are the folder's own."]
    elif (lists := _lists(folder)) or has_class_folders(folder, MIKELS):
        layout = LAYOUTS[1] if lists else LAYOUTS[2]
        rows = _voted_rows(folder, lists, dropped) if lists else class_rows(folder, MIKELS)
        if not lists:
            drop_outside(folder, [rows], dropped)
        test, train = draw(rows, TEST_SHARE, seed=seed)
        parts = {"train": train, "test": test}
        notes = [f"Test is 20 %, {HOW.format(seed=seed)}: the authors' lists are not released."]
    else:
        raise LayoutError(NAME, folder, LAYOUTS, found_in(folder))
    if validation_drawn := "validation" not in parts:
        parts["validation"], parts["train"] = draw(parts["train"], VALIDATION_SHARE, seed=seed)
        notes.append(f"Validation is 10 % of train, {HOW.format(seed=seed)}.")
    return single_label_benchmark(
        NAME,
        folder,
        MIKELS,
        parts,
        release="You et al. 2016",
        layout=layout,
        dropped=dropped,
        notes=notes,
        validation_drawn=validation_drawn,
    )


def _split_folders(folder: Path) -> dict[str, str]:
    """Split -> its folder, where classes are in it."""
    found: dict[str, str] = {}
    for name in subfolders(folder):
        split = _SPLIT_NAMES.get(name.lower())
        if split is None or not has_class_folders(folder / name, MIKELS):
            continue
        if split in found:
            raise BenchmarkError(
                f"{folder} has {found[split]} and {name}, both for {split}; move one of them away"
            )
        found[split] = name
    return found


def _lists(folder: Path) -> list[Path]:
    """CSV files, where one of them begins with votes; others beside it have unreadable lines.

    Where none does, they are refused: passed over, they would drop nothing, and nobody would know.
    """
    paths = [
        path
        for place in (folder, folder / "agg")
        for path in files(place, lambda name: name.endswith(".csv"))
    ]
    # One bad line at the start does not make it another file.
    if paths and not any(_vote(line) for path in paths for line in islice(_lines(path), 2)):
        with paths[0].open("rb") as file:
            first = file.readline(200).decode("utf-8-sig", "replace").strip()
        raise BenchmarkError(
            f"{paths[0]} has no votes: it begins with {first!r:.120}, and not with a line "
            "EMOTION,URL,DISAGREE,AGREE (commas, whole numbers, UTF-8), under a header or without. "
            "Bring it into this form, or move the CSV files away to read folders of classes"
        )
    return paths


def _lines(path: Path) -> Iterator[list[str] | None]:
    """Lines of a CSV file that are not empty, and not its header; None for what is no CSV.

    A header has any names: it is no vote for an emotion, and the line under it is.
    """
    lines = _with_header(path)
    first = list(islice(lines, 2))
    if len(first) == 2 and _is_header(first[0]) and _vote(first[1]):
        del first[0]
    yield from chain(first, lines)


def _is_header(fields: list[str] | None) -> bool:
    return fields is not None and fields[0].lower() not in MIKELS and not _vote(fields)


def _with_header(path: Path) -> Iterator[list[str] | None]:
    """Lines as in `_lines`, with a header of other names than ours."""
    for _, cells in read_records(path, error=BenchmarkError, delimiter=","):
        if isinstance(cells, str):
            yield None
            continue
        fields = [field.strip() for field in cells]
        if any(fields) and [field.lower() for field in fields] != _HEADER:
            yield fields


def _vote(fields: list[str] | None) -> tuple[str, str, int, int] | None:
    """Emotion, URL, how many disagree and how many agree; None where a line is something else."""
    if fields is None or len(fields) != len(_HEADER):
        return None
    emotion, url, *votes = fields
    if not all(text.isascii() and text.isdigit() for text in votes):
        return None
    return emotion.lower(), url, int(votes[0]), int(votes[1])


def _voted_rows(folder: Path, lists: list[Path], dropped: Dropped) -> Rows:
    """Rows that the voters agreed to, with the pictures on disk."""
    pictures = _by_name(folder, dropped)
    found: dict[tuple[str, str], None] = {}
    for path in lists:
        for fields in _lines(path):
            row = _voted_row(fields, pictures)
            if isinstance(row, str):
                dropped.add(row, ",".join(fields or ()))
            elif row in found:
                dropped.add("listed twice")
            else:
                found[row] = None
    if not found:
        raise BenchmarkError(
            f"the CSV files of {folder} give no row that can be used ({dropped.told()}); name the "
            "pictures as in their URLs, or move the CSV files away to read folders of classes"
        )
    # A picture that was agreed to under two emotions is two rows of one group.
    emotions = Counter(path for path, _ in found)
    ids = [f"{path}#{emotion}" if emotions[path] > 1 else path for path, emotion in found]
    labels = np.array([MIKELS.index(emotion) for _, emotion in found], np.int64)
    return Rows([path for path, _ in found], labels, ids)


def _voted_row(fields: list[str] | None, pictures: dict[str, list[str]]) -> tuple[str, str] | str:
    """Picture and emotion of a line, or why it is not used."""
    vote = _vote(fields)
    if vote is None:
        return "unreadable line"
    emotion, url, disagree, agree = vote
    if emotion not in MIKELS:
        return f"unknown class: {emotion:.40}"
    if not (agree > disagree and agree > 2):
        return "rejected by the votes"
    paths = pictures.get(PurePosixPath(unquote(_path(url))).name.lower(), [])
    # Names may repeat among folders of classes.
    paths = [p for p in paths if emotion in p.lower().split("/")[:-1]] or paths
    if len(paths) > 1:
        return "several pictures of that name"
    return (paths[0], emotion) if paths else NO_PICTURE


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:  # such as half an IPv6 address
        return ""


def _by_name(folder: Path, dropped: Dropped) -> dict[str, list[str]]:
    """File name in small letters -> pictures of that name."""
    found: dict[str, list[str]] = {}
    for path in pictures_below(folder, dropped=dropped):
        found.setdefault(PurePosixPath(path).name.lower(), []).append(path)
    return found
