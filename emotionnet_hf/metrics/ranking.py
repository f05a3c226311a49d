"""Metrics of a ranking of classes that may have several right ones, on numpy arrays."""

from __future__ import annotations

import numpy as np


def hit_at_k(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Share of the rows of which one of the k best-scored classes is right.

    ``k = 1`` is the paper's "top-1 prediction accuracy" on several keywords an image (section
    5.1), and accuracy where every row has one right class. Of equal scores the class with the
    lower id counts as better. One right class among the k is enough, however many there are;
    `recall_at_k` asks how many of them are found.

    Args:
        scores: Finite float, (N, K).
        labels: 1 where a class is right, else 0, (N, K); rows without a right class are left out.
        k: How many of the best-scored classes count.

    Returns:
        A share in [0, 1]; NaN when no row has a right class.

    Raises:
        ValueError: Shapes differ, scores are not finite, labels are not 0 and 1, or k is not in
            1..K.
    """
    found, _ = _right_among_best(scores, labels, k)
    return float((found > 0).mean()) if len(found) else float("nan")


def recall_at_k(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Mean over the rows of the share of their right classes that is among the k best-scored.

    The recall of retrieval: a row with m right classes cannot reach 1 below ``k = m``. It equals
    `hit_at_k` where every row has one right class, and is never above it.

    Args:
        scores: Finite float, (N, K).
        labels: 1 where a class is right, else 0, (N, K); rows without a right class are left out.
        k: How many of the best-scored classes count; of equal scores the lower id is better.

    Returns:
        A number in [0, 1]; NaN when no row has a right class.

    Raises:
        ValueError: As `hit_at_k`.
    """
    found, right = _right_among_best(scores, labels, k)
    return float((found / right).mean()) if len(found) else float("nan")


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes of average precision (the area under the precision-recall steps).

    Rows with equal scores enter together; `ClassRanking` has the classes one by one.

    Args:
        scores: Finite float, (N, K).
        labels: 1 where a class is right, else 0, (N, K); classes that are never right are left
            out.

    Returns:
        A number in [0, 1]; NaN when no class is ever right.

    Raises:
        ValueError: Shapes differ, scores are not finite, or labels are not 0 and 1.
    """
    scores, labels = _checked(scores, labels)
    precisions = [
        ClassRanking(scores[:, c], labels[:, c]).average_precision()
        for c in np.flatnonzero(labels.any(axis=0))
    ]
    return float(np.mean(precisions)) if precisions else float("nan")


class ClassRanking:
    """The rows of one class, sorted once, however often its average precision is asked for.

    Args:
        scores: Finite float, (N,), at least one.
        labels: True where the class is right, (N,).
    """

    def __init__(self, scores: np.ndarray, labels: np.ndarray) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._right = labels[self._order].astype(np.float64)
        # Rows of one score enter together, so only the last of them is a step of the curve.
        self._steps = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))

    def average_precision(self, counts: np.ndarray | None = None) -> float:
        """Area under the precision-recall steps, as scikit-learn defines it.

        Args:
            counts: How often each row counts, (N,), as in a resample; once where None.

        Returns:
            A number in [0, 1]; NaN where no row that counts is right.
        """
        weight = np.ones(len(self._order)) if counts is None else counts[self._order]
        right = np.cumsum(weight * self._right)[self._steps]
        if not right[-1]:
            return float("nan")
        # Before the first row that counts there is nothing, and no step.
        taken = np.maximum(np.cumsum(weight)[self._steps], np.finfo(np.float64).tiny)
        return float((np.diff(right, prepend=0) * (right / taken)).sum() / right[-1])


def _right_among_best(
    scores: np.ndarray, labels: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Count the right classes among the k best, and all right ones, of rows that have any."""
    scores, labels = _checked(scores, labels)
    classes = scores.shape[1]
    if not (hasattr(k, "__index__") and 1 <= k <= classes):
        raise ValueError(f"k is {k}; it must be a whole number from 1 to the {classes} classes.")
    rows = labels.any(axis=1)
    best = np.argsort(-scores[rows], axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(labels[rows], best, axis=1)
    return found.sum(axis=1), labels[rows].sum(axis=1)


def _checked(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays of one shape (N, K), labels as bool."""
    # Float, because the negative of an unsigned score would wrap around.
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} must both be (N, K).")
    if not np.isfinite(scores).all():
        raise ValueError(
            "scores contain NaN or infinity: the model diverged or its input was broken."
        )
    if labels.dtype != bool and not ((labels == 0) | (labels == 1)).all():
        raise ValueError(
            "labels must be 1 where a class is right and 0 elsewhere, a row of K for each row of "
            "scores; for votes or probabilities say first which classes are right (votes > 0)."
        )
    return scores, labels.astype(bool)
