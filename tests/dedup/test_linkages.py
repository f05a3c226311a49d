import numpy as np
import pytest

from emotionnet_hf.dedup.linkages import complete_groups, representatives

RULES = {"representative": representatives, "complete": complete_groups}


@pytest.mark.parametrize("linkage", RULES)
@pytest.mark.parametrize("radius", [0, 3, 6])
def test_components_may_be_mixed_and_larger_than_needed(hard, oracle, linkage, radius):
    for name in ("clusters", "few bits", "chain"):
        hashes = hard[name]
        one = np.zeros(len(hashes), np.int32)
        single = np.array(oracle(hashes, radius, "single"), np.int32)
        expected = oracle(hashes, radius, linkage)
        for component in (one, single):
            found = RULES[linkage](hashes, component, radius)
            assert found.tolist() == expected, name


@pytest.mark.parametrize("linkage", RULES)
def test_no_rows(linkage):
    nothing = np.zeros(0, np.uint64)
    assert RULES[linkage](nothing, nothing.astype(np.int32), 3).tolist() == []


def test_what_the_linkages_promise(hard):
    hashes = hard["clusters"]
    component = np.zeros(len(hashes), np.int32)
    distance = np.bitwise_count(hashes[:, None] ^ hashes)
    leader = representatives(hashes, component, 5)
    kept = np.unique(leader)
    assert (distance[np.arange(len(hashes)), leader] <= 5).all()
    assert (distance[np.ix_(kept, kept)] + 99 * np.eye(len(kept)) > 5).all()
    group = complete_groups(hashes, component, 5)
    assert (distance[group[:, None] == group] <= 5).all()
