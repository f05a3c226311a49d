"""Weights for the trunk: timm's pretrained ones, a file, or none."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
from safetensors import SafetensorError
from timm.models import get_pretrained_cfg

logger = logging.getLogger(__name__)

_CHOICES = (
    "Choices for backbone_weights: 'pretrained' (timm downloads the ImageNet weights once, or "
    "finds them in the cache of huggingface_hub), a .safetensors file with timm's names, or "
    "'none' (train from scratch)."
)


class BackboneWeightsError(ValueError):
    """The weights of the trunk cannot be had; the message has the choices."""


def pretrained_name(name: str) -> str:
    """Return the name with the tag of the weights that timm takes where it is told none.

    They change with timm, and are seldom the paper's:

    >>> pretrained_name("resnet50.tv_in1k"), pretrained_name("mobilenetv2_100")
    ('resnet50.tv_in1k', 'mobilenetv2_100.ra_in1k')
    """
    known = get_pretrained_cfg(name)
    tag = known.tag if known and "." not in name else None
    return f"{name}.{tag}" if tag else name


def load_backbone(backbone: Any, name: str, weights: str) -> None:
    """Fill a trunk with weights, in place.

    Args:
        backbone: ``timm.create_model(name, num_classes=0)``.
        name: The timm model's name.
        weights: ``pretrained``, ``none``, or the path of a safetensors file.

    Raises:
        BackboneWeightsError: They cannot be downloaded, read, or do not fit.
    """
    if weights == "none":
        return
    if weights == "pretrained":
        if (whole := pretrained_name(name)) != name:
            logger.info("the pretrained weights of %s are timm's %s", name, whole)
        state = _download(name)
    else:
        state = _read(Path(weights))
    head = backbone.pretrained_cfg.get("classifier") or ()
    heads = (head,) if isinstance(head, str) else tuple(head)
    state = {k: v for k, v in state.items() if not k.startswith(tuple(f"{h}." for h in heads))}
    try:
        result = backbone.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a tensor of another size
        raise BackboneWeightsError(f"{weights} does not fit {name}: {error}. {_CHOICES}") from error
    # Old checkpoints lack this counter, which nothing reads.
    missing = [k for k in result.missing_keys if not k.endswith("num_batches_tracked")]
    if missing or result.unexpected_keys:
        raise BackboneWeightsError(
            f"{weights} does not fit {name}: missing {missing[:5]}, without a place "
            f"{result.unexpected_keys[:5]}. {_CHOICES}"
        )


def _download(name: str) -> dict[str, object]:
    """Return timm's pretrained weights."""
    try:
        return timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    # timm, huggingface_hub and the HTTP client each have errors of their own for "no network".
    except Exception as error:
        raise BackboneWeightsError(
            f"The pretrained weights of {name} cannot be downloaded ({type(error).__name__}: "
            f"{error}). {_CHOICES}"
        ) from error


def _read(path: Path) -> dict[str, object]:
    """Return the tensors of a safetensors file."""
    if not path.is_file():
        raise BackboneWeightsError(f"No backbone weights at {path}: no such file. {_CHOICES}")
    try:
        return dict(safetensors.torch.load_file(path))
    except SafetensorError as error:
        raise BackboneWeightsError(
            f"{path} is no readable safetensors file ({error}). {_CHOICES}"
        ) from error
