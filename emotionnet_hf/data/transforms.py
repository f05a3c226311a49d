"""Training augmentation: random resized crop and flip, each a function of its own seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image


def augment(
    image: Image.Image, size: int, rng: np.random.Generator, scale: Sequence[float] = (0.08, 1.0)
) -> torch.Tensor:
    """Take a random resized crop and flip it half of the time, as the paper trains.

    The law is torchvision's ``RandomResizedCrop(size, scale)`` (aspect 3/4 to 4/3, bilinear) and
    ``RandomHorizontalFlip``; the randomness comes from ``rng`` alone, so that it does not depend
    on the process, the worker or what was loaded before.

    Args:
        image: RGB.
        size: Side of the result in pixels.
        rng: Source of randomness.
        scale: Least and most share of the area.

    Returns:
        uint8, (3, size, size).
    """
    box = crop_box(image.width, image.height, rng, scale)
    # Cropping and scaling in one go reads only the pixels that are used.
    crop = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(crop)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def crop_box(
    width: int, height: int, rng: np.random.Generator, scale: Sequence[float] = (0.08, 1.0)
) -> tuple[int, int, int, int]:
    """Draw the box (left, top, right, bottom) of a random resized crop, in pixels.

    Ten tries at an area share uniform in ``scale`` and an aspect log-uniform in 3/4 to 4/3; if
    none fits into the image, the largest centred box of allowed aspect.

    Args:
        width: Of the image.
        height: Of the image.
        rng: Source of randomness.
        scale: Least and most share of the area.

    Returns:
        A box inside the image, at least one pixel wide and high.
    """
    for _ in range(10):
        area = width * height * rng.uniform(scale[0], scale[1])
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    w = min(width, max(1, round(height * 4 / 3)))
    h = min(height, max(1, round(width * 4 / 3)))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h
