"""The image processor of EmotionNet: CLIP's steps, the paper's numbers, torchvision's crop."""

from __future__ import annotations

from typing import Any

import torch
from timm.models import get_pretrained_cfg
from torchvision.transforms.v2 import functional
from transformers import CLIPImageProcessor
from transformers.image_utils import SizeDict

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class EmotionNetImageProcessor(CLIPImageProcessor):
    """Resize, centre crop, rescale and normalise, as torchvision does.

    Where the margins of a crop cannot be equal, torchvision, with which the published code
    evaluates, and timm round half of the difference to the even number; the classes of
    transformers cut it down, which is one pixel beside for every second odd difference.
    """

    _auto_class = "AutoImageProcessor"  # so that this file travels with what is saved

    def center_crop(self, image: torch.Tensor, size: SizeDict, **kwargs: Any) -> torch.Tensor:
        """Cut out the middle, (..., H, W) to (..., size.height, size.width); pad where smaller."""
        return functional.center_crop(image, [size.height, size.width])


def build_image_processor(backbone: str, image_size: int = 224) -> EmotionNetImageProcessor:
    """Return resize, centre crop, rescale and normalise, as the paper evaluates.

    Resize of the shorter side to 256, centre crop of 224, ImageNet statistics (section 5.1 and the
    published code, bilinear); other sizes keep the ratio 256 : 224. Backbones that were trained
    with other statistics than ImageNet's get their own.

    Args:
        backbone: Name of a timm model.
        image_size: Side of the crop in pixels.

    Returns:
        An image processor; its ``pixel_values`` are float32, (B, 3, image_size, image_size).
    """
    pretrained = get_pretrained_cfg(backbone)
    return EmotionNetImageProcessor(
        size={"shortest_edge": round(image_size * 256 / 224)},
        crop_size={"height": image_size, "width": image_size},
        resample=2,  # bilinear
        image_mean=list(pretrained.mean if pretrained else IMAGENET_MEAN),
        image_std=list(pretrained.std if pretrained else IMAGENET_STD),
    )
