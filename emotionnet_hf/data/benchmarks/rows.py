"""Rows of a benchmark with one class a picture, held in columns: AffectNet has 280 K of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, DatasetInfo, Features

from emotionnet_hf.data.benchmarks.benchmark import (
    SPLITS,
    Benchmark,
    BenchmarkError,
    benchmark_features,
)
from emotionnet_hf.data.benchmarks.dropped import OUTSIDE, Dropped
from emotionnet_hf.data.benchmarks.listing import pictures_below, subfolders


@dataclass(frozen=True)
class Rows:
    """N rows.

    Attributes:
        paths: The pictures, seen from the benchmark's folder; rows with one path are one group.
        labels: Class ids, int64, (N,).
        ids: Ids of the rows; the paths where None.
        boxes: Left, top, right, bottom in pixels, float32, (N, 4); None for whole pictures.
        targets: Float32, (N, K); 1 at the label where None.
    """

    paths: Sequence[str]
    labels: np.ndarray
    ids: Sequence[str] | None = None
    boxes: np.ndarray | None = None
    targets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, places: np.ndarray) -> Rows:
        """Return the rows at some places, int64, in the order of the places."""
        chosen = places.tolist()
        return Rows(
            [self.paths[place] for place in chosen],
            self.labels[places],
            None if self.ids is None else [self.ids[place] for place in chosen],
            None if self.boxes is None else self.boxes[places],
            None if self.targets is None else self.targets[places],
        )

    def dataset(self, folder: Path, classes: Sequence[str]) -> Dataset:
        """Make a data set of them, sorted by id.

        Args:
            folder: Of the benchmark.
            classes: Names of its classes.

        Returns:
            A data set with `benchmark_features`.
        """
        ids = self.paths if self.ids is None else self.ids
        rows = self.take(np.asarray(sorted(range(len(self)), key=ids.__getitem__), np.int64))
        paths = pa.array([f"{folder}/{path}" for path in rows.paths], pa.string())
        image = [pa.nulls(len(rows), pa.binary()), paths]
        targets = np.eye(len(classes))[rows.labels] if rows.targets is None else rows.targets
        columns = {
            "image": pa.StructArray.from_arrays(image, ["bytes", "path"]),
            "image_id": pa.array(rows.paths if rows.ids is None else rows.ids, pa.string()),
            "group": pa.array(rows.paths, pa.string()),
            **label_columns(rows.labels, rows.boxes),
            "target": pa.FixedSizeListArray.from_arrays(
                pa.array(targets.ravel(), pa.float32()), len(classes)
            ),
        }
        return arrow_dataset(columns, benchmark_features(classes))


def label_columns(labels: np.ndarray, boxes: np.ndarray | None = None) -> dict[str, pa.Array]:
    """Make the columns of N rows with one class each.

    Args:
        labels: Class ids, int64, (N,).
        boxes: Float32, (N, 4); None for whole pictures.

    Returns:
        ``box``, ``label`` and ``labels``.
    """
    single = pa.array(labels, pa.int64())
    steps = np.arange(len(labels) + 1, dtype=np.int32)
    box = (
        pa.nulls(len(labels), pa.list_(pa.float32()))
        if boxes is None
        else pa.ListArray.from_arrays(steps * 4, pa.array(boxes.ravel(), pa.float32()))
    )
    return {"box": box, "label": single, "labels": pa.ListArray.from_arrays(steps, single)}


def arrow_dataset(columns: Mapping[str, pa.Array], features: Features) -> Dataset:
    """Make a data set of columns as they are, without a Python value for each cell.

    Args:
        columns: Arrow arrays of the types of `features`.
        features: Which of them, in order.

    Returns:
        The data set.
    """
    table = pa.table({name: columns[name] for name in features}).cast(features.arrow_schema)
    return Dataset(table, info=DatasetInfo(features=features))


def class_rows(folder: Path, classes: Sequence[str], start: str = "") -> Rows:
    """Read folders that are named as the classes, whatever folders are inside of them.

    Args:
        folder: Of the benchmark.
        classes: Their names; those of the folders may be in capitals.
        start: Where the folders of the classes are, seen from `folder`.

    Returns:
        A row for each picture.

    Raises:
        BenchmarkError: There are pictures in a folder of another name.
    """
    paths: list[str] = []
    labels: list[int] = []
    for name in subfolders(folder / start):
        pictures = pictures_below(folder, f"{start}/{name}" if start else name)
        if name.lower() in classes:
            paths.extend(pictures)
            labels.extend([classes.index(name.lower())] * len(pictures))
        elif pictures:
            raise BenchmarkError(
                f"{folder / start / name} has pictures ({len(pictures):,}), and {name} is none of "
                f"the classes {', '.join(classes)}; rename the folder or move it away"
            )
    return Rows(paths, np.array(labels, np.int64))


def drop_outside(folder: Path, parts: Iterable[Rows], dropped: Dropped) -> None:
    """Count the pictures that no class folder holds: nobody sees otherwise that they are not used.

    Args:
        folder: Of the benchmark.
        parts: The rows of its class folders.
        dropped: Is added to.
    """
    used = {path for rows in parts for path in rows.paths}
    for path in pictures_below(folder, dropped=dropped):
        if path not in used:
            dropped.add(OUTSIDE, path)


def has_class_folders(place: Path, classes: Sequence[str]) -> bool:
    """Tell whether a folder holds a folder with the name of a class."""
    return place.is_dir() and any(name.lower() in classes for name in subfolders(place))


def single_label_benchmark(
    name: str,
    folder: Path,
    classes: Sequence[str],
    parts: Mapping[str, Rows],
    *,
    release: str,
    layout: str,
    dropped: Dropped,
    notes: Sequence[str],
    validation_drawn: bool = False,
) -> Benchmark:
    """Make a benchmark of rows.

    Args:
        name: See `Benchmark`.
        folder: Where the pictures are.
        classes: Names of the classes.
        parts: The rows of each split.
        release: See `Benchmark`; the number of rows is added.
        layout: See `Benchmark`.
        dropped: Rows that are not used.
        notes: See `Benchmark`.
        validation_drawn: See `Benchmark`.

    Returns:
        The benchmark.

    Raises:
        BenchmarkError: See `check_parts`.
    """
    check_parts(folder, classes, {split: parts[split].labels for split in SPLITS}, dropped)
    return Benchmark(
        name=name,
        task="single-label",
        splits=DatasetDict({split: parts[split].dataset(folder, classes) for split in SPLITS}),
        release=f"{release}; {sum(map(len, parts.values())):,} pictures here",
        layout=layout,
        dropped=dict(sorted(dropped.counts.items())),
        notes=tuple(notes),
        absent=dict(dropped.absent),
        validation_drawn=validation_drawn,
    )


def check_parts(
    folder: Path,
    classes: Sequence[str],
    labels: Mapping[str, np.ndarray],
    dropped: Dropped,
) -> None:
    """Refuse a benchmark that nothing can be trained or measured on.

    Args:
        folder: Of the benchmark.
        classes: Names of its classes.
        labels: Class ids of each split, int64, (N,).
        dropped: Rows that are not used.

    Raises:
        BenchmarkError: A split has no row, or training has none of a class: a download that was
            cut off leaves that, and a number measured on it would be compared with others.
    """
    counts = np.bincount(labels["train"], minlength=len(classes))
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    problem = f"no picture of {', '.join(missing)} to train on" if missing else ""
    if empty := [split for split in SPLITS if not len(labels[split])]:
        sizes = ", ".join(f"{split} {len(labels[split]):,}" for split in SPLITS)
        problem = f"no picture for {' and '.join(empty)} ({sizes})"
    if problem:
        why = f" Left out: {dropped.told()}." if dropped.counts else ""
        raise BenchmarkError(f"{folder} gives {problem}; look whether all pictures are there.{why}")
