"""Vectors of length 1 on disk, by which a shortlist is ranked.

They lie as float16 in a `.npy` file: of a million, a search reads the few that it ranks again, and
memory holds none. Rounding moves a cosine by less than 1e-3 (1e-4 as a rule).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from emotionnet_hf.evaluation.features import unit_rows

BLOCK = 8192
"""Rows read at a time."""


def store_vectors(path: Path, blocks: Iterable[np.ndarray], count: int, dims: int) -> np.ndarray:
    """Write vectors, scaled to length 1, block by block.

    Args:
        path: A `.npy` file.
        blocks: Float, (B, D) each.
        count: Rows of all blocks together, N.
        dims: D.

    Returns:
        What `open_vectors` returns.

    Raises:
        ValueError: A value is not finite, or the blocks are no (N, D) together.
    """
    stored = np.lib.format.open_memmap(path, "w+", np.float16, (count, dims))
    end = 0
    for block in blocks:
        start, end = end, end + len(block)
        if end > count:
            break
        if not (finite := np.isfinite(block).all(axis=1)).all():
            raise ValueError(f"the vector of row {start + int(np.argmin(finite))} is not finite")
        stored[start:end] = unit_rows(block.astype(np.float32, copy=False))
    if end != count:
        raise ValueError(f"{count} vectors were announced, and there are {end} or more")
    stored.flush()
    return open_vectors(path)


def open_vectors(path: Path) -> np.ndarray:
    """Map a file of vectors.

    Args:
        path: What `store_vectors` wrote.

    Returns:
        Float16, (N, D), read only; on disk until used.
    """
    vectors: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return vectors


def rank_again(
    queries: np.ndarray, vectors: np.ndarray, shortlist: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Order a shortlist by the stored vectors.

    Args:
        queries: Float32, (Q, D), of length 1.
        vectors: (N, D), of length 1.
        shortlist: Rows for each query, int64, (Q, S); -1 where an index found no more.

    Returns:
        Cosines, best first, float32, (Q, S), -inf for -1; and the rows, (Q, S).
    """
    scores = np.full(shortlist.shape, -np.inf, np.float32)
    for place, (query, rows) in enumerate(zip(queries, shortlist, strict=True)):
        found = rows >= 0
        scores[place, found] = vectors[rows[found]].astype(np.float32) @ query
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(scores, order, 1), np.take_along_axis(shortlist, order, 1)


def give_back(vectors: np.ndarray) -> None:
    """Let go of the pages of a mapped file that were read, which count as memory of the process.

    The system's cache keeps them. It costs time, so not after each search.

    Args:
        vectors: What `open_vectors` returned; nothing happens to others, nor on Windows.
    """
    base: Any = vectors.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
