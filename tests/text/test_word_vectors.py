import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from emotionnet_hf.text import (
    WordVectorError,
    embedding_matrix,
    keyword_vector,
    load_word_vectors,
    train_word_vectors,
    word_vectors,
)

WORDS = ["joy", "candy_cane", "Christmas", "Santa_Claus", "NASA", "tree", "größe"]
DIM = 6


@pytest.fixture
def vectors() -> KeyedVectors:
    """A small file of GoogleNews' habits: underscores in phrases, capitals in names."""
    vectors = KeyedVectors(DIM)
    array = np.random.default_rng(0).standard_normal((len(WORDS), DIM)).astype(np.float32)
    vectors.add_vectors(WORDS, array)
    return vectors


def save(vectors: KeyedVectors, path: Path) -> Path:
    if path.suffix == ".kv":
        vectors.save(str(path))
    else:
        vectors.save_word2vec_format(str(path), binary=".bin" in path.name)
    return path


FORMATS = ["v.bin", "v.txt", "v.vec", "v.kv", "v.bin.gz", "v.txt.gz", "v.vec.gz"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_vectors(vectors, tmp_path, name):
    loaded = load_word_vectors(save(vectors, tmp_path / name), dim=DIM)
    assert loaded.index_to_key == WORDS
    assert loaded.vectors.dtype == np.float32
    np.testing.assert_array_equal(loaded.vectors, vectors.vectors)


def test_big_arrays_beside_a_kv_file_are_read(vectors, tmp_path):
    vectors.save(str(tmp_path / "v.kv"), sep_limit=0)
    assert (tmp_path / "v.kv.vectors.npy").is_file()
    loaded = load_word_vectors(tmp_path / "v.kv")
    np.testing.assert_array_equal(loaded.vectors, vectors.vectors)


def test_a_kv_file_that_was_used_before_it_was_saved_is_read(vectors, tmp_path):
    vectors.most_similar("joy")  # computes norms
    vectors.set_vecattr("joy", "count", 3)
    assert load_word_vectors(save(vectors, tmp_path / "v.kv")).index_to_key == WORDS


def test_a_kv_file_of_trained_vectors_is_read(tmp_path):
    trained = train_word_vectors([["a", "b"], ["a", "b"]], dim=4, epochs=1)
    loaded = load_word_vectors(save(trained, tmp_path / "v.kv"))
    np.testing.assert_array_equal(loaded["a"], trained["a"])


@pytest.mark.parametrize("name", ["v.bin", "v.txt", "v.kv"])
def test_a_limit_keeps_the_first_words(vectors, tmp_path, name):
    loaded = load_word_vectors(save(vectors, tmp_path / name), limit=2)
    assert loaded.index_to_key == WORDS[:2]
    np.testing.assert_array_equal(loaded.vectors, vectors.vectors[:2])


class Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_kv_file_runs_nothing(vectors, tmp_path, protocol):
    vectors.expandos["evil"] = Attack(tmp_path / "ran")
    (tmp_path / "v.kv").write_bytes(pickle.dumps(vectors, protocol))
    with pytest.raises(WordVectorError, match=r"v\.kv: .*refused"):
        load_word_vectors(tmp_path / "v.kv")
    assert not (tmp_path / "ran").exists()


def test_a_hostile_array_beside_a_kv_file_runs_nothing(vectors, tmp_path):
    vectors.save(str(tmp_path / "v.kv"), sep_limit=0)
    evil = np.array([Attack(tmp_path / "ran")], dtype=object)
    np.save(tmp_path / "v.kv.vectors.npy", evil, allow_pickle=True)
    with pytest.raises(WordVectorError, match=r"v\.kv"):
        load_word_vectors(tmp_path / "v.kv")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [{"vectors": 1}, [1, 2], 7, None], ids=["dict", "list", "int", "None"]
)
def test_a_pickle_of_something_else_is_no_kv_file(tmp_path, content):
    (tmp_path / "v.kv").write_bytes(pickle.dumps(content))
    with pytest.raises(WordVectorError, match=r"v\.kv"):
        load_word_vectors(tmp_path / "v.kv")


def test_a_kv_file_with_fewer_vectors_than_words_is_refused(vectors, tmp_path):
    vectors.save(str(tmp_path / "v.kv"), sep_limit=0)
    np.save(tmp_path / "v.kv.vectors.npy", vectors.vectors[:-1])
    with pytest.raises(WordVectorError, match=r"7 words and an array of \(6, 6\)"):
        load_word_vectors(tmp_path / "v.kv")


@pytest.mark.parametrize("name", ["v.bin", "v.txt", "v.kv", "v.bin.gz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_a_truncated_file_is_named(vectors, tmp_path, name, share):
    path = save(vectors, tmp_path / name)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WordVectorError, match=rf"{path.name}.*truncated"):
        load_word_vectors(path)


def test_a_truncated_array_beside_a_kv_file_is_named(vectors, tmp_path):
    vectors.save(str(tmp_path / "v.kv"), sep_limit=0)
    array = tmp_path / "v.kv.vectors.npy"
    array.write_bytes(array.read_bytes()[:-5])
    with pytest.raises(WordVectorError, match=r"v\.kv.*truncated"):
        load_word_vectors(tmp_path / "v.kv")


@pytest.mark.parametrize("name", ["v.bin", "v.txt"])
def test_a_header_that_asks_for_a_huge_array_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"9999999999999999 300\njoy ")
    with pytest.raises(WordVectorError, match=name):
        load_word_vectors(tmp_path / name)


def test_another_dimension_names_both_and_the_remedy(vectors, tmp_path):
    path = save(vectors, tmp_path / "v.bin")
    with pytest.raises(WordVectorError, match=r"6 dimensions, 300 are needed.*embedding_dim"):
        load_word_vectors(path, dim=300)


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    (tmp_path / "v.npz").touch()
    with pytest.raises(WordVectorError, match=r"\.bin, \.txt, \.vec .* \.kv"):
        load_word_vectors(tmp_path / "v.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.bin"):
        load_word_vectors(tmp_path / "nowhere.bin")


@pytest.mark.parametrize(
    ("keyword", "word"),
    [
        ("joy", "joy"),
        (" JOY ", "joy"),
        ("candy cane", "candy_cane"),
        ("Candy  Cane", "candy_cane"),
        ("christmas", "Christmas"),
        ("santa claus", "Santa_Claus"),
        ("nasa", "NASA"),
        ("GRÖSSE".replace("SS", "ß"), "größe"),
    ],
)
def test_a_keyword_is_found_under_the_spellings_of_releases(vectors, keyword, word):
    np.testing.assert_array_equal(keyword_vector(vectors, keyword), vectors[word])


@pytest.mark.parametrize("phrase", ["joy tree", "joy unheardof tree", "joy-tree", "Tree  JOY"])
def test_a_missing_phrase_is_the_mean_of_its_known_words(vectors, phrase):
    mean = (vectors["joy"] + vectors["tree"]) / 2
    np.testing.assert_allclose(keyword_vector(vectors, phrase), mean, rtol=1e-6)


@pytest.mark.parametrize("keyword", ["unheardof", "quite unheardof", "", "cane"])
def test_what_is_not_known_has_no_vector(vectors, keyword):
    assert keyword_vector(vectors, keyword) is None


def test_as_written_only_what_is_written_so_is_found(vectors):
    for keyword in ("candy cane", "christmas", "santa claus", "joy tree", "nasa"):
        assert keyword_vector(vectors, keyword) is not None
        assert keyword_vector(vectors, keyword, "as_written") is None
    np.testing.assert_array_equal(keyword_vector(vectors, " JOY ", "as_written"), vectors["joy"])
    matrix, coverage = embedding_matrix(vectors, ["candy cane", "joy"], "as_written")
    assert coverage == {"found": 1, "averaged": 0, "unknown": 1}
    assert not matrix[2].any() and matrix[3].any()


def test_the_embedding_matrix_has_a_row_a_keyword_after_two_rows_of_zeros(vectors):
    keywords = ["joy", "unheardof", "joy tree", "santa claus"]
    matrix, coverage = embedding_matrix(vectors, keywords)
    assert matrix.shape == (6, DIM)
    assert matrix.dtype == np.float32
    assert not matrix[[0, 1, 3]].any()
    for row, keyword in ((2, "joy"), (4, "joy tree"), (5, "santa claus")):
        np.testing.assert_array_equal(matrix[row], keyword_vector(vectors, keyword))
    assert coverage == {"found": 2, "averaged": 1, "unknown": 1}


def test_a_vocabulary_of_which_nothing_is_known_is_an_error(vectors):
    with pytest.raises(WordVectorError, match=r"None of the 2 keywords \(freude, angst"):
        embedding_matrix(vectors, ["freude", "angst"])


def test_vectors_that_are_not_finite_are_named(vectors):
    vectors.vectors[0, 1] = np.nan
    with pytest.raises(WordVectorError, match=r"\['joy'\] hold NaN"):
        embedding_matrix(vectors, ["tree", "joy"])


def lists_on_topics(rows: int = 300) -> list[list[str]]:
    """Keyword lists, each of eight of the twenty words of one of five topics."""
    rng = np.random.default_rng(1)
    topics = [[f"topic{i} word{j}" for j in range(20)] for i in range(5)]
    return [list(rng.permutation(topics[i % 5])[:8]) for i in range(rows)]


def test_words_that_occur_together_come_closer_than_words_that_do_not():
    vectors = train_word_vectors(lists_on_topics(), dim=16)
    topics = np.array([word.split()[0] for word in vectors.index_to_key])
    normed = vectors.get_normed_vectors()
    cosines = normed @ normed.T
    same = topics[:, None] == topics[None, :]
    assert cosines[same].min() > cosines[~same].max() + 0.1


def test_the_window_spans_the_longest_list_from_any_word(monkeypatch):
    seen = {}

    class Recording(word_vectors.Word2Vec):
        def __init__(self, **kwargs):
            seen.update(kwargs)
            super().__init__(**kwargs)

    monkeypatch.setattr(word_vectors, "Word2Vec", Recording)
    train_word_vectors([["a"] * 3, ["a"] * 17], dim=4, epochs=1)
    assert seen["window"] >= 17
    assert seen["shrink_windows"] is False


def test_rare_keywords_get_no_vector():
    vectors = train_word_vectors([["a", "b"], ["a", "c"]], dim=4, epochs=1)
    assert set(vectors.index_to_key) == {"a"}


@pytest.fixture
def recorded(monkeypatch):
    """What Word2Vec is told, and the lists that it reads."""
    seen = {}

    class Recording(word_vectors.Word2Vec):
        def __init__(self, **kwargs):
            seen.update(kwargs)
            super().__init__(**kwargs)

        def train(self, lists, **kwargs):
            seen["passes"] = [list(lists), list(lists)]
            seen.update(kwargs)
            return super().train(lists, **kwargs)

    monkeypatch.setattr(word_vectors, "Word2Vec", Recording)
    return seen


def test_shuffled_copies_are_read_beside_each_list(recorded):
    lists = [[f"{topic}{i}" for i in range(40)] for topic in "abcd"]
    train_word_vectors(lists, dim=4, epochs=1, min_count=1, copies=5, dropout=0.25, negative=15)
    first, again = recorded["passes"]
    assert first == again  # the same copies in every pass
    assert recorded["total_examples"] == len(first) == 4 * 6
    assert recorded["negative"] == 15
    for place, keywords in enumerate(lists):
        whole, *copies = first[6 * place : 6 * place + 6]
        assert whole == keywords
        for copy in copies:
            assert {*copy} < {*keywords} and len({*copy}) == len(copy)
            assert copy != [name for name in keywords if name in copy]
        kept = sum(map(len, copies)) / (5 * len(keywords))
        assert 0.62 < kept < 0.88
        assert len({tuple(copy) for copy in copies}) == 5


def test_copies_count_for_the_minimum_count(recorded):
    vectors = train_word_vectors(
        [["a", "b"]] * 20 + [["c"]] * 3, 4, epochs=1, min_count=100, copies=5
    )
    assert {*vectors.index_to_key} == {"a", "b"}  # 120 times, and 18


def test_without_copies_the_lists_are_read_as_they_are(recorded):
    train_word_vectors([["a", "b"], ["b", "a"]], dim=4, epochs=1, window=50)
    assert recorded["passes"][0] == [["a", "b"], ["b", "a"]]
    assert (recorded["window"], recorded["shrink_windows"]) == (50, True)


@pytest.mark.parametrize("lists", [[], [[]], [["a"], ["b"]]])
def test_too_few_lists_to_learn_from_are_an_error(lists):
    with pytest.raises(WordVectorError, match="No keyword occurs 2 times"):
        train_word_vectors(lists, dim=4)


def test_the_seed_decides():
    one, same, other = (
        train_word_vectors(lists_on_topics(20), 4, seed=s, epochs=1) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.vectors, same.vectors)
    assert not np.array_equal(one.vectors, other.vectors)


def test_training_does_not_depend_on_process_and_hash_seed():
    lists = [["sun", "sea", "palm"], ["tea", "cup", "jam"], ["sun", "tea"]] * 20
    here = train_word_vectors(lists, dim=8, epochs=3)
    script = f"""
        import sys, types
        sys.modules["emotionnet_hf"] = package = types.ModuleType("emotionnet_hf")
        package.__path__ = [sys.argv[1]]  # without its __init__.py, which takes seconds
        from emotionnet_hf.text import train_word_vectors
        vectors = train_word_vectors({lists}, dim=8, epochs=3)
        print(vectors.index_to_key, vectors.vectors.tobytes().hex())
    """
    there = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), Path(word_vectors.__file__).parents[1]],
        env={**os.environ, "PYTHONHASHSEED": "1"},  # here it is another one, or random
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == f"{here.index_to_key} {here.vectors.tobytes().hex()}"


def test_the_real_googlenews_vectors_know_phrases_and_names(real_data):
    path = real_data / "w2v_googlenews_8k" / "googlenews_8k_300d.bin"
    vectors = load_word_vectors(path, dim=300)
    for keyword in ("joy", "fear", "happiness"):
        np.testing.assert_array_equal(keyword_vector(vectors, keyword), vectors[keyword])
    phrases = [word for word in vectors.index_to_key if "_" in word and word.islower()][:20]
    for phrase in phrases:
        found = keyword_vector(vectors, phrase.replace("_", " "))
        np.testing.assert_array_equal(found, vectors[phrase])
    assert vectors.similarity("joy", "happiness") > vectors.similarity("joy", "tax")
