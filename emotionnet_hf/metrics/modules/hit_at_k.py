"""hit@k as an `evaluate` module."""

from __future__ import annotations

import numpy as np

from emotionnet_hf.metrics import hit_at_k
from emotionnet_hf.metrics.modules.multi_label import TopKMetric


class HitAtK(TopKMetric):
    """Share of the examples of which one of the k best-scored classes is right.

    See `TopKMetric` for its arguments.
    """

    description = (
        "hit@k: the share of the examples of which one of the k best-scored classes is right. "
        "Examples without a right class are left out; of equal scores the lower id is better."
    )
    result = "hit"

    def at_k(self, scores: np.ndarray, labels: np.ndarray, k: int) -> float:
        """See `emotionnet_hf.metrics.hit_at_k`."""
        return hit_at_k(scores, labels, k)
