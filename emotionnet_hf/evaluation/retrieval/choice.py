"""Choosing, training and measuring a faiss index of cosines.

Up to 50 K rows a flat index is exact and fast enough. Above, three things make it small and fast:

- Directions. Features of pictures fill few of their 2048 dimensions: the vectors are turned onto
  the directions that hold most of their inner products (eigenvectors of X'X, not centred, so that
  inner products stay what they are) and the rest is dropped.
- Cells (IVF) and bytes (SQ8): a query looks into the `nprobe` nearest of about 4 sqrt(N) cells, and
  a number takes one byte.
- The shortlist that comes of it, four times as long as what is asked for, is ranked again by the
  vectors on disk.

How many directions and how many cells is not assumed but measured, on queries that the training
did not see, against an exact search through all rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from faiss.contrib.exhaustive_search import knn_ground_truth
from tqdm import tqdm

from emotionnet_hf.evaluation.retrieval.vectors import BLOCK, rank_again

EXACT_BELOW = 50_000
"""Rows up to which an index is flat, unless a factory string says otherwise."""

DEPTH = 10
"""Neighbours by which recall is measured."""

FLAT = "Flat"
_SHORTLIST = 4  # times what is asked for
_PAYS = 0.002  # recall that ranking again must add
_QUERIES = 256
_SHARES = (16, 8, 4, 2)  # of the dimensions; as many directions are tried, in this order
_BASIS_ROWS = 20_000
_ROWS_A_CELL = 39  # of training; faiss asks for so many
_LEAST_ROWS = 20_000  # of training; other parts of an index need some too


class FactoryError(ValueError):
    """A string that faiss makes no index of."""


@dataclass(frozen=True)
class Queries:
    """Queries with their exact neighbours.

    Attributes:
        vectors: Float32, (Q, D), of length 1.
        own: The row that each one is, int64, (Q,); -1 for a vector from elsewhere.
        neighbours: Rows, best first and without its own, int64, (Q, 10).
    """

    vectors: np.ndarray
    own: np.ndarray
    neighbours: np.ndarray

    def recall(self, found: np.ndarray) -> float:
        """Return the share of neighbours found: among pictures or words, where it is lower.

        Args:
            found: Rows in any order, (Q, any).

        Returns:
            The mean recall@10.
        """
        hits = np.array(
            [np.isin(true, rows).mean() for true, rows in zip(self.neighbours, found, strict=True)]
        )
        groups = (hits[self.own >= 0], hits[self.own < 0])
        return float(min(group.mean() for group in groups if len(group)))


@dataclass(frozen=True)
class Chosen:
    """A trained index.

    Attributes:
        index: Takes vectors of D numbers; nothing is added yet.
        queries: What `fill` measures it by; None of a flat index.
        facts: For `index.json`.
    """

    index: faiss.Index
    queries: Queries | None
    facts: dict[str, Any]


def choose_index(
    vectors: np.ndarray,
    words: np.ndarray | None = None,
    *,
    factory: str | None = None,
    recall: float = 0.99,
    seed: int = 0,
    progress: bool = False,
) -> Chosen:
    """Choose and train an index for vectors; memory does not grow with N.

    Args:
        vectors: Of length 1, (N, D); read where they lie.
        words: Queries of another kind that it must answer as well, float32 (W, D), of length 1.
        factory: A faiss factory string; chosen where None.
        recall: Share of the ten nearest to be found.
        seed: Of the queries and of the rows that are trained on.
        progress: Show bars.

    Returns:
        The index, to be filled.

    Raises:
        FactoryError: faiss does not know the string, or there are too few rows to train it.
    """
    count, dims = vectors.shape
    if factory == FLAT or (factory is None and count <= EXACT_BELOW):
        return Chosen(_make(dims, FLAT), None, {"factory": FLAT})
    order = np.random.default_rng(seed).permutation(count)
    asked = min(_QUERIES, -(-count // 4))
    # Of few rows the queries have to be trained on too, as the last.
    own, train = np.sort(order[:asked]), np.roll(order, -asked)
    queries = vectors[own].astype(np.float32)
    if words is not None:
        queries = np.concatenate([queries, words])
        own = np.concatenate([own, np.full(len(words), -1)])
    if factory is not None:
        neighbours = _without(own, _exactly(queries, vectors, DEPTH + 1, progress), DEPTH)
        index = _make(dims, factory)
        _train(index, _rows(vectors, train[: _training_rows(index)]), factory)
        return Chosen(index, Queries(queries, own, neighbours), {"factory": factory})
    basis = _directions(_rows(vectors, train[:_BASIS_ROWS]))
    measured, kept = _keep_directions(queries, vectors, own, basis, recall, progress)
    factory = f"IVF{2 ** round(math.log2(4 * math.sqrt(count)))},SQ8"
    cells = _make(kept, factory)
    sample = train[: _training_rows(cells)]
    _train(cells, _rows(vectors, sample, basis[:, :kept] if kept < dims else None), factory)
    index = cells if kept == dims else _turned(cells, basis[:, :kept])
    return Chosen(index, measured, {"factory": factory, "directions": kept})


def fill(
    chosen: Chosen, vectors: np.ndarray, recall: float = 0.99, *, progress: bool = False
) -> dict[str, Any]:
    """Add the vectors, set how many cells a query looks into, and measure.

    Args:
        chosen: From `choose_index`; its index is filled.
        vectors: What it was chosen for, (N, D).
        recall: Share of the ten nearest to be found.
        progress: Show a bar.

    Returns:
        The facts with ``nprobe`` (of an index with cells), ``shortlist`` (how much longer than
        what is asked for it is; 0 where ranking again adds nothing), ``recall_at_10`` and
        ``queries``. Where no number of cells reaches the recall, the best is told.
    """
    for start in tqdm(range(0, len(vectors), BLOCK), disable=not progress, desc="indexing"):
        chosen.index.add(vectors[start : start + BLOCK].astype(np.float32))
    if chosen.queries is None:
        return {**chosen.facts, "shortlist": 0, "recall_at_10": 1.0}
    inverted = faiss.try_extract_index_ivf(chosen.index)
    tries = [2**power for power in range(inverted.nlist.bit_length())] if inverted else [0]
    for nprobe in tries:
        if inverted:
            inverted.nprobe = nprobe
        plain, again = _measure(chosen.index, chosen.queries, vectors)
        if again >= recall:
            break
    pays = again - plain > _PAYS
    return {
        **chosen.facts,
        **({"nprobe": nprobe} if inverted else {}),
        "shortlist": _SHORTLIST if pays else 0,
        "recall_at_10": again if pays else plain,
        "queries": len(chosen.queries.own),
    }


def _measure(index: faiss.Index, queries: Queries, vectors: np.ndarray) -> tuple[float, float]:
    """Return recall@10 of the index alone, and of its shortlist ranked again."""
    _, rows = index.search(queries.vectors, _SHORTLIST * DEPTH + 1)
    rows = rows.astype(np.int64)
    _, again = rank_again(queries.vectors, vectors, rows)
    found = (_without(queries.own, rows, DEPTH) for rows in (rows, again))
    plain, ranked = map(queries.recall, found)
    return plain, ranked


def _exactly(queries: np.ndarray, vectors: np.ndarray, k: int, progress: bool) -> np.ndarray:
    """Compare queries with all vectors, a block at a time; the nearest rows, (Q, k)."""
    starts = tqdm(range(0, len(vectors), BLOCK), disable=not progress, desc="exact neighbours")
    blocks = (vectors[start : start + BLOCK].astype(np.float32) for start in starts)
    _, rows = knn_ground_truth(queries, blocks, k, faiss.METRIC_INNER_PRODUCT)
    return np.asarray(rows)


def _without(own: np.ndarray, found: np.ndarray, k: int) -> np.ndarray:
    """Take the first k that are not the query itself; found -1 fills up where there are no more."""
    kept = (found != own[:, None]) | (found < 0)
    return np.array([rows[good][:k] for rows, good in zip(found, kept, strict=True)])


def _keep_directions(
    queries: np.ndarray,
    vectors: np.ndarray,
    own: np.ndarray,
    basis: np.ndarray,
    recall: float,
    progress: bool,
) -> tuple[Queries, int]:
    """Find true neighbours, and how many directions lose half of what may be missed at most.

    The inner product of two vectors in a subspace is that of one's projection with the other:
    projected queries ask the vectors as they lie, all in one pass.
    """
    dims = vectors.shape[1]
    tried = sorted({max(1, dims // share) for share in _SHARES})
    asked = [queries, *(queries @ basis[:, :kept] @ basis[:, :kept].T for kept in tried)]
    rows = _exactly(np.concatenate(asked), vectors, _SHORTLIST * DEPTH + 1, progress)
    exact, *found = np.split(rows, len(asked))
    measured = Queries(queries, own, _without(own, exact, DEPTH))
    enough = 1 - (1 - recall) / 2
    pairs = zip(tried, found, strict=True)
    good = [kept for kept, rows in pairs if measured.recall(rows) >= enough]
    return measured, min(good, default=dims)


def _directions(sample: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, (D, D), by the share of inner products that each one holds."""
    _, vectors = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(vectors[:, ::-1])


def _turned(index: faiss.Index, basis: np.ndarray) -> faiss.Index:
    """Put the turn onto a basis, (D, kept), before an index of `kept` dimensions."""
    turn = faiss.LinearTransform(*basis.shape)
    faiss.copy_array_to_vector(np.ascontiguousarray(basis.T, np.float32).ravel(), turn.A)
    turn.is_trained = True
    turn.set_is_orthonormal()
    return faiss.IndexPreTransform(turn, index)


def _rows(vectors: np.ndarray, rows: np.ndarray, basis: np.ndarray | None = None) -> np.ndarray:
    """Read rows of a mapped file as float32, a piece at a time, turned onto a basis if given."""
    pieces = np.array_split(np.sort(rows), max(1, len(rows) // 4096))
    read = (vectors[piece].astype(np.float32) for piece in pieces)
    return np.concatenate([piece if basis is None else piece @ basis for piece in read])


def _make(dims: int, factory: str) -> faiss.Index:
    try:
        return faiss.index_factory(dims, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise FactoryError(f"faiss makes no index of {factory!r} ({_reason(error)})") from error


def _training_rows(index: faiss.Index) -> int:
    inverted = faiss.try_extract_index_ivf(index)
    return max(_LEAST_ROWS, _ROWS_A_CELL * inverted.nlist if inverted else 0)


def _train(index: faiss.Index, sample: np.ndarray, factory: str) -> None:
    try:
        index.train(sample)
    except RuntimeError as error:
        raise FactoryError(
            f"faiss cannot train {factory!r} on {len(sample)} vectors ({_reason(error)})"
        ) from error


def _reason(error: RuntimeError) -> str:
    """Return what faiss says, without the place in its source."""
    text = str(error).partition("cpp:")[2].partition(": ")[2] or str(error)
    return text.removeprefix("Error: ")
