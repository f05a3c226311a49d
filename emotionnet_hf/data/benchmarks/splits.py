"""Splits that we draw, where a benchmark came without."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from emotionnet_hf.data.benchmarks.rows import Rows

TEST_SHARE = 0.2
"""Share of the test split: the paper trains on 80 % and tests on 20 % (section 5.2)."""

VALIDATION_SHARE = 0.1
"""Share of the training rows that become validation; the paper does not say whether it had any."""

HOW = "drawn by a hash of seed {seed} and the picture's path, the same share of each class"
"""How `draw` draws, for the notes of a benchmark."""


def draw(rows: Rows, share: float, *, most: int | None = None, seed: int = 0) -> tuple[Rows, Rows]:
    """Draw a share of each class.

    Groups are walked in the order of a hash of seed and path, and each is taken that brings the
    numbers of rows of its classes nearer to what is wanted. So the order of the rows says nothing,
    each class has its share to the row (but for groups of several rows), and a picture that comes
    or goes moves hardly any other; `emotionnet_hf.data.splits.assign_split`, which moves none, has
    the shares in expectation only, too coarse for a class of 75 pictures.

    Args:
        rows: With one class each; rows with one path are a group, which is never divided.
        share: Between 0 and 1; of each class.
        most: Draw at most so many of a class.
        seed: Another seed draws other rows.

    Returns:
        The rows drawn and the rest, each in the order of `rows`.
    """
    counts = np.bincount(rows.labels)
    wanted = np.minimum(counts * share, np.inf if most is None else most).tolist()
    groups: dict[str, list[int]] = defaultdict(list)
    for place, path in enumerate(rows.paths):
        groups[path].append(place)
    labels = rows.labels.tolist()
    drawn = np.zeros(len(rows), bool)
    for path in sorted(groups, key=lambda path: _rank(path, seed)):
        of_group = [labels[place] for place in groups[path]]
        if _nearer(wanted, of_group):
            drawn[groups[path]] = True
            for label in of_group:
                wanted[label] -= 1
    return rows.take(np.flatnonzero(drawn)), rows.take(np.flatnonzero(~drawn))


def _nearer(wanted: Sequence[float], of_group: Sequence[int]) -> bool:
    """Tell whether less is missing, or too much, with the group than without it."""
    classes = set(of_group)
    without = sum(abs(wanted[label]) for label in classes)
    return sum(abs(wanted[label] - of_group.count(label)) for label in classes) < without


def _rank(path: str, seed: int) -> tuple[bytes, str]:
    return hashlib.blake2b(f"{seed}\0{path}".encode(), digest_size=8).digest(), path
