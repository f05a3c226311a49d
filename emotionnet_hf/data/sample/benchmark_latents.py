"""What the pictures of drawn benchmarks show, and what their annotators say of it.

The sample's ten latent emotions become the classes of each benchmark by the tables here; see
`benchmarks` for the whole of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emotionnet_hf.data.sample.latent import (
    CATEGORIES,
    EMOTIONS,
    STREAM_LATENT,
    Latent,
    stream,
)
from emotionnet_hf.data.sample.tags import GRADE_STRENGTH

NEAR_COPIES = 0.04
"""Share of pictures that are near copies of an earlier one of the same class."""

NEUTRAL = -11 / 12
"""The intensity at which every face is the neutral one: 0.55 + 0.6 * NEUTRAL is 0."""


class Source(NamedTuple):
    """Latents that a class is drawn from: one emotion, the intensity uniform from low to high."""

    emotion: str
    low: float = 0.0
    high: float = 1.0


MIKELS_SOURCES: Mapping[str, tuple[Source, ...]] = {
    "amusement": (Source("happiness"),),
    "anger": (Source("anger"),),
    "awe": (Source("surprise"),),
    "contentment": (Source("peace"), Source("love")),
    "disgust": (Source("disgust"),),
    "excitement": (Source("excitement"),),
    "fear": (Source("fear"),),
    "sadness": (Source("sadness"), Source("loneliness")),
}
"""Mikels' eight, of DeepEmotion and EmoSet; the sources of a class are equally likely."""

UBE_SOURCES: Mapping[str, tuple[Source, ...]] = {
    "anger": (Source("anger"),),
    "fear": (Source("fear"),),
    "joy": (Source("happiness"), Source("excitement")),
    "love": (Source("love"),),
    "sadness": (Source("sadness"), Source("loneliness")),
    "surprise": (Source("surprise"),),
}
"""The six of UnBiasedEmotion; disgust and peace are not drawn."""

AFFECTNET_SOURCES: Mapping[str, tuple[Source, ...]] = {
    "neutral": tuple(Source(emotion, NEUTRAL, NEUTRAL) for emotion in EMOTIONS),
    "happy": (Source("happiness"), Source("excitement")),
    "sad": (Source("sadness"),),
    "surprise": (Source("surprise"),),
    "fear": (Source("fear"),),
    "disgust": (Source("disgust"),),
    "anger": (Source("anger"),),
    "contempt": (Source("disgust", 0.0, 0.3),),
    "none": (Source("loneliness"), Source("peace")),
    "uncertain": tuple(Source(emotion, NEUTRAL, 0.0) for emotion in EMOTIONS),
    "no face": tuple(Source(emotion) for emotion in EMOTIONS),
}
"""AffectNet's `expression` 0 .. 10; the last four are dropped by its protocol."""

SE30K8_SOURCES: Mapping[str, tuple[Source, ...]] = {
    "anger": (Source("anger"),),
    "disgust": (Source("disgust"),),
    "fear": (Source("fear"),),
    "happiness": (Source("happiness"), Source("excitement"), Source("love"), Source("peace", 0.5)),
    "neutral": (Source("peace", 0.0, 0.5), Source("loneliness", 0.0, 0.5)),
    "sadness": (Source("sadness"), Source("loneliness", 0.5)),
    "surprise(negative)": (Source("surprise", 0.5),),
    "surprise(positive)": (Source("surprise", 0.0, 0.5),),
}
"""The eight of SE30K8. Faint surprise is positive (`unexpected`), strong one negative (`shock`)."""

EMOTIC_SOURCES: Mapping[str, tuple[Source, ...]] = {
    emotion: (Source(emotion),) for emotion in EMOTIONS
}
"""EMOTIC's persons: any latent emotion; their categories come from `EMOTIC_CATEGORIES`."""

EMOTIC_CATEGORIES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "happiness": {
        "Happiness": (4, 0),
        "Pleasure": (2, 0),
        "Engagement": (1.5, -1),
        "Confidence": (1, 0),
        "Excitement": (0.8, 1),
    },
    "excitement": {
        "Excitement": (4, 0),
        "Engagement": (2, -1),
        "Anticipation": (2, 0),
        "Happiness": (1.5, 1),
        "Confidence": (1.2, 0),
    },
    "surprise": {
        "Surprise": (4, 0),
        "Doubt/Confusion": (2, -1),
        "Anticipation": (1, -1),
        "Disquietment": (1, 1),
        "Embarrassment": (0.8, 0),
    },
    "fear": {
        "Fear": (4, 1),
        "Disquietment": (3, -1),
        "Suffering": (1, 1),
        "Doubt/Confusion": (1, -1),
        "Sensitivity": (0.8, 0),
    },
    "anger": {
        "Anger": (4, 1),
        "Annoyance": (3, -1),
        "Disapproval": (2, 0),
        "Pain": (0.6, 1),
        "Engagement": (0.5, 0),
    },
    "disgust": {
        "Aversion": (4, 0),
        "Disapproval": (2.5, -1),
        "Annoyance": (1.5, 0),
        "Embarrassment": (1, 0),
        "Disconnection": (0.8, -1),
    },
    "sadness": {
        "Sadness": (4, 0),
        "Suffering": (2, 1),
        "Pain": (1.8, 1),
        "Sympathy": (1, 0),
        "Sensitivity": (1.2, -1),
        "Fatigue": (1, -1),
    },
    "loneliness": {
        "Disconnection": (4, 0),
        "Fatigue": (2, -1),
        "Yearning": (2, 1),
        "Sadness": (1.5, 1),
        "Sensitivity": (0.8, 0),
    },
    "peace": {
        "Peace": (4, 0),
        "Pleasure": (1.5, 0),
        "Esteem": (1.5, 0),
        "Confidence": (1, 0),
        "Sympathy": (1, 0),
        "Fatigue": (0.6, -1),
    },
    "love": {
        "Affection": (4, 0),
        "Yearning": (1.5, 1),
        "Esteem": (1.5, -1),
        "Sympathy": (1.2, 0),
        "Happiness": (1.5, 0),
        "Pleasure": (1, 1),
    },
}
"""Emotion -> EMOTIC category -> (weight, grade), read as `vocabulary.EMOTION_WORDS` is."""

_AFFECT: Mapping[str, tuple[float, float, float]] = {
    "happiness": (0.8, 0.3, 0.3),
    "excitement": (0.7, 0.8, 0.3),
    "surprise": (0.1, 0.8, -0.2),
    "fear": (-0.6, 0.7, -0.7),
    "anger": (-0.6, 0.7, 0.5),
    "disgust": (-0.7, 0.3, 0.1),
    "sadness": (-0.7, -0.3, -0.5),
    "loneliness": (-0.5, -0.5, -0.4),
    "peace": (0.6, -0.6, 0.2),
    "love": (0.8, 0.2, 0.0),
}


@dataclass(frozen=True)
class Drawing:
    """One picture of a benchmark before it is drawn.

    Attributes:
        index: Its place in the benchmark; `latent.root` is another one where it is a near copy.
        label: Its class, a key of the table of sources.
        latent: What it shows.
    """

    index: int
    label: str
    latent: Latent


def benchmark_seed(name: str, seed: int) -> int:
    """Returns the seed of a benchmark's random numbers: 64 bits that no sample has for a seed."""
    digest = hashlib.sha256(f"emotionnet_hf drawn benchmark {name} {seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def spread(shares: Mapping[str, float], count: int) -> list[str]:
    """Returns `count` labels in proportion to `shares`, and so does every beginning of them.

    At each place comes the label that lags furthest behind its share.
    """
    total = sum(shares.values())
    given = dict.fromkeys(shares, 0)
    labels = []
    for place in range(1, count + 1):
        label = max(given, key=lambda name: shares[name] / total * place - given[name])
        given[label] += 1
        labels.append(label)
    return labels


def draw_latents(
    seed: int,
    labels: Sequence[str],
    sources: Mapping[str, tuple[Source, ...]],
    category: str | None = None,
) -> list[Drawing]:
    """Draws what each picture shows, given its class.

    Args:
        seed: from `benchmark_seed`.
        labels: the class of each picture.
        sources: where the classes come from.
        category: the kind of all pictures; where None, drawn with the sample's shares.

    Returns:
        The pictures; with probability `NEAR_COPIES` one copies an earlier one of its class.
    """
    drawings: list[Drawing] = []
    originals: dict[str, list[Latent]] = {label: [] for label in sources}
    for index, label in enumerate(labels):
        rng = stream(seed, index, STREAM_LATENT)
        earlier = originals[label]
        if rng.random() < NEAR_COPIES and earlier:
            latent = earlier[rng.integers(len(earlier))]
        else:
            emotion, low, high = sources[label][rng.integers(len(sources[label]))]
            kind = str(rng.choice(list(CATEGORIES), p=list(CATEGORIES.values())))
            latent = Latent(index, emotion, float(rng.uniform(low, high)), category or kind)
            earlier.append(latent)
        drawings.append(Drawing(index, label, latent))
    return drawings


def affect(latent: Latent) -> tuple[float, float, float]:
    """Returns valence, arousal and dominance, each from -1 to 1, before anybody rates them."""
    strength = max(0.0, 0.55 + 0.45 * latent.intensity)
    valence, arousal, dominance = (strength * value for value in _AFFECT[latent.emotion])
    return valence, arousal, dominance


def category_distribution(latent: Latent, categories: Sequence[str]) -> NDArray[np.float64]:
    """Returns p(category | emotion, intensity) over EMOTIC's categories.

    p is proportional to weight * exp(GRADE_STRENGTH * grade * (2 * intensity - 1)), as it is for
    the sample's keywords.
    """
    weights = np.zeros(len(categories))
    for name, (weight, grade) in EMOTIC_CATEGORIES[latent.emotion].items():
        preference = np.exp(GRADE_STRENGTH * grade * (2 * latent.intensity - 1))
        weights[categories.index(name)] = weight * preference
    return weights / weights.sum()
