"""The columns of StockEmotion and SE30K8."""

from __future__ import annotations

from collections.abc import Iterable

# `Sequence` and not `List`: `datasets` 3 knows the former only, and today's makes the latter of it.
from datasets import ClassLabel, Features, Image, Sequence, Value

from .se30k8_rows import CLASSES


def stockemotion_features(
    emotions: Iterable[str],
    *,
    people: bool = False,
    faces: bool = False,
    all_keywords: Iterable[str] = (),
    basic8: bool = False,
) -> Features:
    """Features of a StockEmotion data set.

    Columns: `image` (Image); `image_id` (string); `keywords` (list of string, the uploader's, in
    order, normal form); `emotion_keywords` (list of ClassLabel over `emotions`); `phash` (string,
    the 64-bit perceptual hash as 16 hexadecimal digits); `source` (string or null, where the image
    came from); and, where known, `people` and `faces` (int32, how many are seen), `keyword_ids`
    (list of ClassLabel, the "30K categories" of Table 4), `basic8` (ClassLabel(8)) and
    `basic8_scores` (8 float32 that sum to 1, a text classifier's for the classes of SE30K8).

    Args:
        emotions: The emotion keywords; their ids become the ClassLabel's.
        people: Add the column `people`.
        faces: Add the column `faces`.
        all_keywords: Add the column `keyword_ids` over these keywords, if there is any.
        basic8: Add the columns `basic8` and `basic8_scores`.

    Returns:
        The features.
    """
    columns = {
        "image": Image(),
        "image_id": Value("string"),
        "keywords": Sequence(Value("string")),
        "emotion_keywords": Sequence(ClassLabel(names=list(emotions))),
        "phash": Value("string"),
        "source": Value("string"),
    }
    counts = {"people": people, "faces": faces}
    columns.update({name: Value("int32") for name, known in counts.items() if known})
    if all_keywords := list(all_keywords):
        columns["keyword_ids"] = Sequence(ClassLabel(names=all_keywords))
    if basic8:
        columns["basic8"] = ClassLabel(names=list(CLASSES))
        columns["basic8_scores"] = Sequence(Value("float32"), length=len(CLASSES))
    return Features(columns)


def se30k8_features(emotions: Iterable[str], *, pictures: bool = True) -> Features:
    """Features of an SE30K8 data set.

    Columns: those of StockEmotion, and `annotations` (one list of ClassLabel(8) a worker, without
    the workers' ids), `votes` (8 float32 that sum to 1: the soft target), and `label`
    (ClassLabel(8), -1 without a majority of three).

    Args:
        emotions: The emotion keywords; their ids become the ClassLabel's.
        pictures: With `image` and `phash`; the text split has neither.

    Returns:
        The features.
    """
    label = ClassLabel(names=list(CLASSES))
    columns = {
        **stockemotion_features(emotions),
        "annotations": Sequence(Sequence(label)),
        "votes": Sequence(Value("float32"), length=len(CLASSES)),
        "label": label,
    }
    if not pictures:
        del columns["image"], columns["phash"]
    return Features(columns)
