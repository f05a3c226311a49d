import numpy as np
import pytest
from accelerate import Accelerator

from emotionnet_hf.metrics import hit_at_k, mean_average_precision
from emotionnet_hf.training.validation import class_metrics, keyword_metrics, measure


def test_batches_add_up_to_the_metrics_of_the_whole():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(23, 5)), rng.random((23, 5)) < 0.3
    losses = rng.random(23)
    losses[4] = np.nan
    found = measure(
        keyword_metrics,
        lambda rows: {"scores": scores[rows], "labels": labels[rows], "loss": losses[rows]},
        *(23, 4),
        Accelerator(cpu=True),
    )
    assert found["hit_at_1"] == hit_at_k(scores, labels)
    assert found["mean_average_precision"] == pytest.approx(mean_average_precision(scores, labels))
    assert found["loss"] == pytest.approx(np.nansum(losses) / 22)


def test_class_metrics_are_those_of_a_count_by_hand():
    rng = np.random.default_rng(1)
    scores, right = rng.normal(size=(40, 8)), rng.integers(-1, 8, size=40)
    labels = right[:, None] == np.arange(8)
    first = second = counted = 0
    for row, label in zip(scores.tolist(), right.tolist(), strict=True):
        if label < 0:  # no majority
            continue
        order = sorted(range(8), key=lambda c: -row[c])
        counted += 1
        first += order[0] == label
        second += label in order[:2]
    assert 0 < counted < 40
    assert class_metrics(scores, labels) == pytest.approx(
        {"accuracy": first / counted, "top_2_accuracy": second / counted}
    )
