"""The columns of a StockEmotion data set."""

from __future__ import annotations

from datasets import ClassLabel, Features, Image, List, Value

from emotionnet_hf.keywords import Vocabulary


class SchemaError(ValueError):
    """A data set lacks a column of the schema, or holds another type in it."""


def stockemotion_features(
    emotions: Vocabulary, *, people: bool = False, faces: bool = False
) -> Features:
    """Features of a StockEmotion data set.

    Columns: `image` (Image); `image_id` (string); `keywords` (list of string, the uploader's, in
    order, normal form); `emotion_keywords` (list of ClassLabel over `emotions`); `phash` (string,
    the 64-bit perceptual hash as 16 hexadecimal digits); `source` (string or null, where the image
    came from); and, where known, `people` and `faces` (int32, how many are seen).

    Args:
        emotions: The emotion keywords; their ids become the ClassLabel's.
        people: Add the column `people`.
        faces: Add the column `faces`.

    Returns:
        The features.
    """
    columns = {
        "image": Image(),
        "image_id": Value("string"),
        "keywords": List(Value("string")),
        "emotion_keywords": List(ClassLabel(names=list(emotions))),
        "phash": Value("string"),
        "source": Value("string"),
    }
    counts = {"people": people, "faces": faces}
    columns.update({name: Value("int32") for name, known in counts.items() if known})
    return Features(columns)


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
