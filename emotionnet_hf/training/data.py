"""Opening the data of a training run."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset, DatasetDict, load_dataset

from emotionnet_hf.training.arguments import RecipeError

_NEEDED = ("image", "keywords", "emotion_keywords")


def load_splits(data: str) -> DatasetDict:
    """Open a data set with the StockEmotion schema.

    Args:
        data: A folder that ``emotionnet build`` wrote, or a repository on the Hub.

    Returns:
        Its splits, ``train`` among them.

    Raises:
        RecipeError: It has no training split, or a column of the schema is missing.
    """
    splits = load_dataset(str(Path(data)) if Path(data).is_dir() else data)
    if "train" not in splits:
        raise RecipeError(f"{data} has no train split, only {sorted(splits)}.")
    _check_columns(splits["train"], data)
    return splits


def _check_columns(split: Dataset, data: str) -> None:
    """Raise where a column that training needs is missing."""
    missing = [name for name in _NEEDED if name not in split.column_names]
    if missing:
        raise RecipeError(
            f"{data} lacks the columns {missing} (it has {split.column_names}). Build it with "
            "`emotionnet build`."
        )
