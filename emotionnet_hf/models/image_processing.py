"""The image processor that is saved with every EmotionNet: a stock class, the paper's settings."""

from __future__ import annotations

from timm.models import get_pretrained_cfg
from transformers import CLIPImageProcessor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def build_image_processor(backbone: str, image_size: int = 224) -> CLIPImageProcessor:
    """Return resize, centre crop, rescale and normalise, as the paper evaluates.

    Resize of the shorter side to 256, centre crop of 224, ImageNet statistics (section 5.1 and the
    published code, bilinear); other sizes keep the ratio 256 : 224. Backbones that were trained
    with other statistics than ImageNet's get their own.

    Args:
        backbone: Name of a timm model.
        image_size: Side of the crop in pixels.

    Returns:
        A stock ``CLIPImageProcessor`` (the steps are CLIP's, the numbers are not); its
        ``pixel_values`` are float32, (B, 3, image_size, image_size).
    """
    pretrained = get_pretrained_cfg(backbone)
    return CLIPImageProcessor(
        size={"shortest_edge": round(image_size * 256 / 224)},
        crop_size={"height": image_size, "width": image_size},
        resample=2,  # bilinear
        image_mean=list(pretrained.mean if pretrained else IMAGENET_MEAN),
        image_std=list(pretrained.std if pretrained else IMAGENET_STD),
    )
