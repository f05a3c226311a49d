"""Image encoders: EmotionNet and what it is compared with, behind one call.

A probe, an index or a table of features asks only for vectors of pictures. Here an EmotionNet, any
model of transformers (CLIP, SigLIP, DINOv2, ViT, ResNet, ...) and any of timm give them, each with
the preprocessing that its authors ship.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch import nn
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from emotionnet_hf.models.backbones import load_backbone, pretrained_name
from emotionnet_hf.models.configuration_emotionnet import EmotionNetConfig
from emotionnet_hf.models.modeling_emotionnet import EmotionNetForPreTraining, EmotionNetModel
from emotionnet_hf.models.modeling_words import KnownWords
from emotionnet_hf.models.place import ModelKindError, read_config

FEATURES, JOINT = "features", "joint"
"""Names of the spaces: visual features, and the joint space of images and words."""

TIMM = "timm:"

_SPELLINGS = (
    "Give the folder of a model, a repository on the Hub (OWNER/NAME), timm:NAME for timm's "
    "pretrained weights, or timm:NAME=FILE.safetensors for weights of your own."
)


class EncoderError(ValueError):
    """A model that gives no image features; the message says what may be given instead."""


@dataclass(frozen=True)
class Encoder:
    """A frozen image model.

    Attributes:
        name: As it was asked for; timm's pretrained weights with their tag.
        kind: ``emotionnet``, ``timm``, or the model type of transformers, such as ``clip``.
        model: From ``pixel_values``, float (B, 3, H, W), to ``{space: float (B, D)}``; in
            evaluation mode.
        preprocess: From RGB pictures to ``pixel_values``, float32 (B, 3, H, W), on the CPU.
        dims: Size of each space that the model gives: ``features`` (EmotionNet: 2048-d for
            ResNet-50), and ``joint`` for an EmotionNet (300-d in the paper).
        size: Height and width of the crop, in pixels.
        mean: Of the normalisation, for pixels in [0, 1]; three numbers.
        std: Of the normalisation.
        text: From keywords to vectors, float32 (T, D), in ``text_space``; rows of zeros for what
            it does not know. None for a model without words.
        text_space: The space that words share with pictures; None without words.
    """

    name: str
    kind: str
    model: nn.Module
    preprocess: Callable[[Sequence[Image.Image]], torch.Tensor]
    dims: dict[str, int]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    text: Callable[[Sequence[str]], np.ndarray] | None = None
    text_space: str | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def weights_digest(self) -> str:
        """32 hex digits of weights and buffers: a folder may be written anew under its old name."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            values = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(values.numpy().data)
        return digest.hexdigest()

    @torch.inference_mode()
    def encode(self, images: Sequence[Image.Image]) -> dict[str, np.ndarray]:
        """Encode one batch of pictures.

        Args:
            images: RGB, at least one.

        Returns:
            Float32, (B, D), for each space of `dims`.
        """
        pixels = self.preprocess(images).to(self.device)
        return {name: x.float().cpu().numpy() for name, x in self.model(pixels).items()}


def open_encoder(name: str | Path, device: str | torch.device | None = None) -> Encoder:
    """Open a model for its image features.

    Args:
        name: Folder or Hub repository of an EmotionNet or of any image model of transformers;
            ``timm:NAME`` (downloads timm's pretrained weights: of resnet50 those are no longer the
            paper's, which are ``timm:resnet50.tv_in1k``); ``timm:NAME=FILE.safetensors``;
            ``timm:NAME=none`` (random weights, as a lower bound).
        device: Where to put it; a GPU where there is one if None.

    Returns:
        The encoder, frozen, in evaluation mode, in float32.

    Raises:
        EncoderError: It is no image model, lacks weights, or cannot be had.
        BackboneWeightsError: timm's weights cannot be had or do not fit.
        CheckpointError: The weights of an EmotionNet do not fit.
    """
    name = str(name)
    if name.startswith(TIMM):
        encoder = _timm_encoder(name)
    else:
        config = _read_config(name)
        if isinstance(config, EmotionNetConfig):
            encoder = _emotionnet_encoder(name, config)
        else:
            encoder = _transformers_encoder(name, config)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder.model.requires_grad_(False).eval().to(device)
    return encoder


class _EmotionNetSpaces(nn.Module):
    """Gives both spaces of an EmotionNet."""

    def __init__(self, model: EmotionNetModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        backbone = self.model.backbone
        pooled = backbone.forward_head(backbone.forward_features(pixel_values), pre_logits=True)
        if not self.model.config.projection_dim:
            return {FEATURES: pooled}
        return {FEATURES: pooled, JOINT: self.model.visual_projection(pooled)}


class _TimmFeatures(nn.Module):
    """Gives timm's features before the classifier."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        feature_map = self.model.forward_features(pixel_values)
        return {FEATURES: self.model.forward_head(feature_map, pre_logits=True)}


class _TransformersFeatures(nn.Module):
    """Gives one vector a picture: the image tower's projection, else the pooled output."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        if hasattr(self.model, "get_image_features"):
            output = self.model.get_image_features(pixel_values=pixel_values)
            features = output if isinstance(output, torch.Tensor) else output.pooler_output
        else:
            features = self._pooled(self.model(pixel_values=pixel_values))
        return {FEATURES: features.flatten(1)}

    def _pooled(self, output: Any) -> torch.Tensor:
        """Return the pooled output; of a model without, its class token or the mean over places."""
        pooled = getattr(output, "pooler_output", None)
        if pooled is not None:
            return cast("torch.Tensor", pooled)
        hidden = output.last_hidden_state
        if hasattr(getattr(self.model, "embeddings", None), "cls_token"):
            return cast("torch.Tensor", hidden[:, 0])
        return cast("torch.Tensor", hidden.mean(dim=1 if hidden.dim() == 3 else (2, 3)))


def _emotionnet_encoder(name: str, config: EmotionNetConfig) -> Encoder:
    has_words = "EmotionNetForPreTraining" in (config.architectures or ())
    kind = EmotionNetForPreTraining if has_words else EmotionNetModel
    whole = kind.from_pretrained(name, dtype=torch.float32)
    trunk = whole.emotionnet if has_words else whole
    dims = {FEATURES: trunk.hidden_size}
    if config.projection_dim:
        dims[JOINT] = config.projection_dim
    return Encoder(
        name=name,
        kind="emotionnet",
        model=_EmotionNetSpaces(trunk),
        dims=dims,
        **_processing(name),
        **(_words(name, whole) if has_words else {}),
    )


def _words(name: str, whole: Any) -> dict[str, Any]:
    """Look keywords up in the tower of an EmotionNet."""
    tower = whole.text_tower
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    tower.eval().requires_grad_(False)
    known = KnownWords(tokenizer, tower.keyword_embedding.weight)

    @torch.inference_mode()
    def text(keywords: Sequence[str]) -> np.ndarray:
        whole.config.warn_of_joint_space()
        tokens = tokenizer(known.texts(keywords), padding=True, return_tensors="pt")
        vectors = tower(tokens["input_ids"], tokens["attention_mask"])
        return cast("np.ndarray", vectors.float().numpy())

    return {"text": text, "text_space": JOINT}


def _timm_encoder(name: str) -> Encoder:
    backbone, _, weights = name.removeprefix(TIMM).partition("=")
    try:
        model = timm.create_model(backbone, pretrained=False, num_classes=0)
    except (RuntimeError, ValueError) as error:
        raise EncoderError(f"timm has no model {backbone!r} ({error}). {_SPELLINGS}") from error
    load_backbone(model, backbone, weights or "pretrained")
    if not weights:
        name = TIMM + pretrained_name(backbone)
    data = resolve_model_data_config(model)
    transform = create_transform(**data, is_training=False)
    features = _TimmFeatures(model)
    return Encoder(
        name=name,
        kind="timm",
        model=features,
        preprocess=lambda images: torch.stack([transform(image) for image in images]),
        dims={FEATURES: _width(features, data["input_size"][1:])},
        size=data["input_size"][1:],
        mean=data["mean"],
        std=data["std"],
    )


def _transformers_encoder(name: str, config: Any) -> Encoder:
    try:
        model, loaded = AutoModel.from_pretrained(
            name, dtype=torch.float32, trust_remote_code=False, output_loading_info=True
        )
        if not (hasattr(model, "get_image_features") or model.main_input_name == "pixel_values"):
            raise ValueError(f"a {config.model_type} takes {model.main_input_name} and no pictures")
        _check_loaded(model, loaded["missing_keys"])
        processing = _processing(name)
    except (ValueError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise EncoderError(f"{name} gives no image features ({reason}). {_SPELLINGS}") from error
    features = _TransformersFeatures(model)
    return Encoder(
        name=name,
        kind=config.model_type,
        model=features,
        dims={FEATURES: _width(features, processing["size"])},
        **processing,
        **(_sentences(name, model) if hasattr(model, "get_text_features") else {}),
    )


def _check_loaded(model: Any, absent: set[str]) -> None:
    """Refuse random weights, which `from_pretrained` draws for whatever a checkpoint lacks.

    A classifier such as google/vit-base-patch16-224 was trained without the pooler that AutoModel
    adds: it goes, and the class token, which the classifier reads, is the feature.
    """
    matter = {name for name, _ in model.named_parameters() if not name.endswith("mask_token")}
    missing = sorted(key for key in absent if key in matter or ".running_" in key)
    if missing and all(key.startswith("pooler.") for key in missing):
        model.pooler = None
    elif missing:
        raise ValueError(f"its weights lack {', '.join(missing[:5])}")
    if hasattr(model.config, "mask_ratio"):  # MAE hides most of a picture, also in evaluation mode
        model.config.mask_ratio = 0.0


def _sentences(name: str, model: Any) -> dict[str, Any]:
    """Encode text with the text tower of a CLIP-like model."""
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    # SigLIP was trained on texts of full length, padding and all; CLIP pads as it likes.
    full = model.config.model_type.startswith("siglip")
    # The tokenizer of SigLIP 2 is Gemma's and knows of no limit.
    config, longest = getattr(model.config, "text_config", None), tokenizer.model_max_length
    longest = min(getattr(config, "max_position_embeddings", longest), longest)

    @torch.inference_mode()
    def text(keywords: Sequence[str]) -> np.ndarray:
        tokens = tokenizer(
            list(keywords),
            padding="max_length" if full else True,
            return_attention_mask=False if full else None,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
        )
        output = model.get_text_features(**tokens.to(model.device))
        vectors = output if isinstance(output, torch.Tensor) else output.pooler_output
        return cast("np.ndarray", vectors.float().cpu().numpy())

    return {"text": text, "text_space": FEATURES}


def _processing(name: str) -> dict[str, Any]:
    """Load the image processor of a model, and what augmentation must know of it."""
    processor = AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
    size, mean, std = _geometry(processor)

    def preprocess(images: Sequence[Image.Image]) -> torch.Tensor:
        pixels = processor(images=list(images), return_tensors="pt")["pixel_values"]
        return cast("torch.Tensor", pixels)

    return {
        "preprocess": preprocess,
        "size": size,
        "mean": tuple(mean),
        "std": tuple(std),
    }


def _geometry(processor: Any) -> tuple[tuple[int, int], Sequence[float], Sequence[float]]:
    """Size, mean and standard deviation of what a processor makes."""
    if (data := getattr(processor, "data_config", None)) is not None:  # timm's, in transformers
        return data["input_size"][1:], data["mean"], data["std"]
    # Some have a size of the crop and do not crop, such as EfficientNet's.
    crops = getattr(processor, "do_center_crop", None)
    size = getattr(processor, "crop_size" if crops else "size", None) or {}
    height, width = (size.get(k) or size.get("shortest_edge") for k in ("height", "width"))
    if not (height and width):
        raise ValueError(f"its pictures have no fixed size: {dict(size)}")
    if not getattr(processor, "do_normalize", None):
        return (height, width), (0.0,) * 3, (1.0,) * 3
    return (height, width), processor.image_mean, processor.image_std


@torch.inference_mode()
def _width(model: nn.Module, size: Sequence[int]) -> int:
    """Return the size of the features, which not every model tells: one look at a grey picture."""
    return int(model.eval()(torch.zeros(1, 3, *size))[FEATURES].shape[-1])


def _read_config(name: str) -> Any:
    """Read a model's configuration, or say that there is none."""
    try:
        return read_config(name)
    except (FileNotFoundError, ModelKindError) as error:
        raise EncoderError(f"{error} {_SPELLINGS}") from error
