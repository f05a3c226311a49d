"""Arguments of a training run: dataclasses, filled from a YAML recipe and the command line."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from transformers import HfArgumentParser


class RecipeError(ValueError):
    """A recipe or command line that cannot be used; the message names the key and the remedy."""


def _help(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass
class RunArguments:
    """What every training has: data, optimisation, bookkeeping.

    The defaults of the optimiser are those of EmotionNet in the paper (section 5.1).
    """

    data: str = field(default="", metadata=_help("Data set: a built folder, or a Hub repository."))
    output_dir: str = field(default="", metadata=_help("Run folder; a killed run resumes here."))
    epochs: int = field(default=30, metadata=_help("Passes over the training split."))
    batch_size: int = field(
        default=256, metadata=_help("Images an optimiser step, over all processes.")
    )
    gradient_accumulation_steps: int = field(
        default=1, metadata=_help("Parts that a step's images are computed in.")
    )
    optimizer: Literal["sgd", "adamw", "adagrad", "adadelta"] = field(
        default="sgd", metadata=_help("Optimiser.")
    )
    learning_rate: float = field(default=0.001, metadata=_help("Learning rate at the start."))
    momentum: float = field(default=0.9, metadata=_help("Momentum of SGD."))
    weight_decay: float = field(default=1e-5, metadata=_help("Weight decay."))
    lr_schedule: Literal["step", "cosine", "constant"] = field(
        default="step", metadata=_help("How the learning rate falls.")
    )
    lr_drop_epochs: list[int] = field(
        default_factory=lambda: [10, 20], metadata=_help("Epochs at which 'step' drops it.")
    )
    lr_drop_factor: float = field(default=0.1, metadata=_help("Factor of each drop."))
    warmup_epochs: float = field(default=0.0, metadata=_help("Epochs of linear warm-up."))
    max_grad_norm: float | None = field(default=None, metadata=_help("Gradient clipping."))
    mixed_precision: Literal["no", "fp16", "bf16"] | None = field(
        default=None, metadata=_help("Default: what accelerate launch was told.")
    )
    seed: int = field(default=0, metadata=_help("Seed of weights, order and augmentation."))
    select_on: Literal["mean_average_precision", "hit_at_1", "last"] = field(
        default="mean_average_precision",
        metadata=_help("Validation metric whose best epoch is kept; 'last' keeps the last."),
    )
    log_steps: int = field(default=10, metadata=_help("Steps between records of the losses."))
    checkpoint_steps: int | None = field(
        default=None, metadata=_help("Steps between checkpoints; default: each epoch.")
    )
    keep_checkpoints: int = field(default=2, metadata=_help("Checkpoints that are kept."))
    report_to: list[str] = field(
        default_factory=list, metadata=_help("Trackers by name, such as tensorboard.")
    )
    num_workers: int = field(default=0, metadata=_help("Processes that load data."))
    progress: bool = field(default=True, metadata=_help("Show a progress bar."))
    overwrite: bool = field(
        default=False, metadata=_help("Start over where output_dir holds another run.")
    )

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            RecipeError: A value is out of range or missing.
        """
        for name in ("data", "output_dir"):
            if not getattr(self, name):
                raise RecipeError(f"{name} is missing: give it in the recipe or as --{name}.")
        for name in (
            *("epochs", "batch_size", "gradient_accumulation_steps"),
            *("learning_rate", "log_steps", "keep_checkpoints"),
        ):
            # Written so that NaN, of which every comparison is false, is refused too.
            if not 0 < getattr(self, name) < float("inf"):
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be above 0.")
        if self.checkpoint_steps is not None and self.checkpoint_steps <= 0:
            raise RecipeError(f"checkpoint_steps is {self.checkpoint_steps}; it must be above 0.")


@dataclass
class TextCNNArguments(RunArguments):
    """Training of TextCNN; the defaults are the paper's recipe (section 5.1)."""

    optimizer: Literal["sgd", "adamw", "adagrad", "adadelta"] = field(
        default="adagrad", metadata=_help("Optimiser; the published code uses adadelta.")
    )
    learning_rate: float = field(default=1.0, metadata=_help("Learning rate at the start."))
    weight_decay: float = field(default=0.0, metadata=_help("Weight decay."))
    word_vectors: str | None = field(
        default=None,
        metadata=_help(".bin, .txt or .kv; default: trained on the training split's keywords."),
    )
    word_vector_epochs: int = field(
        default=20, metadata=_help("Passes of word2vec when it is trained here.")
    )
    embedding_dim: int = field(default=300, metadata=_help("Size of the word vectors."))
    hidden_size: int = field(default=300, metadata=_help("Channels of the convolution."))
    min_count: int = field(
        default=2, metadata=_help("Keywords that fewer training images have are unknown.")
    )
    variant: Literal["paper", "published_code"] = field(
        default="paper", metadata=_help("Architecture; see TextCNNConfig.")
    )
    targets: Literal["normalized", "multi_hot"] = field(
        default="normalized", metadata=_help("y / |y|, or y as the published code has it.")
    )
    keyword_dropout: float = field(
        default=0.0, metadata=_help("Share of keywords dropped in training; published code: 0.2.")
    )
    max_keywords: int = field(default=100, metadata=_help("Longer lists are cut there."))


@dataclass
class EmotionNetArguments(RunArguments):
    """Training of EmotionNet; the defaults are the paper's recipe (section 5.1)."""

    text_model: str = field(
        default="", metadata=_help("Folder of the TextCNN: soft labels, tokenizer, word vectors.")
    )
    backbone: str = field(default="resnet50", metadata=_help("A timm model."))
    backbone_weights: str = field(
        default="pretrained",
        metadata=_help("'pretrained' (timm's, ImageNet), 'none', or a .safetensors file."),
    )
    image_size: int = field(default=224, metadata=_help("Side of the crop in pixels."))
    crop_scale: list[float] = field(
        default_factory=lambda: [0.08, 1.0],
        metadata=_help("Area share of the random resized crop, least and most."),
    )
    soft_labels: bool = field(default=True, metadata=_help("Eq. 1; off: y / |y|."))
    soft_label_form: Literal["normalized", "printed"] = field(
        default="normalized", metadata=_help("Eq. 1 as in the published code or as printed.")
    )
    soft_label_threshold: float = field(
        default=0.01, metadata=_help("Predictions under it count as 0 ('normalized').")
    )
    divide_by_classes: bool = field(default=False, metadata=_help("The 1/K of Eq. 2 as printed."))
    embedding_weight: float = field(
        default=1.0, metadata=_help("lambda of Eq. 4; 0 switches the embedding loss off.")
    )
    channels_last: bool | None = field(
        default=None,
        metadata=_help("Memory layout; default: on, but for grouped convolutions on a CPU."),
    )
    gradient_checkpointing: bool = field(
        default=False, metadata=_help("Trade time for memory in the trunk.")
    )
    sync_batchnorm: bool = field(
        default=False, metadata=_help("BatchNorm statistics over all GPUs.")
    )

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            RecipeError: A value is out of range or missing.
        """
        super().__post_init__()
        if not self.text_model:
            raise RecipeError(
                "text_model is missing: train one with scripts/train_textcnn.py and give its "
                "model folder in the recipe or as --text_model."
            )
        if len(self.crop_scale) != 2 or not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise RecipeError(
                f"crop_scale is {self.crop_scale}; it must be two shares, 0 < a <= b <= 1."
            )


Arguments = TypeVar("Arguments", bound=RunArguments)


def parse_recipe(kind: type[Arguments], argv: Sequence[str]) -> Arguments:
    """Fill arguments from ``[recipe.yaml] [--name value ...]``; the command line wins.

    Args:
        kind: The dataclass to fill.
        argv: Words of the command line; the first may be a YAML file of names and values.

    Returns:
        The arguments.

    Raises:
        RecipeError: A key is unknown, a value has the wrong type, or the file is not YAML.
        FileNotFoundError: There is no such recipe.
    """
    values: dict[str, Any] = {}
    if argv and not argv[0].startswith("-"):
        values, argv = _read_recipe(kind, Path(argv[0])), argv[1:]
    parser = HfArgumentParser(kind, description=kind.__doc__, allow_abbrev=False)
    for action in parser._actions:
        if action.dest != "help":
            # So that only what was really given overrides the recipe.
            action.default = argparse.SUPPRESS
    values.update(vars(parser.parse_args(list(argv))))
    return kind(**values)


def _read_recipe(kind: type[RunArguments], path: Path) -> dict[str, Any]:
    """Read a YAML file of names and values and check both against the dataclass."""
    if not path.is_file():
        raise FileNotFoundError(f"No recipe at {path}: the file does not exist.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} must hold names and values, one 'name: value' a line.")
    hints = typing.get_type_hints(kind)
    names = {f.name for f in dataclasses.fields(kind)}
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(names))}."
            raise RecipeError(f"{path}: unknown key {key!r}.{hint}")
    return {key: _typed(value, hints[key], f"{path}: {key}") for key, value in values.items()}


def _typed(value: Any, hint: Any, where: str) -> Any:
    """Return the value as the type ``hint``; YAML reads ``1e-5`` as a string, for one."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value is False and "no" in options:
            value = "no"  # YAML reads a bare no as a boolean
        if value not in options:
            raise RecipeError(f"{where} is {value!r}; it must be one of {list(options)}.")
        return value
    if origin is list:
        if not isinstance(value, list):
            raise RecipeError(f"{where} is {value!r}; it must be a list.")
        return [_typed(item, options[0], where) for item in value]
    if type(None) in options:
        chosen = next(option for option in options if option is not type(None))
        return None if value is None else _typed(value, chosen, where)
    return _scalar(value, hint, where)


def _scalar(value: Any, kind: type, where: str) -> Any:
    """Return the value as bool, int, float or str, or say that it is none."""
    wrong = RecipeError(f"{where} is {value!r}; it must be of type {kind.__name__}.")
    if kind is bool or isinstance(value, bool):
        if kind is bool and isinstance(value, bool):
            return value
        raise wrong
    if kind is int and not isinstance(value, int):
        raise wrong
    if not isinstance(value, (str, int, float)):
        raise wrong
    try:
        return kind(value)
    except ValueError as error:
        raise wrong from error
