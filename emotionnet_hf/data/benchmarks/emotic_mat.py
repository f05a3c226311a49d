"""EMOTIC as its authors give it out: ``Annotations.mat`` beside folders of pictures.

The file holds the MATLAB struct arrays ``train``, ``val`` and ``test``, an entry a picture
(``filename``, ``folder``, ``image_size``, ``person``); ``person`` is a struct array with
``body_bbox`` and ``annotations_categories``, which again is one struct in train and one an
annotator in val and test, where ``combined_categories`` stands beside it. MATLAB makes no
difference between one thing and a list of one, so neither does what is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.data.benchmarks.emotic_people import (
    FILE_SPLITS,
    Annotations,
    Person,
    category_counts,
    find_below,
    picture_path,
)

LAYOUT = "Annotations.mat with the folders of pictures (emotic/mscoco/images, ...)"
"""This layout, in a line."""


def find(folder: Path) -> Path | None:
    """Find the file.

    Args:
        folder: Where to look.

    Returns:
        The file, or None where the folder has another layout.
    """
    return next(iter(find_below(folder, "Annotations.mat")), None)


def read(folder: Path, file: Path) -> Annotations:
    """Read the file.

    Args:
        folder: Of the benchmark.
        file: What `find` found.

    Returns:
        All people, those in val and test with the counts of their annotators. Where no annotator
        is left, the combined categories count as one.

    Raises:
        BenchmarkError: The file is damaged, of MATLAB 7.3, or lacks a field; the message names the
            row.
    """
    tables = _load(file)
    people: dict[str, list[Person]] = {}
    images = differing = 0
    for split, key in FILE_SPLITS.items():
        people[split] = []
        for number, image in enumerate(_items(_field(tables, key, file.name)), 1):
            images += 1
            for person, differs in _people(image, f"{file.name}: {key}({number})"):
                people[split].append(person)
                differing += differs
    return Annotations(LAYOUT, people, images, _notes(differing))


def _notes(differing: int) -> tuple[str, ...]:
    if not differing:
        return ()
    return (
        f"The combined categories of {differing:,} people in validation and test are not the union "
        "of their annotators' categories; the union is used.",
    )


def _load(file: Path) -> dict[str, Any]:
    try:
        tables: dict[str, Any] = loadmat(file, simplify_cells=True)
    except NotImplementedError as error:
        raise BenchmarkError(
            f"{file} is a MATLAB 7.3 file, which is HDF5; save it with `-v7` in MATLAB"
        ) from error
    except Exception as error:  # scipy raises whatever a damaged file makes of its parser
        raise BenchmarkError(f"{file} cannot be read ({error}); download it again") from error
    return tables


def _people(image: Any, where: str) -> Iterator[tuple[Person, bool]]:
    """The people of a picture, each with whether its combined categories say something else."""
    filename = _text(_field(image, "filename", where), f"{where}.filename")
    folder = _text(_field(image, "folder", where), f"{where}.folder")
    path = picture_path(folder, filename, where)
    size = _size(image.get("image_size"))
    for number, person in enumerate(_items(_field(image, "person", where)), 1):
        here = f"{where}.person({number})"
        chosen = [
            _names(_field(annotator, "categories", f"{here}.annotations_categories"), here)
            for annotator in _items(_field(person, "annotations_categories", here))
        ]
        counts = category_counts(chosen, here)
        combined = category_counts([_names(person.get("combined_categories", []), here)], here)
        differs = any(combined) and [bool(n) for n in combined] != [bool(n) for n in counts]
        box = _numbers(_field(person, "body_bbox", here))
        yield (
            Person(path, box, size, counts if any(counts) else combined),
            differs and any(counts),
        )


def _field(struct: Any, name: str, where: str) -> Any:
    if not isinstance(struct, dict) or name not in struct:
        found = [key for key in struct if key[:2] != "__"] if isinstance(struct, dict) else []
        raise BenchmarkError(
            f"{where} has no field {name}; it has {', '.join(found) or 'none'}. This is not the "
            "Annotations.mat of EMOTIC"
        )
    return struct[name]


def _items(value: Any) -> list[Any]:
    """The entries of a struct array, of which MATLAB's reader makes a single one of its own."""
    return np.ravel(np.asarray(value, dtype=object)).tolist()


def _names(value: Any, where: str) -> list[str]:
    """The texts in cells, and in cells of cells."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list | np.ndarray):
        return [name for item in _items(value) for name in _names(item, where)]
    raise BenchmarkError(f"{where}: {value!r:.60} stands where names of categories are expected")


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and not value.size:
        return ""
    raise BenchmarkError(f"{where} is {value!r:.60}, not a text")


def _numbers(value: Any) -> tuple[float, ...]:
    """Numbers, or none where anything else stands; boxes are checked later."""
    try:
        return tuple(np.asarray(value, float).ravel().tolist())
    except (TypeError, ValueError):
        return ()


def _size(value: Any) -> tuple[float, ...] | None:
    """Width and height, by name: their order in the struct is nobody's promise."""
    if not isinstance(value, dict) or not {"n_col", "n_row"} <= value.keys():
        return None
    size = _numbers([value["n_col"], value["n_row"]])
    return size if len(size) == 2 else None
