"""EMOTIC: people in context, 26 categories (Kosti et al. 2017), as EMOTIC-B and EMOTIC-I.

The paper (section 5) reports both: the picture cut to the person's body, and the whole picture,
once a person. It uses the release of 2017; what is given out today is that of 2019, and a
`Benchmark` says which one it is. Both variants have the same people, so a person whose body box
cannot be cut is in neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Features, NamedSplit

from emotionnet_hf.data.benchmarks import emotic_csv, emotic_kaggle, emotic_mat
from emotionnet_hf.data.benchmarks.benchmark import (
    Benchmark,
    BenchmarkError,
    LayoutError,
    benchmark_features,
)
from emotionnet_hf.data.benchmarks.dropped import Dropped
from emotionnet_hf.data.benchmarks.emotic_arrays import array_fault, encoded_dataset
from emotionnet_hf.data.benchmarks.emotic_people import (
    CATEGORIES,
    Annotations,
    ArrayPlace,
    Person,
    find_below,
)
from emotionnet_hf.data.benchmarks.listing import check_folder, found_in

NAME_BODY = "EMOTIC-B"
NAME_IMAGE = "EMOTIC-I"

_ORIGIN = "Its authors (Kosti et al.) give it out on request, on the home page of EMOTIC."
_LAYOUTS = (emotic_mat, emotic_csv, emotic_kaggle)
_RELEASES = {(18_316, 23_788): "2017", (23_571, 34_320): "2019"}
"""Pictures and people of each release."""

_NOTES = (
    "Splits are those of the release.",
    "Targets are the counts of the annotators, scaled to sum to 1; labels are what any of them "
    "chose.",
)
_ARRAYS_NOTE = (
    "Of {count:,} people the picture is an array of the layout, not the original file: squeezed "
    "to a square, and for EMOTIC-B already cut to the body, so without a box."
)


def read_body(folder: str | Path, *, seed: int = 0) -> Benchmark:
    """Read EMOTIC-B: the picture cut to the body of the person.

    Args:
        folder: Of the benchmark, in any layout.
        seed: Not used: the splits are those of the release.

    Returns:
        The benchmark; a row a person.

    Raises:
        BenchmarkNotFoundError: There is no such folder.
        LayoutError: The folder has none of the layouts.
        BenchmarkError: A file of annotations cannot be used, or there are no pictures to it.
    """
    return _read(Path(folder), NAME_BODY)


def read_image(folder: str | Path, *, seed: int = 0) -> Benchmark:
    """Read EMOTIC-I: the whole picture, once a person. See `read_body`."""
    return _read(Path(folder), NAME_IMAGE)


def _read(folder: Path, name: str) -> Benchmark:
    folder = check_folder(folder, name, _ORIGIN)
    annotations, root = _annotations(folder, name)
    features = benchmark_features(CATEGORIES)
    seen: Counter[str] = Counter()
    dropped = Dropped()
    splits, arrays = {}, 0
    for split, people in annotations.people.items():
        rows = []
        for person in people:
            seen[person.picture] += 1
            if fault := _fault(person):
                dropped.add(fault)
                continue
            row = _row(person, seen[person.picture], root, body=name == NAME_BODY)
            if isinstance(row, dict):
                rows.append(row)
            else:
                dropped.add(*row, lost_from=split)
        if not rows:
            raise BenchmarkError(f"{folder}: no person of {split} can be used: {dropped.told()}")
        arrays += sum(isinstance(row["image"], ArrayPlace) for row in rows)
        splits[split] = _dataset(rows, features, split)
    notes = (*_NOTES, *annotations.notes)
    return Benchmark(
        name=name,
        task="multi-label",
        splits=DatasetDict(splits),
        release=_release(annotations.images, seen.total(), sum(map(len, dropped.absent.values()))),
        layout=annotations.layout,
        dropped=dict(dropped.counts),
        notes=(*notes, _ARRAYS_NOTE.format(count=arrays)) if arrays else notes,
        absent=dict(dropped.absent),
    )


def _annotations(folder: Path, name: str) -> tuple[Annotations, Path | None]:
    """The annotations of the first layout that has pictures, and where their files lie."""
    without_pictures = []
    for layout in _LAYOUTS:
        if (file := layout.find(folder)) is None:
            continue
        annotations = layout.read(folder, file)
        root = _image_root(folder, annotations)
        if root is not None or any(p.whole or p.body for p in _everyone(annotations)):
            return annotations, root
        example = next((person.picture for person in _everyone(annotations)), "of nobody")
        without_pictures.append(f"{file} is there, but not the picture {example}")
    if without_pictures:
        raise BenchmarkError(
            f"{'; '.join(without_pictures)}: put the folders of pictures into {folder}, for "
            "example in a folder emotic"
        )
    raise LayoutError(name, folder, [layout.LAYOUT for layout in _LAYOUTS], found_in(folder))


def _everyone(annotations: Annotations) -> Iterator[Person]:
    return (person for people in annotations.people.values() for person in people)


def _image_root(folder: Path, annotations: Annotations) -> Path | None:
    """The folder that holds ``mscoco`` and the others, wherever the archive was unpacked."""
    pictures = [PurePosixPath(person.picture) for person in _everyone(annotations)]
    tops = {picture.parts[0] for picture in pictures if len(picture.parts) > 1}
    roots = {found.parent for top in tops for found in find_below(folder, top)}
    whole = (root for root in sorted(roots) if any((root / p).is_file() for p in pictures))
    return next(whole, None)


def _row(
    person: Person, number: int, root: Path | None, *, body: bool
) -> dict[str, Any] | tuple[str, str]:
    """The row of a person, or what is wrong with the picture and which one it is."""
    path = root and root / person.picture
    array = person.body if body else person.whole
    image: Any
    if path and path.is_file():
        image, box = {"bytes": None, "path": str(path)}, person.box if body else None
    elif array is None:
        return "the picture is not there", str(path or person.picture)
    elif fault := array_fault(array):
        return fault, str(array.file)
    else:
        image, box = array, None
    counts = np.array(person.counts)
    return {
        "image": image,
        "image_id": f"{person.picture}#{number}",
        "group": person.picture,
        "box": box and list(box),
        "label": -1,
        "labels": np.flatnonzero(counts).tolist(),
        "target": (counts / counts.sum()).tolist(),
    }


def _fault(person: Person) -> str | None:
    """What is wrong with the annotation of a person."""
    if len(person.box) != 4 or not np.isfinite(person.box).all():
        return "the body box is not four numbers"
    # Rounded like the crop itself.
    left, top, right, bottom = map(round, person.box)
    if left >= right or top >= bottom:
        return "the body box has no size"
    width, height = person.size or (float("inf"), float("inf"))
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return "the body box lies outside of the picture"
    return None if any(person.counts) else "no category"


def _dataset(rows: list[dict[str, Any]], features: Features, split: str) -> Dataset:
    if any(isinstance(row["image"], ArrayPlace) for row in rows):
        return encoded_dataset(rows, features, split)
    return Dataset.from_list(rows, features=features, split=NamedSplit(split))


def _release(images: int, people: int, absent: int) -> str:
    """The release by what it annotates, and of how many people the picture is missing here."""
    counts = f"{images:,} images, {people:,} people"
    if absent:
        counts += f"; the pictures of {absent:,} people are missing here"
    return f"{_RELEASES.get((images, people), 'unknown')} ({counts})"
