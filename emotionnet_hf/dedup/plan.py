"""How to search: into how many parts to cut the bits, and when to stop dealing to buckets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import comb, sqrt

import numpy as np

# Bits of a part at most: more buckets than that no longer fit into the processor's cache.
_MAX_PART_BITS = 11
# Nanoseconds, as measured: to compare a pair, to move a hash to its bucket, to look at a bucket,
# and to begin comparing in one.
_PAIR, _MOVE, _LOOK, _BEGIN = 0.35, 5.0, 2.5, 30.0


@dataclass(frozen=True)
class Plan:
    """How to search.

    Attributes:
        parts: Parts of the 64 bits.
        agreeing: In so many parts at least two hashes within the radius agree bit by bit.
        shifts: Where each part begins, and 64; int64, (parts + 1,).
        small: Buckets of at most `small[first, need]` hashes are compared pair by pair rather than
            dealt on by `need` of the parts from `first` on; int64, (parts + 1, agreeing + 1).
    """

    parts: int
    agreeing: int
    shifts: np.ndarray
    small: np.ndarray

    @property
    def radius(self) -> int:
        """Bits in which two near hashes differ at most."""
        return self.parts - self.agreeing

    def buckets(self, part: int) -> int:
        """Number of values of a part.

        Args:
            part: The part, from 0.
        """
        return 1 << int(self.shifts[part + 1] - self.shifts[part])

    def tables(self, part: int) -> int:
        """Choices of agreeing parts that have this one as their first.

        Args:
            part: The part, from 0.
        """
        return comb(self.parts - part - 1, self.agreeing - 1)

    def cost(self, count: int) -> float:
        """Time that one core is expected to need for random hashes.

        Args:
            count: How many they are.

        Returns:
            Nanoseconds.
        """
        buckets = 2 ** (64 / self.parts)

        @cache
        def cost(size: float, first: int, need: int) -> float:
            if need == 0 or size <= self.small[first, need]:
                return _BEGIN * min(1, size**2 / 2) + _PAIR * size**2 / 2
            deal = _MOVE * size + _LOOK * buckets
            return sum(
                deal + buckets * cost(size / buckets, part + 1, need - 1)
                for part in range(first, self.parts - need + 1)
            )

        return cost(count, 0, self.agreeing)


def make_plan(count: int, radius: int) -> Plan:
    """Choose the number of parts with the smallest expected time.

    Args:
        count: Number of hashes.
        radius: Bits in which two near hashes differ at most, 1 or more.

    Returns:
        The plan.
    """
    fewest = max(radius + 1, -(-64 // _MAX_PART_BITS))
    plans = [cut(parts, radius) for parts in range(fewest, fewest + 8)]
    return min(plans, key=lambda plan: plan.cost(count))


def cut(parts: int, radius: int) -> Plan:
    """Plan with a given number of parts.

    Args:
        parts: The number, above the radius.
        radius: Bits in which two near hashes differ at most.

    Returns:
        The plan.
    """
    agreeing = parts - radius
    small = np.zeros((parts + 1, agreeing + 1), np.int64)
    for need in range(1, agreeing + 1):
        for first in range(parts - need + 1):
            # Where all pairs take as long as dealing once, in each choice of the next part.
            choices = parts - first - need + 1
            moves, buckets = choices * _MOVE, choices * _LOOK * 2 ** (64 / parts)
            small[first, need] = (moves + sqrt(moves**2 + 2 * _PAIR * buckets)) / _PAIR
    bits, wider = divmod(64, parts)
    shifts = np.array([part * bits + min(part, wider) for part in range(parts + 1)])
    return Plan(parts, agreeing, shifts, small)


def balanced(hashes: np.ndarray, parts: int) -> np.ndarray:
    """Reorder the bits so that each part has its share of those that are nearly always the same.

    Distances stay. pHash's first bit, the mean, is always set, and drawings have more such bits:
    a part of nothing else would put all hashes into one bucket.

    Args:
        hashes: uint64, (N,).
        parts: Parts, cut as by `cut`.

    Returns:
        The hashes with their bits in another order, the same for all; uint64, (N,).
    """
    sample = hashes[:: len(hashes) // 100_000 + 1]
    bits = np.unpackbits(_octets(sample), axis=1, bitorder="little")
    ranked = np.argsort(abs(bits.mean(axis=0) - 0.5), kind="stable")
    target = np.empty(64, np.uint64)
    target[np.concatenate([ranked[part::parts] for part in range(parts)])] = np.arange(64)
    values = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    result = np.zeros_like(hashes)
    for place, octets in enumerate(_octets(hashes).T):
        moved = values.astype(np.uint64) << target[8 * place : 8 * place + 8]
        result |= np.bitwise_or.reduce(moved, axis=1)[octets]
    return result


def _octets(hashes: np.ndarray) -> np.ndarray:
    """The eight bytes of each hash, the lowest first; uint8, (N, 8)."""
    return hashes.astype("<u8").view(np.uint8).reshape(-1, 8)
