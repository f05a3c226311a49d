import numpy as np
import pytest

from emotionnet_hf.evaluation.linear_probe.rows import Part
from emotionnet_hf.evaluation.linear_probe.scoring import Scored
from emotionnet_hf.evaluation.zero_shot.scoring import chance_level


def part_of(labels, label=None):
    label = np.full(len(labels), -1) if label is None else label
    numbers = np.arange(len(labels))
    return Part(numbers, labels.astype(np.float32), label, labels, numbers.astype(str))


def test_chance_of_several_classes_is_what_random_rankings_reach():
    random = np.random.default_rng(0)
    labels = random.random((80, 5)) < [0.1, 0.3, 0.0, 0.5, 0.2]
    many = part_of(np.repeat(labels, 20, axis=0))
    reached = [
        Scored(random.random(many.labels.shape), many).metric("mean_average_precision")
        for _ in range(5)
    ]
    chance = chance_level(part_of(labels), "multi-label")["mean_average_precision"]["random"]
    assert chance == pytest.approx(labels[:, [0, 1, 3, 4]].mean())
    assert np.mean(reached) == pytest.approx(chance, abs=0.01)


def test_chance_of_one_class_is_uniform_or_the_majority():
    classes = np.random.default_rng(1).choice([0, 1, 3], 90, p=[0.5, 0.3, 0.2])
    part = part_of(np.eye(4, dtype=bool)[classes], classes)
    chance = chance_level(part, "single-label")
    assert chance["accuracy"]["random"] == 0.25
    assert chance["accuracy"]["majority_class"] == pytest.approx((classes == 0).mean())
    constant = Scored(np.tile([1.0, 0, 0, 0], (90, 1)), part)
    for name in ("accuracy", "macro_recall"):
        assert chance[name]["majority_class"] == pytest.approx(constant.metric(name))
