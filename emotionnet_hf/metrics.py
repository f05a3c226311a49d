"""Metrics of keyword prediction, on numpy arrays."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score


def hit_at_k(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Share of the rows of which one of the k best-scored classes is right.

    ``k = 1`` is the paper's "top-1 prediction accuracy" on several keywords an image (section
    5.1). Of equal scores the class with the lower id counts as better.

    Args:
        scores: Float, (N, K).
        labels: 1 where a class is right, (N, K); rows without a right class are left out.
        k: How many of the best-scored classes count.

    Returns:
        A share in [0, 1]; NaN when no row has a right class.

    Raises:
        ValueError: Shapes differ, or k is not in 1..K.
    """
    scores, labels = _checked(scores, labels)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k is {k}; it must be between 1 and the {scores.shape[1]} classes.")
    rows = labels.any(axis=1)
    if not rows.any():
        return float("nan")
    best = np.argsort(-scores[rows], axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(labels[rows], best, axis=1).any(axis=1).mean())


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes of average precision (the area under the precision-recall steps).

    Args:
        scores: Float, (N, K).
        labels: 1 where a class is right, (N, K); classes that are never right are left out.

    Returns:
        A number in [0, 1]; NaN when no class is ever right.

    Raises:
        ValueError: Shapes differ.
    """
    scores, labels = _checked(scores, labels)
    classes = np.flatnonzero(labels.any(axis=0))
    if not len(classes):
        return float("nan")
    return float(np.mean([average_precision_score(labels[:, c], scores[:, c]) for c in classes]))


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays of one shape (N, K), labels as bool."""
    # Float, because the negative of an unsigned score would wrap around.
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} must both be (N, K).")
    if np.isnan(scores).any():
        raise ValueError("scores contain NaN: the model diverged or its input was broken.")
    return scores, labels
