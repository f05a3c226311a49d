import itertools
import math
import shutil

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from emotionnet_hf.evaluation.retrieval.scores import (
    RetrievalScoresError,
    label_sets,
    retrieval_scores,
    score_index,
)


def naive_scores(features, gain, ks):
    """Everything by loops: `gain(a, b)` is what row b is worth to row a."""
    rows = range(len(features))
    unit = [row / (math.sqrt(sum(x * x for x in row)) or 1) for row in features.astype(float)]
    sums, queries = {}, 0
    for a in rows:
        others = sorted((b for b in rows if b != a), key=lambda b: -float(unit[a] @ unit[b]))
        gains = [gain(a, b) for b in others]
        relevant = [g > 0 for g in gains]
        if not any(relevant):
            continue
        queries += 1
        scores = {}
        for k in ks:
            scores[f"recall_at_{k}"] = sum(relevant[:k]) / sum(relevant)
            scores[f"hit_at_{k}"] = float(any(relevant[:k]))
            scores[f"precision_at_{k}"] = sum(relevant[:k]) / k
            gained = sum(g / math.log2(place + 2) for place, g in enumerate(gains[:k]))
            ideal = sorted(gains, reverse=True)[:k]
            scores[f"ndcg_at_{k}"] = gained / sum(
                g / math.log2(place + 2) for place, g in enumerate(ideal)
            )
        precisions = [
            sum(relevant[: place + 1]) / (place + 1)
            for place in range(len(gains))
            if relevant[place]
        ]
        scores["mean_average_precision"] = sum(precisions) / len(precisions)
        for name, score in scores.items():
            sums[name] = sums.get(name, 0) + score
    means = {name: total / queries for name, total in sums.items()}
    return {**means, "rows_with_relevant": queries / len(features)}


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(40, 5))


def test_classes_equal_naive_loops(features):
    labels = np.random.default_rng(1).integers(0, 6, 40)
    labels[7] = 99  # alone in its class
    expected = naive_scores(features, lambda a, b: float(labels[a] == labels[b]), (1, 5, 10))
    scores = retrieval_scores(features, labels)
    assert scores == pytest.approx({k: v for k, v in expected.items() if "ndcg" not in k})
    assert scores["rows_with_relevant"] < 1


def test_sets_equal_naive_loops(features):
    sets = np.random.default_rng(2).random((40, 7)) < 0.2
    names = [set(np.flatnonzero(row)) for row in sets]

    def jaccard(a, b):
        either = names[a] | names[b]
        return len(names[a] & names[b]) / len(either) if either else 0.0

    assert any(not row for row in names)
    expected = naive_scores(features, jaccard, (1, 3, 39))
    assert retrieval_scores(features, sets, (1, 3, 39)) == pytest.approx(expected)


def test_ties_and_graded_gains_agree_with_scikit_learn():
    values = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1], [1, 1]])
    sets = label_sets([["joy"], ["fear"], ["joy", "awe"], ["joy"], ["awe"]])
    scores = retrieval_scores(values, sets, (3,))
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    both = sets.astype(int) @ sets.T.astype(int)
    either = sets.sum(1)[:, None] + sets.sum(1) - both
    precisions, gains = [], []
    for row in range(5):
        others = np.arange(5) != row
        similarity, right = (unit @ unit.T)[row, others], both[row, others] > 0
        if right.any():
            precisions.append(average_precision_score(right, similarity))
            gains.append(ndcg_score([(both / either)[row, others]], [similarity], k=3))
    assert scores["mean_average_precision"] == pytest.approx(np.mean(precisions))
    assert scores["ndcg_at_3"] == pytest.approx(np.mean(gains))


def tied_orders(values):
    """Every order of the rows in which no nearer row comes after a farther one."""
    for order in itertools.permutations(range(len(values))):
        if all(values[a] >= values[b] for a, b in itertools.pairwise(order)):
            yield order


def at_k(gains, k):
    """Scores at k of one order, by their definitions."""
    relevant = [g > 0 for g in gains]
    ideal = sorted(gains, reverse=True)
    discounted = [sum(g / math.log2(i + 2) for i, g in enumerate(x[:k])) for x in (gains, ideal)]
    return {
        f"recall_at_{k}": sum(relevant[:k]) / sum(relevant),
        f"hit_at_{k}": float(any(relevant[:k])),
        f"precision_at_{k}": sum(relevant[:k]) / k,
        f"ndcg_at_{k}": discounted[0] / discounted[1],
    }


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_means_over_all_orders_of_equally_near_rows(seed):
    chance = np.random.default_rng(seed)
    features = np.eye(3)[chance.integers(0, 3, 7)]  # similarities are 0 and 1
    sets = chance.random((7, 3)) < 0.45
    names = [set(np.flatnonzero(row)) for row in sets]
    sums, queries = {}, 0
    for row in range(7):
        others = [other for other in range(7) if other != row]
        gains = [len(names[row] & names[o]) / (len(names[row] | names[o]) or 1) for o in others]
        if not any(gains):
            continue
        queries += 1
        orders = list(tied_orders([float(features[row] @ features[o]) for o in others]))
        assert len(orders) > 1
        for order in orders:
            for k in (1, 2, 4, 6):
                for name, score in at_k([gains[i] for i in order], k).items():
                    sums[name] = sums.get(name, 0) + score / len(orders)
    scores = retrieval_scores(features, sets, (1, 2, 4, 6))
    assert {name: scores[name] for name in sums} == pytest.approx(
        {name: total / queries for name, total in sums.items()}
    )


def test_the_order_of_the_rows_changes_no_score():
    chance = np.random.default_rng(5)
    features, sets = chance.integers(0, 2, (60, 3)), chance.random((60, 6)) < 0.3
    features[features.sum(axis=1) == 0] = 1
    turned = chance.permutation(60)
    one, other = retrieval_scores(features, sets), retrieval_scores(features[turned], sets[turned])
    assert one == pytest.approx(other)


def test_perfect_space_scores_one_and_random_one_scores_chance():
    labels = np.repeat(np.arange(20), 50)
    perfect = np.eye(20)[labels] + np.random.default_rng(3).normal(scale=1e-3, size=(1000, 20))
    scores = retrieval_scores(perfect, labels, (1, 49))
    assert set(scores.values()) - {scores["recall_at_1"]} == {1.0}
    assert scores["recall_at_1"] == pytest.approx(1 / 49)
    chance = retrieval_scores(np.random.default_rng(4).normal(size=(1000, 20)), labels)
    assert chance["mean_average_precision"] == pytest.approx(49 / 999, abs=0.02)
    assert chance["precision_at_10"] == pytest.approx(49 / 999, abs=0.02)


def test_chunks_change_nothing(features, monkeypatch):
    labels = np.random.default_rng(5).integers(0, 4, 40)
    whole = retrieval_scores(features, labels)
    monkeypatch.setattr("emotionnet_hf.evaluation.retrieval.scores._SIMILARITIES", 130)
    assert retrieval_scores(features, labels) == pytest.approx(whole)


def test_lists_of_labels_become_sets():
    assert label_sets([["b", "a"], [], ["b", "b"]]).tolist() == [
        [True, True],
        [False] * 2,
        [False, True],
    ]


@pytest.mark.parametrize(
    ("labels", "ks", "message"),
    [
        (np.zeros(39, int), (1,), "labels"),
        (np.zeros((40, 2), int), (1,), "bool"),
        (np.zeros(40, int), (0,), "from 1 to 39"),
        (np.zeros(40, int), (40,), "from 1 to 39"),
        (np.zeros(40, int), (), "from 1 to 39"),
        (np.arange(40), (1,), "no two rows"),
    ],
)
def test_what_cannot_be_scored_is_named(features, labels, ks, message):
    with pytest.raises(RetrievalScoresError, match=message):
        retrieval_scores(features, labels, ks)


def test_feature_that_is_not_finite_is_named(features):
    features[3, 1] = np.nan
    with pytest.raises(RetrievalScoresError, match="row 3"):
        retrieval_scores(features, np.zeros(40, int))


def test_index_of_few_rows_is_scored_at_the_depths_it_has(folder, checkpoint, tmp_path):
    pytest.importorskip("faiss")
    from emotionnet_hf.evaluation.retrieval import build_index, open_index

    for name in ("fear", "joy"):
        (tmp_path / "few" / name).mkdir(parents=True)
        for number in (0, 1):
            shutil.copy(folder / f"{number:02d}.png", tmp_path / "few" / name)
    build_index(tmp_path / "few", checkpoint, tmp_path / "index", progress=False)
    metrics = score_index(open_index(tmp_path / "index"))["metrics"]
    assert "recall_at_1" in metrics and "recall_at_5" not in metrics
