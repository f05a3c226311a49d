"""Metrics of keyword prediction: functions on arrays, and `evaluate` modules of them.

The functions are here; the modules are in `emotionnet_hf.metrics.modules`, which is not imported
with the package, because `evaluate` takes a second of its own.
"""

from emotionnet_hf.metrics.ranking import (
    ClassRanking,
    hit_at_k,
    mean_average_precision,
    recall_at_k,
)

__all__ = [
    "ClassRanking",
    "hit_at_k",
    "mean_average_precision",
    "recall_at_k",
]
