"""What every export starts from and ends with: a model in float32, a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
import transformers
from transformers import AutoImageProcessor, PreTrainedModel

from emotionnet_hf import __version__
from emotionnet_hf.models import (
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    EmotionNetModel,
    TextCNNForSequenceClassification,
)
from emotionnet_hf.models.place import read_config

_KINDS = {
    kind.__name__: kind
    for kind in (
        EmotionNetForPreTraining,
        EmotionNetForImageClassification,
        EmotionNetForZeroShotImageClassification,
        EmotionNetModel,
        TextCNNForSequenceClassification,
    )
}


class ExportError(ValueError):
    """A model that cannot be exported, or whose export computes something else."""


def load_model(source: str | Path) -> PreTrainedModel:
    """Load a model as the class that it was saved from, in float32, for inference.

    Args:
        source: Folder of an EmotionNet or TextCNN, or repository on the Hub.

    Returns:
        The model.

    Raises:
        FileNotFoundError: There is no such folder and no such repository, or no model in it.
        ModelKindError: It holds none that is known here.
        ExportError: It holds one of another kind.
        CheckpointError: The weights do not fit.
    """
    config = read_config(source)
    name = (config.architectures or [type(config).__name__])[0]
    if name not in _KINDS:
        raise ExportError(f"{source} is a {name}; what can be exported: {', '.join(_KINDS)}.")
    model: PreTrainedModel = _KINDS[name].from_pretrained(source, dtype=torch.float32)
    return model.eval()


def load_processor(source: str | Path) -> tuple[Any, tuple[int, int]]:
    """Load the image processor of a model.

    Args:
        source: As for ``load_model``.

    Returns:
        The processor, and the height and width that it crops to, in pixels.

    Raises:
        ExportError: It crops to no fixed size.
        OSError: There is none.
    """
    processor = AutoImageProcessor.from_pretrained(source, trust_remote_code=False)
    crop = getattr(processor, "crop_size", None)
    if not crop:
        raise ExportError(f"The image processor of {source} has no crop_size, so no image size.")
    return processor, (int(crop["height"]), int(crop["width"]))


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Tell how far two outputs are apart.

    Args:
        ours: Of the model, float.
        theirs: Of its export, of the same shape.

    Returns:
        The largest absolute difference; where the model's values go beyond 1, as a share of the
        largest of them. Infinite for other shapes and for NaN, 0 for outputs without values.
    """
    if ours.shape != theirs.shape:
        return float("inf")
    if not ours.numel():
        return 0.0
    apart = (ours - theirs).abs().max() / ours.abs().max().clamp(min=1)
    return float(apart.nan_to_num(nan=float("inf")))


def versions() -> dict[str, str]:
    """Return the versions of what an export depends on, for its record."""
    return {
        "emotionnet_hf": __version__,
        "torch": torch.__version__,
        "timm": timm.__version__,
        "transformers": transformers.__version__,
    }
