"""The emotion vocabulary of a data set with the StockEmotion schema."""

from __future__ import annotations

from datasets import ClassLabel, Features

from emotionnet_hf.keywords import Vocabulary


class SchemaError(ValueError):
    """A data set lacks a column of the schema, or holds another type in it."""


def emotion_vocabulary(features: Features) -> Vocabulary:
    """Emotion vocabulary of a data set, read back from its features.

    Args:
        features: For example `dataset.features`.

    Returns:
        The vocabulary.

    Raises:
        SchemaError: `emotion_keywords` is missing or is not a list of ClassLabel.
    """
    if "emotion_keywords" not in features:
        raise SchemaError(
            f"the data set has no column 'emotion_keywords', only {', '.join(features)}; "
            "build it with `emotionnet build`"
        )
    column = features["emotion_keywords"]
    label = column[0] if isinstance(column, list) else getattr(column, "feature", None)
    if not isinstance(label, ClassLabel):
        raise SchemaError(
            f"the column 'emotion_keywords' is {column}, not a list of ClassLabel; "
            "cast it with `stockemotion_features`"
        )
    return Vocabulary(label.names)
