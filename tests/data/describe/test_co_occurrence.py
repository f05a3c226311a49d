import itertools
import math

import numpy as np
import pytest

from emotionnet_hf.data.describe.co_occurrence import CoOccurrence, normalized_pmi


def random_images(seed: int, images: int, groups: int, size: int) -> np.ndarray:
    """Images of one group's keywords mostly, (N, K) bool, the columns in random order."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, images)[:, None] == np.repeat(np.arange(groups), size)
    has = rng.random(group.shape) < np.where(group, 0.6, 0.03)
    return has[:, rng.permutation(has.shape[1])]


def co_occurrence(has: np.ndarray) -> CoOccurrence:
    names = [f"k{i}" for i in range(has.shape[1])]
    return CoOccurrence.of(names, has.T.astype(np.int64) @ has, len(has))


def test_npmi_is_the_formula():
    has = random_images(0, 300, 4, 3)
    npmi = normalized_pmi(has.T.astype(np.int64) @ has, len(has))
    for a, b in itertools.product(range(12), repeat=2):
        both = (has[:, a] & has[:, b]).mean()
        if both == 0:
            assert npmi[a, b] == -1
        else:
            pmi = math.log(both / (has[:, a].mean() * has[:, b].mean()))
            assert npmi[a, b] == pytest.approx(pmi / -math.log(both), abs=1e-12)


def test_npmi_of_the_extremes():
    always = np.array([[4, 4, 2], [4, 4, 2], [2, 2, 2]])
    npmi = normalized_pmi(always, 4)
    assert np.isfinite(npmi).all()
    assert npmi[0, 1] == 0
    assert npmi[0, 2] == pytest.approx(0)
    assert npmi[2, 2] == 1


def test_unused_keywords_are_left_out():
    has = np.array([[1, 0, 1], [1, 0, 0]], bool)
    together = co_occurrence(has)
    assert together.names == ["k0", "k2"]
    assert together.numbers()["pairs"] == 1


def test_shares_count_pairs():
    has = random_images(1, 2000, 5, 4)
    together = co_occurrence(has)
    numbers = together.numbers()
    pairs = list(itertools.combinations(range(20), 2))
    assert numbers["pairs"] == len(pairs)
    often = sum(together.npmi[a, b] > 0.3 for a, b in pairs) / len(pairs)
    assert numbers["often"] == pytest.approx(often, abs=1e-6)
    assert numbers["share_with_npmi_above"]["0.3"] == numbers["often"]
    assert 0 < often < 1
    never = sum((has[:, a] & has[:, b]).sum() == 0 for a, b in pairs) / len(pairs)
    assert numbers["never_together"] == pytest.approx(never, abs=1e-6)


def test_independent_keywords_are_near_independence():
    has = np.random.default_rng(0).random((20000, 10)) < 0.2
    numbers = co_occurrence(has).numbers()
    assert numbers["testable_pairs"] == 45
    assert numbers["testable_pairs_near_independence"] == 1
    assert numbers["often"] == 0


def test_strongest_pairs_need_enough_images_and_tell_all():
    has = np.zeros((100, 4), bool)
    has[:4, :2] = True  # always together, but on four images only
    has[10:50, 2] = True
    has[10:40, 3] = True
    (pair,) = co_occurrence(has).numbers()["strongest"]
    assert pair == {
        "a": "k2",
        "b": "k3",
        "images": 30,
        "npmi": round(math.log(0.3 / (0.4 * 0.3)) / -math.log(0.3), 6),
        "jaccard": 0.75,
        "b_given_a": 0.75,
        "a_given_b": 1.0,
    }


def test_order_brings_the_groups_back_together():
    groups, size = 6, 5
    rng = np.random.default_rng(5)
    group = rng.integers(0, groups, 4000)[:, None] == np.repeat(np.arange(groups), size)
    has = rng.random(group.shape) < np.where(group, 0.6, 0.03)
    places = rng.permutation(groups * size)
    names = [f"{column // size}" for column in places]
    shuffled = has[:, places]
    together = CoOccurrence.of(names, shuffled.T.astype(np.int64) @ shuffled, len(has))
    ordered = together.ordered()
    assert [len(list(run)) for _, run in itertools.groupby(ordered.names)] == [size] * groups
    assert [len(list(run)) for _, run in itertools.groupby(names)] != [size] * groups
    # Same matrix, other order.
    assert sorted(ordered.together.ravel()) == sorted(together.together.ravel())
    assert (ordered.together == ordered.together.T).all()


def test_most_frequent_keeps_the_vocabularys_order():
    has = np.tri(5, dtype=bool)[::-1]  # k0 on all five images, k4 on one
    top = co_occurrence(has[:, [4, 2, 0, 1, 3]]).most_frequent(3)
    assert top.together.diagonal().tolist() == [3, 5, 4]
    assert top.names == ["k1", "k2", "k3"]
    assert top.images == 5


@pytest.mark.parametrize("keywords", [0, 1, 2])
def test_few_keywords_are_no_special_case(keywords):
    together = co_occurrence(np.ones((3, keywords), bool))
    assert together.ordered().names == together.names
    assert together.numbers()["used_keywords"] == keywords
