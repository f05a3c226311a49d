from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from emotionnet_hf.evaluation.confidence import bootstrap_interval
from emotionnet_hf.evaluation.linear_probe.rows import Part
from emotionnet_hf.evaluation.linear_probe.scoring import (
    Scored,
    absent_classes,
    difference,
    summarised,
)
from emotionnet_hf.metrics import mean_average_precision


def scored(seed, rows=60, classes=4, ties=True):
    chance = np.random.default_rng(seed)
    label = chance.integers(classes, size=rows)
    labels = chance.random((rows, classes)) < 0.3
    scores = chance.random((rows, classes)) + np.eye(classes)[label] * 0.5
    # Equal scores are where implementations differ.
    scores = scores.round(1) if ties else scores
    groups = (np.arange(rows) // 2).astype(str).astype(object)
    return Scored(scores, Part(np.arange(rows), labels * 1.0, label, labels, groups))


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_scikit_learn(seed):
    run = scored(seed)
    truth, best = run.part.label, run.scores.argmax(axis=1)
    assert run.metric("accuracy") == pytest.approx((truth == best).mean())
    assert run.metric("macro_recall") == pytest.approx(balanced_accuracy_score(truth, best))
    assert run.metric("mean_average_precision") == pytest.approx(
        mean_average_precision(run.scores, run.part.labels)
    )


@pytest.mark.parametrize("name", ["accuracy", "macro_recall", "mean_average_precision"])
def test_counts_are_the_same_as_repeated_rows(name):
    run = scored(3)
    counts = np.random.default_rng(0).integers(0, 4, len(run.part))
    rows = np.repeat(np.arange(len(counts)), counts)
    repeated = Scored(run.scores[rows], run.part.take(rows))
    assert run.metric(name, counts) == pytest.approx(repeated.metric(name))


def test_weighted_average_precision_equals_scikit_learn():
    run = scored(4)
    counts = np.random.default_rng(1).integers(0, 3, len(run.part))
    expected = [
        average_precision_score(run.part.labels[:, k], run.scores[:, k], sample_weight=counts)
        for k in range(4)
    ]
    np.testing.assert_allclose(run.by_class("mean_average_precision", counts), expected)


def test_a_class_that_never_occurs_does_not_count():
    part = Part(
        *(np.zeros(2, int), np.eye(3)[:2], np.array([0, 1]), np.eye(3, dtype=bool)[:2]),
        np.array(["a", "b"], dtype=object),
    )
    run = Scored(np.array([[0.9, 0.1, 0], [0.8, 0.1, 0.1]]), part)
    assert run.metric("macro_recall") == 0.5
    np.testing.assert_array_equal(run.by_class("macro_recall"), [1, 0, np.nan])
    assert np.isnan(run.metric("accuracy", np.zeros(2)))


def test_classes_that_are_never_right_are_named():
    assert absent_classes({"awe": 0.0, "joy": 1.0}) == []
    (sentence,) = absent_classes({"awe": None, "joy": 0.5, "fear": None})
    assert sentence.startswith("2 of 3 classes") and sentence.endswith(": awe, fear.")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(value):
    run = scored(0)
    run.scores[3, 1] = value
    with pytest.raises(ValueError, match="NaN or infinity"):
        Scored(run.scores, run.part)


def test_the_interval_is_that_of_the_metric_of_resampled_rows():
    run = scored(0)
    expected = bootstrap_interval(
        mean_average_precision, [run.scores, run.part.labels], run.part.groups, samples=30, seed=4
    )
    found = summarised([run], "mean_average_precision", samples=30, seed=4)["interval"]
    assert found == pytest.approx(list(expected), abs=1e-12)
    assert found != summarised([run], "mean_average_precision", samples=30)["interval"]


def test_rows_of_one_picture_are_drawn_together():
    """Eight copies of each row: apart they feign eight times the data, together they do not."""
    run = scored(0, ties=False)
    rows = np.repeat(np.arange(60), 8)

    def width(rows, groups):
        part = replace(run.part.take(rows), groups=np.asarray(groups).astype(str))
        found = summarised([Scored(run.scores[rows], part)], "mean_average_precision", samples=200)
        return found["interval"][1] - found["interval"][0]

    single = width(np.arange(60), range(60))
    assert width(rows, range(480)) < 0.6 * single
    assert width(rows, rows) > 0.8 * single


def test_spread_and_interval():
    runs = [scored(seed, rows=400) for seed in range(3)]
    found = summarised(runs, "accuracy", samples=200)
    values = [run.metric("accuracy") for run in runs]
    assert found["values"] == values and found["mean"] == pytest.approx(np.mean(values))
    assert found["sd"] == pytest.approx(np.std(values, ddof=1))
    low, high = found["interval"]
    assert low < found["mean"] < high and high - low < 0.15
    assert summarised(runs[:1], "accuracy", samples=10)["sd"] is None


def test_a_picture_is_drawn_in_all_runs_at_once():
    # Two runs with the same rows are no more certain than one.
    run = scored(0, rows=300)
    one = summarised([run], "accuracy", samples=300)["interval"]
    two = summarised([run, run], "accuracy", samples=300)["interval"]
    assert two == pytest.approx(one)


def test_difference_is_paired():
    run = scored(0, rows=300)
    better = Scored(run.scores + 0.2 * np.eye(4)[run.part.label], run.part)
    found = difference([better], [run], "accuracy", samples=300)
    assert found["mean"] == pytest.approx(better.metric("accuracy") - run.metric("accuracy"))
    # Alone each is uncertain by far more than by what they differ.
    alone = summarised([run], "accuracy", samples=300)["interval"]
    assert 0 < found["interval"][0] < found["mean"] < found["interval"][1]
    assert found["interval"][1] - found["interval"][0] < alone[1] - alone[0]
    same = difference([run], [run], "accuracy", samples=50)
    assert same == {"mean": 0.0, "interval": [0.0, 0.0]}
