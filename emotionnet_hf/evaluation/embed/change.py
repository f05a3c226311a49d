"""What a reduced precision changes: the features themselves, and whom they are nearest to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emotionnet_hf.evaluation.features import nearest_neighbours

_NEIGHBOURS = 10


@dataclass(frozen=True)
class FeatureChange:
    """How far features are from those they stand for.

    Attributes:
        images: Number of pictures compared.
        mean_relative: Mean over pictures of |x - y| / |y|, Euclidean.
        largest_relative: The largest of them.
        mean_cosine: Mean over pictures of the cosine between x and y.
        smallest_cosine: The smallest of them.
        recall_at_10: Share of y's ten nearest neighbours among these pictures, by cosine, that are
            among x's ten; of as many as there are where there are fewer.
    """

    images: int
    mean_relative: float
    largest_relative: float
    mean_cosine: float
    smallest_cosine: float
    recall_at_10: float

    def __str__(self) -> str:
        return (
            f"features change by {self.mean_relative:.2%} (largest {self.largest_relative:.2%}, "
            f"mean cosine {self.mean_cosine:.5f}) and keep {self.recall_at_10:.1%} of the "
            f"{_NEIGHBOURS} nearest neighbours, on {self.images} pictures"
        )


def feature_change(found: np.ndarray, expected: np.ndarray) -> FeatureChange:
    """Compare features with those that they stand for.

    Args:
        found: x, float (N, D), at least one picture.
        expected: y, float (N, D).

    Returns:
        The change.
    """
    x, y = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.maximum(np.linalg.norm(y, axis=1), 1e-12)
    relative = np.linalg.norm(x - y, axis=1) / lengths
    cosine = (x * y).sum(axis=1) / lengths / np.maximum(np.linalg.norm(x, axis=1), 1e-12)
    return FeatureChange(
        images=len(x),
        mean_relative=float(relative.mean()),
        largest_relative=float(relative.max()),
        mean_cosine=float(cosine.mean()),
        smallest_cosine=float(cosine.min()),
        recall_at_10=_recall(x, y),
    )


def _recall(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the neighbours in y that are neighbours in x; 1 for a single picture."""
    k = min(_NEIGHBOURS, len(x) - 1)
    if not k:
        return 1.0
    near_x, near_y = _others(x, k), _others(y, k)
    both = [len(np.intersect1d(a, b)) for a, b in zip(near_x, near_y, strict=True)]
    return float(np.mean(both) / k)


def _others(rows: np.ndarray, k: int) -> list[np.ndarray]:
    """Nearest neighbours of each row but itself."""
    near = nearest_neighbours(rows, rows, k + 1)
    return [row[row != number][:k] for number, row in enumerate(near)]
