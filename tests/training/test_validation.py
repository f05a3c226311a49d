from types import SimpleNamespace

import numpy as np
import pytest
from accelerate import Accelerator

from emotionnet_hf.metrics import hit_at_k, mean_average_precision
from emotionnet_hf.training import validation
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


@pytest.mark.parametrize("num_processes", [1, 2, 3, 5])
@pytest.mark.parametrize("num_rows", [1, 4, 7])
def test_processes_count_each_row_once_in_as_many_batches(monkeypatch, num_processes, num_rows):
    gathered, batches, seen = [], [], {}

    def gather(parts):
        gathered.extend(parts)
        return gathered

    def compute(rows):
        batches[-1] += 1
        return {"scores": rows[:, None] * 1.0, "labels": rows[:, None], "loss": rows * 1.0}

    def metrics(scores, labels):
        seen["scores"], seen["labels"] = scores[:, 0].tolist(), labels[:, 0].tolist()
        return {}

    monkeypatch.setattr(validation, "gather_object", gather)
    for process in range(num_processes):  # one after the other: the last one knows of all rows
        batches.append(0)
        there = SimpleNamespace(process_index=process, num_processes=num_processes)
        found = measure(metrics, compute, num_rows, 2, there)
    assert seen["scores"] == seen["labels"] == list(range(num_rows))
    assert found == {"loss": (num_rows - 1) / 2}
    assert len({*batches}) == 1


def test_nothing_is_measured_of_no_rows():
    assert measure(keyword_metrics, None, 0, 2, Accelerator(cpu=True)) == {}
