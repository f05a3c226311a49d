from collections import Counter

import pytest

from emotionnet_hf.data.splits import (
    PAPER_TEST_SHARE,
    PAPER_VALIDATION_SHARE,
    SPLITS,
    assign_split,
)

FROZEN = [
    "validation",
    "train",
    "validation",
    "test",
    "validation",
    "train",
    "test",
    "train",
    "test",
    "validation",
    "test",
    "validation",
]
KEYS = [f"images/{i}.jpg" for i in range(20000)]


def test_the_default_shares_are_the_papers():
    counts = Counter(map(assign_split, KEYS))
    assert set(counts) == set(SPLITS)
    # Four standard deviations of a binomial count.
    for split, share in (("validation", PAPER_VALIDATION_SHARE), ("test", PAPER_TEST_SHARE)):
        deviation = (len(KEYS) * share * (1 - share)) ** 0.5
        assert abs(counts[split] - len(KEYS) * share) < 4 * deviation


def test_a_split_never_changes():
    # Written down: a change here would move images of published data sets.
    got = [assign_split(f"image-{i}", validation=0.3, test=0.3) for i in range(12)]
    assert got == FROZEN


def test_another_seed_gives_another_split():
    shares = {"validation": 0.3, "test": 0.3}
    same = sum(assign_split(k, **shares) == assign_split(k, **shares, seed=1) for k in KEYS)
    assert abs(same / len(KEYS) - (0.4**2 + 0.3**2 + 0.3**2)) < 0.02


def test_raising_a_share_only_adds_images():
    few = {key: assign_split(key, validation=0.1, test=0.1) for key in KEYS[:2000]}
    more_test = {key: assign_split(key, validation=0.1, test=0.2) for key in few}
    more_validation = {key: assign_split(key, validation=0.2, test=0.1) for key in few}
    for key, split in few.items():
        assert split != "test" or more_test[key] == "test"
        assert split == "train" or more_validation[key] == split


def test_extreme_shares():
    assert {assign_split(key, validation=0, test=0) for key in KEYS[:100]} == {"train"}
    assert {assign_split(key, validation=0, test=1) for key in KEYS[:100]} == {"test"}
    assert {assign_split(key, validation=1, test=0) for key in KEYS[:100]} == {"validation"}


@pytest.mark.parametrize(
    ("validation", "test"), [(-0.1, 0), (0, -0.1), (0.6, 0.6), (float("nan"), 0)]
)
def test_impossible_shares_are_refused(validation, test):
    with pytest.raises(ValueError, match="shares"):
        assign_split("a", validation=validation, test=test)
