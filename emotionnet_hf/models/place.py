"""Where a model lies: in a folder of its own, or in a repository on the Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from transformers import AutoConfig, PreTrainedConfig

WHAT_TO_GIVE = "Give the folder of a model, or its repository on the Hub (OWNER/NAME)."


Kind = Literal["emotionnet", "textcnn"]
_NAMES = {"emotionnet": "an EmotionNet", "textcnn": "a TextCNN"}


class ModelKindError(ValueError):
    """A folder holds a model of another kind than the one that is needed."""


def check_place(source: str | Path, kind: Kind | None = None) -> None:
    """Refuse what is no model folder and cannot be a repository either; asks nothing of the Hub.

    Args:
        source: Folder of a model, or repository on the Hub.
        kind: The ``model_type`` that a folder must hold; None for any.

    Raises:
        FileNotFoundError: There is no such folder, or it holds no model.
        ModelKindError: The folder holds a model of another kind.
    """
    path = Path(source)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise FileNotFoundError(
                f"{source} is no model folder: it has no config.json. A training run saves its "
                "model in the folder `model` of its output."
            )
        if kind is not None:
            _check_kind(path, kind)
        return
    if path.exists():
        raise FileNotFoundError(f"{source} is a file; give the folder that the model lies in.")
    try:
        validate_repo_id(str(source))
    except HFValidationError:
        raise FileNotFoundError(f"There is no folder {source}. {WHAT_TO_GIVE}") from None


def read_config(source: str | Path, kind: Kind | None = None) -> PreTrainedConfig:
    """Read the configuration of a model, from its folder or from the Hub; runs no code of theirs.

    Args:
        source: Folder of a model, or repository on the Hub.
        kind: The ``model_type`` that it must have; None for any.

    Returns:
        The configuration.

    Raises:
        FileNotFoundError: There is no such folder and no such repository, or it holds no model.
        ModelKindError: It holds a model of another kind, or of one that nobody here knows.
    """
    check_place(source, kind)
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        if isinstance(error, OSError) and not Path(source).is_dir():
            raise FileNotFoundError(
                f"There is no folder {source}, and no model of that name from the Hub ({reason}). "
                f"{WHAT_TO_GIVE}"
            ) from error
        raise ModelKindError(f"{source} holds no model that is known here ({reason}).") from error
    if kind is not None and config.model_type != kind:
        raise _other_kind(source, config.model_type, kind)
    return config


def _other_kind(source: str | Path, found: str | None, kind: Kind) -> ModelKindError:
    what = _NAMES.get(found or "") or f"a model of the kind {found!r}"
    return ModelKindError(f"{source} holds {what}; needed is {_NAMES[kind]}.")


def _check_kind(folder: Path, kind: Kind) -> None:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        found = config.get("model_type")
    except (ValueError, AttributeError) as error:
        raise ModelKindError(f"{folder} holds no model: its config.json is damaged.") from error
    if found != kind:
        raise _other_kind(folder, found, kind)
