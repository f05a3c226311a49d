"""How good a space is for retrieval: every row asks for its neighbours, labels say which are right.

The paper shows retrieval only in pictures (section 5.5, Fig. 4); these are the numbers beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotionnet_hf.environment import environment
from emotionnet_hf.evaluation.features import best_first, unit_rows
from emotionnet_hf.evaluation.retrieval.index_folder import IndexFolder

_SIMILARITIES = 2**24  # held at a time
_MOST_ROWS = 100_000


class RetrievalScoresError(ValueError):
    """Features and labels that cannot be scored; the message says why."""


def retrieval_scores(
    features: np.ndarray, labels: np.ndarray, ks: Sequence[int] = (1, 5, 10)
) -> dict[str, float]:
    """Score the neighbours by cosine of every row among all other rows.

    Relevant is a row of the same class or, of sets of labels, one that shares a label at least.
    Rows without any relevant other row ask nothing and are left out of all means but the last:

    - ``recall_at_k``: share of the relevant rows that are among the first k (information
      retrieval's recall; k below the number of relevant rows caps it).
    - ``hit_at_k``: share of queries with a relevant row among the first k, which metric learning
      calls Recall@K (Oh Song et al., CVPR 2016).
    - ``precision_at_k``: share of the first k that is relevant.
    - ``ndcg_at_k``, only of sets: discounted gain of the first k beside the best order's, where
      a row gains the Jaccard index of its labels and the query's (Järvelin and Kekäläinen 2002).
    - ``mean_average_precision``: of the whole order, equally near rows taken together, as
      scikit-learn does.
    - ``rows_with_relevant``: share of the rows that have a relevant row and so are queries.

    Equally near rows have no order, so each score at k is its mean over all their orders (McSherry
    and Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence
    of Tied Scores", ECIR 2008): no score depends on the order of the rows.

    A chunk of rows at a time is compared with all, so memory is that of the features twice; time
    grows with the square of N.

    Args:
        features: Float, (N, D).
        labels: Classes, int (N,); or sets of labels, bool (N, K).
        ks: The depths; each at least 1 and below N.

    Returns:
        Each score by its name, a share of 1.

    Raises:
        RetrievalScoresError: Shapes do not fit, features are not finite, a depth is out of range,
            or no row has a relevant other row.
    """
    features, labels = np.asarray(features), np.asarray(labels)
    _check(features, labels, ks)
    rows = unit_rows(features.astype(np.float32, copy=False))
    totals: dict[str, float] = {}
    queries = 0
    for similarity, gain in _chunks(rows, labels):
        for values, gains in zip(similarity, gain, strict=True):
            if not (gains > 0).any():
                continue
            queries += 1
            for name, score in _query_scores(values, gains, ks, labels.ndim == 2).items():
                totals[name] = totals.get(name, 0.0) + score
    if not queries:
        raise RetrievalScoresError("no two rows share a label, so there is nothing to retrieve")
    means = {name: total / queries for name, total in totals.items()}
    return {**means, "rows_with_relevant": queries / len(rows)}


def score_index(index: IndexFolder, ks: Sequence[int] = (1, 5, 10)) -> dict[str, Any]:
    """Score the features of an index, exactly, against the labels that it was made with.

    Rows with one label each are classes, with several sets; rows without any are left out.

    Args:
        index: From `open_index`; at most 100 K rows, because the time grows with their square.
        ks: See `retrieval_scores`; depths that the index does not have are left out.

    Returns:
        One object as `emotionnet_hf.hub.results` reads it.

    Raises:
        RetrievalScoresError: The index has no labels, or too many rows.
    """
    labels = index.rows["labels"][:]
    rows = [row for row, names in enumerate(labels) if names]
    if not rows or len(rows) > _MOST_ROWS:
        reason = "no labels" if not rows else f"{len(rows):,} rows, more than {_MOST_ROWS:,}"
        raise RetrievalScoresError(
            f"{index.folder} cannot be scored: it has {reason}. Index a part of the data set, with "
            "its column of labels (--label)."
        )
    lists = [labels[row] for row in rows]
    classes = all(len(names) == 1 for names in lists)
    sets = label_sets(lists)
    features = index.vectors["features"][rows].astype(np.float32)
    ks = [k for k in ks if k < len(rows)]
    return {
        "dataset": Path(index.facts["source"]).name,
        "split": "all",
        "protocol": f"retrieval of the same {index.facts['label']}, {index.facts['model']}",
        "metrics": retrieval_scores(features, sets.argmax(axis=1) if classes else sets, ks),
        "environment": environment(),
    }


def label_sets(lists: Sequence[Sequence[str]]) -> np.ndarray:
    """Turn lists of labels into sets that `retrieval_scores` takes.

    Args:
        lists: The labels of each row, such as its emotion keywords.

    Returns:
        Bool, (N, K), K the number of different labels.
    """
    names = sorted({name for names in lists for name in names})
    column = {name: place for place, name in enumerate(names)}
    sets = np.zeros((len(lists), len(names)), bool)
    for row, labels in enumerate(lists):
        sets[row, [column[name] for name in labels]] = True
    return sets


def _chunks(rows: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield similarities and gains of some rows with all others; a row itself is in neither."""
    size = max(1, _SIMILARITIES // len(rows))
    others = np.arange(len(rows))
    for start in range(0, len(rows), size):
        chunk = slice(start, start + size)
        itself = others[chunk, None] == others
        shape = (len(itself), len(rows) - 1)
        similarity = (rows[chunk] @ rows.T)[~itself].reshape(shape)
        yield similarity, _gains(labels, chunk)[~itself].reshape(shape)


def _gains(labels: np.ndarray, chunk: slice) -> np.ndarray:
    """Return what each row is worth to each query: 1 for the same class, Jaccard of sets."""
    if labels.ndim == 1:
        return (labels[chunk, None] == labels).astype(np.float32)
    sets = labels.astype(np.float32)
    both = sets[chunk] @ sets.T
    sizes = sets.sum(axis=1)
    either = sizes[chunk, None] + sizes - both
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


def _query_scores(
    values: np.ndarray, gains: np.ndarray, ks: Sequence[int], graded: bool
) -> dict[str, float]:
    """Return the scores of one query."""
    relevant = gains > 0
    number = int(relevant.sum())
    first = _First(values, max(ks))
    right, gained = first.mean(relevant), first.mean(gains)
    scores: dict[str, float] = {}
    for k in ks:
        found = float(right[:k].sum())
        scores[f"recall_at_{k}"] = found / number
        scores[f"hit_at_{k}"] = first.chance_of_any(relevant, k)
        scores[f"precision_at_{k}"] = found / k
        if graded:
            best = gains[best_first(gains, k)]
            scores[f"ndcg_at_{k}"] = _discounted(gained[:k]) / _discounted(best)
    scores["mean_average_precision"] = _average_precision(values, relevant)
    return scores


class _First:
    """The first ranks of a query, over all orders of rows that are equally near.

    Args:
        values: Similarity of each row, float, (N,).
        k: How many ranks, at most N.
    """

    def __init__(self, values: np.ndarray, k: int) -> None:
        least = np.partition(values, len(values) - k)[len(values) - k]
        near = np.flatnonzero(values >= least)  # more than k, where the last ones are tied
        self._rows = near[np.argsort(-values[near], kind="stable")]
        ranked = values[self._rows]
        self._starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        self._sizes = np.diff(self._starts, append=len(ranked))
        self._k = k

    def mean(self, worth: np.ndarray) -> np.ndarray:
        """Mean worth of the row at each rank; of (N,) gives (k,)."""
        sums = np.add.reduceat(worth[self._rows].astype(np.float64), self._starts)
        return np.repeat(sums / self._sizes, self._sizes)[: self._k]

    def chance_of_any(self, right: np.ndarray, k: int) -> float:
        """Share of the orders with a right row (bool, (N,)) among the first k."""
        last = int(np.searchsorted(self._starts, k - 1, side="right")) - 1
        start, size = int(self._starts[last]), int(self._sizes[last])
        if right[self._rows[:start]].any():
            return 1.0
        wrong = size - int(right[self._rows[start : start + size]].sum())
        return 1 - math.comb(wrong, k - start) / math.comb(size, k - start)


def _discounted(gains: np.ndarray) -> float:
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())


def _average_precision(values: np.ndarray, relevant: np.ndarray) -> float:
    """Mean, over the relevant rows, of the precision among all rows that are as near."""
    everything, right = np.sort(values), np.sort(values[relevant])
    as_near = len(everything) - np.searchsorted(everything, right)
    right_as_near = len(right) - np.searchsorted(right, right)
    return float(np.mean(right_as_near / as_near))


def _check(features: np.ndarray, labels: np.ndarray, ks: Sequence[int]) -> None:
    if features.ndim != 2 or labels.ndim not in (1, 2) or len(labels) != len(features):
        raise RetrievalScoresError(
            f"features {features.shape} and labels {labels.shape}: features must be (N, D), labels "
            "(N,) or (N, K)"
        )
    if labels.ndim == 2 and labels.dtype != np.bool_:
        raise RetrievalScoresError(f"sets of labels must be bool, not {labels.dtype}")
    if not np.isfinite(features).all():
        row = int(np.argmin(np.isfinite(features).all(axis=1)))
        raise RetrievalScoresError(f"the features of row {row} are not finite")
    wrong = [k for k in ks if not 1 <= k < len(features)]
    if wrong or not ks:
        raise RetrievalScoresError(
            f"ks {list(ks)}: give depths from 1 to {len(features) - 1}, one below the rows"
        )
