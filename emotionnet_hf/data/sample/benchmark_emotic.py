"""Drawn people in the layout of EMOTIC: pictures and `Annotations.mat`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from emotionnet_hf.data.sample.benchmark_latents import (
    EMOTIC_SOURCES,
    Drawing,
    affect,
    category_distribution,
    draw_latents,
    spread,
)
from emotionnet_hf.data.sample.benchmark_pictures import (
    STREAM_ANNOTATORS,
    STREAM_COMPANY,
    Box,
    Order,
    Written,
    draw_group,
)
from emotionnet_hf.data.sample.latent import EMOTIONS, Latent, stream
from emotionnet_hf.emotions import EMOTIC

CATEGORIES = tuple(EMOTIC)
"""EMOTIC's 26 categories."""

TWO_PEOPLE = 0.3
"""Share of pictures with a second person, who feels as the first with probability 0.5."""

CARELESS = 0.05
"""Chance that a category an annotator names is any of the 26."""

_FOLDER = "drawn/images"
# The first 116 bytes of a MAT-file are a text, in which scipy writes the date: ours has none.
_HEADER = b"MATLAB 5.0 MAT-file, drawn by emotionnet_hf, not EMOTIC".ljust(116)


@dataclass(frozen=True)
class _Annotation:
    """What one annotator says of one person.

    Attributes:
        categories: One to three of the 26.
        affect: Valence, arousal, dominance, from 1 to 10.
    """

    categories: list[str]
    affect: NDArray[np.int64]


def write_emotic(order: Order) -> Written:
    """Writes `drawn/images/000123.jpg` and `Annotations/Annotations.mat` (train, val, test).

    70 % train, 10 % validation, 20 % test, as in the release of 2019. One or two people a
    picture; one to three annotators a person of the training part, five of the validation part
    and three of the test part, whose answers are also combined.
    """
    labels = spread(dict.fromkeys(EMOTIONS, 1.0), order.num_images)
    drawings = draw_latents(order.seed, labels, EMOTIC_SOURCES, "face")
    train, seen = round(0.7 * len(drawings)), round(0.8 * len(drawings))
    parts: dict[str, list[tuple[Any, ...]]] = {"train": [], "val": [], "test": []}
    for drawing in order.progress(drawings):
        people = _people(order.seed, drawing.latent)
        image, boxes = draw_group(order.seed, people, order.image_size)
        order.save(image, drawing, f"{_FOLDER}/{drawing.index:06d}.jpg")
        split = "train" if drawing.index < train else "val" if drawing.index < seen else "test"
        persons = _persons(order.seed, drawing, people, boxes, split)
        parts[split].append(_image_fields(drawing, image.width, persons))
    names = ("filename", "folder", "image_size", "original_database", "person")
    path = order.folder / "Annotations" / "Annotations.mat"
    _write_mat(path, {split: _structs(names, rows) for split, rows in parts.items()})
    return [(f"{_FOLDER}/{drawing.index:06d}.jpg", drawing) for drawing in drawings]


def _people(seed: int, first: Latent) -> list[Latent]:
    """Draws who else is there; a near copy shows the same people."""
    rng = stream(seed, first.root, STREAM_COMPANY)
    if rng.random() >= TWO_PEOPLE:
        return [first]
    emotion = first.emotion if rng.random() < 0.5 else EMOTIONS[rng.integers(len(EMOTIONS))]
    return [first, replace(first, emotion=emotion, intensity=float(rng.random()))]


def _persons(
    seed: int, drawing: Drawing, people: Sequence[Latent], boxes: Sequence[Box], split: str
) -> NDArray[np.void]:
    """The people of a picture as structs, in the order of fields of the release."""
    rng = stream(seed, drawing.index, STREAM_ANNOTATORS)
    combined = ("combined_categories", "combined_continuous") if split != "train" else ()
    names = ("body_bbox", "annotations_categories", "annotations_continuous", *combined)
    rows = []
    for person, box in zip(people, boxes, strict=True):
        count = {"train": int(rng.integers(1, 4)), "val": 5, "test": 3}[split]
        given = [_annotate(person, rng) for _ in range(count)]
        cells = [_cell(annotation.categories) for annotation in given]
        fields = (
            np.array([box], dtype=np.float64),
            _structs(("categories",), [(cell,) for cell in cells]),
            _continuous([annotation.affect for annotation in given]),
        )
        every = {name for annotation in given for name in annotation.categories}
        mean = np.mean([annotation.affect for annotation in given], axis=0)
        union = (_cell([c for c in CATEGORIES if c in every]), _continuous([mean]))
        # Drawn people have neither; the columns are filled so that they can be read.
        gender = ("Male", "Female")[rng.integers(2)]
        age = ("Kid", "Teenager", "Adult")[rng.integers(3)]
        rows.append((*fields, *(union if combined else ()), gender, age))
    return _structs((*names, "gender", "age"), rows)


def _annotate(person: Latent, rng: np.random.Generator) -> _Annotation:
    p = (1 - CARELESS) * category_distribution(person, CATEGORIES) + CARELESS / len(CATEGORIES)
    chosen = rng.choice(len(CATEGORIES), size=int(rng.integers(1, 4)), replace=False, p=p)
    scale = 5.5 + 4.5 * np.array(affect(person)) + rng.normal(0, 0.8, 3)
    categories = [CATEGORIES[index] for index in sorted(chosen)]
    return _Annotation(categories, np.clip(scale.round(), 1, 10).astype(np.int64))


def _image_fields(drawing: Drawing, side: int, persons: NDArray[np.void]) -> tuple[Any, ...]:
    size = _structs(("n_row", "n_col"), [(side, side)])
    info = f"drawn by emotionnet_hf; near copy: {drawing.latent.root != drawing.index}"
    database = _structs(("name", "info"), [("drawn", info)])
    return f"{drawing.index:06d}.jpg", _FOLDER, size, database, persons


def _continuous(ratings: Sequence[NDArray[Any]]) -> NDArray[np.void]:
    names = ("valence", "arousal", "dominance")
    return _structs(names, [tuple(map(float, rating)) for rating in ratings])


def _structs(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> NDArray[np.void]:
    """A 1 x n array of MATLAB structs."""
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for place, row in enumerate(rows):
        array[0, place] = row
    return array


def _cell(texts: Sequence[str]) -> NDArray[np.object_]:
    """A 1 x n cell array of texts."""
    array = np.empty((1, len(texts)), dtype=object)
    array[0, :] = texts
    return array


def _write_mat(path: Path, tables: dict[str, NDArray[np.void]]) -> None:
    buffer = io.BytesIO()
    savemat(buffer, tables)
    path.parent.mkdir(parents=True)
    path.write_bytes(_HEADER + buffer.getvalue()[len(_HEADER) :])
