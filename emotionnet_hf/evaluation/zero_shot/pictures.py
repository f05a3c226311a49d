"""The pictures of a split through an EmotionNet, each of them once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from emotionnet_hf.evaluation.features import in_batches
from emotionnet_hf.evaluation.linear_probe.features import PictureFeatures
from emotionnet_hf.evaluation.linear_probe.rows import Pool
from emotionnet_hf.loading.images import ImageError
from emotionnet_hf.models import EmotionNetForPreTraining


@torch.inference_mode()
def embed_pictures(
    pool: Pool,
    places: np.ndarray,
    model: EmotionNetForPreTraining,
    processor: Any,
    embedding: str,
    *,
    batch_size: int = 32,
    progress: bool = True,
) -> PictureFeatures:
    """Run a model over pictures.

    Args:
        pool: The pictures.
        places: Which of them, each once, int64, (M,).
        model: On any device; it is put into evaluation mode.
        processor: Its image processor.
        embedding: Which output, such as ``image_embeds``.
        batch_size: Pictures at a time.
        progress: Show a bar.

    Returns:
        The embeddings; what cannot be opened has its reason instead.
    """
    model.eval()
    row = np.full(len(pool), -1, np.int64)
    unreadable: dict[int, str] = {}
    parts: list[torch.Tensor] = []
    with tqdm(total=len(places), disable=not progress, desc="pictures") as bar:
        for batch in in_batches(_opened(pool, places, unreadable, bar), batch_size):
            found, images = zip(*batch, strict=True)
            pixels = processor(images=list(images), return_tensors="pt")["pixel_values"]
            output = model(pixels.to(model.device, model.dtype), return_dict=True)
            row[list(found)] = sum(map(len, parts)) + np.arange(len(batch))
            parts.append(output[embedding].float().cpu())
    return PictureFeatures(torch.cat(parts) if parts else torch.empty(0, 0), row, unreadable)


def _opened(
    pool: Pool, places: np.ndarray, unreadable: dict[int, str], bar: Any
) -> Iterator[tuple[int, Image.Image]]:
    """Open each picture, and note which cannot be opened."""
    for place in places.tolist():
        try:
            yield place, pool.open(place)
        except ImageError as error:
            unreadable[place] = str(error)
        bar.update()
