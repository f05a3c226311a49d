"""The numbers of `statistics.json`, beside those of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from emotionnet_hf import __version__
from emotionnet_hf.data.agreement import MAJORITY, krippendorff_alpha, pooled_alpha
from emotionnet_hf.data.describe.co_occurrence import CoOccurrence
from emotionnet_hf.data.describe.counting import Histogram, Tally

PAPER: Mapping[str, Any] = {
    "source": "Wei et al., CVPR 2020, sections 3.2 and 3.3",
    "images": 1_170_000,
    "images_per_split": {"train": 1_060_000, "validation": 33_000, "test": 71_000},
    "keywords_per_image": 48.9,
    "emotion_keywords_per_image": 7.04,
    "emotion_vocabulary_size": 690,
    "images_with_people": 600_000,
    "images_with_one_clear_face": 280_000,
    "se30k8_images": 33_000,
    "se30k8_same_annotation_by_three_of_five": 0.85,
}
"""The paper's numbers; it says "around" of most, and "more than" of the last."""

_TOP_KEYWORDS = 100
_LIBRARIES = ("krippendorff", "numpy", "pyarrow", "scipy")


def make_statistics(name: str, tally: Tally, together: CoOccurrence | None) -> dict[str, Any]:
    """Turn counts into what `statistics.json` says.

    Args:
        name: The data set's name.
        tally: The counts.
        together: The co-occurrence of its emotion keywords, if it has any.

    Returns:
        Plain values for JSON. A part is there when the data set has its columns.
    """
    statistics: dict[str, Any] = {
        "data_set": name,
        "images": sum(split.images for split in tally.splits.values()),
        "splits": _splits(tally),
    }
    if tally.keywords:
        statistics["keywords"] = _keywords(tally)
    if tally.together is not None:
        statistics["emotion_keywords"] = _emotions(tally)
    if together is not None:
        statistics["co_occurrence"] = together.numbers()
    for column in ("people", "faces"):
        if any(column in split.numbers for split in tally.splits.values()):
            statistics[column] = _seen(tally, column)
    if tally.labels is not None:
        statistics["labels"] = _labels(tally, tally.labels)
    if tally.votes is not None:
        statistics["agreement"] = _agreement(tally)
    versions = {name: version(name) for name in _LIBRARIES} | {"emotionnet_hf": __version__}
    return statistics | {"paper": dict(PAPER), "versions": versions}


def per_image(tally: Tally, column: str) -> dict[str, Histogram]:
    """Histograms of one column, split by split and together.

    Args:
        tally: The counts.
        column: `keywords`, `emotion_keywords`, `people` or `faces`.

    Returns:
        The histograms by split, and that of all images as "all"; empty without the column.
    """
    parts = {
        name: split.numbers[column]
        for name, split in tally.splits.items()
        if column in split.numbers
    }
    return parts | {"all": Histogram.joined(parts.values())} if parts else {}


def _splits(tally: Tally) -> dict[str, Any]:
    images = {name: split.images for name, split in tally.splits.items()}
    described: dict[str, dict[str, Any]] = {
        name: {"images": count} for name, count in (images | {"all": sum(images.values())}).items()
    }
    for column in ("keywords", "emotion_keywords"):
        for name, histogram in per_image(tally, column).items():
            described[name][f"{column}_per_image"] = _summary(histogram)
    return described


def _summary(histogram: Histogram) -> dict[str, Any]:
    mean = histogram.mean
    return {
        "mean": None if mean is None else round(mean, 6),
        "median": histogram.quantile(0.5),
        "min": histogram.quantile(0),
        "max": histogram.quantile(1),
        "distribution": {
            str(number): histogram.counts[number] for number in sorted(histogram.counts)
        },
    }


def _keywords(tally: Tally) -> dict[str, Any]:
    ranked = sorted(tally.keywords.items(), key=lambda item: (-item[1], item[0]))
    return {
        "occurrences": tally.keywords.total(),
        "distinct": len(ranked),
        "used_once": sum(count == 1 for _, count in ranked),
        "top": dict(ranked[:_TOP_KEYWORDS]),
    }


def emotion_frequency(tally: Tally) -> dict[str, int]:
    """Images with each emotion keyword, the most frequent first.

    Args:
        tally: The counts.

    Returns:
        Every name of the vocabulary with its number of images, zeros included.
    """
    counts = [] if tally.together is None else tally.together.diagonal().tolist()
    ranked = sorted(zip(tally.emotions, counts, strict=False), key=lambda item: (-item[1], item[0]))
    return dict(ranked)


def _emotions(tally: Tally) -> dict[str, Any]:
    frequency = emotion_frequency(tally)
    return {
        "vocabulary_size": len(tally.emotions),
        "never_used": [name for name, count in frequency.items() if not count],
        "frequency": frequency,
    }


def _seen(tally: Tally, column: str) -> dict[str, Any]:
    everything = per_image(tally, column)["all"]
    with_one = everything.counts[1]
    seen = everything.total - everything.counts[0]
    return {
        "known": everything.total,
        "unknown": everything.unknown,
        "images_with_any": seen,
        "share_with_any": round(seen / everything.total, 6) if everything.total else None,
        "images_with_one": with_one,
        "share_with_one": round(with_one / everything.total, 6) if everything.total else None,
        **_summary(everything),
    }


def _labels(tally: Tally, labels: np.ndarray) -> dict[str, Any]:
    *counts, none = labels.tolist()
    return {
        "images": dict(zip(tally.classes, counts, strict=True)),
        "no_majority": none,
        "share_with_majority": round(1 - none / labels.sum(), 6) if labels.sum() else None,
    }


def _agreement(tally: Tally) -> dict[str, Any]:
    """Agreement of the workers, in the two ways in which the paper's sentence can be read."""
    counted = tally.votes
    if counted is None or not len(counted.workers):
        return {"images": 0}
    alphas = {
        name: _rounded(krippendorff_alpha(counted.votes[:, i], counted.workers))
        for i, name in enumerate(tally.classes)
    }
    known = [alpha for alpha in alphas.values() if alpha is not None]
    numbers, images = np.unique(counted.workers, return_counts=True)
    most_voted = counted.votes.max(axis=1, initial=0)
    return {
        "images": len(counted.workers),
        "workers_per_image": dict(zip(map(str, numbers.tolist()), images.tolist(), strict=True)),
        "classes_per_worker": _rounded(counted.votes.sum() / max(1, counted.workers.sum())),
        "votes": dict(zip(tally.classes, counted.votes.sum(axis=0).tolist(), strict=True)),
        "agreeing_workers": MAJORITY,
        "share_with_a_class_chosen_by_three": _rounded((most_voted >= MAJORITY).mean()),
        "share_with_the_same_classes_chosen_by_three": _rounded((counted.same >= MAJORITY).mean()),
        "krippendorff_alpha": alphas,
        "krippendorff_alpha_mean_of_classes": _rounded(np.mean(known)) if known else None,
        "krippendorff_alpha_pooled": _rounded(pooled_alpha(counted)),
    }


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), 6)
