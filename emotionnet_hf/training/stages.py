"""Training in stages: from the EmotionNet that another run has made, as the published code does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    build_image_processor,
)
from emotionnet_hf.models.place import ModelKindError, read_config
from emotionnet_hf.training.arguments import RecipeError

logger = logging.getLogger(__name__)

Start = EmotionNetForPreTraining | EmotionNetForImageClassification

# Word vectors come from the text model of the run, as they do without a stage before.
_TOWER = "text_tower."


def open_start(place: str, backbone: str) -> Start:
    """Open what a run starts from.

    Args:
        place: Run folder or model folder, or a repository on the Hub.
        backbone: The timm model that the run has; the tag of its weights does not matter where
            pixels are normalised alike.

    Returns:
        The model, whole: with the text tower where the folder has one.

    Raises:
        RecipeError: There is no EmotionNet, or it has another trunk.
        CheckpointError: Its tensors are not whole.
    """
    inner = Path(place) / "model"
    folder = str(inner) if inner.is_dir() else place
    try:
        config = read_config(folder, "emotionnet")
    except (FileNotFoundError, ModelKindError) as error:
        raise RecipeError(f"init_from: {error}") from error
    if _trunk(config.backbone) != _trunk(backbone):
        raise RecipeError(
            f"init_from: {folder} has the trunk {config.backbone}, this run {backbone}: set "
            f"backbone: {config.backbone}."
        )
    whole = EmotionNetForPreTraining.__name__ in (config.architectures or ())
    kind = EmotionNetForPreTraining if whole else EmotionNetForImageClassification
    try:
        model: Start = kind.from_pretrained(folder)
    except OSError as error:  # it has no weights
        raise RecipeError(f"init_from: {error}") from error
    return model


def _trunk(backbone: str) -> tuple[str, list[float], list[float]]:
    """Architecture, and what pixels are normalised by, which some tags of weights differ in."""
    processor = build_image_processor(backbone)
    return backbone.partition(".")[0], processor.image_mean, processor.image_std


def start_from(model: EmotionNetForPreTraining, start: Start) -> None:
    """Take over trunk and heads of a trained model, in place.

    W is new where the stage before did not train it, and the auxiliary head where it had none;
    else everything has to fit.

    Args:
        model: Of the run, newly made.
        start: As `open_start` gives it.

    Raises:
        RecipeError: Classes, joint space, auxiliary head or trunk do not fit; the message says how.
    """
    if problems := list(_problems(model.config, start.config)):
        raise RecipeError(f"init_from {start.name_or_path} does not fit: {'; '.join(problems)}.")
    left_out = [_TOWER]
    if not start.config.projection_dim or start.config.joint_space == "untrained":
        left_out.append("emotionnet.visual_projection.")
    taken = {k: v for k, v in start.state_dict().items() if not k.startswith(tuple(left_out))}
    missing = model.load_state_dict(taken, strict=False).missing_keys
    new = sorted({key.rpartition(".")[0] for key in missing if not key.startswith(_TOWER)})
    logger.info(
        "%d tensors of %s taken over; new: %s",
        *(len(taken), start.name_or_path, ", ".join(new) or "nothing"),
    )


def _problems(here: EmotionNetConfig, there: EmotionNetConfig) -> Iterator[str]:
    """What of another model does not fit."""
    classes, others = list(here.id2label.values()), list(there.id2label.values())
    if classes != others:
        yield (
            f"its {len(others)} classes ({', '.join(others[:3])}, ...) are not this run's "
            f"{len(classes)} ({', '.join(classes[:3])}, ...), in the same order"
        )
    if (here.backbone_kwargs or {}) != (there.backbone_kwargs or {}):
        yield f"its backbone_kwargs are {there.backbone_kwargs}, this run's {here.backbone_kwargs}"
    if there.projection_dim and there.joint_space != "untrained":
        known = {there.joint_space, here.joint_space} - {"unknown", "untrained"}
        if there.projection_dim != here.projection_dim or len(known) > 1:
            yield (
                f"its W gives {there.projection_dim} numbers ({there.joint_space}), this run's "
                f"{here.projection_dim} ({here.joint_space}): see embedding_target and text_model"
            )
    if there.auxiliary_dim and there.auxiliary_dim != here.auxiliary_dim:
        yield (
            f"its auxiliary head has {there.auxiliary_dim} outputs, this run's "
            f"{here.auxiliary_dim}: see auxiliary_text_model and auxiliary_loss"
        )
