"""From scores of test rows to metrics, their spread over runs and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emotionnet_hf.data.benchmarks.benchmark import Task
from emotionnet_hf.evaluation.confidence import bootstrap_interval
from emotionnet_hf.evaluation.linear_probe.rows import Part
from emotionnet_hf.metrics import ClassRanking

METRICS: dict[Task, tuple[str, ...]] = {
    "single-label": ("accuracy", "macro_recall"),
    "multi-label": ("mean_average_precision",),
}
"""The metrics of each task; the paper's comes first."""


@dataclass(frozen=True)
class Scored:
    """Scores of some rows beside the truth.

    Every metric takes how often each row counts, so that a bootstrap sorts the scores only once.

    Attributes:
        scores: Finite float, (N, K).
        part: The rows; of a single-label task each has its class.

    Raises:
        ValueError: A score is not finite.
    """

    scores: np.ndarray
    part: Part

    def __post_init__(self) -> None:
        """Refuse what no ranking can be made of."""
        if not np.isfinite(self.scores).all():
            raise ValueError("scores contain NaN or infinity: the weights of a model are broken.")

    def metric(self, name: str, counts: np.ndarray | None = None) -> float:
        """Compute a metric.

        Args:
            name: ``accuracy``, ``macro_recall`` (mean over the classes that occur) or
                ``mean_average_precision`` (likewise).
            counts: How often each row counts, (N,); once where None.

        Returns:
            A share; NaN where nothing counts.
        """
        counts = np.ones(len(self.part)) if counts is None else counts.astype(np.float64)
        if name == "accuracy":
            return float(counts @ self._hits / counts.sum()) if counts.any() else float("nan")
        values = self.by_class(name, counts)
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    def by_class(self, name: str, counts: np.ndarray | None = None) -> np.ndarray:
        """Compute recall or average precision of each class.

        Args:
            name: ``macro_recall`` or ``mean_average_precision``.
            counts: How often each row counts, (N,); once where None.

        Returns:
            Float64, (K,); NaN for a class that is never right.
        """
        counts = np.ones(len(self.part)) if counts is None else counts.astype(np.float64)
        if name == "mean_average_precision":
            return np.asarray([ranking.average_precision(counts) for ranking in self._rankings])
        classes = self.scores.shape[1]
        hits = np.bincount(self.part.label, counts * self._hits, minlength=classes)
        with np.errstate(invalid="ignore"):
            return np.asarray(hits / np.bincount(self.part.label, counts, minlength=classes))

    @cached_property
    def _hits(self) -> np.ndarray:
        """1.0 where the best score is that of the row's class; of equal ones the first counts."""
        return (self.scores.argmax(axis=1) == self.part.label).astype(np.float64)

    @cached_property
    def _rankings(self) -> list[ClassRanking]:
        """The rows of each class, sorted."""
        return [
            ClassRanking(scores, labels)
            for scores, labels in zip(self.scores.T, self.part.labels.T, strict=True)
        ]


def summarised(runs: Sequence[Scored], name: str, samples: int, seed: int = 0) -> dict[str, Any]:
    """Sum up a metric over runs.

    Average precision rises a little where rows repeat, as they do in resamples: for classes with
    few right rows (some ten) its interval leans upwards.

    Args:
        runs: One a seed.
        name: Of the metric.
        samples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        ``mean``, ``sd`` over the runs (None for one), ``values``, and ``interval``: 95 %, over the
        test pictures.
    """
    values = [run.metric(name) for run in runs]
    return {
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "values": values,
        "interval": _interval([runs], name, samples, seed),
    }


def difference(
    runs: Sequence[Scored], first: Sequence[Scored], name: str, samples: int
) -> dict[str, Any]:
    """Compare a model with the first one, on the same rows.

    Args:
        runs: Of the model, one a seed.
        first: Of the first model, with the same rows.
        name: Of the metric.
        samples: Of the bootstrap.

    Returns:
        ``mean``, and ``interval``: 95 %, paired: each resample is given to both.
    """
    values = [a.metric(name) - b.metric(name) for a, b in zip(runs, first, strict=True)]
    return {
        "mean": float(np.mean(values)),
        "interval": _interval([runs, first], name, samples),
    }


def absent_classes(by_class: Mapping[str, float | None]) -> list[str]:
    """Say in a sentence, for the notes of a report, which classes have no number; or nothing."""
    absent = [name for name, value in by_class.items() if value is None]
    if not absent:
        return []
    return [
        f"{len(absent)} of {len(by_class)} classes are never right in the rows that are scored, "
        f"and count in no mean over classes: {', '.join(absent)}."
    ]


def _interval(
    models: Sequence[Sequence[Scored]], name: str, samples: int, seed: int = 0
) -> list[float]:
    """Interval of a model's mean over runs, or of the first model's minus the second's.

    Runs with a test set each are resampled together: a picture that is drawn is drawn in all of
    them, because what makes it hard does so in all of them.
    """
    runs = models[0]
    groups = np.concatenate([run.part.groups for run in runs]).astype(str)
    borders = np.cumsum([len(run.part) for run in runs])[:-1]

    def statistic(rows: np.ndarray) -> float:
        counts = np.split(np.bincount(rows, minlength=len(groups)), borders)
        means = [
            np.mean([run.metric(name, c) for run, c in zip(model, counts, strict=True)])
            for model in models
        ]
        return float(means[0] - means[1] if len(means) == 2 else means[0])

    rows = np.arange(len(groups))
    return list(bootstrap_interval(statistic, [rows], groups, samples=samples, seed=seed))
