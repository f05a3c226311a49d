"""What every layout of EMOTIC is read into: people, each with a box and counts of categories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.emotions import EMOTIC

CATEGORIES: tuple[str, ...] = tuple(EMOTIC)
"""The 26 categories, in the order of the paper that made them (Kosti et al. 2017)."""

FILE_SPLITS: Mapping[str, str] = {"train": "train", "validation": "val", "test": "test"}
"""Our names of the splits, and those in EMOTIC's files."""


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


_IDS = {_plain(name): place for place, name in enumerate(CATEGORIES)}


@dataclass(frozen=True)
class ArrayPlace:
    """A picture that is stored as numbers.

    Attributes:
        file: An ``.npy`` file.
        row: Which of its pictures; None for a file of one picture.
    """

    file: Path
    row: int | None = None


@dataclass(frozen=True)
class Person:
    """A person in a picture, as annotated.

    Attributes:
        picture: Path of the picture's file inside the folder of pictures, with forward slashes.
        box: Left, top, right, bottom of the body in pixels, as the file has them, good or bad.
        size: Width and height of the picture; None where the annotations do not say.
        counts: How many annotators chose each of the 26 categories.
        whole: The picture as an array, where there is one.
        body: The picture cut to the body as an array, where there is one.
    """

    picture: str
    box: tuple[float, ...]
    size: tuple[float, ...] | None
    counts: tuple[float, ...]
    whole: ArrayPlace | None = None
    body: ArrayPlace | None = None


@dataclass(frozen=True)
class Annotations:
    """All that a layout says.

    Attributes:
        layout: Which one.
        people: By split, in the order of the files.
        images: Pictures that the files list.
        notes: What a user of the numbers has to know.
    """

    layout: str
    people: Mapping[str, Sequence[Person]]
    images: int
    notes: tuple[str, ...] = ()


def find_below(folder: Path, name: str) -> list[Path]:
    """Find a file or folder by its name, at most two folders down.

    Args:
        folder: Where to look.
        name: Its name.

    Returns:
        Their paths, the nearest first.
    """
    found = (path for depth in ("", "*/", "*/*/") for path in sorted(folder.glob(depth + name)))
    return [path for path in found if "__MACOSX" not in path.relative_to(folder).parts]


def category_id(name: str, where: str) -> int:
    """Place of a category; case, spaces and slashes do not matter.

    Args:
        name: Of the category.
        where: File and row, for the error.

    Returns:
        0 to 25.

    Raises:
        BenchmarkError: It is none of the 26.

    >>> category_id("doubt confusion", "train.csv: row 2") == CATEGORIES.index("Doubt/Confusion")
    True
    """
    if (place := find_category(name)) is None:
        raise BenchmarkError(
            f"{where}: {name!r} is none of EMOTIC's categories ({', '.join(CATEGORIES)}); "
            "correct the name, or remove it from the row"
        )
    return place


def find_category(name: str) -> int | None:
    """Place of a category, or None for any other text; see `category_id`."""
    return _IDS.get(_plain(name))


def category_counts(annotators: Iterable[Iterable[str]], where: str) -> tuple[float, ...]:
    """Count for each category the annotators who chose it.

    Args:
        annotators: What each of them chose; one who names a category twice counts once.
        where: File and row, for the error.

    Returns:
        26 counts.

    Raises:
        BenchmarkError: A name is none of the 26.
    """
    counts = [0.0] * len(CATEGORIES)
    for chosen in annotators:
        for place in {category_id(name, where) for name in chosen}:
            counts[place] += 1
    return tuple(counts)


def picture_path(folder: str, filename: str, where: str) -> str:
    """Path of a picture inside the folder of pictures.

    Args:
        folder: As annotated, such as ``mscoco/images``; may be empty.
        filename: As annotated.
        where: File and row, for the error.

    Returns:
        The path, with forward slashes.

    Raises:
        BenchmarkError: It is empty or leads out of that folder.
    """
    path = PurePosixPath(folder.strip(), filename.strip())
    if not filename.strip() or path.is_absolute() or ".." in path.parts:
        raise BenchmarkError(
            f"{where}: {path.as_posix()!r} is no path inside the folder of pictures; correct it"
        )
    return path.as_posix()
