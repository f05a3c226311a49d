import numpy as np
import pytest
from accelerate import Accelerator

from emotionnet_hf.metrics import hit_at_k, mean_average_precision
from emotionnet_hf.training.validation import keyword_metrics


def test_batches_add_up_to_the_metrics_of_the_whole():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(23, 5)), rng.random((23, 5)) < 0.3
    losses = rng.random(23)
    losses[4] = np.nan
    found = keyword_metrics(
        lambda rows: {"scores": scores[rows], "labels": labels[rows], "loss": losses[rows]},
        *(23, 4),
        Accelerator(cpu=True),
    )
    assert found["hit_at_1"] == hit_at_k(scores, labels)
    assert found["mean_average_precision"] == pytest.approx(mean_average_precision(scores, labels))
    assert found["loss"] == pytest.approx(np.nansum(losses) / 22)
