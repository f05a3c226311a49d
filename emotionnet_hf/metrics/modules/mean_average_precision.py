"""Mean average precision over the classes as an `evaluate` module."""

from __future__ import annotations

import numpy as np

from emotionnet_hf.metrics import mean_average_precision
from emotionnet_hf.metrics.modules.multi_label import MultiLabelMetric


class MeanAveragePrecision(MultiLabelMetric):
    """Mean over the classes of average precision, as EMOTIC is reported."""

    description = (
        "Mean over the classes of average precision (macro), the area under the precision-recall "
        "steps. Classes that are never right are left out."
    )
    options = "Returns:\n    mean_average_precision\n"

    def measure(self, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Return ``{"mean_average_precision": value}``; see the function of that name."""
        return {"mean_average_precision": mean_average_precision(scores, labels)}
