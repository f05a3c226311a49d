"""What a text model is validated on: rows with keywords to read."""

from __future__ import annotations

import logging

import numpy as np
from datasets import Dataset, DatasetDict

from emotionnet_hf.data.keyword_lists import KeywordLists
from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.training.arguments import RecipeError
from emotionnet_hf.training.keyword_rows import KeywordRows

logger = logging.getLogger(__name__)

PUBLISHED_ROWS = 2000
"""Rows that the published code holds out of train."""

LARGEST_SHARE = 10
"""Of a train split, at most one row in so many is held out unless a number is asked for."""


def with_development_rows(
    splits: DatasetDict, wanted: int | None, everything: bool = False
) -> DatasetDict:
    """Hold rows out of train to validate on, where the validation split has nothing to read.

    The release of StockEmotion lists keywords for its training images alone; those of validation
    and test are in a table that not everyone has. Without it their rows have only the emotion
    keywords, which are what is to be predicted. The published code holds 2,000 rows out of train.

    Args:
        splits: With ``train``; ``keywords`` and ``emotion_keywords`` in each.
        wanted: Rows to hold out; 0 for none; None for none where at least half of the validation
            split's rows have a keyword to read or there is no such split, and otherwise
            ``PUBLISHED_ROWS``, at most one in ``LARGEST_SHARE`` of train. Whether those rows, and
            the others, have a keyword to read is for ``check_text`` to see.
        everything: Emotion keywords are read too.

    Returns:
        The splits; where rows are held out they are ``validation`` and no longer in ``train``. The
        same rows whatever the seed of the run, so that runs compare.

    Raises:
        RecipeError: Train has no more rows than are to be held out.
    """
    train = splits["train"]
    if wanted is None:
        wanted = 0
        if "validation" in splits and _share_with_text(splits["validation"], everything) < 0.5:
            wanted = min(PUBLISHED_ROWS, max(1, len(train) // LARGEST_SHARE))
            logger.warning(
                "most rows of validation have no keyword to read: %d rows are held out of train "
                "and validated on (--development_rows chooses how many)",
                wanted,
            )
    if wanted == 0:
        return splits
    if wanted >= len(train):
        raise RecipeError(
            f"development_rows is {wanted}, but train has only {len(train)} rows: hold out fewer."
        )
    order = np.random.default_rng(0).permutation(len(train))
    held, rest = np.sort(order[:wanted]), np.sort(order[wanted:])
    return DatasetDict({**splits, "train": train.select(rest), "validation": train.select(held)})


def check_text(rows: KeywordRows, split: str) -> None:
    """Refuse rows without a keyword to read: a number measured on them would say nothing.

    Args:
        rows: Of a split.
        split: Its name, for the message.

    Raises:
        RecipeError: There are rows, and not one has a keyword that the text model knows.
    """
    if len(rows) and not rows.with_text():
        raise RecipeError(
            f"no row of {split} has a keyword that is read and has a word vector"
            + (
                ": hold rows out of train with --development_rows, or build the data set with the "
                "table of its keywords."
                if split == "validation"
                else ": there is nothing to learn from. Build the data set with its keywords, or "
                "use other word_vectors."
            )
        )


def _share_with_text(split: Dataset, everything: bool) -> float:
    """Return the share of the rows that have a keyword to read; 1 where there is no row."""
    column = split.select_columns(["keywords"]).with_format("arrow")[:]["keywords"]
    emotions = {} if everything else dict.fromkeys(emotion_vocabulary(split.features), 1)
    lists = KeywordLists.from_names(column, emotions, unknown=0).without(np.array([False, True]))
    lengths = np.diff(lists.offsets)
    return float((lengths > 0).mean()) if len(lengths) else 1.0
