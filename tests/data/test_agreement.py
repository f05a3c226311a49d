import itertools
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from emotionnet_hf.data.agreement import (
    AnnotationError,
    WorkerVotes,
    count_votes,
    krippendorff_alpha,
    pooled_alpha,
)


def naive_alpha(units: list[list[int]]) -> float:
    """Krippendorff's own definition, pair by pair: 1 - observed / expected disagreement."""
    units = [unit for unit in units if len(unit) >= 2]
    values = [value for unit in units for value in unit]
    observed = sum(
        sum(a != b for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    expected = sum(a != b for a, b in itertools.permutations(values, 2)) / (len(values) - 1)
    return 1 - observed / expected


def answers(rng, images: int, rate: float) -> list[list[int]]:
    """Yes-or-no answers of one to six workers, who follow the image most of the time."""
    truth = rng.random(images) < rate
    units = []
    for value in truth:
        right = rng.random(rng.integers(1, 7)) < 0.8
        units.append([int(value == r) for r in right])
    return units


def as_counts(units: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([sum(u) for u in units]), np.array([len(u) for u in units])


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_alpha_is_krippendorffs_definition(rate):
    units = answers(np.random.default_rng(4), 150, rate)
    assert {len(unit) for unit in units} == {1, 2, 3, 4, 5, 6}
    assert krippendorff_alpha(*as_counts(units)) == pytest.approx(naive_alpha(units), abs=1e-12)


def test_alpha_of_the_textbook_example():
    # Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), section A: two observers,
    # ten articles, binary data; alpha is 0.095.
    meg = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    owen = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    units = [list(pair) for pair in zip(meg, owen, strict=True)]
    assert krippendorff_alpha(*as_counts(units)) == pytest.approx(0.095, abs=5e-4)


def test_alpha_is_not_defined_without_a_choice_or_a_pair():
    assert krippendorff_alpha(np.array([0, 0]), np.array([5, 5])) is None
    assert krippendorff_alpha(np.array([5, 5]), np.array([5, 5])) is None
    assert krippendorff_alpha(np.array([1, 0]), np.array([1, 1])) is None
    assert krippendorff_alpha(np.array([], int), np.array([], int)) is None


def random_annotations(rng, images: int, classes: int) -> list[list[list[int]]]:
    return [
        [
            rng.choice(classes, rng.integers(0, 3), replace=False).tolist()
            for _ in range(rng.choice([0, 4, 5, 6]))
        ]
        for _ in range(images)
    ]


def test_votes_are_counted_as_one_would_by_hand():
    annotations = random_annotations(np.random.default_rng(0), 80, 8)
    counted = count_votes(pa.array(annotations, pa.list_(pa.list_(pa.int64()))), 8)
    for i, workers in enumerate(annotations):
        assert counted.workers[i] == len(workers)
        assert counted.votes[i].tolist() == [sum(c in w for w in workers) for c in range(8)]
        alike = Counter(frozenset(worker) for worker in workers)
        assert counted.same[i] == max(alike.values(), default=0)
    assert (counted.same >= 3).any()


def test_slices_and_gaps_are_counted_too():
    column = pa.array([[[1]], [[0], None, [0, 0]], None], pa.list_(pa.list_(pa.int64())))
    counted = count_votes(column.slice(1), 2)
    assert counted.workers.tolist() == [3, 0]
    assert counted.votes.tolist() == [[2, 0], [0, 0]]
    assert counted.same.tolist() == [2, 0]


def test_pooled_alpha_takes_every_class_of_every_image_as_a_question():
    annotations = random_annotations(np.random.default_rng(1), 60, 3)
    counted = count_votes(pa.array(annotations, pa.list_(pa.list_(pa.int64()))), 3)
    units = [[int(c in w) for w in workers] for workers in annotations for c in range(3)]
    assert pooled_alpha(counted) == pytest.approx(naive_alpha(units), abs=1e-12)


def test_batches_are_joined_in_order():
    parts = [count_votes(pa.array([[[i]] * (i + 1)]), 3) for i in range(3)]
    joined = WorkerVotes.joined(parts)
    assert joined.workers.tolist() == [1, 2, 3]
    assert joined.votes.tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 3]]


@pytest.mark.parametrize("wrong", [8, -1])
def test_class_outside_of_the_vocabulary_is_an_error(wrong):
    with pytest.raises(AnnotationError, match="8 classes"):
        count_votes(pa.array([[[0], [wrong]]]), 8)


def test_more_classes_than_bits_are_refused():
    with pytest.raises(AnnotationError, match="62"):
        count_votes(pa.array([[[0]]]), 63)
