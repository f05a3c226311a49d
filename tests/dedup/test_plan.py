from itertools import pairwise
from math import comb

import numpy as np
import pytest

from emotionnet_hf.dedup.plan import balanced, cut, make_plan


@pytest.mark.parametrize("radius", [1, 4, 8, 16])
@pytest.mark.parametrize("count", [2, 10**4, 4 * 10**6])
def test_the_plan_is_the_fastest_of_its_neighbours(radius, count):
    plan = make_plan(count, radius)
    assert plan.radius == radius
    for parts in range(max(radius + 1, 6), radius + 8):
        assert plan.cost(count) <= cut(parts, radius).cost(count)


def test_the_square_is_left_when_there_are_many():
    # Twice as many hashes take twice to four times as long, not less and not more.
    costs = [make_plan(2**power, 6).cost(2**power) for power in range(12, 24)]
    assert all(1.5 < after / before < 4.5 for before, after in pairwise(costs))


@pytest.mark.parametrize(("parts", "radius"), [(6, 1), (11, 8), (20, 16)])
def test_parts_share_the_64_bits(parts, radius):
    plan = cut(parts, radius)
    widths = np.diff(plan.shifts)
    assert (plan.shifts[0], plan.shifts[-1]) == (0, 64)
    assert widths.max() - widths.min() <= 1
    assert [plan.buckets(part) for part in range(parts)] == [2**width for width in widths]
    tables = sum(plan.tables(part) for part in range(radius + 1))
    assert tables == comb(parts, parts - radius)


@pytest.mark.parametrize("parts", [6, 7, 11, 13])
def test_balanced_moves_bits_and_nothing_else(hard, parts):
    hashes = np.concatenate([hard["random"], hard["skewed"]])
    moved = balanced(hashes, parts)
    distances = np.bitwise_count(hashes[:, None] ^ hashes)
    assert (np.bitwise_count(moved[:, None] ^ moved) == distances).all()
    assert (np.bitwise_count(moved) == np.bitwise_count(hashes)).all()


@pytest.mark.parametrize("parts", [6, 11])
def test_bits_that_say_nothing_are_dealt_to_all_parts(parts):
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**32, 1000, dtype=np.uint64) | np.uint64(0xFFFF_FFFF << 32)
    moved = balanced(hashes, parts)
    shares = np.unpackbits(moved.astype("<u8").view(np.uint8), bitorder="little").reshape(-1, 64)
    silent = (shares == shares[0]).all(axis=0)
    per_part = [silent[a:b].sum() for a, b in pairwise(cut(parts, 1).shifts)]
    assert sum(per_part) == 32
    assert max(per_part) - min(per_part) <= 1
