"""What every export starts from and ends with: a model in float32, a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
import transformers
from transformers import AutoConfig, AutoImageProcessor, PreTrainedModel

from emotionnet_hf import __version__
from emotionnet_hf.models import (
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    EmotionNetModel,
    TextCNNForSequenceClassification,
)

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
        FileNotFoundError: The folder holds no model.
        ExportError: It holds one of another kind.
        CheckpointError: The weights do not fit.
        OSError: There is no such folder and no such repository.
    """
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise FileNotFoundError(
            f"{source} is no model folder: it has no config.json. A training run saves its model "
            "in the folder `model` of its output."
        )
    # Never asks whether to run the folder's code: for our models the code is here.
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
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


def check_output(source: str | Path, out: Path, mark: str, overwrite: bool) -> None:
    """Refuse to write over anything but an earlier export, and only when asked to.

    Args:
        source: The model.
        out: The folder to write.
        mark: Name of a file that only an export of the same kind holds.
        overwrite: Whether an earlier export may go.

    Raises:
        ExportError: Something stands at ``out``.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise ExportError(
            f"{out} exists; choose another folder, or overwrite it "
            "(--overwrite, in Python overwrite=True)."
        )
    if not (out / mark).is_file() or Path(source).resolve().is_relative_to(out.resolve()):
        raise ExportError(
            f"{out} is no earlier export of this kind (it has no {mark}), or holds the model; it "
            "is not overwritten. Choose another folder."
        )


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Tell how far two outputs are apart.

    Args:
        ours: Of the model, float.
        theirs: Of its export, of the same shape.

    Returns:
        The largest absolute difference; where the model's values go beyond 1, as a share of the
        largest of them. Infinite for other shapes and for NaN.
    """
    if ours.shape != theirs.shape:
        return float("inf")
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
