import numpy as np
import pytest

from emotionnet_hf.evaluation.embed.change import feature_change


def test_same_features_change_nothing():
    rows = np.random.default_rng(0).normal(size=(30, 8))
    change = feature_change(rows, rows)
    assert (change.images, change.largest_relative, change.recall_at_10) == (30, 0.0, 1.0)
    assert change.smallest_cosine == pytest.approx(1)


def test_numbers_are_those_of_a_naive_count():
    rng = np.random.default_rng(1)
    y = rng.normal(size=(40, 5))
    x = y + rng.normal(size=y.shape) * 0.4
    change = feature_change(x, y)
    relative = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(x, y, strict=True)]
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(x, y, strict=True)]
    assert change.mean_relative == pytest.approx(np.mean(relative))
    assert change.largest_relative == pytest.approx(max(relative))
    assert change.mean_cosine == pytest.approx(np.mean(cosine))
    assert change.smallest_cosine == pytest.approx(min(cosine))

    def near(rows, i):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        others = [j for j in range(len(rows)) if j != i]
        return set(sorted(others, key=lambda j: -(unit[i] @ unit[j]))[:10])

    kept = [len(near(x, i) & near(y, i)) / 10 for i in range(40)]
    assert change.recall_at_10 == pytest.approx(np.mean(kept))
    assert 0.3 < change.recall_at_10 < 1


def test_few_pictures_have_fewer_neighbours():
    rows = np.eye(3)
    assert feature_change(rows[:1], rows[:1]).recall_at_10 == 1
    assert feature_change(rows, rows).recall_at_10 == 1


def test_it_is_told_in_words():
    rows = np.eye(12)
    assert "keep 100.0% of the 10 nearest neighbours, on 12 pictures" in str(
        feature_change(rows, rows)
    )
