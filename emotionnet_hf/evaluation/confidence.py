"""How far a number measured on one test set can be trusted: the bootstrap over groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def bootstrap_interval(
    statistic: Callable[..., float],
    arrays: Sequence[np.ndarray],
    groups: Sequence[Any] | np.ndarray,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Interval of a statistic under resampling of groups (percentile bootstrap).

    Rows that show the same picture, such as the people of one EMOTIC image, are not independent:
    groups are drawn with replacement, as many as there are, and all rows of a group come along
    (cluster bootstrap; Davison and Hinkley, "Bootstrap Methods and their Application", 3.8).

    Args:
        statistic: From the resampled arrays to a number, ``statistic(*arrays)``; resamples in
            which it is NaN (nothing right was drawn) are left out.
        arrays: Each (N, ...); resampled together.
        groups: The group of each row, (N,); give the row numbers where rows are independent.
        samples: How many resamples.
        seed: Of the draws; the interval repeats exactly with it.
        level: Share of the resampled numbers that lies within.

    Returns:
        The lower and the upper end; both NaN where the statistic is NaN in every resample.

    Raises:
        ValueError: There is no row or no array, lengths differ, or an option is out of range.
    """
    _check(arrays, groups, samples, level)
    generator = np.random.default_rng(seed)
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    rows, sizes = np.argsort(group_of, kind="stable"), np.bincount(group_of)
    starts = np.cumsum(sizes) - sizes
    numbers = []
    for _ in range(samples):
        drawn = generator.integers(len(sizes), size=len(sizes))
        picked = rows[_runs(starts[drawn], sizes[drawn])]
        numbers.append(float(statistic(*(array[picked] for array in arrays))))
    defined = np.asarray(numbers)[~np.isnan(numbers)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _runs(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Concatenate ``start .. start + size - 1`` of every pair."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - sizes), sizes)


def _check(
    arrays: Sequence[np.ndarray], groups: Sequence[Any] | np.ndarray, samples: int, level: float
) -> None:
    lengths = [len(array) for array in arrays]
    if not lengths or not len(groups) or any(length != len(groups) for length in lengths):
        raise ValueError(
            f"arrays of {lengths} rows and {len(groups)} groups: there must be at least one array "
            "and one row, and a group for every row."
        )
    if samples < 1 or not 0 < level < 1:
        raise ValueError(
            f"samples is {samples} and level {level}: at least one sample, and a level between "
            "0 and 1 (0.95 for the usual 95 % interval)."
        )
