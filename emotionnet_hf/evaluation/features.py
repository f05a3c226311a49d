"""Features of many images, and their nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from emotionnet_hf.models import EmotionNetForPreTraining

Item = TypeVar("Item")

_SIMILARITIES = 2**24  # held at a time


@dataclass(frozen=True)
class Features:
    """What EmotionNet says of N images.

    Attributes:
        pooled: The visual emotion features f_v(x), float32, (N, D).
        embeds: W f_v(x) in the joint space, float32, (N, projection_dim).
        logits: Of the emotion keywords, float32, (N, K).
    """

    pooled: np.ndarray
    embeds: np.ndarray
    logits: np.ndarray


@torch.inference_mode()
def extract_features(
    model: EmotionNetForPreTraining,
    processor: Any,
    images: Iterable[Image.Image],
    batch_size: int = 32,
    progress: bool = False,
) -> Features:
    """Run a model over images, batch by batch.

    Args:
        model: On any device; it is put into evaluation mode.
        processor: Its image processor.
        images: RGB; consumed lazily.
        batch_size: Images at a time.
        progress: Show a bar.

    Returns:
        The features, in the order of the images.

    Raises:
        ValueError: There is no image.
    """
    model.eval()
    parts: list[tuple[np.ndarray, ...]] = []
    for batch in tqdm(in_batches(images, batch_size), disable=not progress, desc="features"):
        pixels = processor(images=batch, return_tensors="pt")["pixel_values"]
        pixels = pixels.to(model.device, model.dtype)
        output = model(pixel_values=pixels, return_dict=True)
        values = (output.pooler_output, output.image_embeds, output.logits)
        parts.append(tuple(value.float().cpu().numpy() for value in values))
    if not parts:
        raise ValueError("There is no image to take features of.")
    return Features(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def nearest_neighbours(queries: np.ndarray, gallery: np.ndarray, k: int) -> np.ndarray:
    """Find the most similar rows by cosine, exactly.

    A chunk of queries at a time is compared with the gallery, so memory does not grow with their
    number.

    Args:
        queries: Float, (Q, D).
        gallery: Float, (N, D).
        k: How many, at most N.

    Returns:
        Row numbers in the gallery, best first and equal ones in their order, int64, (Q, k).
    """
    gallery = unit_rows(gallery)
    chunk = max(1, _SIMILARITIES // max(1, len(gallery)))
    found = np.empty((len(queries), min(k, len(gallery))), np.int64)
    for start in range(0, len(queries), chunk):
        similarity = unit_rows(queries[start : start + chunk]) @ gallery.T
        for row, values in enumerate(similarity, start):
            found[row] = best_first(values, found.shape[1])
    return found


def best_first(values: np.ndarray, k: int) -> np.ndarray:
    """Find the k largest values, without sorting the rest.

    Args:
        values: Float, (N,).
        k: How many, at most N.

    Returns:
        Their places, largest value first and equal ones in their order, int64, (k,).
    """
    if k == 0:
        return np.empty(0, np.int64)
    least = np.partition(values, len(values) - k)[len(values) - k]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")[:k]]


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; rows of zeros stay.

    Args:
        rows: Float, (N, D).

    Returns:
        The rows, (N, D), of the same type.
    """
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut an iterable into lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
