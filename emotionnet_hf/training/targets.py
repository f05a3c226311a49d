"""What a model is trained to predict: emotion keywords, all keywords, or eight classes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset, Features

from emotionnet_hf.data.keyword_lists import KeywordLists
from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.emotions import SE30K8
from emotionnet_hf.training.arguments import RecipeError
from emotionnet_hf.training.validation import Metrics, Values, class_metrics, keyword_metrics

Classes = Literal["emotion_keywords", "all_keywords", "basic8", "se30k8"]

COLUMNS: Mapping[Classes, tuple[str, ...]] = MappingProxyType(
    {
        "emotion_keywords": ("emotion_keywords",),
        "all_keywords": ("emotion_keywords", "keyword_ids"),
        "basic8": ("emotion_keywords", "basic8", "basic8_scores"),
        "se30k8": ("emotion_keywords", "votes", "label"),
    }
)
"""Columns that each kind of classes needs; all have the emotion keywords, for the vocabulary."""

_LABEL: Mapping[Classes, str] = MappingProxyType({"basic8": "basic8", "se30k8": "label"})
_SHARES: Mapping[Classes, str] = MappingProxyType({"basic8": "basic8_scores", "se30k8": "votes"})


def class_names(classes: Classes, features: Features) -> list[str]:
    """Names of the classes, in the order of their ids.

    Args:
        classes: Their kind.
        features: Of a data set with their columns.

    Returns:
        The names.

    Raises:
        RecipeError: The eight classes are not those of SE30K8, or a column is of another type.
        SchemaError: The column of emotion keywords is missing or of another type.
    """
    if classes == "emotion_keywords":
        return list(emotion_vocabulary(features))
    if classes == "all_keywords":
        return _names(features, "keyword_ids", getattr(features["keyword_ids"], "feature", None))
    column = _LABEL[classes]
    names = _names(features, column, features[column])
    if names != list(SE30K8):
        raise RecipeError(
            f"the column {column!r} has the classes {', '.join(names[:9])}, not those of SE30K8 in "
            f"their order ({', '.join(SE30K8)})."
        )
    return names


def _names(features: Features, column: str, label: Any) -> list[str]:
    if not isinstance(label, ClassLabel):
        raise RecipeError(
            f"the column {column!r} is {features[column]}, which has no ClassLabel: build the data "
            "set with `emotionnet build`."
        )
    return list(label.names)


class KeywordTargets:
    """The keywords of each image, of some vocabulary.

    Args:
        split: With the columns of the classes.
        classes: ``emotion_keywords`` or ``all_keywords``.
    """

    metrics: Metrics = staticmethod(keyword_metrics)

    def __init__(self, split: Dataset, classes: Classes) -> None:
        column = "emotion_keywords" if classes == "emotion_keywords" else "keyword_ids"
        names = class_names(classes, split.features)
        self.classes = len(names)
        self.lists = KeywordLists.from_ids(_column(split, column))
        self.judged_classes: np.ndarray | None = None
        if classes == "all_keywords":
            self.judged_classes = _places(list(emotion_vocabulary(split.features)), names)

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Return y of some rows: float32 (B, K), 1 where the image has the keyword."""
        return self.lists.rows(rows).multi_hot(self.classes)

    def judged(self, scores: np.ndarray, rows: np.ndarray) -> Values:
        """Return what ``measure`` keeps of the scores of some rows.

        Of all keywords, tens of thousands, the scores of a whole split do not fit into memory:
        those of the emotion keywords are kept, so that the metrics mean what they mean elsewhere,
        and of the others only whether the best of all is right.

        Args:
            scores: Float, (B, K).
            rows: Their row numbers, int64 (B,).

        Returns:
            ``scores`` and ``labels``, (B, J); of all keywords also ``all_keywords_hit_at_1`` (B,).
        """
        labels = self.labels(rows)
        if self.judged_classes is None:
            return {"scores": scores, "labels": labels}
        hit = np.take_along_axis(labels, scores.argmax(axis=1)[:, None], axis=1)[:, 0]
        return {
            "scores": scores[:, self.judged_classes],
            "labels": labels[:, self.judged_classes],
            "all_keywords_hit_at_1": np.where(labels.any(axis=1), hit, np.nan),
        }


class ClassTargets:
    """One of the eight classes of SE30K8 for each image, or a share of each.

    Args:
        split: With the columns of the classes.
        classes: ``se30k8`` (people's votes) or ``basic8`` (a text model's pseudo-labels).
        hard: The target is the one class instead of the shares.
    """

    metrics: Metrics = staticmethod(class_metrics)

    def __init__(self, split: Dataset, classes: Classes, hard: bool = False) -> None:
        class_names(classes, split.features)
        column = _column(split, _LABEL[classes]).to_numpy()
        # A row of zeros where there is no label (-1): no majority among the votes.
        self.right = (column[:, None] == np.arange(len(SE30K8))).astype(np.float32)
        self.shares = self.right if hard else _shares(split, _SHARES[classes])

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Return the targets of some rows: float32 (B, 8), shares of 1."""
        return self.shares[rows]

    def judged(self, scores: np.ndarray, rows: np.ndarray) -> Values:
        """Return ``scores`` as they are and, as ``labels``, the one class of each row, (B, 8)."""
        return {"scores": scores, "labels": self.right[rows]}


Targets = KeywordTargets | ClassTargets


def read_targets(classes: Classes, split: Dataset, hard: bool = False) -> Targets:
    """Read the targets of a split.

    Args:
        classes: Their kind.
        split: With their columns.
        hard: Of eight classes, the target is the one class instead of the shares.

    Returns:
        The targets.

    Raises:
        RecipeError: The columns do not hold such classes.
    """
    if classes in _LABEL:
        return ClassTargets(split, classes, hard)
    return KeywordTargets(split, classes)


def _column(split: Dataset, name: str) -> pa.ChunkedArray:
    return split.select_columns([name]).with_format("arrow")[:][name]


def _shares(split: Dataset, column: str) -> np.ndarray:
    """Read a column of eight shares, float32 (N, 8)."""
    lists = [chunk.flatten().to_numpy() for chunk in _column(split, column).chunks]
    shares = np.concatenate([np.empty(0, np.float32), *lists]).astype(np.float32)
    if len(shares) != len(split) * len(SE30K8) or not (shares >= 0).all():
        raise RecipeError(
            f"the column {column!r} does not have {len(SE30K8)} shares in every row: build the "
            "data set with `emotionnet build`."
        )
    return shares.reshape(-1, len(SE30K8))


def _places(emotions: list[str], names: list[str]) -> np.ndarray:
    """Find the emotion keywords among all keywords."""
    ids = {name: i for i, name in enumerate(names)}
    found = [ids[name] for name in emotions if name in ids]
    if not found:
        raise RecipeError(
            "none of the emotion keywords is among the classes of the column 'keyword_ids': "
            "validation would have nothing to look at."
        )
    return np.asarray(found)
