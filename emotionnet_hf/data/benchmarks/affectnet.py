"""AffectNet-7: the faces of AffectNet with the expressions 0 to 6 (Mollahosseini et al. 2017).

The paper trains on about 280 K faces and tests on the 3,500 of the official validation part
(section 5.2). That it samples 30 K of them in an epoch is a matter of training, not of reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from datasets.utils import tqdm  # which `disable_progress_bars` hides

from emotionnet_hf.data.benchmarks.benchmark import Benchmark, BenchmarkError, LayoutError
from emotionnet_hf.data.benchmarks.dropped import NO_PICTURE, Dropped
from emotionnet_hf.data.benchmarks.listing import (
    Pictures,
    check_folder,
    found_in,
    pictures_below,
)
from emotionnet_hf.data.benchmarks.rows import Rows, single_label_benchmark
from emotionnet_hf.data.benchmarks.splits import HOW, TEST_SHARE, draw
from emotionnet_hf.data.tables import open_table, printable
from emotionnet_hf.emotions import AFFECTNET

NAME = "AffectNet-7"

LAYOUTS = (
    "training.csv and validation.csv, here or in Manually_Annotated_file_lists/, and the pictures "
    "in Manually_Annotated_Images/ or here",
    "{train_set,val_set}/images/N.jpg and {train_set,val_set}/annotations/N_exp.npy",
    "images/N.jpg and annotations/N_exp.npy",
)
"""Layouts that `read` knows: whole pictures, and faces that are cut out already."""

_ORIGIN = (
    "Its authors (Mollahosseini et al.) give it out on request, on the home page of AffectNet."
)
# A picture that is listed twice stays in the test split.
_LISTS = {"test": "validation.csv", "train": "training.csv"}
_SETS = {"test": "val_set", "train": "train_set"}
# As many of a class as the official validation part has.
_MOST = 500
_VALIDATION_SHARE = 0.05
_OTHER_EXPRESSIONS = {7: "contempt", 8: "none", 9: "uncertain", 10: "no-face"}
_BOX = ("face_x", "face_y", "face_width", "face_height")
_COLUMNS = ("subDirectory_filePath", *_BOX, "facial_landmarks", "expression", "valence", "arousal")
_USED = ("subDirectory_filePath", *_BOX, "expression")


def read(folder: Path, *, seed: int = 0) -> Benchmark:
    """Read AffectNet-7.

    Args:
        folder: In one of `LAYOUTS`.
        seed: Of the splits that are drawn.

    Returns:
        The benchmark. ``box`` is the face where the pictures are whole, and null where they are
        cut already.

    Raises:
        BenchmarkNotFoundError: There is no such folder.
        LayoutError: It is in no known layout.
        BenchmarkError: A list has other columns, or pictures are missing.
    """
    folder = check_folder(Path(folder), NAME, _ORIGIN)
    dropped = Dropped()
    how = HOW.format(seed=seed)
    notes = ["Test is the official validation part, as in the paper."]
    if lists := _lists(folder):
        layout, parts = LAYOUTS[0], _listed_rows(folder, lists, dropped)
    elif all(_has_set(folder / name) for name in _SETS.values()):
        layout = LAYOUTS[1]
        parts = {
            split: _set_rows(folder, f"{name}/", dropped, split) for split, name in _SETS.items()
        }
    elif _has_set(folder):
        layout, rows = LAYOUTS[2], _set_rows(folder, "", dropped)
        parts = dict(zip(_SETS, draw(rows, TEST_SHARE, most=_MOST, seed=seed), strict=True))
        notes = [f"Test is 20 % of the one set, {_MOST} of a class at most, {how}."]
    else:
        raise LayoutError(NAME, folder, LAYOUTS, found_in(folder))
    validation, train = draw(parts["train"], _VALIDATION_SHARE, most=_MOST, seed=seed)
    notes.append(f"Validation is 5 % of train, {_MOST} of a class at most, {how}.")
    return single_label_benchmark(
        NAME,
        folder,
        AFFECTNET,
        {"train": train, "validation": validation, "test": parts["test"]},
        release="Mollahosseini et al. 2017",
        layout=layout,
        dropped=dropped,
        notes=notes,
        validation_drawn=True,
    )


def _label(expression: float) -> int | str:
    """Class id of an expression, or why the row is not used."""
    if not np.isfinite(expression):
        return "expression missing or no number"
    if expression in _OTHER_EXPRESSIONS:
        return f"expression of no class: {_OTHER_EXPRESSIONS[int(expression)]}"
    if expression not in range(len(AFFECTNET)):
        return f"unknown expression: {expression:g}"
    return int(expression)


def _lists(folder: Path) -> dict[str, Path]:
    """The two CSV files, if both are in one place."""
    for place in (folder, folder / "Manually_Annotated_file_lists"):
        lists = {split: place / name for split, name in _LISTS.items()}
        if all(path.is_file() for path in lists.values()):
            return lists
    return {}


def _listed_rows(folder: Path, lists: Mapping[str, Path], dropped: Dropped) -> dict[str, Rows]:
    images = "Manually_Annotated_Images"
    start = images if (folder / images).is_dir() else ""
    pictures = Pictures(folder, start, dropped)
    seen: set[str] = set()
    return {
        split: _faces(_read_list(path, dropped), split, pictures, seen, dropped)
        for split, path in lists.items()
    }


def _faces(
    table: pa.Table, split: str, pictures: Pictures, seen: set[str], dropped: Dropped
) -> Rows:
    """Rows of a list that can be used; `seen` are those of the lists before, and grows."""
    found = [pictures.find(name) for name in table["subDirectory_filePath"].to_pylist()]
    names = [name for name, _ in found]
    labels = [_label(value) for value in _numbers(table["expression"]).tolist()]
    boxes = _boxes(table)
    good: list[int] = []
    for place, has_box in enumerate(np.isfinite(boxes).all(axis=1).tolist()):
        if fault := _fault(labels[place], has_box):
            dropped.add(fault)
        elif not found[place][1]:
            dropped.add(NO_PICTURE, names[place], lost_from=split)
        elif names[place] in seen:
            dropped.add("listed twice")
        else:
            seen.add(names[place])
            good.append(place)
    chosen = np.array([labels[place] for place in good], np.int64)
    return Rows([names[place] for place in good], chosen, boxes=boxes[good])


def _fault(label: int | str, has_box: bool) -> str | None:
    if isinstance(label, str):
        return label
    return None if has_box else "no face box"


def _boxes(table: pa.Table) -> np.ndarray:
    """Left, top, right and bottom, float32, (N, 4); not finite where there is no box."""
    corner, size = np.split(np.stack([_numbers(table[name]) for name in _BOX], axis=1), 2, axis=1)
    size[size <= 0] = np.nan
    return np.concatenate([corner, corner + size], axis=1, dtype=np.float32)


def _read_list(path: Path, dropped: Dropped) -> pa.Table:
    """Columns `_USED` of a list as text; the landmarks, nine tenths of it, are passed over."""
    rows: dict[str, list[str]] = {name: [] for name in _USED}
    for row in open_table(path, needed=_USED, error=BenchmarkError, names=_COLUMNS):
        if row.problem:
            dropped.add("unreadable line", f"{path.name}: line {row.line}: {row.problem}")
            continue
        for name in _USED:
            rows[name].append(printable(row.cells[name]))
    return pa.table({name: pa.array(values, pa.string()) for name, values in rows.items()})


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers in a column of text, float64, (N,); NaN for what is none. Most of them repeat."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    values = np.array([_number(text) for text in encoded.dictionary.to_pylist()], np.float64)
    return values[encoded.indices.to_numpy()]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _has_set(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "annotations").is_dir()


def _set_rows(folder: Path, start: str, dropped: Dropped, split: str | None = None) -> Rows:
    """Rows of images/N.jpg with the expression in annotations/N_exp.npy; of a published split."""
    pictures = pictures_below(folder, f"{start}images", dropped)
    known: dict[bytes, int | str] = {}
    paths: list[str] = []
    labels: list[int] = []
    for path in tqdm(pictures, unit="file", desc=f"{start}annotations", disable=None):
        name = f"{PurePosixPath(path).stem}_exp.npy"
        label = _stored_label(folder / f"{start}annotations" / name, known)
        if isinstance(label, str):
            dropped.add(label)
        else:
            paths.append(path)
            labels.append(label)
    stems = {PurePosixPath(path).stem for path in pictures}
    for path in sorted((folder / f"{start}annotations").glob("*_exp.npy")):
        if (stem := path.name.removesuffix("_exp.npy")) not in stems:
            dropped.add(NO_PICTURE, f"{start}images/{stem}.jpg", lost_from=split)
    return Rows(paths, np.array(labels, np.int64))


def _stored_label(path: Path, known: dict[bytes, int | str]) -> int | str:
    """Class id in a file of one number, or why the row is not used.

    280 K files have eleven contents: each is parsed once, which is many times faster.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return "no annotation"
    if data not in known:
        known[data] = _parsed_label(data)
    return known[data]


def _parsed_label(data: bytes) -> int | str:
    try:
        # Not np.load, which reads other formats too.
        value = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, MemoryError):  # a header may claim any size
        return "unreadable annotation"
    if value.size != 1:
        return "unreadable annotation"
    # A number, or as in the download its digits.
    return _label(_number(str(value.item())))
