"""What a benchmark is, whichever layout it was read from: one schema, three splits, its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
from PIL import Image as Pillow

from emotionnet_hf.loading.images import ImageError, open_stored

Task = Literal["single-label", "multi-label"]

SPLITS = ("train", "validation", "test")
"""The splits of every benchmark, in this order. Models are selected on validation."""


class BenchmarkError(ValueError):
    """A benchmark that cannot be used; the message names the file or row and the remedy."""


class LayoutError(BenchmarkError):
    """A folder in none of the layouts that a benchmark is met in.

    Args:
        name: Of the benchmark.
        folder: Where it was looked for.
        expected: The known layouts, one line each.
        found: What lies there instead.
    """

    def __init__(
        self, name: str, folder: Path, expected: Sequence[str], found: Iterable[str]
    ) -> None:
        layouts = "; or ".join(expected)
        inside = ", ".join(found) or "nothing"
        super().__init__(
            f"{folder} has no known layout of {name}. Expected: {layouts}. Found: {inside}."
        )


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, read.

    Attributes:
        name: The paper's, such as ``DeepEmotion`` or ``EMOTIC-B``.
        task: ``single-label`` (one class a picture, accuracy) or ``multi-label`` (several, mAP).
        splits: ``train``, ``validation`` and ``test``, each with `benchmark_features`.
        release: Which release of the benchmark this is, as far as the files tell.
        layout: The layout that it was read from, as in the error of one that is not known.
        dropped: Rows that are not used, by reason.
        notes: How splits and targets were made, a sentence each.
        absent: By split that the benchmark publishes, the pictures that its rows name and that
            are not on disk, one a row. Its test set without them is another test set.
        validation_drawn: Whether we drew validation from the paper's training part.
    """

    name: str
    task: Task
    splits: DatasetDict
    release: str
    layout: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    absent: Mapping[str, Sequence[str]] = field(default_factory=dict)
    validation_drawn: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; their places are the ids of ``label`` and ``labels``."""
        return tuple(self.splits["train"].features["label"].names)

    @property
    def metric(self) -> str:
        """What the paper reports: ``accuracy`` or ``mean_average_precision`` (over classes)."""
        return "accuracy" if self.task == "single-label" else "mean_average_precision"

    def absent_share(self, split: str) -> float:
        """Share of the rows of a published split whose picture is not on disk."""
        absent = len(self.absent.get(split, ()))
        here = len(self.splits[split])
        if split == "train" and self.validation_drawn:
            here += len(self.splits["validation"])
        return absent / max(absent + here, 1)

    def with_splits(self, splits: Mapping[str, Dataset], **changes: Any) -> Benchmark:
        """Return the benchmark with other rows, and other fields where asked."""
        return replace(self, splits=DatasetDict(splits), **changes)


def benchmark_features(classes: Sequence[str]) -> Features:
    """Columns of every benchmark.

    ``image`` (a path or bytes; `open_picture` opens it); ``image_id`` (string, unique: the path
    inside the benchmark's folder, and ``#n`` behind it for person n); ``group`` (string: rows of
    one group show the same picture, and never lie in two splits that we draw); ``box`` (left, top,
    right, bottom in pixels, what is to be cropped; null for the whole picture); ``label``
    (ClassLabel, -1 where a row has no single class); ``labels`` (list of ClassLabel: all that are
    right); ``target`` (K float32 that sum to 1: what a softmax is trained towards; votes or
    annotator counts scaled to 1 where there are several, else 1 at the label).

    Args:
        classes: Their names, in the order of the benchmark.

    Returns:
        The features.
    """
    label = ClassLabel(names=list(classes))
    return Features(
        {
            "image": Image(decode=False),
            "image_id": Value("string"),
            "group": Value("string"),
            "box": List(Value("float32")),
            "label": label,
            "labels": List(label),
            "target": List(Value("float32"), length=len(classes)),
        }
    )


def open_picture(row: Mapping[str, Any]) -> Pillow.Image:
    """Open the picture of a row, cropped to its box.

    Args:
        row: With ``image``, ``image_id`` and ``box``.

    Returns:
        A loaded RGB image. A box is cut at the picture's edges.

    Raises:
        ImageError: The picture cannot be opened, or the box lies outside of it; the message names
            the row.
    """
    try:
        picture = open_stored(row["image"])
        return picture if row["box"] is None else crop(picture, row["box"])
    except ImageError as error:
        raise ImageError(f"{row['image_id']}: {error}") from error


def crop(picture: Pillow.Image, box: Sequence[float]) -> Pillow.Image:
    """Cut a picture to a box.

    Args:
        picture: Any.
        box: Left, top, right, bottom in pixels; rounded, and cut at the picture's edges.

    Returns:
        The part inside.

    Raises:
        ImageError: Nothing is inside.
    """
    left, top, right, bottom = (round(value) for value in box)
    left, top = max(left, 0), max(top, 0)
    right, bottom = min(right, picture.width), min(bottom, picture.height)
    if left >= right or top >= bottom:
        raise ImageError(
            f"the box {[round(v) for v in box]} lies outside of the picture, which is "
            f"{picture.width} x {picture.height}"
        )
    return picture.crop((left, top, right, bottom))
