"""recall@k as an `evaluate` module."""

from __future__ import annotations

import numpy as np

from emotionnet_hf.metrics import recall_at_k
from emotionnet_hf.metrics.modules.multi_label import TopKMetric


class RecallAtK(TopKMetric):
    """Mean share of the right classes of an example that is among its k best-scored ones.

    See `TopKMetric` for its arguments.
    """

    description = (
        "recall@k: the share of an example's right classes that is among its k best-scored ones, "
        "averaged over the examples. Examples without a right class are left out; of equal scores "
        "the lower id is better."
    )
    result = "recall"

    def at_k(self, scores: np.ndarray, labels: np.ndarray, k: int) -> float:
        """See `emotionnet_hf.metrics.recall_at_k`."""
        return recall_at_k(scores, labels, k)
