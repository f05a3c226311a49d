"""Which emotion keywords stand together (Wei et al. 2020, section 3.2).

The paper says that "only a small portion of the keywords co-occur frequently" and that "most of
the 690 categories are independent of each other", and puts no number on it. Ours is the normalised
pointwise mutual information of each pair: -1 for two keywords that never stand together, 0 for
independent ones, 1 for two that are always together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

# NPMI above which we say that two keywords co-occur often.
OFTEN = 0.3
_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5)
_STRONGEST = 30


@dataclass(frozen=True)
class CoOccurrence:
    """Co-occurrence of the U emotion keywords that are used.

    Attributes:
        names: Their names, in the order of the vocabulary.
        together: Images that have both, int64, (U, U); the diagonal has the single keywords.
        images: Number of images, N.
        npmi: Normalised pointwise mutual information, float64, (U, U), symmetric.
    """

    names: list[str]
    together: np.ndarray
    images: int
    npmi: np.ndarray

    @classmethod
    def of(cls, names: list[str], together: np.ndarray, images: int) -> CoOccurrence:
        """Leave out keywords that no image has.

        Args:
            names: The K emotion keywords.
            together: Images that have both, integers, (K, K).
            images: Number of images, those without any emotion keyword included.

        Returns:
            The co-occurrence.
        """
        used = np.flatnonzero(together.diagonal())
        matrix = together[np.ix_(used, used)]
        return cls([names[i] for i in used], matrix, images, normalized_pmi(matrix, images))

    @property
    def support(self) -> int:
        """Images two keywords need to share before they are listed as strongly tied.

        One in ten thousand images, and at least five: a pair met twice says little.
        """
        return max(5, math.ceil(self.images / 10_000))

    def numbers(self) -> dict[str, Any]:
        """What `statistics.json` says."""
        rows, columns = np.triu_indices(len(self.names), 1)
        together, npmi = self.together[rows, columns], self.npmi[rows, columns]
        pairs = len(rows)
        shares = {f"{level}": _share(npmi > level) for level in _LEVELS}
        # Where chance alone gives five images or more, an NPMI near zero means something.
        singles = self.together.diagonal()
        expected = singles[rows] * singles[columns] / max(1, self.images)
        testable = expected >= 5
        return {
            "used_keywords": len(self.names),
            "pairs": pairs,
            "never_together": _share(together == 0),
            "often_threshold_npmi": OFTEN,
            "often": _share(npmi > OFTEN),
            "share_with_npmi_above": shares,
            "testable_pairs": int(testable.sum()),
            "testable_pairs_near_independence": _share(np.abs(npmi[testable]) < 0.1),
            "min_images_of_listed_pairs": self.support,
            "strongest": self._strongest(rows, columns),
        }

    def _strongest(self, rows: np.ndarray, columns: np.ndarray) -> list[dict[str, Any]]:
        enough = self.together[rows, columns] >= self.support
        rows, columns = rows[enough], columns[enough]
        # Ties go by the vocabulary's order, so that the list is the same on every machine.
        best = np.argsort(-np.round(self.npmi[rows, columns], 9), kind="stable")[:_STRONGEST]
        return [self.pair(int(rows[i]), int(columns[i])) for i in best]

    def pair(self, a: int, b: int) -> dict[str, Any]:
        """Tell everything about two keywords.

        Args:
            a: Place of the one among the names.
            b: Place of the other.

        Returns:
            Names, images with both, NPMI, Jaccard index, P(b|a) and P(a|b).
        """
        both, only_a, only_b = (int(self.together[i, j]) for i, j in ((a, b), (a, a), (b, b)))
        return {
            "a": self.names[a],
            "b": self.names[b],
            "images": both,
            "npmi": round(float(self.npmi[a, b]), 6),
            "jaccard": round(both / (only_a + only_b - both), 6),
            "b_given_a": round(both / only_a, 6),
            "a_given_b": round(both / only_b, 6),
        }

    def most_frequent(self, count: int) -> CoOccurrence:
        """Keep the most frequent keywords.

        Args:
            count: How many, at most.

        Returns:
            Their co-occurrence, still in the order of the vocabulary.
        """
        chosen = np.sort(np.argsort(-self.together.diagonal(), kind="stable")[:count])
        square = np.ix_(chosen, chosen)
        names = [self.names[i] for i in chosen]
        return CoOccurrence(names, self.together[square], self.images, self.npmi[square])

    def ordered(self) -> CoOccurrence:
        """Order the keywords so that those that stand together are neighbours.

        Average linkage on 1 - NPMI, its leaves ordered so that neighbours are as close as the
        tree allows.

        Returns:
            The same co-occurrence in that order.
        """
        order = np.arange(len(self.names))
        if len(order) > 2:
            distance = 1 - self.npmi
            np.fill_diagonal(distance, 0)
            # Rounded: the last bits of a logarithm differ between machines, and decide ties.
            condensed = squareform(np.round(distance, 9), checks=False)
            tree = hierarchy.linkage(condensed, "average", optimal_ordering=True)
            order = hierarchy.leaves_list(tree)
        square = np.ix_(order, order)
        names = [self.names[i] for i in order]
        return CoOccurrence(names, self.together[square], self.images, self.npmi[square])


def normalized_pmi(together: np.ndarray, images: int) -> np.ndarray:
    """Normalised pointwise mutual information (Bouma 2009).

    log(p(a, b) / p(a) p(b)) / -log p(a, b), with probabilities over the images. Its limits stand
    where the formula is not defined: -1 for two keywords that never stand together, and 0 for two
    that are on every image, which say nothing of each other.

    Args:
        together: Images that have both, integers, (U, U), no zero on the diagonal.
        images: Number of images.

    Returns:
        A matrix of numbers from -1 to 1, float64, (U, U); the diagonal is 1, or 0 for a keyword
        on every image.

    >>> normalized_pmi(np.array([[2, 2, 0], [2, 2, 0], [0, 0, 1]]), 4).round(3).tolist()
    [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]
    """
    single = together.diagonal()
    with np.errstate(divide="ignore", invalid="ignore"):
        # One logarithm of whole numbers each: no product of small probabilities to lose digits in.
        joint = np.log(together) - math.log(max(1, images))
        chance = np.log(single)[:, None] + np.log(single)[None, :] - 2 * math.log(max(1, images))
        npmi = (joint - chance) / -joint
    npmi[together == 0] = -1
    npmi[together == images] = 0
    return np.clip(npmi, -1, 1)


def _share(condition: np.ndarray) -> float | None:
    return round(float(condition.mean()), 6) if condition.size else None
