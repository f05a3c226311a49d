"""EMOTIC as much public code prepares it: a CSV a split, with or without arrays of pictures.

``train.csv``, ``val.csv`` and ``test.csv`` have the columns Index, Folder, Filename, Image Size,
BBox, Categorical_Labels, Continuous_Labels, Gender, Age; lists are written as Python writes them.
Row for row beside them may lie ``{split}_context_arr.npy`` (the whole picture, 224 x 224),
``{split}_body_arr.npy`` (the body, 128 x 128) and ``{split}_cat_arr.npy`` (the categories in
alphabetical order). That is what ``mat2py.py`` of github.com/Tandon-A/emotic writes; it squeezes
pictures to squares, so the original files are taken where they are there.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.data.benchmarks.emotic_arrays import open_array
from emotionnet_hf.data.benchmarks.emotic_people import (
    CATEGORIES,
    FILE_SPLITS,
    Annotations,
    ArrayPlace,
    Person,
    category_counts,
    find_below,
    picture_path,
)
from emotionnet_hf.data.tables import open_table, printable
from emotionnet_hf.loading.normal_form import KeywordError, listed

LAYOUT = (
    "train.csv, val.csv, test.csv (Folder, Filename, BBox, Categorical_Labels, ...) with the "
    "folders of pictures, or with {train,val,test}_{context,body}_arr.npy"
)
"""This layout, in a line."""

_COLUMNS = ("Folder", "Filename", "BBox", "Categorical_Labels")


def find(folder: Path) -> Path | None:
    """Find the CSV of train.

    Args:
        folder: Where to look.

    Returns:
        The first ``train.csv`` with EMOTIC's columns, or None.
    """
    return next(filter(_is_emotic, find_below(folder, "train.csv")), None)


def read(folder: Path, file: Path) -> Annotations:
    """Read the three files.

    Args:
        folder: Of the benchmark; arrays lie in it, at most two folders down.
        file: What `find` found.

    Returns:
        All people; the counts are 1 for each of the categories, of which this layout keeps no more.

    Raises:
        BenchmarkError: A file is missing, a row cannot be read, or arrays are not those of the CSV.
    """
    people = {
        split: _people(folder, file.with_name(f"{key}.csv"), key)
        for split, key in FILE_SPLITS.items()
    }
    images = len({person.picture for rows in people.values() for person in rows})
    return Annotations(LAYOUT, people, images)


def _is_emotic(file: Path) -> bool:
    with file.open("rb") as lines:
        return b"Categorical_Labels" in lines.readline(2**16)


def _people(folder: Path, file: Path, key: str) -> list[Person]:
    rows = read_rows(file, _COLUMNS)
    whole = _array(folder, f"{key}_context_arr.npy", len(rows), file)
    body = _array(folder, f"{key}_body_arr.npy", len(rows), file)
    people = []
    for place, row in enumerate(rows):
        where = f"{file.name}: row {place + 1}"
        names = _list(row, "Categorical_Labels", where)
        if not all(isinstance(name, str) for name in names):
            raise BenchmarkError(f"{where}: Categorical_Labels is no list of names")
        size = _list(row, "Image Size", where) if row.get("Image Size") else None
        people.append(
            Person(
                picture=picture_path(row["Folder"], row["Filename"], where),
                box=_floats(_list(row, "BBox", where)),
                size=_floats(size) if size else None,
                counts=category_counts([names], where),
                whole=None if whole is None else ArrayPlace(whole, place),
                body=None if body is None else ArrayPlace(body, place),
            )
        )
    _check_categories(folder, f"{key}_cat_arr.npy", people, file)
    return people


def read_rows(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV of annotations.

    Args:
        file: The CSV.
        columns: What it has to have.

    Returns:
        Its rows.

    Raises:
        BenchmarkError: It is missing, lacks a column or has one twice, or a row cannot be read.
    """
    if not file.is_file():
        raise BenchmarkError(f"{file} is missing; EMOTIC has it beside the others")
    table = open_table(file, needed=columns, wanted=None, error=BenchmarkError)
    rows = []
    for row in table:
        odd = [name for name, value in row.cells.items() if printable(value) != value]
        if row.problem or odd:
            problem = row.problem or f"{odd[0]} is not UTF-8"
            raise BenchmarkError(f"{file}: line {row.line}: {problem}; get it again")
        rows.append(dict(row.cells))
    return rows


def _list(row: dict[str, str], column: str, where: str) -> list[Any]:
    """A cell that holds a list as Python writes it; nothing in it is run."""
    try:
        value = _listed(row[column].strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise BenchmarkError(f"{where}: {column} is {row[column]!r:.60}, not a list") from error
    if not isinstance(value, list | tuple):
        raise BenchmarkError(f"{where}: {column} is {row[column]!r:.60}, not a list")
    return list(value)


def _listed(text: str) -> Any:
    """Words by the rule of all tables; numbers, with what else stands among them, as in Python."""
    try:
        found = listed(text)
    except KeywordError:
        found = None
    if found is None:
        found = ast.literal_eval(text)
        if isinstance(found, list | tuple) and any(isinstance(word, str) for word in found):
            raise ValueError("words without commas between them")
    return found


def _floats(values: Sequence[Any]) -> tuple[float, ...]:
    """Numbers, or none where anything else stands; boxes are checked later."""
    try:
        return tuple(map(float, values))
    except (TypeError, ValueError):
        return ()


def _array(folder: Path, name: str, rows: int, file: Path) -> Path | None:
    """The file of an array that has a picture for each row of a CSV."""
    found = next(iter(find_below(folder, name)), None)
    if found is not None:
        shape = open_array(found).shape
        if len(shape) != 4 or shape[0] != rows:
            raise BenchmarkError(
                f"{found} has the shape {shape}, not {rows} pictures as {file.name} has rows; "
                "make both in one run, or remove the array and give the folders of pictures"
            )
    return found


def _check_categories(folder: Path, name: str, people: Sequence[Person], file: Path) -> None:
    """Compare with the array of categories: arrays of another run would show other people."""
    found = next(iter(find_below(folder, name)), None)
    if found is None:
        return
    stored = open_array(found)
    # The code that writes these arrays has the categories in the order of the alphabet.
    order = [CATEGORIES.index(category) for category in sorted(CATEGORIES)]
    wanted = np.array([person.counts for person in people]).reshape(-1, len(CATEGORIES))[:, order]
    if stored.shape != wanted.shape:
        raise BenchmarkError(f"{found} has the shape {stored.shape}, not {wanted.shape}")
    if len(wrong := np.flatnonzero(((stored > 0) != (wanted > 0)).any(axis=1))):
        raise BenchmarkError(
            f"{found} and {file.name} name other categories in {len(wrong):,} rows, the first is "
            f"row {wrong[0] + 1}: they are not of one run. Make both in one run"
        )
