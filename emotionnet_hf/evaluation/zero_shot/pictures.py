"""The pictures of a split through an EmotionNet, each of them once, the unreadable ones named."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from tqdm import tqdm

from emotionnet_hf.data.benchmarks.benchmark import open_picture
from emotionnet_hf.evaluation.features import in_batches
from emotionnet_hf.loading.images import ImageError
from emotionnet_hf.models import EmotionNetForPreTraining


@dataclass(frozen=True)
class PictureEmbeddings:
    """The pictures of N rows.

    Attributes:
        vectors: Of each picture that could be opened, float32, (P, D).
        place: Which of them a row shows, int64, (N,); -1 where it could not be opened.
        reasons: Why not, by row.
    """

    vectors: np.ndarray
    place: np.ndarray
    reasons: dict[int, str]


@torch.inference_mode()
def embed_pictures(
    rows: Dataset,
    model: EmotionNetForPreTraining,
    processor: Any,
    embedding: str,
    *,
    batch_size: int = 32,
    progress: bool = True,
) -> PictureEmbeddings:
    """Run a model over the pictures of a split.

    Several rows may show the same picture, as in EMOTIC-I, where each person is a row: it goes
    through the model once.

    Args:
        rows: With `benchmark_features`.
        model: On any device; it is put into evaluation mode.
        processor: Its image processor.
        embedding: Which output, such as ``image_embeds``.
        batch_size: Pictures at a time.
        progress: Show a bar.

    Returns:
        The embeddings; what cannot be opened has its reason instead.
    """
    model.eval()
    # Bytes of pictures may be large: rows are looked at one at a time.
    keys = [_key(row) for row in rows.select_columns(["image", "box"])]
    first = {key: number for number, key in reversed([*enumerate(keys)])}
    opened: dict[Hashable, int] = {}
    failed: dict[Hashable, str] = {}
    parts = [np.empty((0, 0), np.float32)]
    with tqdm(total=len(first), disable=not progress, desc="pictures") as bar:
        for batch in in_batches(_pictures(rows, first, failed, bar), batch_size):
            pixels = processor(images=[image for _, image in batch], return_tensors="pt")
            output = model(pixels["pixel_values"].to(model.device, model.dtype), return_dict=True)
            parts.append(output[embedding].float().cpu().numpy())
            opened |= {key: len(opened) + n for n, (key, _) in enumerate(batch)}
    return PictureEmbeddings(
        np.concatenate(parts[1:] or parts),
        np.asarray([opened.get(key, -1) for key in keys], np.int64),
        {number: failed[key] for number, key in enumerate(keys) if key in failed},
    )


def _pictures(
    rows: Dataset, first: Mapping[Hashable, int], failed: dict[Hashable, str], bar: Any
) -> Iterator[tuple[Hashable, Image.Image]]:
    """Open each picture by the first row that shows it, and note which cannot be opened."""
    for key, number in sorted(first.items(), key=lambda item: item[1]):
        try:
            yield key, open_picture(rows[number])
        except ImageError as error:
            failed[key] = str(error)
        bar.update()


def _key(row: Mapping[str, Any]) -> Hashable:
    """Tell a picture from all others, without opening it."""
    image, box = row["image"], row["box"]
    what = blake2b(image["bytes"], digest_size=16).digest() if image["bytes"] else image["path"]
    return what, None if box is None else tuple(box)
