import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, recall_score, top_k_accuracy_score

from emotionnet_hf.metrics import (
    ClassRanking,
    hit_at_k,
    mean_average_precision,
    recall_at_k,
)

METRICS = [hit_at_k, recall_at_k, mean_average_precision]


@pytest.fixture(params=[False, True], ids=["distinct", "tied"])
def case(request) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of 40 rows and 9 classes: some rows and one class without a positive."""
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 4, (40, 9)) / 4 if request.param else rng.random((40, 9))
    labels = (rng.random((40, 9)) < 0.25).astype(np.int64)
    labels[:3], labels[:, 4] = 0, 0
    return scores, labels


def naive_hit(scores, labels, k):
    hits = []
    for row, right in zip(scores.tolist(), labels.tolist(), strict=True):
        if any(right):
            order = sorted(range(len(row)), key=lambda c: (-row[c], c))
            hits.append(any(right[c] for c in order[:k]))
    return sum(hits) / len(hits)


def naive_recall(scores, labels, k):
    recalls = []
    for row, right in zip(scores.tolist(), labels.tolist(), strict=True):
        if any(right):
            order = sorted(range(len(row)), key=lambda c: (-row[c], c))
            recalls.append(sum(right[c] for c in order[:k]) / sum(right))
    return sum(recalls) / len(recalls)


def naive_average_precision(scores, labels):
    """The mean over positives of precision at their score, ties entering together."""
    precisions = []
    for score, right in zip(scores, labels, strict=True):
        if right:
            above = [label for s, label in zip(scores, labels, strict=True) if s >= score]
            precisions.append(sum(above) / len(above))
    return sum(precisions) / len(precisions)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_hit_at_k_equals_the_naive_oracle(case, k):
    assert hit_at_k(*case, k=k) == pytest.approx(naive_hit(*case, k), abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_recall_at_k_equals_the_naive_oracle(case, k):
    assert recall_at_k(*case, k=k) == pytest.approx(naive_recall(*case, k), abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_with_one_right_class_hit_and_recall_are_sklearns_top_k_accuracy(k):
    rng = np.random.default_rng(2)
    scores, classes = rng.random((60, 5)), rng.integers(0, 5, 60)
    expected = top_k_accuracy_score(classes, scores, k=k, labels=range(5))
    assert hit_at_k(scores, np.eye(5)[classes], k) == pytest.approx(expected, abs=1e-12)
    assert recall_at_k(scores, np.eye(5)[classes], k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 9])
def test_recall_at_k_is_sklearns_recall_of_the_k_best(case, k):
    scores, labels = case[0][3:], case[1][3:]
    rows = labels.any(axis=1)
    chosen = np.zeros_like(labels)
    np.put_along_axis(chosen, np.argsort(-scores, axis=1, kind="stable")[:, :k], 1, axis=1)
    expected = recall_score(labels[rows], chosen[rows], average="samples")
    assert recall_at_k(scores, labels, k) == pytest.approx(expected, abs=1e-12)


def test_recall_differs_from_hit_where_several_classes_are_right():
    scores, labels = np.array([[0.9, 0.5, 0.1]]), np.array([[1, 0, 1]])
    assert (hit_at_k(scores, labels, 2), recall_at_k(scores, labels, 2)) == (1, 0.5)
    assert recall_at_k(scores, labels, 3) == 1


def test_average_precision_is_that_of_the_naive_oracle(case):
    for c in {*range(9)} - {4}:
        expected = naive_average_precision(case[0][:, c].tolist(), case[1][:, c].tolist())
        found = ClassRanking(case[0][:, c], case[1][:, c] > 0).average_precision()
        assert found == pytest.approx(expected, abs=1e-12)


def test_average_precision_of_a_resample_is_that_of_its_rows(case):
    scores, labels = case[0][:, 0], case[1][:, 0]
    ranking = ClassRanking(scores, labels)
    for seed in range(20):
        rows = np.random.default_rng(seed).integers(len(scores), size=len(scores))
        found = ranking.average_precision(np.bincount(rows, minlength=len(scores)))
        expected = average_precision_score(labels[rows], scores[rows])
        assert found == pytest.approx(expected, abs=1e-12)
    assert math.isnan(ranking.average_precision(1 - labels))


def test_hit_looks_at_one_class_by_default(case):
    assert hit_at_k(*case) == hit_at_k(*case, k=1)


def test_mean_average_precision_equals_the_naive_oracle(case):
    scores, labels = case
    expected = [
        naive_average_precision(scores[:, c].tolist(), labels[:, c].tolist())
        for c in range(9)
        if labels[:, c].any()
    ]
    assert mean_average_precision(scores, labels) == pytest.approx(np.mean(expected), abs=1e-12)


def test_mean_average_precision_equals_sklearn(case):
    scores, labels = np.delete(case[0], 4, axis=1), np.delete(case[1], 4, axis=1)
    expected = average_precision_score(labels, scores, average="macro")
    assert mean_average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)


def test_of_equal_scores_the_lower_id_wins():
    scores = np.zeros((1, 3))
    assert hit_at_k(scores, np.array([[1, 0, 0]])) == 1
    assert hit_at_k(scores, np.array([[0, 1, 1]])) == 0


def test_rows_without_a_right_class_do_not_count():
    scores, labels = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([[1, 0], [0, 0]])
    assert hit_at_k(scores, labels) == 1


def test_classes_that_are_never_right_do_not_count():
    scores, labels = np.array([[0.9, 0.1], [0.2, 0.9]]), np.array([[1, 0], [0, 0]])
    assert mean_average_precision(scores, labels) == 1


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_right_at_all_is_nan(metric):
    assert math.isnan(metric(np.ones((3, 2)), np.zeros((3, 2))))


@pytest.mark.parametrize("metric", [hit_at_k, mean_average_precision])
def test_perfect_scores_give_one(metric, case):
    assert metric(case[1].astype(float), case[1]) == 1


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(metric, value):
    with pytest.raises(ValueError, match="NaN or infinity"):
        metric(np.array([[value, 1.0]]), np.array([[1, 0]]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("labels", [[[2, 0]], [[0.5, 0.5]], [[-1, 1]], [[np.nan, 1]]])
def test_labels_that_are_not_zeros_and_ones_are_refused(metric, labels):
    with pytest.raises(ValueError, match="1 where a class is right and 0 elsewhere"):
        metric(np.ones((1, 2)), np.array(labels))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("scores", "labels"), [((2, 3), (2, 4)), ((3,), (3,)), ((2, 3), (3,))])
def test_other_shapes_are_refused(metric, scores, labels):
    with pytest.raises(ValueError, match=r"must both be \(N, K\)"):
        metric(np.zeros(scores), np.zeros(labels))


@pytest.mark.parametrize("k", [0, -1, 4, 1.0])
@pytest.mark.parametrize("metric", [hit_at_k, recall_at_k])
def test_k_outside_the_classes_is_refused(metric, k):
    with pytest.raises(ValueError, match=f"k is {k}; it must be a whole number from 1 to the 3"):
        metric(np.zeros((2, 3)), np.ones((2, 3)), k=k)


def test_unsigned_scores_do_not_wrap_around():
    assert hit_at_k(np.array([[0, 200]], dtype=np.uint8), np.array([[0, 1]])) == 1
