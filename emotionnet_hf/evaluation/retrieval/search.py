"""Searching with what people have at hand: a picture, a row of the data set, or words.

Images look for images in the visual emotion features (2048-d for ResNet-50; section 5.5 of the
paper, Fig. 4), words in the space that they share with images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emotionnet_hf.evaluation.retrieval.gallery import open_picture
from emotionnet_hf.evaluation.retrieval.index_folder import Hit, IndexFolder, open_index
from emotionnet_hf.evaluation.retrieval.words import ALONE, GalleryError
from emotionnet_hf.loading.images import ImageError, open_image
from emotionnet_hf.models.backbones import BackboneWeightsError
from emotionnet_hf.models.encoders import FEATURES, Encoder, EncoderError, open_encoder

_SAME = 0.99  # cosine from which a hit may show the very picture that was asked with
_SPARE = 10  # copies of it that may come first


class QueryError(ValueError):
    """A query that stands for nothing; the message says what was looked for."""


@dataclass(frozen=True)
class Found:
    """What a query found.

    Attributes:
        query: As it was asked.
        kind: ``image`` (a file), ``row`` (an id of the index) or ``words``.
        space: In which was searched.
        hits: Best first; the query's own picture is not among them.
        row: The query's own row, or the one with the very same picture; None without.
        keywords: Of that row; the known words of words.
        labels: Of that row.
        unknown: Words that the model does not know.
    """

    query: str
    kind: str
    space: str
    hits: Sequence[Hit]
    row: int | None = None
    keywords: Sequence[str] = ()
    labels: Sequence[str] = ()
    unknown: Sequence[str] = ()


class Searcher:
    """An index with the model that it was made by, which is opened when a query needs it."""

    def __init__(self, index: IndexFolder, pictures: str | Path | None = None) -> None:
        """Wrap an opened index.

        Args:
            index: From `open_index`.
            pictures: Where the data set is, a folder or its one file, if not where it was when the
                index was made.
        """
        self.index = index
        root = Path(pictures or index.facts["pictures"])
        # Of an index of one Parquet file, too, rows name the file that they are in.
        self._root = root.parent if root.is_file() else root

    @cached_property
    def encoder(self) -> Encoder:
        """The model, as it was when the index was made."""
        try:
            encoder = open_encoder(self.index.facts["model"])
        except (EncoderError, BackboneWeightsError) as error:
            raise QueryError(
                f"only ids of {self.index.folder} can be asked for, because its model cannot be "
                f"opened: {error}"
            ) from error
        if encoder.weights_digest != self.index.facts["weights"]:
            raise QueryError(
                f"{encoder.name} has other weights than when {self.index.folder} was made: only "
                "ids can be asked for. Build the index again"
            )
        return encoder

    @property
    def has_pictures(self) -> bool:
        """Whether the data set is where it should be; a single picture may still be gone."""
        first: dict[str, Any] = self.index.rows[0]
        return (self._root if first["row"] == ALONE else self._root / first["file"]).exists()

    def picture(self, row: int) -> Image.Image:
        """Open the picture of a row.

        Args:
            row: Its number in the index.

        Returns:
            RGB.

        Raises:
            GalleryError: The data set is not where it was; `pictures` says where it is.
        """
        values = self.index.rows[row]
        return open_picture(self._root, values["file"], values["row"])

    def search(self, query: str, k: int = 10) -> Found:
        """Find what is nearest to a query.

        Args:
            query: An image file; else the id of a row; else comma-separated words.
            k: Hits, at most.

        Returns:
            The hits and what the query turned out to be.

        Raises:
            QueryError: It is no file and no id, and the model knows none of the words.
            ImageError: The file is no picture.
        """
        if _is_file(query):
            return self._by_image(query, open_image(Path(query)), k)
        row = self.index.row_of(query)
        return self._by_words(query, k) if row is None else self._by_row(query, row, k)

    def _by_row(self, query: str, row: int, k: int) -> Found:
        (hits,) = self.index.search(self.index.vector(row)[None], k + 1)
        values = self.index.rows[row]
        others = [hit for hit in hits if hit.row != row][:k]
        return Found(query, "row", FEATURES, others, row, values["keywords"], values["labels"])

    def _by_image(self, query: str, image: Image.Image, k: int) -> Found:
        features = self.encoder.encode([image])[FEATURES]
        (hits,) = self.index.search(features, k + _SPARE)
        same = [hit for hit in hits if self._shows(hit, image)]
        others = [hit for hit in hits if hit not in same][:k]
        if not same:
            return Found(query, "image", FEATURES, others)
        twin = same[0]
        return Found(query, "image", FEATURES, others, twin.row, twin.keywords, twin.labels)

    def _by_words(self, query: str, k: int) -> Found:
        words = [word.strip() for word in query.split(",") if word.strip()]
        text, space = self.encoder.text, self.encoder.text_space
        if text is None or space is None:
            raise QueryError(
                f"{query!r} is no image file and no id in {self.index.folder}, and "
                f"{self.encoder.name} knows no words"
            )
        if space not in self.index.facts["spaces"]:
            raise QueryError(
                f"{query!r} is no image file and no id in {self.index.folder}, and words cannot be "
                f"asked for: the index was built of features without the space {space!r} (--joint)"
            )
        vectors = text(words) if words else np.zeros((0, 1), np.float32)
        known = np.abs(vectors).sum(axis=1) > 0
        if not known.any():
            raise QueryError(
                f"{query!r} is no image file and no id in {self.index.folder}, and the model knows "
                "none of its words"
            )
        # f_t(y), the mean of the words' vectors (section 4.2), is what images were trained to meet.
        (hits,) = self.index.search(vectors[known].mean(axis=0, keepdims=True), k, space)
        pairs = list(zip(words, known, strict=True))
        told = [word for word, good in pairs if good]
        unknown = [word for word, good in pairs if not good]
        return Found(query, "words", space, hits, None, told, told, unknown)

    def _shows(self, hit: Hit, image: Image.Image) -> bool:
        """Tell whether a row is the very picture that was asked with, pixel by pixel."""
        if hit.score < _SAME:
            return False
        try:
            there = self.picture(hit.row)
        except (GalleryError, ImageError):
            return False  # searching does without pictures; this one cannot be compared
        return np.array_equal(np.asarray(there), np.asarray(image))


@dataclass(frozen=True)
class Answer:
    """One query asked of one index, or of several over one data set.

    Attributes:
        query: As it was asked.
        found: What each index found; empty after an error.
        error: Why the query could not be asked, None where it could.
    """

    query: str
    found: Sequence[Found] = ()
    error: str | None = None


def ask(searchers: Sequence[Searcher], queries: Sequence[str], k: int = 10) -> Iterator[Answer]:
    """Ask many queries; one that cannot be asked does not stop the others.

    Args:
        searchers: The indexes.
        queries: See `Searcher.search`.
        k: Hits of each, at most.

    Yields:
        The answers, in order.
    """
    for query in queries:
        try:
            yield Answer(query, [searcher.search(query, k) for searcher in searchers])
        except QueryError as error:
            yield Answer(query, error=str(error))
        except ImageError as error:
            yield Answer(query, error=f"{query}: {error}")


def _is_file(query: str) -> bool:
    """Tell a file from words, of which many make no name of a file."""
    try:
        return Path(query).is_file()
    except OSError:
        return False


def open_searcher(folder: str | Path, pictures: str | Path | None = None) -> Searcher:
    """Open an index for searching.

    Args:
        folder: What `build_index` wrote.
        pictures: Where the data set is, if not where it was when the index was made.

    Returns:
        The searcher.

    Raises:
        IndexFolderError: There is no whole index.
        ImportError: The extra ``retrieval`` is not installed.
    """
    return Searcher(open_index(folder), pictures)
