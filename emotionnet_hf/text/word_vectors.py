"""Word vectors: loaded or trained through gensim, looked up keyword by keyword."""

from __future__ import annotations

import logging
import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gensim.models import KeyedVectors, Word2Vec

from emotionnet_hf.loading.normal_form import normalize_keyword
from emotionnet_hf.text.word_vector_files import (
    WordVectorError,
    check_values,
    open_file,
    read_word2vec,
)

logger = logging.getLogger(__name__)

Coverage = dict[Literal["found", "averaged", "unknown"], int]

Lookup = Literal["spellings", "as_written"]
"""How a keyword is looked up: under the spellings of word2vec's releases and, for a phrase, by its
words; or as it is written and in no other way, as in the published code."""


# gensim, gzip, numpy and pickle each report a broken file in their own way; a damaged size in a
# header is first noticed by whoever is asked for that much memory.
_BROKEN_FILE = (
    *(ValueError, TypeError, AttributeError, LookupError, EOFError, OSError),
    *(MemoryError, OverflowError, pickle.UnpicklingError, zlib.error),
)


def load_word_vectors(
    path: str | Path, dim: int | None = None, limit: int | None = None
) -> KeyedVectors:
    """Load word vectors from word2vec's binary or text format, GloVe's, or gensim's own.

    Args:
        path: ``*.bin`` (GoogleNews' format), ``*.txt`` / ``*.vec`` (word2vec's text, or GloVe's,
            which has no first line of sizes), or ``*.kv`` (``KeyedVectors.save``), also with
            ``.gz``. A ``.kv`` is a pickle: only plain arrays and strings are read out of it,
            nothing in it is run.
        dim: The size that is needed; another one is an error.
        limit: Read only the first so many words; big files are sorted by frequency.

    Returns:
        gensim ``KeyedVectors``, float32.

    Raises:
        FileNotFoundError: There is no such file.
        WordVectorError: The format is unknown, the file is broken, does not hold what its first
            line says, holds numbers that are none of word vectors, or has another size than
            ``dim``.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No word vectors at {path}: the file does not exist.")
    suffix = Path(path.name.removesuffix(".gz")).suffix
    try:
        if suffix == ".kv":
            words, array = _read_gensim(path, limit)
        elif suffix in {".bin", ".txt", ".vec"}:
            words, array = read_word2vec(path, binary=suffix == ".bin", limit=limit)
        else:
            raise WordVectorError(
                "word vectors end in .bin, .txt, .vec (word2vec format, GloVe) or .kv (gensim)."
            )
    except WordVectorError as error:
        raise WordVectorError(f"{path}: {error}") from error
    except _BROKEN_FILE as error:
        raise WordVectorError(
            f"{path}: cannot be read as word vectors ({type(error).__name__}: {error}). "
            "The file is truncated or of another format; copy it again or fix its suffix."
        ) from error
    if dim is not None and array.shape[1] != dim:
        raise WordVectorError(
            f"{path}: its vectors have {array.shape[1]} dimensions, {dim} are needed. "
            "Set embedding_dim in the recipe, or use other vectors."
        )
    return _keyed(words, array)


def train_word_vectors(
    sentences: Iterable[Sequence[str]],
    dim: int = 300,
    seed: int = 0,
    epochs: int = 20,
    min_count: int = 2,
    negative: int = 5,
    copies: int = 0,
    dropout: float = 0.0,
    window: int | None = None,
) -> KeyedVectors:
    """Train word2vec on keyword lists, each list a sentence (section 5.4 of the paper).

    Keywords have no order, so the window spans the whole list. The published code has a window of
    50, which gensim shrinks at random, and lets order say nothing by 5 shuffled copies of each
    list, of whose keywords one in ten is dropped; its ``negative`` is 15, its ``min_count`` 100.

    Args:
        sentences: Keyword lists in normal form; phrases are single words here.
        dim: Size of the vectors.
        seed: The result is a function of lists and seed (one thread).
        epochs: Passes over the lists.
        min_count: Keywords that occur less often get no vector; occurrences in copies count.
        negative: Words that are drawn against each pair.
        copies: Shuffled copies of each list, beside the list itself.
        dropout: Share of the keywords that each copy lacks.
        window: Places to either side, shrunk at random for each word; None for the whole list.

    Returns:
        gensim ``KeyedVectors``, float32.

    Raises:
        WordVectorError: No keyword occurs ``min_count`` times.
    """
    lists = _WithCopies([list(sentence) for sentence in sentences], copies, dropout, seed)
    model = Word2Vec(
        vector_size=dim,
        window=window or max([2, *map(len, lists.lists)]),
        # By default gensim draws a smaller window for each word: distant keywords would meet less.
        shrink_windows=window is not None,
        min_count=min_count,
        negative=negative,
        sg=1,
        epochs=epochs,
        seed=seed,
        workers=1,
        # Python's own hash changes from process to process.
        hashfxn=lambda text: zlib.crc32(str(text).encode()),
    )
    model.build_vocab(lists)
    if not len(model.wv):
        raise WordVectorError(
            f"No keyword occurs {min_count} times in {len(lists)} lists: too little to learn word "
            "vectors from. Give a file of word vectors instead."
        )
    model.train(lists, total_examples=len(lists), epochs=epochs)
    return model.wv


@dataclass(frozen=True)
class _WithCopies:
    """Keyword lists and, made as they are asked for, the same copies of them in every pass."""

    lists: list[list[str]]
    copies: int
    dropout: float
    seed: int

    def __len__(self) -> int:
        return len(self.lists) * (1 + self.copies)

    def __iter__(self) -> Iterator[list[str]]:
        generator = np.random.default_rng(self.seed)
        for keywords in self.lists:
            yield keywords
            for _ in range(self.copies):
                order = generator.permutation(len(keywords))
                kept = order[generator.random(len(order)) >= self.dropout]
                yield [keywords[place] for place in kept]


def keyword_vector(
    vectors: KeyedVectors, keyword: str, lookup: Lookup = "spellings"
) -> np.ndarray | None:
    """Look up one keyword or phrase.

    As written; with GoogleNews' underscores for spaces; with its capitals (``Christmas``,
    ``Candy_Cane``); and, for a phrase that is missing, the mean of its known words. The published
    code looks phrases up as written only, and so misses GoogleNews' ``candy_cane``.

    Args:
        vectors: Word vectors.
        keyword: In any form.
        lookup: See `Lookup`.

    Returns:
        float32 (D,), or None when nothing of it is known.
    """
    if lookup == "as_written":
        plain = normalize_keyword(keyword)
        known_so = plain in vectors.key_to_index
        return np.asarray(vectors[plain], dtype=np.float32) if known_so else None
    found = _as_written(vectors, keyword)
    if found is None:
        words = [_as_written(vectors, word) for word in keyword.replace("-", " ").split()]
        known = [word for word in words if word is not None]
        found = np.stack(known).mean(axis=0) if known else None
    return found


def embedding_matrix(
    vectors: KeyedVectors, keywords: Sequence[str], lookup: Lookup = "spellings"
) -> tuple[np.ndarray, Coverage]:
    """Make the embedding of a keyword vocabulary.

    Args:
        vectors: Word vectors.
        keywords: The vocabulary, without special tokens.
        lookup: See `Lookup`.

    Returns:
        float32 (len(keywords) + 2, D): rows of zeros for padding and unknown, then one row a
        keyword, zeros where nothing of it is known; and how many keywords were found as one word
        or phrase, averaged over their words, or unknown.

    Raises:
        WordVectorError: Not one of the keywords is known, or a vector is not finite.
    """
    matrix = np.zeros((len(keywords) + 2, vectors.vector_size), dtype=np.float32)
    coverage: Coverage = {"found": 0, "averaged": 0, "unknown": 0}
    for row, keyword in enumerate(keywords, start=2):
        vector = keyword_vector(vectors, keyword, lookup)
        if vector is None:
            coverage["unknown"] += 1
            continue
        matrix[row] = vector
        coverage["averaged" if _as_written(vectors, keyword) is None else "found"] += 1
    if coverage["unknown"] == len(keywords):
        raise WordVectorError(
            f"None of the {len(keywords)} keywords ({', '.join(keywords[:5])}, ...) has a word "
            "vector: the vectors are of another language or another normal form."
        )
    if not np.isfinite(matrix).all():
        broken = [keywords[row - 2] for row in np.flatnonzero(~np.isfinite(matrix).all(axis=1))]
        raise WordVectorError(f"The word vectors of {broken[:5]} hold NaN or infinity.")
    told = ", ".join(f"{count:,} {how}" for how, count in coverage.items())
    logger.info("word vectors of %d keywords: %s", len(keywords), told)
    return matrix, coverage


def _as_written(vectors: KeyedVectors, keyword: str) -> np.ndarray | None:
    """Look up one keyword under the spellings that word2vec releases use."""
    plain = normalize_keyword(keyword)
    joined = plain.replace(" ", "_")
    for spelling in (plain, joined, joined.title(), joined.capitalize(), joined.upper()):
        if spelling in vectors.key_to_index:
            return np.asarray(vectors[spelling], dtype=np.float32)
    return None


class _ArraysOnly(pickle.Unpickler):
    """Reads the pickle that ``KeyedVectors.save`` writes and refuses whatever else is in it."""

    ALLOWED = frozenset(
        {
            ("gensim.models.keyedvectors", "KeyedVectors"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed class or function."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it wants to run {module}.{name}, which is refused")
        return super().find_class(module, name)


def _read_gensim(path: Path, limit: int | None) -> tuple[list[str], np.ndarray]:
    """Read ``KeyedVectors.save``'s files, the big arrays beside the pickle included."""
    with open_file(path) as file:
        state = vars(_ArraysOnly(file).load())
    vectors = state.get("vectors")
    if "vectors" in state.get("__numpys", []):
        vectors = _array_beside(path)
    if "index_to_key" not in state or not isinstance(vectors, np.ndarray):
        raise WordVectorError("written by gensim < 4; load and save it with gensim 4.")
    words = list(state["index_to_key"])
    if vectors.ndim != 2 or len(words) != len(vectors):
        raise WordVectorError(
            f"has {len(words)} words and an array of {vectors.shape}. Copy both again."
        )
    if len(set(words)) < len(words) or not words or not all(isinstance(w, str) for w in words):
        raise WordVectorError(
            "its words are none, not text, or not each there once. Copy it again."
        )
    words, vectors = words[:limit], vectors[:limit].astype(np.float32, copy=False)
    check_values(words, vectors)
    return words, vectors


def _array_beside(path: Path) -> np.ndarray:
    """Read the array that gensim wrote beside a pickle; zipped where the pickle is."""
    # A file that was saved plain and compressed by hand keeps the plain array's name.
    plain = path.name.removesuffix(".gz")
    names = [f"{path.name}.vectors.npz", f"{path.name}.vectors.npy", f"{plain}.vectors.npy"]
    for beside in map(path.with_name, names):
        if beside.is_file():
            content = np.load(beside, allow_pickle=False)
            array: np.ndarray = content["val"] if beside.suffix == ".npz" else content
            return array
    raise WordVectorError(f"its array is missing: copy {names[0]} beside it, too.")


def _keyed(words: list[str], array: np.ndarray) -> KeyedVectors:
    """Wrap words and vectors as gensim's own loader does, without a copy of the array."""
    vectors = KeyedVectors(int(array.shape[1]))
    vectors.index_to_key = words
    vectors.key_to_index = {word: i for i, word in enumerate(words)}
    vectors.vectors = array
    return vectors
