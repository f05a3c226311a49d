"""hit@k as an `evaluate` module."""

from __future__ import annotations

from typing import Any

import numpy as np

from emotionnet_hf.metrics import hit_at_k
from emotionnet_hf.metrics.modules.multi_label import MultiLabelMetric


class HitAtK(MultiLabelMetric):
    """Share of the examples of which one of the k best-scored classes is right.

    Args:
        config_name: As for every `evaluate` module.
        k: How many of the best-scored classes count, where ``compute`` is not told.
        **kwargs: As for every `evaluate` module.
    """

    description = (
        "hit@k: the share of the examples of which one of the k best-scored classes is right. "
        "Examples without a right class are left out; of equal scores the lower id is better."
    )
    options = "    k: How many of the best-scored classes count (1).\nReturns:\n    hit_at_<k>\n"

    def __init__(self, config_name: str | None = None, *, k: int = 1, **kwargs: Any) -> None:
        super().__init__(config_name, **kwargs)
        self.k = k

    def measure(
        self, scores: np.ndarray, labels: np.ndarray, *, k: int | None = None
    ) -> dict[str, float]:
        """Return ``{"hit_at_<k>": value}``; see `emotionnet_hf.metrics.hit_at_k`."""
        k = self.k if k is None else k
        return {f"hit_at_{k}": hit_at_k(scores, labels, k)}
