"""The rows of a benchmark as arrays, and its pictures, each of them once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image

from emotionnet_hf.data.benchmarks.benchmark import SPLITS, Benchmark, open_picture
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeError


@dataclass(frozen=True)
class Part:
    """Some rows of a benchmark, for N rows and K classes.

    Attributes:
        place: Number of the row's picture in the `Pool`, int64, (N,).
        target: What the softmax is trained towards, float32, (N, K).
        label: The single class, -1 where there is none, int64, (N,).
        labels: True where a class is right, (N, K).
        groups: Rows with one name show the same picture, (N,).
    """

    place: np.ndarray
    target: np.ndarray
    label: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.place)

    def take(self, rows: np.ndarray) -> Part:
        """Return some rows, by number or by mask."""
        return Part(*(array[rows] for array in self._arrays()))

    def plus(self, other: Part) -> Part:
        """Return these rows and then those of another part."""
        pairs = zip(self._arrays(), other._arrays(), strict=True)
        return Part(*(np.concatenate(pair) for pair in pairs))

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return self.place, self.target, self.label, self.labels, self.groups


Parts = dict[str, Part]
"""``train``, ``validation`` and ``test`` of one run."""


@dataclass
class Pool:
    """The pictures of some benchmarks, each of them once, whatever rows and splits show it.

    Attributes:
        keys: What each picture is, see `picture_key`.
    """

    keys: list[str] = field(default_factory=list)
    _sources: list[tuple[Dataset, int]] = field(default_factory=list)
    _place: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.keys)

    def add(self, benchmark: Benchmark) -> Parts:
        """Take up a benchmark.

        Args:
            benchmark: With the same classes as those before.

        Returns:
            Its rows.

        Raises:
            LinearProbeError: There is no row to train on or none to test on.
        """
        classes = len(benchmark.classes)
        parts = {name: self.part(benchmark.splits[name], classes) for name in SPLITS}
        for name in ("train", "test"):
            if not len(parts[name]):
                raise LinearProbeError(f"{benchmark.name} has no rows for {name}.")
        return parts

    def part(self, split: Dataset, classes: int) -> Part:
        """Take up one split.

        Args:
            split: With `benchmark_features`.
            classes: Their number.

        Returns:
            Its rows.
        """
        # Bytes of pictures may be large: they are looked at one row at a time.
        pictures = split.select_columns(["image", "box"])
        columns = split.select_columns(["target", "label", "labels", "group"])[:]
        labels = np.zeros((len(split), classes), dtype=bool)
        for row, right in enumerate(columns["labels"]):
            labels[row, right] = True
        return Part(
            place=np.asarray([self._add(split, i) for i in _numbered(pictures)], dtype=np.int64),
            target=np.asarray(columns["target"], dtype=np.float32).reshape(-1, classes),
            label=np.asarray(columns["label"], dtype=np.int64),
            labels=labels,
            groups=np.asarray(columns["group"], dtype=object),
        )

    def _add(self, split: Dataset, numbered: tuple[int, Mapping[str, Any]]) -> int:
        number, row = numbered
        key = picture_key(row)
        if key not in self._place:
            self._place[key] = len(self.keys)
            self.keys.append(key)
            self._sources.append((split, number))
        return self._place[key]

    def open(self, place: int) -> Image.Image:
        """Open a picture, cropped to its box.

        Args:
            place: Its number.

        Returns:
            A loaded RGB image.

        Raises:
            ImageError: It cannot be opened; the message names a row that shows it.
        """
        split, number = self._sources[place]
        return open_picture(split[number])


def _numbered(split: Dataset) -> Iterable[tuple[int, Mapping[str, Any]]]:
    return enumerate(split)


def picture_key(row: Mapping[str, Any]) -> str:
    """Tell a picture from all others, without opening it.

    Args:
        row: With ``image`` and ``box``.

    Returns:
        A digest of the file's path, size and time of change (of the bytes where there is no
        file), and of the box.
    """
    image = row["image"]
    if image["bytes"]:
        what: Sequence[Any] = [hashlib.blake2b(image["bytes"], digest_size=16).hexdigest()]
    else:
        what = [os.path.abspath(image["path"]), *_stamp(image["path"])]
    text = json.dumps([*what, row["box"]])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _stamp(path: str) -> list[int]:
    """Size and time of change; nothing for a file that is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
