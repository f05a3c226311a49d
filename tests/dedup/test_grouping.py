import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emotionnet_hf.dedup import (
    DEFAULT_RADIUS,
    LINKAGES,
    MAX_RADIUS,
    DedupError,
    near_duplicates,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def array(*hashes: int) -> np.ndarray:
    return np.array(hashes, np.uint64)


@pytest.mark.parametrize("radius", range(11))
@pytest.mark.parametrize("linkage", LINKAGES)
def test_groups_are_those_of_brute_force(hard, oracle, radius, linkage):
    for name, hashes in hard.items():
        found = near_duplicates(hashes, radius, linkage=linkage, workers=2)
        assert found.keeper.tolist() == oracle(hashes, radius, linkage), name


@pytest.mark.parametrize("linkage", LINKAGES)
def test_the_largest_radius(hard, oracle, linkage):
    for name in ("random", "clusters"):
        found = near_duplicates(hard[name], MAX_RADIUS, linkage=linkage)
        assert found.keeper.tolist() == oracle(hard[name], MAX_RADIUS, linkage)


def test_many_rows_and_the_number_of_threads(hard):
    hashes = np.tile(hard["clusters"], 40)
    hashes[3000:] ^= np.random.default_rng(0).choice(hashes, len(hashes) - 3000)
    first, *others = (near_duplicates(hashes, 5, workers=n).keeper for n in (1, 2, 3, 99))
    assert len(set(first.tolist())) > 100
    assert all((first == other).all() for other in others)


# Three in a row, each 3 bits from the next, and the third 2 bits from a fourth.
CHAIN = array(0b000_000_00, 0b000_111_00, 0b111_111_00, 0b111_111_11)


def test_single_linkage_chains(caplog):
    with caplog.at_level(logging.WARNING):
        found = near_duplicates(CHAIN, 3)
    assert found.keeper.tolist() == [0, 0, 0, 0]
    assert found.distance.tolist() == [0, 3, 6, 8]
    assert (found.num_groups, found.largest_group, found.num_chained) == (1, 4, 1)
    (record,) = caplog.records
    assert "more than 6 bits" in record.getMessage()
    assert "representative" in record.getMessage()


@pytest.mark.parametrize("linkage", ["complete", "representative"])
def test_the_other_linkages_do_not(linkage, caplog):
    found = near_duplicates(CHAIN, 3, linkage=linkage)
    assert found.keeper.tolist() == [0, 0, 2, 2]
    assert found.kept.tolist() == [True, False, True, False]
    assert (found.num_groups, found.num_kept, found.largest_group) == (2, 2, 2)
    assert not caplog.records


def test_complete_and_representative_differ_where_the_dropped_are_apart():
    around = array(0b0000, 0b0011, 0b1100)  # the last two are 4 bits apart
    assert near_duplicates(around, 2, linkage="representative").keeper.tolist() == [0, 0, 0]
    assert near_duplicates(around, 2, linkage="complete").keeper.tolist() == [0, 0, 2]


def test_the_first_row_stays_whatever_its_hash():
    hashes = array(9, 9, 2**63, 8, 9)
    assert near_duplicates(hashes, 1).keeper.tolist() == [0, 0, 2, 0, 0]
    assert near_duplicates(hashes[::-1].copy(), 1).keeper.tolist() == [0, 0, 2, 0, 0]


def test_nothing_to_group():
    found = near_duplicates(array())
    assert found.keeper.shape == found.kept.shape == found.distance.shape == (0,)
    assert (found.num_kept, found.num_groups, found.largest_group) == (0, 0, 0)


def test_the_default_radius_is_a_careful_one():
    assert DEFAULT_RADIUS <= 6
    assert near_duplicates(array(0, 2**DEFAULT_RADIUS - 1)).keeper.tolist() == [0, 0]
    assert near_duplicates(array(0, 2 ** (DEFAULT_RADIUS + 1) - 1)).keeper.tolist() == [0, 1]


@pytest.mark.parametrize("radius", [-1, MAX_RADIUS + 1, 2.0, True, None])
def test_radius_out_of_range(radius):
    with pytest.raises(DedupError, match="0 to 16"):
        near_duplicates(array(1), radius)


@pytest.mark.parametrize(
    "hashes", [[1, 2], np.array([1, 2]), np.array([[1]], np.uint64), np.array(["ff"])]
)
def test_hashes_of_another_type(hashes):
    with pytest.raises(DedupError, match="hashes_from_hex"):
        near_duplicates(hashes)


def test_other_arguments_out_of_range():
    with pytest.raises(DedupError, match="single, complete, representative"):
        near_duplicates(array(1), linkage="average")
    with pytest.raises(DedupError, match="workers=0"):
        near_duplicates(array(1), workers=0)


def test_who_does_not_group_does_not_wait_for_numba():
    # Without the front door of the package, which imports torch and takes longer than numba.
    code = """
import sys, types
package = types.ModuleType("emotionnet_hf")
package.__path__ = [sys.argv[1]]
sys.modules["emotionnet_hf"] = package
import emotionnet_hf.dedup, emotionnet_hf.phash
print("numba" in sys.modules)
"""
    folder = REPOSITORY / "emotionnet_hf"
    words = [sys.executable, "-c", code, folder]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "False\n"
