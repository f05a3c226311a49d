"""Hashes that are hard to group, and the slowest and plainest way to group them."""

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components


def chain(rng, count: int, most: int) -> np.ndarray:
    """A walk over the hashes, a few bits a step, in any order."""
    steps = [np.bitwise_or.reduce(_bits(rng, rng.integers(0, most + 1))) for _ in range(count)]
    return rng.permutation(np.bitwise_xor.accumulate(np.array(steps, np.uint64)))


def skewed(rng, count: int) -> np.ndarray:
    """Bits that are nearly always set, or nearly never."""
    bits = rng.random((count, 64)) < rng.beta(0.2, 0.2, 64)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def clusters(rng, count: int) -> np.ndarray:
    """Up to eight bits around each of a few centres."""
    hashes = rng.choice(rng.integers(0, 2**64, 5, dtype=np.uint64), count)
    for _ in range(8):
        flipped = rng.random(count) < 0.5
        hashes[flipped] ^= np.uint64(1) << rng.integers(0, 64, flipped.sum(), dtype=np.uint64)
    return hashes


def _bits(rng, count: int) -> np.ndarray:
    chosen = np.append(rng.choice(64, count, replace=False), 64).astype(np.uint64)
    return np.where(chosen < 64, np.uint64(1) << chosen, np.uint64(0))


@pytest.fixture(scope="session")
def hard() -> dict[str, np.ndarray]:
    """Sets of hashes by the name of what is hard about them."""
    rng = np.random.default_rng(7)
    full = np.uint64(2**64 - 1)
    return {
        "none": np.zeros(0, np.uint64),
        "one": np.array([full]),
        "equal": np.full(50, full),
        "extremes": np.tile(np.array([0, 1, 2**64 - 1, 2**64 - 2], np.uint64), 9),
        "random": rng.integers(0, 2**64, 300, dtype=np.uint64),
        "few bits": rng.integers(0, 2**9, 300, dtype=np.uint64),
        "high bits": rng.integers(0, 2**10, 300, dtype=np.uint64) << np.uint64(54),
        "chain": chain(rng, 300, 3),
        "long steps": chain(rng, 300, 9),
        "skewed": skewed(rng, 300),
        "clusters": clusters(rng, 300),
    }


@pytest.fixture(scope="session")
def oracle():
    """Keepers of each linkage by comparing everything with everything."""

    def keepers(hashes: np.ndarray, radius: int, linkage: str) -> list[int]:
        near = np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= radius
        if linkage == "single":
            _, labels = connected_components(near)
            return [int(np.flatnonzero(labels == label)[0]) for label in labels]
        groups: list[list[int]] = []
        result = []
        for row in range(len(hashes)):
            asked = (g[:1] if linkage == "representative" else g for g in groups)
            fits = (number for number, rows in enumerate(asked) if near[row, rows].all())
            number = next(fits, len(groups))
            if number == len(groups):
                groups.append([])
            groups[number].append(row)
            result.append(groups[number][0])
        return result

    return keepers
