"""Which image stays for which: near-duplicates among 64-bit perceptual hashes, exactly."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

logger = logging.getLogger(__name__)

Linkage = Literal["single", "complete", "representative"]
LINKAGES: tuple[Linkage, ...] = get_args(Linkage)

DEFAULT_RADIUS = 4
MAX_RADIUS = 16
"""Largest radius, in bits: there unrelated pictures meet as often as copies do."""

# Each thread has a table of all rows; more of them would cost more memory than they save time.
_MAX_WORKERS = 16


class DedupError(ValueError):
    """Hashes, a radius or a linkage that cannot be worked with; the message says what can."""


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Which row stays for which.

    Attributes:
        keeper: For each row the row that stays for it, itself where it stays; also the name of
            its group; int64, (N,).
        distance: Bits in which each row differs from the one that stays for it; uint8, (N,).
        radius: The radius.
        linkage: The linkage.
    """

    keeper: np.ndarray
    distance: np.ndarray
    radius: int
    linkage: Linkage

    @cached_property
    def kept(self) -> np.ndarray:
        """Whether a row stays; bool, (N,)."""
        kept: np.ndarray = self.keeper == np.arange(len(self.keeper))
        return kept

    @cached_property
    def sizes(self) -> np.ndarray:
        """Rows of each group, the largest first, groups of one row included; int64, (groups,)."""
        counts = np.bincount(self.keeper, minlength=1)
        return np.sort(counts[counts > 0])[::-1]

    @property
    def num_kept(self) -> int:
        """Rows that stay."""
        return len(self.sizes)

    @property
    def num_groups(self) -> int:
        """Groups of at least two rows."""
        return int((self.sizes > 1).sum())

    @property
    def largest_group(self) -> int:
        """Rows of the largest group; 0 without rows."""
        return int(self.sizes[0]) if len(self.sizes) else 0

    @property
    def num_chained(self) -> int:
        """Rows more than two radii away from the one that stays: single linkage went far."""
        return int((self.distance > 2 * self.radius).sum())


def near_duplicates(
    hashes: np.ndarray,
    radius: int = DEFAULT_RADIUS,
    *,
    linkage: Linkage = "single",
    workers: int | None = None,
    progress: bool = False,
) -> NearDuplicates:
    """Group hashes that differ in at most `radius` bits, exactly.

    Of each group the first row stays: put first what you would rather keep. What else the rows
    hold, their keywords for one, is nobody's business here: nothing of a dropped row is merged
    into the one that stays.

    - `single`: rows within the radius are in one group, and so are their groups. Chains: the
      ends of a group may have little in common.
    - `complete`: row by row in order, each joins the first group of whose rows all are within the
      radius, or opens a group. (True agglomeration has no one result, as most distances tie.)
    - `representative`: row by row in order, each is dropped for the first kept row within the
      radius, or is kept. So no two kept rows are within the radius, and each dropped row is
      within the radius of the one that stays for it.

    The default radius finds re-encoded and shrunk copies; of 4 million unrelated pictures about
    one pair is as near by chance (32 of 64 bits are set), 110 pairs at radius 6 and 5,700 at 8.

    Args:
        hashes: uint64, (N,); see `emotionnet_hf.phash.hashes_from_hex`.
        radius: Bits, 0 to 16.
        linkage: `single`, `complete` or `representative`.
        workers: Threads, at most 16 of them; None for one per core.
        progress: Show a bar.

    Returns:
        The groups.

    Raises:
        DedupError: An argument is out of range or of the wrong type.

    >>> near_duplicates(np.array([0b0000, 0b0011, 0b1111], np.uint64), 2).keeper
    array([0, 0, 0])
    """
    workers = min(_num_cores() if workers is None else workers, _MAX_WORKERS)
    check_rule(radius, linkage)
    _check(hashes, workers)
    keeper = _keepers(hashes, radius, linkage, workers, progress)
    distance = np.bitwise_count(hashes ^ hashes[keeper])
    found = NearDuplicates(keeper, distance, radius, linkage)
    if found.num_chained:
        logger.warning(
            "%d images are dropped for one that differs in more than %d bits, twice the radius: "
            "single linkage made chains, the largest group has %d images. Take a smaller radius, "
            "or linkage complete or representative",
            *(found.num_chained, 2 * radius, found.largest_group),
        )
    return found


def _num_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_rule(radius: int, linkage: str) -> None:
    """Refuse a radius or a linkage that is none: before the hashing, which may take hours.

    Args:
        radius: Bits.
        linkage: The linkage.

    Raises:
        DedupError: It is none.
    """
    if isinstance(radius, bool) or not isinstance(radius, int) or not 0 <= radius <= MAX_RADIUS:
        raise DedupError(f"radius={radius} has to be a whole number of bits from 0 to {MAX_RADIUS}")
    if linkage not in LINKAGES:
        raise DedupError(f"linkage={linkage!r} has to be one of {', '.join(LINKAGES)}")


def _check(hashes: np.ndarray, workers: int) -> None:
    if not (isinstance(hashes, np.ndarray) and hashes.dtype == np.uint64 and hashes.ndim == 1):
        raise DedupError(
            "hashes have to be a NumPy array of type uint64 and shape (N,); "
            "emotionnet_hf.phash.hashes_from_hex makes one of hexadecimal strings"
        )
    if len(hashes) >= 2**31:
        raise DedupError(f"{len(hashes):,} hashes are too many; at most 2**31 - 1")
    if workers < 1:
        raise DedupError(f"workers={workers} has to be at least 1")


def _twins(hashes: np.ndarray) -> np.ndarray:
    """For each row the first row with the same hash; int32, (N,)."""
    order = np.argsort(hashes, kind="stable").astype(np.int32)
    ordered = hashes[order]
    new = np.ones(len(hashes), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    twin = np.empty_like(order)
    twin[order] = order[new][np.cumsum(new) - 1]
    return twin


def _keepers(
    hashes: np.ndarray, radius: int, linkage: Linkage, workers: int, progress: bool
) -> np.ndarray:
    """For each row the row that stays for it; int64, (N,)."""
    # Here, because importing numba takes a second.
    from emotionnet_hf.dedup.linkages import complete_groups, representatives
    from emotionnet_hf.dedup.search import components

    twin = _twins(hashes)
    rows = np.flatnonzero(twin == np.arange(len(twin))).astype(np.int32)
    distinct = hashes[rows]
    component = components(distinct, rows, twin, radius, workers=workers, progress=progress)
    if linkage == "single":
        return component.astype(np.int64)
    # The rows with the hash of an earlier row fare like that row under both rules.
    split = representatives if linkage == "representative" else complete_groups
    keeper = np.empty(len(hashes), np.int64)
    keeper[rows] = rows[split(distinct, component[rows], radius)]
    return keeper[twin]
