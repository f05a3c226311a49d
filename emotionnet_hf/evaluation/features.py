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

    Args:
        queries: Float, (Q, D).
        gallery: Float, (N, D).
        k: How many, at most N.

    Returns:
        Row numbers in the gallery, best first, int64, (Q, k).
    """
    similarity = _unit(queries) @ _unit(gallery).T
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k]


def _unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; rows of zeros stay."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut an iterable into lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
