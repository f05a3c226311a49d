"""What a row of a gallery is, and the words that cells of strangers hold."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from datasets import ClassLabel

from emotionnet_hf.data.tables import is_missing
from emotionnet_hf.loading.normal_form import KeywordError, listed, parse_keywords, shown

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "keywords": pa.list_(pa.string()),
        "labels": pa.list_(pa.string()),
        "file": pa.string(),
        "row": pa.int64(),
    }
)
"""Of every gallery: the picture is `file`, or its row `row` where that is not -1."""

ALONE = -1
LABELS = ("label", "labels", "emotion_keywords")
"""Columns of labels, the first that is there counts."""


class GalleryError(ValueError):
    """A data set that cannot be searched; the message says what is missing."""


def keyword_list(value: Any) -> list[str]:
    """Read a cell of keywords: as they are in a list, and of a text as a build reads it.

    Args:
        value: The cell.

    Returns:
        The keywords.

    Raises:
        KeywordError: It is neither, or holds what is no text.
    """
    if is_missing(value):
        return []
    if isinstance(value, list):
        return [_unicode(str(word)) for word in value if word is not None]
    return parse_keywords(value)


def label_list(value: Any, feature: Any = None) -> list[str]:
    """Read a cell of labels: one or several, as they are written.

    Args:
        value: The cell; a text that is a written list is that list.
        feature: Of its column, where it is known; numbers of a ClassLabel are its names.

    Returns:
        The labels.

    Raises:
        KeywordError: It is a list that cannot be told, not valid Unicode, or no number of a class.
    """
    if is_missing(value):
        return []
    if isinstance(value, str):
        found = listed(value)
        value = [value] if found is None else found
    values = value if isinstance(value, list) else [value]
    names = class_names(feature)
    if names:
        return [_name(names, i) for i in values if i is not None and i != -1]
    return [_unicode(_written(word)) for word in values if not is_missing(word)]


def class_names(feature: Any) -> list[str]:
    """Return the names behind a column of ClassLabel or of lists of it; none of another column."""
    while not isinstance(feature, ClassLabel):
        feature = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
        if feature is None:
            return []
    return list(feature.names)


def _name(names: Sequence[str], number: Any) -> str:
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise KeywordError(f"no class: {shown(number)} of {len(names)}")
    return names[number]


def _written(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise KeywordError(f"not valid Unicode: {text!a:.60}") from error
    return text
