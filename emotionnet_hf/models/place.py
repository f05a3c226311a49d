"""Where a model lies: in a folder of its own, or in a repository on the Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

WHAT_TO_GIVE = "Give the folder of a model, or its repository on the Hub (OWNER/NAME)."


def check_place(source: str | Path) -> None:
    """Refuse what is no model folder and cannot be a repository either; asks nothing of the Hub.

    Args:
        source: Folder of a model, or repository on the Hub.

    Raises:
        FileNotFoundError: There is no such folder, or it holds no model.
    """
    path = Path(source)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise FileNotFoundError(
                f"{source} is no model folder: it has no config.json. A training run saves its "
                "model in the folder `model` of its output."
            )
        return
    if path.exists():
        raise FileNotFoundError(f"{source} is a file; give the folder that the model lies in.")
    try:
        validate_repo_id(str(source))
    except HFValidationError:
        raise FileNotFoundError(f"There is no folder {source}. {WHAT_TO_GIVE}") from None
