import numpy as np
import pytest
from datasets import Dataset
from sklearn.metrics import accuracy_score, average_precision_score, recall_score

from emotionnet_hf.data.benchmarks.benchmark import benchmark_features
from emotionnet_hf.evaluation.confidence import bootstrap_interval
from emotionnet_hf.evaluation.zero_shot.scoring import Truth, chance_level, measure
from emotionnet_hf.metrics import mean_average_precision


@pytest.fixture
def several():
    random = np.random.default_rng(0)
    labels = random.random((80, 5)) < [0.1, 0.3, 0.0, 0.5, 0.2]
    groups = np.asarray([f"picture {n // 2}" for n in range(80)])
    return random.random((80, 5)), Truth("multi-label", labels, groups)


@pytest.fixture
def single():
    random = np.random.default_rng(1)
    classes = random.choice([0, 1, 3], 90, p=[0.5, 0.3, 0.2])
    labels = np.eye(4, dtype=bool)[classes]
    scores = random.random((90, 4)) + 0.5 * labels
    return scores, Truth("single-label", labels, np.arange(90).astype(str)), classes


def test_several_right_classes_are_measured_by_macro_average_precision(several):
    scores, truth = several
    metrics, by_class = measure(scores, truth, samples=50, seed=0)
    occurring = [0, 1, 3, 4]
    expected = [average_precision_score(truth.labels[:, c], scores[:, c]) for c in occurring]
    assert by_class[2] is None
    assert [by_class[c] for c in occurring] == pytest.approx(expected)
    assert metrics["mean_average_precision"]["mean"] == pytest.approx(np.mean(expected))
    low, high = metrics["mean_average_precision"]["interval"]
    assert low < metrics["mean_average_precision"]["mean"] < high
    assert list(metrics) == ["mean_average_precision"]


def test_one_right_class_is_measured_by_accuracy_and_macro_recall(single):
    scores, truth, classes = single
    metrics, by_class = measure(scores, truth, samples=200, seed=0)
    predicted = scores.argmax(axis=1)
    assert metrics["accuracy"]["mean"] == pytest.approx(accuracy_score(classes, predicted))
    expected = recall_score(classes, predicted, labels=[0, 1, 3], average=None)
    assert metrics["macro_recall"]["mean"] == pytest.approx(expected.mean())
    assert by_class[2] is None
    assert [by_class[c] for c in (0, 1, 3)] == pytest.approx(expected.tolist())
    for metric in metrics.values():
        assert metric["sd"] is None
        assert metric["interval"][0] < metric["mean"] < metric["interval"][1]


def test_rows_of_one_picture_are_drawn_together(several):
    """Eight copies of each row: apart they feign eight times the data, together they do not."""
    scores, truth = several
    labels, many = np.repeat(truth.labels, 8, axis=0), np.repeat(scores, 8, axis=0)

    def width(scores, labels, groups):
        truth = Truth("multi-label", labels, np.asarray(groups).astype(str))
        metrics, _ = measure(scores, truth, samples=300, seed=0)
        low, high = metrics["mean_average_precision"]["interval"]
        return high - low

    single = width(scores, truth.labels, range(80))
    assert width(many, labels, range(640)) < 0.6 * single
    assert width(many, labels, np.repeat(range(80), 8)) > 0.8 * single


def test_the_interval_is_that_of_the_metric_of_resampled_rows(several):
    scores, truth = several
    metrics, _ = measure(scores, truth, samples=30, seed=4)
    expected = bootstrap_interval(
        mean_average_precision, [scores, truth.labels], truth.groups, samples=30, seed=4
    )
    found = metrics["mean_average_precision"]["interval"]
    assert found == pytest.approx(list(expected), abs=1e-12)


@pytest.mark.parametrize("case", ["several", "single"])
def test_scores_that_are_not_finite_are_refused(case, request):
    scores, truth = request.getfixturevalue(case)[:2]
    scores[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        measure(scores, truth, samples=1, seed=0)


def test_chance_of_several_classes_is_what_random_rankings_reach(several):
    _, truth = several
    random = np.random.default_rng(3)
    many = Truth(truth.task, np.repeat(truth.labels, 20, axis=0), np.repeat(truth.groups, 20))
    reached = [
        measure(random.random(many.labels.shape), many, samples=1, seed=0)[0] for _ in range(5)
    ]
    mean = np.mean([metrics["mean_average_precision"]["mean"] for metrics in reached])
    chance = chance_level(truth)["mean_average_precision"]["random"]
    assert chance == pytest.approx(truth.labels[:, [0, 1, 3, 4]].mean())
    assert mean == pytest.approx(chance, abs=0.01)


def test_chance_of_one_class_is_uniform_or_the_majority(single):
    _, truth, classes = single
    chance = chance_level(truth)
    assert chance["accuracy"]["random"] == 0.25
    assert chance["accuracy"]["majority_class"] == pytest.approx((classes == 0).mean())
    constant = np.tile([1.0, 0, 0, 0], (90, 1))
    metrics, _ = measure(constant, truth, samples=1, seed=0)
    for name in ("accuracy", "macro_recall"):
        assert chance[name]["majority_class"] == pytest.approx(metrics[name]["mean"])


def test_truth_is_read_from_the_columns_of_the_task(toy, rows):
    data = [
        {**rows[0], "label": 2, "labels": [0, 2]},
        {**rows[1], "label": -1, "labels": []},
        {**rows[2], "label": -1, "labels": [1]},
    ]
    split = Dataset.from_list(data, features=benchmark_features(toy.classes))
    one, many = (Truth.read(split, task, 3) for task in ("single-label", "multi-label"))
    assert one.labels.tolist() == [[False, False, True], [False] * 3, [False] * 3]
    assert many.labels.tolist() == [[True, False, True], [False] * 3, [False, True, False]]
    assert one.usable.tolist() == [0] and many.usable.tolist() == [0, 1, 2]
    assert many.take(np.array([2])).groups.tolist() == [rows[2]["group"]]
