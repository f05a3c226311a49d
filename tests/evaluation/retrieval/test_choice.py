import numpy as np
import pytest

faiss = pytest.importorskip("faiss")

from emotionnet_hf.evaluation.features import nearest_neighbours, unit_rows  # noqa: E402
from emotionnet_hf.evaluation.retrieval import choice  # noqa: E402
from emotionnet_hf.evaluation.retrieval.choice import FactoryError, choose_index, fill  # noqa: E402
from emotionnet_hf.evaluation.retrieval.vectors import rank_again, store_vectors  # noqa: E402


def features(count: int, dims: int, inner: int, seed: int = 0) -> np.ndarray:
    """Clusters on `inner` directions, with little noise on all."""
    rng = np.random.default_rng(1)
    turn, centres = rng.normal(size=(inner, dims)), rng.normal(size=(200, inner))
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(0, 200, count)] + rng.normal(size=(count, inner)) / 2
    return np.maximum(rows @ turn, 0) + rng.normal(size=(count, dims)) / 20


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "v.npy"
    return store_vectors(path, [features(6000, 64, 6)], 6000, 64)


def recall(index, facts, vectors, queries):
    """Naive: what share of the exact ten nearest the index finds."""
    asked = 10 * max(1, facts["shortlist"])
    _, rows = index.search(queries, asked)
    if facts["shortlist"]:
        _, rows = rank_again(queries, vectors, rows)
    true = nearest_neighbours(queries, vectors.astype(np.float32), 10)
    return np.mean([len(set(a) & set(b[:10])) / 10 for a, b in zip(true, rows, strict=True)])


def test_few_vectors_are_searched_exactly(vectors):
    chosen = choose_index(vectors)
    facts = fill(chosen, vectors)
    assert facts == {"factory": "Flat", "shortlist": 0, "recall_at_10": 1.0}
    queries = unit_rows(features(20, 64, 6, seed=2)).astype(np.float32)
    assert recall(chosen.index, facts, vectors, queries) == 1


@pytest.fixture
def many(monkeypatch):
    monkeypatch.setattr(choice, "EXACT_BELOW", 1000)


def test_many_vectors_are_found_as_often_as_asked_for_by_queries_never_seen(vectors, many):
    chosen = choose_index(vectors, recall=0.97)
    facts = fill(chosen, vectors, 0.97)
    assert facts["factory"] == "IVF256,SQ8"
    assert facts["directions"] < 64
    assert 1 <= facts["nprobe"] < 256
    assert facts["recall_at_10"] >= 0.97
    queries = unit_rows(features(200, 64, 6, seed=3)).astype(np.float32)
    assert recall(chosen.index, facts, vectors, queries) > 0.94


def test_vectors_that_fill_all_dimensions_keep_them_all(tmp_path, many):
    rows = np.random.default_rng(5).normal(size=(3000, 16))
    vectors = store_vectors(tmp_path / "v.npy", [rows], 3000, 16)
    chosen = choose_index(vectors)
    facts = fill(chosen, vectors)
    assert facts["directions"] == 16
    assert facts["recall_at_10"] >= 0.99
    assert not isinstance(chosen.index, faiss.IndexPreTransform)


def test_words_have_to_be_found_too(vectors, many):
    """Words lie apart from pictures: they need more cells."""
    words = unit_rows(-features(64, 64, 6, seed=4)).astype(np.float32)
    facts = fill(choose_index(vectors), vectors)
    with_words = fill(choose_index(vectors, words), vectors)
    assert with_words["queries"] == facts["queries"] + 64
    assert with_words["nprobe"] >= facts["nprobe"]
    assert with_words["recall_at_10"] >= 0.99


@pytest.mark.parametrize("factory", ["IVF16,Flat", "PCA16,IVF16,SQ8", "HNSW16", "SQ8"])
def test_factory_of_the_user_is_measured(vectors, factory):
    chosen = choose_index(vectors, factory=factory)
    facts = fill(chosen, vectors)
    assert facts["factory"] == factory
    assert ("nprobe" in facts) == ("IVF" in factory)
    assert 0.5 < facts["recall_at_10"] <= 1
    assert chosen.index.ntotal == 6000


def test_recall_that_cannot_be_reached_is_told(vectors):
    facts = fill(choose_index(vectors, factory="IVF4,PQ1"), vectors)
    assert facts["nprobe"] == 4
    assert facts["recall_at_10"] < 0.9


@pytest.mark.parametrize(("factory", "reason"), [("NOPE", "NOPE"), ("IVF90000,Flat", "4500|train")])
def test_factory_that_faiss_refuses_is_one_error(vectors, factory, reason):
    with pytest.raises(FactoryError, match=reason):
        choose_index(vectors, factory=factory)


def test_the_same_seed_gives_the_same_index(vectors, many):
    first, second = (choose_index(vectors) for _ in range(2))
    assert fill(first, vectors) == fill(second, vectors)
    assert (faiss.serialize_index(first.index) == faiss.serialize_index(second.index)).all()
