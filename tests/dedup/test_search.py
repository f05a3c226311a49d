import dataclasses

import numpy as np
import pytest

from emotionnet_hf.dedup.plan import cut, make_plan
from emotionnet_hf.dedup.search import components


def connected(hashes, radius, plan=None, workers=1):
    """Components of distinct hashes."""
    rows = np.arange(len(hashes), dtype=np.int32)
    return components(hashes, rows, rows.copy(), radius, workers=workers, plan=plan)


@pytest.mark.parametrize("radius", [1, 2, 5, 8, 10])
@pytest.mark.parametrize("more", [1, 2, 4])
@pytest.mark.parametrize("small", [0, 40, 10**6])
def test_every_way_to_search_finds_the_same(hard, oracle, radius, more, small):
    plan = cut(max(radius + more, 6), radius)
    plan = dataclasses.replace(plan, small=np.full_like(plan.small, small))
    for name in ("random", "chain", "skewed", "clusters", "few bits", "high bits"):
        hashes = np.unique(hard[name])
        found = connected(hashes, radius, plan, workers=2)
        assert found.tolist() == oracle(hashes, radius, "single"), name


def test_a_dense_cluster_is_one():
    # All 16-bit numbers: each is one bit from 16 others, and the farthest are 16 bits apart.
    hashes = np.random.default_rng(0).permutation(np.arange(2**16, dtype=np.uint64))
    plan = cut(6, 4)
    plan = dataclasses.replace(plan, small=np.full_like(plan.small, 2**17))
    assert not connected(hashes, 4, plan).any()


def test_two_dense_clusters_stay_apart():
    low = np.arange(2**10, dtype=np.uint64)
    hashes = np.concatenate([low, low | np.uint64(0xFF << 32)])
    found = connected(hashes, 7, make_plan(len(hashes), 7))
    assert found.tolist() == [0] * 2**10 + [2**10] * 2**10
    assert not connected(hashes, 8).any()


def test_rows_are_those_given():
    hashes = np.array([0, 1, 255], np.uint64)
    rows, twin = np.array([4, 1, 0], np.int32), np.array([0, 1, 1, 0, 4], np.int32)
    found = components(hashes, rows, twin, 1, workers=1)
    assert found.tolist() == [0, 1, 1, 0, 1]
    assert components(hashes, rows, twin, 0, workers=1).tolist() == [0, 1, 1, 0, 4]


def test_progress_counts_every_table(capsys):
    plan = cut(10, 8)
    rows = np.arange(100, dtype=np.int32)
    hashes = np.arange(100, dtype=np.uint64)
    components(hashes, rows, rows.copy(), 8, workers=1, plan=plan, progress=True)
    assert "45/45" in capsys.readouterr().err
