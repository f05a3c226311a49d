"""What zero-shot recognition would reach without looking at the pictures."""

from __future__ import annotations

import numpy as np

from emotionnet_hf.data.benchmarks.benchmark import Task
from emotionnet_hf.evaluation.linear_probe.rows import Part


def chance_level(part: Part, task: Task) -> dict[str, dict[str, float]]:
    """Compute what is reached without looking at the pictures.

    Args:
        part: The rows; of a single-label task each has its class.
        task: One class a row, or several.

    Returns:
        By metric: ``random`` (a random ranking; for average precision that is the share of rows
        of which a class is right, the limit for many rows), and for accuracy also
        ``majority_class`` (always the most frequent class of these rows).
    """
    classes = part.labels.shape[1]
    if task == "multi-label":
        shares = part.labels.mean(axis=0)
        occurring = shares[shares > 0]
        mean = float(occurring.mean()) if len(occurring) else float("nan")
        return {"mean_average_precision": {"random": mean}}
    counts = np.bincount(part.label, minlength=classes)
    most, occurring = counts.max() / len(part), np.count_nonzero(counts)
    return {
        "accuracy": {"random": 1 / classes, "majority_class": float(most)},
        "macro_recall": {"random": 1 / classes, "majority_class": 1 / occurring},
    }
