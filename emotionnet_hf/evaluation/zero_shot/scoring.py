"""From scores and labels to metrics with intervals, and what chance would reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from emotionnet_hf.data.benchmarks.benchmark import Task
from emotionnet_hf.evaluation.confidence import bootstrap_interval
from emotionnet_hf.metrics import ClassRanking, average_precisions

Metrics = dict[str, dict[str, Any]]
Statistics = dict[str, Callable[[np.ndarray], float]]


@dataclass(frozen=True)
class Truth:
    """The labels of N rows and K classes.

    Attributes:
        task: One class a row, or several.
        labels: True where a class is right, (N, K); one in a row of a single-label task, none
            where a row has no single class.
        groups: Rows with one name show the same picture, (N,).
    """

    task: Task
    labels: np.ndarray
    groups: np.ndarray

    @classmethod
    def read(cls, split: Dataset, task: Task, classes: int) -> Truth:
        """Read the labels of a split with `benchmark_features`."""
        columns = split.select_columns(["label", "labels", "group"])[:]
        labels = np.zeros((len(split), classes), dtype=bool)
        for row, (one, several) in enumerate(zip(columns["label"], columns["labels"], strict=True)):
            labels[row, several if task == "multi-label" else [one] * (one >= 0)] = True
        return cls(task, labels, np.asarray(columns["group"], dtype=str))

    @property
    def usable(self) -> np.ndarray:
        """Numbers of the rows that can be judged: a single-label row needs its class."""
        everything = np.arange(len(self.labels))
        return everything if self.task == "multi-label" else everything[self.labels.any(axis=1)]

    def take(self, rows: np.ndarray) -> Truth:
        """Return some rows, by number."""
        return Truth(self.task, self.labels[rows], self.groups[rows])


def measure(
    scores: np.ndarray, truth: Truth, *, samples: int, seed: int
) -> tuple[Metrics, list[float | None]]:
    """Compute the metrics of a task.

    Average precision rises a little where rows repeat, as they do in resamples: for classes with
    few right rows (some ten) its interval leans upwards.

    Args:
        scores: Float, (N, K).
        truth: Of the rows.
        samples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        ``accuracy`` and ``macro_recall`` (mean recall of the classes that occur), of equal scores
        the lower id counting as better; or ``mean_average_precision``. Each with ``mean``, ``sd``
        (None) and ``interval``. And recall or average precision by class, None for a class that is
        never right.

    Raises:
        ValueError: A score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("scores contain NaN or infinity: the weights of a model are broken.")
    ask = _several if truth.task == "multi-label" else _single
    statistics, by_class = ask(scores, truth.labels)
    rows = np.arange(len(scores))
    metrics = {
        name: {
            "mean": statistic(rows),
            "sd": None,
            "interval": list(
                bootstrap_interval(statistic, [rows], truth.groups, samples=samples, seed=seed)
            ),
        }
        for name, statistic in statistics.items()
    }
    return metrics, [None if np.isnan(value) else float(value) for value in by_class]


def _several(scores: np.ndarray, labels: np.ndarray) -> tuple[Statistics, np.ndarray]:
    """Give the metrics of rows, by their numbers, and average precision by class."""
    rankings = [
        ClassRanking(scores[:, c], labels[:, c]) for c in np.flatnonzero(labels.any(axis=0))
    ]

    def mean_of(rows: np.ndarray) -> float:
        counts = np.bincount(rows, minlength=len(scores))
        return _mean(np.asarray([ranking.average_precision(counts) for ranking in rankings]))

    return {"mean_average_precision": mean_of}, average_precisions(scores, labels)


def _single(scores: np.ndarray, labels: np.ndarray) -> tuple[Statistics, np.ndarray]:
    """Give the metrics of rows, by their numbers, and recall by class."""
    classes = labels.argmax(axis=1)
    hits = scores.argmax(axis=1) == classes

    def recalls(rows: np.ndarray) -> np.ndarray:
        count = scores.shape[1]
        occurring = np.bincount(classes[rows], minlength=count)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.bincount(classes[rows], hits[rows], count) / occurring)

    statistics: Statistics = {
        "accuracy": lambda rows: float(hits[rows].mean()),
        "macro_recall": lambda rows: _mean(recalls(rows)),
    }
    return statistics, recalls(np.arange(len(scores)))


def _mean(values: np.ndarray) -> float:
    """Average what is not NaN; NaN where that is nothing."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def chance_level(truth: Truth) -> dict[str, dict[str, float]]:
    """Compute what is reached without looking at the pictures.

    Args:
        truth: Of the rows.

    Returns:
        By metric: ``random`` (a random ranking; for average precision that is the share of rows
        of which a class is right, the limit for many rows), and for accuracy also
        ``majority_class`` (always the most frequent class of these rows).
    """
    shares = truth.labels.mean(axis=0)
    occurring = shares[shares > 0]
    if truth.task == "multi-label":
        mean = float(occurring.mean()) if len(occurring) else float("nan")
        return {"mean_average_precision": {"random": mean}}
    uniform = 1 / len(shares)
    return {
        "accuracy": {"random": uniform, "majority_class": float(shares.max())},
        "macro_recall": {"random": uniform, "majority_class": 1 / len(occurring)},
    }
