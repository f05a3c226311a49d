"""Splitting the components of single linkage further, row by row in order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emotionnet_hf.dedup.compiled import compiled, count_bits


def representatives(hashes: np.ndarray, component: np.ndarray, radius: int) -> np.ndarray:
    """Keep a row unless an earlier kept one is within the radius.

    Takes time with the square of a component's size, as `complete_groups` does.

    Args:
        hashes: uint64, (N,).
        component: For each row the first one of its component, which holds all rows within the
            radius of its own; int, (N,).
        radius: Bits.

    Returns:
        For each row the first kept row within the radius; int64, (N,).
    """
    return _within_components(_lead, hashes, component, radius)


def complete_groups(hashes: np.ndarray, component: np.ndarray, radius: int) -> np.ndarray:
    """Let a row join the first group whose rows all are within the radius.

    Args:
        hashes: uint64, (N,).
        component: For each row the first one of its component, which holds all rows within the
            radius of its own; int, (N,).
        radius: Bits.

    Returns:
        For each row the first one of its group; int64, (N,).
    """
    return _within_components(_gather, hashes, component, radius)


def _within_components(
    split: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    hashes: np.ndarray,
    component: np.ndarray,
    radius: int,
) -> np.ndarray:
    order = np.argsort(component, kind="stable")
    starts = np.flatnonzero(np.diff(component[order], prepend=-1, append=-1))
    result = np.empty(len(hashes), np.int64)
    result[order] = order[split(hashes[order], starts, radius)]
    return result


@compiled
def _lead(hashes: np.ndarray, starts: np.ndarray, radius: int) -> np.ndarray:
    """For each hash the first leader of its component within the radius, by place."""
    leader = np.empty(len(hashes), np.int64)
    leaders = np.empty(len(hashes), np.int64)
    for component in range(len(starts) - 1):
        count = 0
        for i in range(starts[component], starts[component + 1]):
            leader[i] = i
            for k in range(count):
                if count_bits(hashes[i] ^ hashes[leaders[k]]) <= radius:
                    leader[i] = leaders[k]
                    break
            else:
                leaders[count] = i
                count += 1
    return leader


@compiled
def _gather(hashes: np.ndarray, starts: np.ndarray, radius: int) -> np.ndarray:
    """For each hash the first one of the group it joins, by place."""
    opener = np.empty(len(hashes), np.int64)
    openers = np.empty(len(hashes), np.int64)
    following = np.full(len(hashes), -1, np.int64)  # the next of the same group
    last = np.empty(len(hashes), np.int64)
    for component in range(len(starts) - 1):
        count = 0
        for i in range(starts[component], starts[component + 1]):
            opener[i] = last[i] = i
            for k in range(count):
                j = openers[k]
                while j >= 0 and count_bits(hashes[i] ^ hashes[j]) <= radius:
                    j = following[j]
                if j < 0:
                    opener[i] = openers[k]
                    following[last[opener[i]]] = i
                    last[opener[i]] = i
                    break
            else:
                openers[count] = i
                count += 1
    return opener
