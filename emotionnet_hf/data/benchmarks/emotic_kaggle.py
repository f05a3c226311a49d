"""EMOTIC as it is re-packed on Kaggle: a CSV a split, and an array a picture.

``annot_arrs_{train,val,test}.csv`` have the columns Filename, X_min, Y_min, X_max, Y_max, Valence,
Arousal, Dominance, one for each category in an order of their own, Arr_name (the whole picture) and
Crop_name (the body): names of files in ``img_arrs``, 224 x 224 pixels each. The boxes are those of
the original pictures and fit neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.data.benchmarks.emotic_csv import read_rows
from emotionnet_hf.data.benchmarks.emotic_people import (
    CATEGORIES,
    FILE_SPLITS,
    Annotations,
    ArrayPlace,
    Person,
    find_below,
    find_category,
    picture_path,
)

LAYOUT = "annot_arrs_train.csv, annot_arrs_val.csv, annot_arrs_test.csv with img_arrs/*.npy"
"""This layout, in a line."""

_BOX = ("X_min", "Y_min", "X_max", "Y_max")
_COLUMNS = ("Filename", "Arr_name", "Crop_name", *_BOX)
_EXTRA = "annot_arrs_extra_train.csv"


def find(folder: Path) -> Path | None:
    """Find the CSV of train.

    Args:
        folder: Where to look.

    Returns:
        The file, or None where the folder has another layout.
    """
    return next(iter(find_below(folder, "annot_arrs_train.csv")), None)


def read(folder: Path, file: Path) -> Annotations:
    """Read the three files.

    Args:
        folder: Of the benchmark; ``img_arrs`` lies in it, at most two folders down.
        file: What `find` found.

    Returns:
        All people; the counts are the numbers in the columns of the categories.

    Raises:
        BenchmarkError: A file, ``img_arrs`` or a column is missing, or a number is none.
    """
    if not (arrays := find_below(folder, "img_arrs")):
        raise BenchmarkError(f"{folder} has {file.name}, but no folder img_arrs with the pictures")
    people = {
        split: _people(file.with_name(f"annot_arrs_{key}.csv"), arrays[0])
        for split, key in FILE_SPLITS.items()
    }
    images = len({person.picture for rows in people.values() for person in rows})
    notes = (f"{_EXTRA} is not read.",) if file.with_name(_EXTRA).is_file() else ()
    return Annotations(LAYOUT, people, images, notes)


def _people(file: Path, arrays: Path) -> list[Person]:
    rows = read_rows(file, _COLUMNS)
    columns = _category_columns(rows[0] if rows else {}, file)
    people = []
    for number, row in enumerate(rows, 1):
        where = f"{file.name}: row {number}"
        people.append(
            Person(
                picture=picture_path(row.get("Folder", ""), row["Filename"], where),
                box=_box(row),
                size=None,
                counts=tuple(_count(row[column], column, where) for column in columns),
                whole=_place(arrays, row["Arr_name"], where),
                body=_place(arrays, row["Crop_name"], where),
            )
        )
    return people


def _category_columns(row: Mapping[str, str], file: Path) -> list[str]:
    """The columns of the 26 categories, in our order."""
    columns = {place: name for name in row if (place := find_category(name or "")) is not None}
    if row and len(columns) < len(CATEGORIES):
        missing = [name for place, name in enumerate(CATEGORIES) if place not in columns]
        raise BenchmarkError(
            f"{file} lacks columns of the categories {', '.join(missing)}; it has the columns "
            f"{', '.join(filter(None, row))}"
        )
    return [columns[place] for place in sorted(columns)]


def _count(text: str, column: str, where: str) -> float:
    """A number of annotators, mostly 0 or 1; an empty cell is 0."""
    try:
        count = float(text.strip() or 0)
    except ValueError:
        count = -1.0
    if not 0 <= count < float("inf"):
        raise BenchmarkError(f"{where}: {column} is {text!r:.60}, not 0, 1 or a count")
    return count


def _box(row: Mapping[str, str]) -> tuple[float, ...]:
    """Numbers, or none where anything else stands; boxes are checked later."""
    try:
        return tuple(float(row[name]) for name in _BOX)
    except ValueError:
        return ()


def _place(arrays: Path, name: str, where: str) -> ArrayPlace | None:
    name = name.strip()
    if not name:
        return None
    if Path(name).name != name:
        raise BenchmarkError(f"{where}: {name!r} is no name of a file in img_arrs; correct it")
    return ArrayPlace(arrays / name)
