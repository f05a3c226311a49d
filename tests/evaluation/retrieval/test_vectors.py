import numpy as np
import pytest

from emotionnet_hf.evaluation.retrieval.vectors import (
    give_back,
    open_vectors,
    rank_again,
    store_vectors,
)


def test_vectors_come_back_with_length_one(tmp_path):
    rows = np.random.default_rng(0).normal(size=(25, 7))
    stored = store_vectors(tmp_path / "v.npy", np.array_split(rows, 4), 25, 7)
    assert stored.dtype == np.float16
    assert isinstance(stored, np.memmap)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(open_vectors(tmp_path / "v.npy"), expected, atol=1e-3)


@pytest.mark.parametrize("count", [24, 26])
def test_other_number_of_vectors_than_announced_is_an_error(tmp_path, count):
    with pytest.raises(ValueError, match=f"{count} vectors"):
        store_vectors(tmp_path / "v.npy", [np.ones((25, 2))], count, 2)


def test_vector_that_is_not_finite_is_named(tmp_path):
    blocks = [np.ones((2, 2)), np.array([[1, 2], [np.nan, 1]])]
    with pytest.raises(ValueError, match="row 3"):
        store_vectors(tmp_path / "v.npy", blocks, 4, 2)


def test_shortlist_is_ordered_by_the_vectors():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float16)
    scores, rows = rank_again(np.array([[0.0, 1]], np.float32), vectors, np.array([[0, -1, 2, 1]]))
    assert rows.tolist() == [[1, 2, 0, -1]]
    np.testing.assert_allclose(scores, [[1, 0.8, 0, -np.inf]], atol=1e-3)


def test_file_and_memory_rank_alike(tmp_path):
    rows = np.random.default_rng(1).normal(size=(30, 5))
    stored = store_vectors(tmp_path / "v.npy", [rows], 30, 5)
    queries = np.random.default_rng(2).normal(size=(2, 5)).astype(np.float32)
    shortlist = np.array([[29, 0, 7, 7], [3, 12, -1, 28]])
    for vectors in (stored, stored):  # its pages are given back in between
        for mapped, held in zip(
            rank_again(queries, vectors, shortlist),
            rank_again(queries, np.array(stored), shortlist),
            strict=True,
        ):
            np.testing.assert_array_equal(mapped, held)
        give_back(vectors)
        give_back(np.array(vectors))  # nothing to give
