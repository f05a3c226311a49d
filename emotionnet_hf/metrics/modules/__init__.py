"""The metrics as modules of Hugging Face's `evaluate`, offline.

>>> HitAtK(k=2).compute(predictions=[[0.7, 0.2, 0.1]], references=[[0, 1, 1]])
{'hit_at_2': 1.0}

Each file is also a script: ``evaluate.load("<this folder>/hit_at_k.py", k=2)`` opens it, and it can
be put on the Hub as it is. For arrays of millions of scores call the functions in
`emotionnet_hf.metrics`: `evaluate` makes a Python number of every score.
"""

from emotionnet_hf.metrics.modules.hit_at_k import HitAtK
from emotionnet_hf.metrics.modules.mean_average_precision import MeanAveragePrecision
from emotionnet_hf.metrics.modules.recall_at_k import RecallAtK

__all__ = ["HitAtK", "MeanAveragePrecision", "RecallAtK"]
