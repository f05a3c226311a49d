"""Measuring against the truth of the generated sample, which no uploader wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoTokenizer

from emotionnet_hf.data.keyword_lists import KeywordLists
from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.losses import normalized_labels, soft_labels
from emotionnet_hf.metrics import hit_at_k, mean_average_precision
from emotionnet_hf.models import TextCNNForSequenceClassification

Scores = dict[str, float]


def read_truth(sample: Path) -> dict[str, dict[str, Any]]:
    """Read ``truth.jsonl`` of a generated sample: file name -> its truth."""
    lines = (sample / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["file_name"]: row for row in map(json.loads, lines)}


def clean_labels(split: Dataset, truth: dict[str, dict[str, Any]]) -> np.ndarray:
    """Return the clean emotion keywords of a split, bool, (N, K)."""
    emotions = emotion_vocabulary(split.features)
    clean = np.zeros((len(split), len(emotions)), dtype=bool)
    for row, image_id in enumerate(split["image_id"]):
        clean[row, emotions.encode(truth[image_id]["clean_keywords"])] = True
    return clean


def listed_labels(split: Dataset) -> np.ndarray:
    """Return the listed (noisy) emotion keywords of a split, bool, (N, K)."""
    column = split.select_columns(["emotion_keywords"]).with_format("arrow")[:]["emotion_keywords"]
    classes = len(emotion_vocabulary(split.features))
    return KeywordLists.from_ids(column).multi_hot(classes).astype(bool)


def keyword_scores(scores: np.ndarray, clean: np.ndarray, listed: np.ndarray) -> dict[str, Scores]:
    """Compare predictions with the clean and with the listed keywords, and both with chance.

    Args:
        scores: Of the emotion keywords, float, (N, K).
        clean: The truth, bool, (N, K).
        listed: What uploaders wrote, bool, (N, K).

    Returns:
        ``clean``, ``listed`` and ``chance`` (the best constant ranking: keywords by their
        frequency in the truth), each with ``hit_at_1`` and ``mean_average_precision``.
    """
    constant = np.tile(clean.mean(axis=0), (len(clean), 1))
    pairs = {"clean": (scores, clean), "listed": (scores, listed), "chance": (constant, clean)}
    return {
        name: {
            "hit_at_1": hit_at_k(values, labels),
            "mean_average_precision": mean_average_precision(values, labels),
        }
        for name, (values, labels) in pairs.items()
    }


@dataclass(frozen=True)
class SoftLabels:
    """What TextCNN makes of the keyword lists of a split.

    Attributes:
        predicted: y-hat, float, (N, K).
        soft: y' of Eq. 1, normalised, float, (N, K).
        tagged: y / |y|, float, (N, K).
    """

    predicted: np.ndarray
    soft: np.ndarray
    tagged: np.ndarray


@torch.inference_mode()
def predict_soft_labels(text_model: Path, split: Dataset) -> SoftLabels:
    """Run a TextCNN over the non-emotion keywords of a split.

    Args:
        text_model: Folder of the model.
        split: With the StockEmotion schema, small enough to hold (N, K) in memory.

    Returns:
        Predictions and soft labels.
    """
    model = TextCNNForSequenceClassification.from_pretrained(text_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(text_model)
    emotions = set(emotion_vocabulary(split.features))
    texts = [", ".join(k for k in row if k not in emotions) for row in split["keywords"]]
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    predicted = model(**tokens).logits.softmax(-1)
    tagged = torch.from_numpy(listed_labels(split).astype(np.float32))
    return SoftLabels(
        predicted.numpy(),
        soft_labels(predicted, tagged).numpy(),
        normalized_labels(tagged).numpy(),
    )


def restoration(labels: SoftLabels, clean: np.ndarray, listed: np.ndarray, k: int = 5) -> Scores:
    """Measure what soft labels restore of the keywords that uploaders left out.

    Args:
        labels: Of the split.
        clean: The truth, bool, (N, K).
        listed: What uploaders wrote, bool, (N, K).
        k: How many of the best predictions count, listed keywords aside.

    Returns:
        ``missing_restored``: share of the missing clean keywords among the k best predictions
        that are not listed; ``missing_restored_by_chance``: the same for a random order;
        ``clean_mass_tagged`` and ``clean_mass_soft``: probability that lies on clean keywords in
        y / |y| and in y', and ``clean_mass_lost``, their difference: what restoring costs;
        ``missing_mass_soft``: in y', on the missing ones (0 in y / |y|). The first two are NaN
        where no keyword is missing.
    """
    missing = clean & ~listed
    open_scores = np.where(listed, -1.0, labels.predicted)
    best = np.argsort(-open_scores, axis=1, kind="stable")[:, :k]
    restored = np.take_along_axis(missing, best, axis=1).sum()
    # Each missing keyword is as likely as any other open one to be among the first k.
    chance = missing.sum(axis=1) * np.minimum(k / np.maximum((~listed).sum(axis=1), 1), 1)
    count = missing.sum() or np.nan
    tagged, soft = ((mass * clean).sum(axis=1).mean() for mass in (labels.tagged, labels.soft))
    return {
        "missing_restored": float(restored / count),
        "missing_restored_by_chance": float(chance.sum() / count),
        "clean_mass_tagged": float(tagged),
        "clean_mass_soft": float(soft),
        "clean_mass_lost": float(tagged - soft),
        "missing_mass_soft": float((labels.soft * missing).sum(axis=1).mean()),
    }


def best_labels(scores: np.ndarray, names: Sequence[str], k: int) -> list[list[str]]:
    """Return the k best-scored names of each row, best first."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [[names[i] for i in row] for row in best]
