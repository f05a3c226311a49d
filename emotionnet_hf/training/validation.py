"""Validation on any number of processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object

from emotionnet_hf.metrics import hit_at_k, mean_average_precision

Values = dict[str, np.ndarray]


def keyword_metrics(
    compute: Callable[[np.ndarray], Values],
    num_rows: int,
    batch_size: int,
    accelerator: Accelerator,
) -> dict[str, float]:
    """Compute metrics over a split that the processes share out.

    Args:
        compute: From row numbers, int64 (B,), to ``scores`` (B, K), ``labels`` (B, K) and any
            losses (B,); NaN in a loss means "does not apply".
        num_rows: Rows of the split.
        batch_size: Rows at a time.
        accelerator: Of the run.

    Returns:
        ``hit_at_1``, ``mean_average_precision`` and the mean of each loss, equal on all processes.
    """
    rows = np.arange(accelerator.process_index, num_rows, accelerator.num_processes)
    parts = [compute(rows[i : i + batch_size]) for i in range(0, len(rows), batch_size)]
    gathered = gather_object(parts)
    values = {name: np.concatenate([part[name] for part in gathered]) for name in gathered[0]}
    scores, labels = values.pop("scores"), values.pop("labels")
    return {
        "hit_at_1": hit_at_k(scores, labels),
        "mean_average_precision": mean_average_precision(scores, labels),
        **{name: float(np.nanmean(losses)) for name, losses in values.items()},
    }
