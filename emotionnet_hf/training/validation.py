"""Validation on any number of processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object

from emotionnet_hf.metrics import hit_at_k, mean_average_precision

Values = dict[str, np.ndarray]
Metrics = Callable[[np.ndarray, np.ndarray], dict[str, float]]


def keyword_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Measure how well keywords are predicted.

    Args:
        scores: Float, (N, K).
        labels: 1 where the image has the keyword, (N, K).

    Returns:
        ``hit_at_1`` (the paper's top-1) and ``mean_average_precision``.
    """
    return {
        "hit_at_1": hit_at_k(scores, labels),
        "mean_average_precision": mean_average_precision(scores, labels),
    }


def class_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Measure how well one class an image is predicted.

    Args:
        scores: Float, (N, K), K at least 2.
        labels: 1 at the class, (N, K); rows of zeros have none and are left out.

    Returns:
        ``accuracy``, and ``top_2_accuracy``: the class is one of the two best-scored ones.
    """
    return {
        "accuracy": hit_at_k(scores, labels),
        "top_2_accuracy": hit_at_k(scores, labels, 2),
    }


def measure(
    metrics: Metrics,
    compute: Callable[[np.ndarray], Values],
    num_rows: int,
    batch_size: int,
    accelerator: Accelerator,
) -> dict[str, float]:
    """Compute metrics over a split that the processes share out.

    Args:
        metrics: From all rows' scores and labels.
        compute: From row numbers, int64 (B,), to ``scores`` (B, K), ``labels`` (B, K) and any
            further values (B,), such as losses; NaN there means "does not apply".
        num_rows: Rows of the split.
        batch_size: Rows at a time.
        accelerator: Of the run.

    Returns:
        The metrics and the mean of each further value, equal on all processes; nothing of no rows.
    """
    if not num_rows:
        return {}
    rows = np.arange(accelerator.process_index, num_rows, accelerator.num_processes)
    parts = []
    # As many batches in each process, since a forward pass may communicate: a process without rows
    # for its last one computes a row that is another's, and drops it.
    for start in range(0, -(-num_rows // accelerator.num_processes), batch_size):
        mine = rows[start : start + batch_size]
        part = compute(mine if len(mine) else np.arange(1))
        if len(mine):
            parts.append({**part, "row": mine})
    gathered = gather_object(parts)
    values = {name: np.concatenate([part[name] for part in gathered]) for name in gathered[0]}
    # In the order of the split, which decides between equal scores, for any number of processes.
    order = values.pop("row").argsort()
    values = {name: each[order] for name, each in values.items()}
    scores, labels = values.pop("scores"), values.pop("labels")
    return {
        **metrics(scores, labels),
        **{name: float(np.nanmean(each)) for name, each in values.items()},
    }
