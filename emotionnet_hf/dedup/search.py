"""Finding all hashes within a radius of one another, and connecting them.

Two hashes that differ in at most `radius` bits agree in at least `parts - radius` of any `parts`
parts of their 64 bits. So hashes are dealt to buckets by one part after the other, in every choice
of that many parts, and only hashes that share a bucket are compared: no pair is missed, and few
are looked at in vain. Pairs are not stored: each joins two components at once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from emotionnet_hf.dedup.compiled import compiled, count_bits
from emotionnet_hf.dedup.plan import Plan, balanced, make_plan

# A bucket of which a few rows have more near ones than that is a dense cluster.
_DENSE = 16


def components(
    hashes: np.ndarray,
    rows: np.ndarray,
    twin: np.ndarray,
    radius: int,
    *,
    workers: int,
    progress: bool = False,
    plan: Plan | None = None,
) -> np.ndarray:
    """Connect rows whose hashes are within the radius, and so on.

    Args:
        hashes: Distinct hashes; uint64, (D,).
        rows: The first row of each; int32, (D,).
        twin: For each row the first row with the same hash; int32, (N,).
        radius: Bits.
        workers: Threads; each takes 4 bytes a row, besides some 40 that all of them share.
        progress: Show a bar.
        plan: How to search; None for the fastest.

    Returns:
        For each row the first one of its component; int32, (N,).
    """
    if radius == 0 or len(hashes) < 2:
        return twin
    plan = plan or make_plan(len(hashes), radius)
    both = np.tile(balanced(hashes, plan.parts), 2)  # as they come, and as they are dealt
    both_rows = np.tile(rows, 2)
    # Each thread connects in a table of its own, so that none waits for another.
    parents = [twin.copy() for _ in range(workers)]
    parts = range(plan.parts - plan.agreeing + 1)
    total = sum(map(plan.tables, parts))
    bar = tqdm(total=total, desc="comparing", unit="table", disable=not progress)
    with bar, ThreadPoolExecutor(workers) as pool:
        for part in parts:
            _search_part(both, both_rows, plan, part, parents, pool)
            bar.update(plan.tables(part))
    for other in parents[1:]:
        _merge(parents[0], other)
    _flatten(parents[0])
    return parents[0]


class _Search(NamedTuple):
    """What a thread reads and writes; a named tuple, because numba knows those.

    Level by level, a bucket of hashes is dealt to buckets of the level below. Levels are `span`
    hashes and `width` buckets long and follow one another: an array of two dimensions would have
    numba count its references each time a level is taken out of it.

    Attributes:
        hashes: uint64, (levels x span,).
        rows: Their rows; int32, (levels x span,).
        ends: Where in `hashes` each bucket ends; int64, (levels x width,).
        span: Hashes of a level at most.
        width: Buckets of a level at most.
        shifts: See `Plan`.
        small: See `Plan`.
        radius: Bits.
        parent: For each row an earlier one of its component, or itself; int32, (N,).
    """

    hashes: np.ndarray
    rows: np.ndarray
    ends: np.ndarray
    span: int
    width: int
    shifts: np.ndarray
    small: np.ndarray
    radius: int
    parent: np.ndarray


def _search_part(
    both: np.ndarray,
    both_rows: np.ndarray,
    plan: Plan,
    part: int,
    parents: list[np.ndarray],
    pool: ThreadPoolExecutor,
) -> None:
    """Connect what agrees in one part and, with it, in enough of the later ones."""
    count = len(both) // 2
    ends = np.empty(plan.buckets(part), np.int64)
    _deal(both, both_rows, ends, 0, count, plan.shifts[part], len(ends), count, 0)
    levels, width = plan.agreeing, max(map(plan.buckets, range(plan.parts)))
    span = int(np.diff(ends, prepend=count).max())

    def search(share: int) -> None:
        task = _Search(
            hashes=np.empty(levels * span, np.uint64),
            rows=np.empty(levels * span, np.int32),
            ends=np.empty(levels * width, np.int64),
            span=span,
            width=width,
            shifts=plan.shifts,
            small=plan.small,
            radius=plan.radius,
            parent=parents[share],
        )
        _search_buckets(task, both, both_rows, ends, share, len(parents), part + 1, levels - 1)

    list(pool.map(search, range(len(parents))))


@compiled
def _search_buckets(
    task: _Search,
    hashes: np.ndarray,
    rows: np.ndarray,
    ends: np.ndarray,
    share: int,
    shares: int,
    first: int,
    need: int,
) -> None:
    """Search one thread's share of the buckets, whose hashes agree in the part before `first`."""
    low = len(hashes) // 2
    for bucket in range(len(ends)):
        size = ends[bucket] - low
        if bucket % shares == share and size > 1:
            task.hashes[:size] = hashes[low : low + size]
            task.rows[:size] = rows[low : low + size]
            if need == 0 or size <= task.small[first, need]:
                _compare(task, 0, size)
            else:
                _search_bucket(task, size, first, need)
        low += size


@compiled
def _search_bucket(task: _Search, size: int, first: int, need: int) -> None:
    """Connect what is near among the `size` hashes of the first level.

    Deals them on by each choice of `need` of the parts from `first` on, depth first. For each
    level: its bucket `[low, high)`, which is dealt by `part` to the level below, and of the
    buckets there how many are `left`, where the next one starts and where its end is noted.
    """
    low, high, part, left, start, noted = np.zeros((6, need), np.int64)
    level, high[0], part[0] = 0, size, first - 1
    while level >= 0:
        if left[level] == 0:
            part[level] += 1
            if len(task.shifts) - 1 - part[level] < need - level:
                level -= 1
                continue
            shift = task.shifts[part[level]]
            left[level] = 1 << (task.shifts[part[level] + 1] - shift)
            start[level], noted[level] = (level + 1) * task.span, (level + 1) * task.width
            _deal(
                *(task.hashes, task.rows, task.ends, low[level], high[level]),
                *(shift, left[level], start[level], noted[level]),
            )
        begin, end = start[level], task.ends[noted[level]]
        start[level], noted[level], left[level] = end, noted[level] + 1, left[level] - 1
        if end - begin < 2:
            continue
        after, rest = part[level] + 1, need - level - 1
        if rest == 0 or end - begin <= task.small[after, rest]:
            _compare(task, begin, end)
        else:
            level += 1
            low[level], high[level], part[level], left[level] = begin, end, after - 1, 0


@compiled
def _deal(
    hashes: np.ndarray,
    rows: np.ndarray,
    ends: np.ndarray,
    low: int,
    high: int,
    shift: int,
    buckets: int,
    to: int,
    noted: int,
) -> None:
    """Deal `[low, high)` to buckets that follow one another from `to` on.

    Which one, say the bits from `shift` on. The end of each is noted in `ends` from `noted` on.
    """
    # Unsigned, because numba makes of a negative index one from the end, and looks each time.
    by, mask, base = np.uint64(shift), np.uint64(buckets - 1), np.uint64(noted)
    ends[noted : noted + buckets] = 0
    for i in range(np.uint64(low), np.uint64(high)):
        ends[base + ((hashes[i] >> by) & mask)] += 1
    for bucket in range(noted, noted + buckets):
        to, ends[bucket] = to + ends[bucket], to
    for i in range(np.uint64(low), np.uint64(high)):
        bucket = base + ((hashes[i] >> by) & mask)
        place = np.uint64(ends[bucket])
        hashes[place], rows[place] = hashes[i], rows[i]
        ends[bucket] += 1


@compiled
def _compare(task: _Search, low: int, high: int) -> None:
    """Connect what is near in the bucket `[low, high)`, pair by pair."""
    hashes, near = task.hashes, 0
    for start in range(low, high, 4):
        end = min(start + 4, high)
        for j in range(start + 1, end):
            near += _join(task, start, j, j)
        if end == high:
            return
        # Four at a time, and without a branch inside, so that the compiler makes vectors of it.
        a, b, c, d = hashes[start], hashes[start + 1], hashes[start + 2], hashes[start + 3]
        nearest = 64
        for j in range(np.uint64(end), np.uint64(high)):
            x = hashes[j]
            ab = min(count_bits(a ^ x), count_bits(b ^ x))
            nearest = min(nearest, ab, min(count_bits(c ^ x), count_bits(d ^ x)))
        if nearest <= task.radius:
            for j in range(end, high):
                near += _join(task, start, end, j)
        if near > _DENSE:
            _flood(task, end, high)
            return


@compiled
def _join(task: _Search, low: int, high: int, other: int) -> int:
    """Connect a hash with those near it in `[low, high)`; return their number."""
    near = 0
    for i in range(low, high):
        if count_bits(task.hashes[i] ^ task.hashes[other]) <= task.radius:
            _connect(task.parent, task.rows[i], task.rows[other])
            near += 1
    return near


@compiled
def _flood(task: _Search, low: int, high: int) -> None:
    """Connect a dense bucket: what is connected once need not be met again.

    `[low, current)` is done, `[current, reached)` is connected and yet to be compared with
    `[reached, high)`, which nothing so far is near to.
    """
    hashes, rows = task.hashes, task.rows
    current = reached = low
    while current < high:
        reached = max(reached, current + 1)
        for j in range(reached, high):
            if count_bits(hashes[current] ^ hashes[j]) <= task.radius:
                _connect(task.parent, rows[current], rows[j])
                hashes[j], hashes[reached] = hashes[reached], hashes[j]
                rows[j], rows[reached] = rows[reached], rows[j]
                reached += 1
        current += 1


@compiled
def _root(parent: np.ndarray, row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@compiled
def _connect(parent: np.ndarray, row: int, other: int) -> None:
    """Put two rows into one component, whose root is its first row."""
    row, other = _root(parent, row), _root(parent, other)
    parent[max(row, other)] = min(row, other)


@compiled
def _merge(parent: np.ndarray, other: np.ndarray) -> None:
    for row in range(len(parent)):
        if other[row] != row:
            _connect(parent, row, other[row])


@compiled
def _flatten(parent: np.ndarray) -> None:
    for row in range(len(parent)):
        parent[row] = parent[parent[row]]  # what it points to is earlier, and so flat already
