"""Opening the data of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict, get_dataset_config_names, load_dataset
from datasets.exceptions import DatasetsError

from emotionnet_hf.data.local_files import (
    LocalDataError,
    find_parquet,
    generation_fault,
    load_parquet,
)
from emotionnet_hf.training.arguments import RecipeError

# How one comes by the columns that not every data set has.
_ORIGIN = {
    "keyword_ids": "build it of a StockEmotion release or with --all-keywords, and set config: "
    "all_keywords",
    "basic8": "build it with --basic8, config: basic8",
    "basic8_scores": "build it with --basic8, config: basic8",
    "votes": "build it of an SE30K8 release",
    "label": "build it of an SE30K8 release",
}


def load_splits(data: str, config: str | None = None, *, columns: Sequence[str]) -> DatasetDict:
    """Open a data set with the StockEmotion or the SE30K8 schema.

    Args:
        data: A folder that ``emotionnet build`` wrote, or a repository on the Hub.
        config: One of its configurations, such as ``subset_10``; its default one where None.
        columns: What the training needs of it.

    Returns:
        Its splits, ``train`` among them.

    Raises:
        RecipeError: It cannot be opened, has no such configuration, no training split, or lacks
            a column.
    """
    try:
        is_parquet = Path(data).is_dir() and find_parquet(data, config) is not None
        splits = load_parquet(data, config) if is_parquet else _loaded(data, config)
    except LocalDataError as error:
        raise RecipeError(f"{error}.") from error
    if "train" not in splits:
        raise RecipeError(f"{data} has no train split, only {sorted(splits)}.")
    _check_columns(splits["train"], data, columns)
    return splits


def _loaded(data: str, config: str | None) -> DatasetDict:
    known: list[str] = []
    try:
        known = [] if config is None else get_dataset_config_names(data)
        if config is None or config in known:
            return load_dataset(data, config)
    except (OSError, ValueError, DatasetsError) as error:
        reason = " ".join(str(generation_fault(error)).split())[:300]
        raise RecipeError(
            f"{data} opens as no data set ({reason}); give a folder that `emotionnet build` wrote, "
            "or a repository on the Hub."
        ) from error
    raise RecipeError(f"{data} has no configuration {config!r}, only {', '.join(known)}.")


def _check_columns(split: Dataset, data: str, columns: Sequence[str]) -> None:
    """Raise where a column that training needs is missing."""
    missing = [name for name in columns if name not in split.column_names]
    if missing:
        remedy = next((_ORIGIN[name] for name in missing if name in _ORIGIN), None)
        raise RecipeError(
            f"{data} lacks the columns {missing} (it has {split.column_names}): "
            f"{remedy or 'build it with `emotionnet build`'}."
        )
