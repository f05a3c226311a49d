"""Pictures to vectors in threads, each with a batch of its own from the file to the features.

That way no core waits for another: reading, decoding and the model run side by side, and the cores
share nothing but the weights. Splitting one batch over the cores, as PyTorch does, makes them meet
after every layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
from PIL import Image

from emotionnet_hf.data.writing import ordered_map
from emotionnet_hf.evaluation.embed.engines import Engine
from emotionnet_hf.evaluation.embed.rows import EmbedSourceError, Item
from emotionnet_hf.evaluation.features import in_batches
from emotionnet_hf.loading.images import ImageError, open_image
from emotionnet_hf.models.encoders import Encoder

# How many pictures are looked at for each that is wanted in a sample.
_PATIENCE = 4


@dataclass(frozen=True)
class Encoded:
    """What came of a batch.

    Attributes:
        ids: Of the pictures that could be used.
        vectors: Of each space, float32 (N, D); empty without pictures.
        rejected: Id and reason of the others.
    """

    ids: list[str]
    vectors: dict[str, np.ndarray]
    rejected: list[tuple[str, str]]


@contextmanager
def encoding_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Start threads in each of which PyTorch uses one core."""
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with pool:
            yield pool
    finally:
        torch.set_num_threads(before)  # the threads' number became the process's


@dataclass(frozen=True)
class Encoding:
    """How pictures become vectors.

    Attributes:
        encoder: Gives the preprocessing.
        pool: The threads.
        threads: Their number.
        batch_size: Pictures that a thread takes at a time.
        max_pixels: Pictures with more are not opened.
    """

    encoder: Encoder
    pool: ThreadPoolExecutor
    threads: int
    batch_size: int
    max_pixels: int

    def encode(self, engine: Engine, items: Iterable[Item]) -> Iterator[Encoded]:
        """Encode pictures, of which only a few batches are in memory.

        Args:
            engine: The model.
            items: The pictures.

        Yields:
            What came of each batch, in order.
        """
        batches = in_batches(items, self.batch_size)
        work = partial(self._encode, engine)
        yield from ordered_map(self.pool, work, batches, 2 * self.threads)

    def sample(self, items: Iterable[Item], count: int) -> torch.Tensor:
        """Open the first pictures that can be used.

        Args:
            items: The pictures.
            count: How many, at most.

        Returns:
            ``pixel_values``, float32 (N, 3, H, W), at least one.

        Raises:
            EmbedSourceError: None of the first pictures can be used.
        """
        found: list[torch.Tensor] = []
        reason = "there is none"
        window = 2 * self.threads
        for opened in ordered_map(
            self.pool, self._prepare, islice(items, count * _PATIENCE), window
        ):
            if isinstance(opened, torch.Tensor):
                found.append(opened)
            else:
                reason = opened
            if len(found) == count:
                break
        if not found:
            raise EmbedSourceError(f"none of the first pictures can be used: {reason}")
        return torch.cat(found)

    def vectors(self, engine: Engine, pixels: torch.Tensor, space: str) -> np.ndarray:
        """Run a sample; float32 (N, D)."""
        batches = pixels.split(self.batch_size)
        return np.concatenate([x[space] for x in self.pool.map(engine, batches)])

    def _prepare(self, item: Item) -> torch.Tensor | str:
        opened = self._open(item)
        return opened if isinstance(opened, str) else self.encoder.preprocess([opened])

    def _open(self, item: Item) -> Image.Image | str:
        """Open a picture, or say why not."""
        try:
            return open_image(item.load(), max_pixels=self.max_pixels)
        except ImageError as error:
            return str(error)

    def _encode(self, engine: Engine, items: Sequence[Item]) -> Encoded:
        opened = [(item.id, self._open(item)) for item in items]
        usable = {i: x for i, (_, x) in enumerate(opened) if not isinstance(x, str)}
        vectors = engine(self.encoder.preprocess(list(usable.values()))) if usable else {}
        return Encoded(
            ids=[opened[i][0] for i in usable],
            vectors=vectors,
            rejected=[(name, x) for name, x in opened if isinstance(x, str)],
        )
