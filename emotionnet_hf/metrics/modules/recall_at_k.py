"""recall@k as an `evaluate` module."""

from __future__ import annotations

from typing import Any

import numpy as np

from emotionnet_hf.metrics import recall_at_k
from emotionnet_hf.metrics.modules.multi_label import MultiLabelMetric


class RecallAtK(MultiLabelMetric):
    """Mean share of the right classes of an example that is among its k best-scored ones.

    Args:
        config_name: As for every `evaluate` module.
        k: How many of the best-scored classes count, where ``compute`` is not told.
        **kwargs: As for every `evaluate` module.
    """

    description = (
        "recall@k: the share of an example's right classes that is among its k best-scored ones, "
        "averaged over the examples. Examples without a right class are left out; of equal scores "
        "the lower id is better."
    )
    options = "    k: How many of the best-scored classes count (1).\nReturns:\n    recall_at_<k>\n"

    def __init__(self, config_name: str | None = None, *, k: int = 1, **kwargs: Any) -> None:
        super().__init__(config_name, **kwargs)
        self.k = k

    def measure(
        self, scores: np.ndarray, labels: np.ndarray, *, k: int | None = None
    ) -> dict[str, float]:
        """Return ``{"recall_at_<k>": value}``; see `emotionnet_hf.metrics.recall_at_k`."""
        k = self.k if k is None else k
        return {f"recall_at_{k}": recall_at_k(scores, labels, k)}
