"""How far the workers of SE30K8 agree (Wei et al. 2020, section 3.3).

Each image was shown to about five workers, each of whom chose any number of the eight classes. A
class is thus a yes-or-no question to every worker, and alpha is computed for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import krippendorff
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAJORITY = 3
"""Workers who have to agree, of the five that the paper asked."""

# A worker's choice is kept as the bits of an int64.
_MOST_CLASSES = 62


class AnnotationError(ValueError):
    """Annotations that do not fit the classes."""


@dataclass(frozen=True)
class WorkerVotes:
    """What the workers of N images chose among C classes.

    Attributes:
        votes: Workers who chose a class, int64, (N, C).
        workers: Workers who saw the image, int64, (N,).
        same: The most workers whose choices are the same to the last class, int64, (N,).
    """

    votes: np.ndarray
    workers: np.ndarray
    same: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[WorkerVotes]) -> WorkerVotes:
        """Join the images of several batches.

        Args:
            parts: At least one.

        Returns:
            All images, in order.
        """
        names = cls.__dataclass_fields__
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        )


def count_votes(annotations: pa.Array, num_classes: int) -> WorkerVotes:
    """Count the votes in a column `annotations`.

    A worker without any class is a worker who chose none; one who names a class twice chose it
    once.

    Args:
        annotations: A list of workers for each of N images, each a list of class ids.
        num_classes: Number of classes, C.

    Returns:
        The counts.

    Raises:
        AnnotationError: A class id is outside of 0 .. C-1.

    >>> counted = count_votes(pa.array([[[0], [0, 1], [0]], []]), 2)
    >>> counted.votes.tolist(), counted.workers.tolist(), counted.same.tolist()
    ([[3, 1], [0, 0]], [3, 0], [2, 0])
    """
    if num_classes > _MOST_CLASSES:
        raise AnnotationError(f"{num_classes} classes are more than {_MOST_CLASSES}")
    images = len(annotations)
    workers = _lengths(annotations)
    image = np.repeat(np.arange(images), workers)
    choices = pc.list_flatten(annotations)
    chooser = np.repeat(np.arange(len(choices)), _lengths(choices))
    chosen = pc.list_flatten(choices).to_numpy(zero_copy_only=False)
    if len(chosen) and not (chosen.min() >= 0 and chosen.max() < num_classes):
        raise AnnotationError(
            f"class ids from {chosen.min()} to {chosen.max()} among annotations of {num_classes} "
            "classes"
        )
    masks = np.zeros(len(choices), np.int64)
    np.bitwise_or.at(masks, chooser, np.int64(1) << chosen.astype(np.int64))
    bits = (masks[:, None] >> np.arange(num_classes)) & 1
    votes = np.zeros((images, num_classes), np.int64)
    np.add.at(votes, image, bits)
    return WorkerVotes(votes, workers, _most_alike(image, masks, images))


def _lengths(lists: pa.Array) -> np.ndarray:
    """Length of each list, 0 for one that is missing; int64, (N,)."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)


def _most_alike(image: np.ndarray, masks: np.ndarray, images: int) -> np.ndarray:
    """Size of each image's largest group of workers with one and the same mask."""
    groups, sizes = np.unique(np.stack([image, masks], axis=1), axis=0, return_counts=True)
    most = np.zeros(images, np.int64)
    np.maximum.at(most, groups[:, 0], sizes)
    return most


def krippendorff_alpha(votes: np.ndarray, workers: np.ndarray) -> float | None:
    """Krippendorff's alpha of yes-or-no answers (nominal).

    Images with different numbers of workers count as the coefficient has it: those with fewer
    than two say nothing.

    Args:
        votes: Workers who said yes, integers, (N,).
        workers: Workers who answered, integers, (N,).

    Returns:
        Alpha: 1 for full agreement, 0 for what chance gives, less for disagreement by design.
        None where it is not defined: all answers are the same, or no image has two workers.

    >>> krippendorff_alpha(np.array([2, 0, 2]), np.array([2, 2, 2]))
    1.0
    """
    pairable = workers >= 2
    counts = np.stack([votes, workers - votes], axis=1)[pairable]
    if not counts.size or not counts.sum(axis=0).all():
        return None
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def pooled_alpha(counted: WorkerVotes) -> float | None:
    """Krippendorff's alpha over all classes: each image and class is one yes-or-no question.

    Classes differ in frequency, and agreeing on which are rare counts as agreement here; so this
    is usually above the mean of the classes' own alphas.

    Args:
        counted: The votes.

    Returns:
        Alpha, or None; see `krippendorff_alpha`.
    """
    workers = np.broadcast_to(counted.workers[:, None], counted.votes.shape)
    return krippendorff_alpha(counted.votes.ravel(), workers.ravel())
