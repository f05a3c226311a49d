"""Keyword lists: what is true of a picture, and what its uploader writes."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emotionnet_hf.data.sample.latent import EMOTIONS, Latent
from emotionnet_hf.data.sample.vocabulary import (
    CATEGORY_WORDS,
    CONTEXT_WORDS,
    EMOTION_KEYWORDS,
    EMOTION_WORDS,
    FILLER_WORDS,
)

GRADE_STRENGTH = 1.2
"""How strongly the intensity prefers words of its grade."""

CONTEXT_TRUE = 0.5
"""Chance that a context word comes from the picture's own emotion and not from any emotion."""

THING_LISTED = 0.4
"""Chance that the uploader names a thing that is drawn."""

ODD_SPELLING = 0.06
"""Chance that a keyword is written in capitals, title case or with stray white space."""


def keyword_distribution(emotion: str, intensity: float) -> NDArray[np.float64]:
    """Returns p(keyword | emotion, intensity) over `EMOTION_KEYWORDS`.

    p is proportional to weight * exp(GRADE_STRENGTH * grade * (2 * intensity - 1)).
    """
    weights = np.zeros(len(EMOTION_KEYWORDS))
    for word, (weight, grade) in EMOTION_WORDS[emotion].items():
        preference = np.exp(GRADE_STRENGTH * grade * (2 * intensity - 1))
        weights[EMOTION_KEYWORDS.index(word)] = weight * preference
    return weights / weights.sum()


def draw_clean_keywords(latent: Latent, rng: np.random.Generator) -> list[str]:
    """Draws 3 to 5 different emotion keywords that are true of the picture."""
    p = keyword_distribution(latent.emotion, latent.intensity)
    size = int(rng.integers(3, 6))
    return rng.choice(EMOTION_KEYWORDS, size=size, replace=False, p=p).tolist()


def keep_keywords(clean: Sequence[str], missing: float, rng: np.random.Generator) -> list[str]:
    """Leaves out a share `missing` of the clean keywords, exactly so in expectation.

    The number kept is n * (1 - missing), rounded up or down at random, so that at the default
    every picture keeps at least one emotion keyword, as every picture found by one has.
    """
    count = int(np.floor(len(clean) * (1 - missing) + rng.random()))
    return [clean[i] for i in rng.permutation(len(clean))[:count]]


def draw_wrong_keywords(
    latent: Latent, kept: int, noise: float, rng: np.random.Generator
) -> list[str]:
    """Draws the emotion keywords that are listed by error.

    The uploader writes on until all `kept` clean keywords are listed, and errs with probability
    `noise` at each word. The number of errors is negative binomial with mean
    kept * noise / (1 - noise), hence an expected share `noise` of the emotion keywords of a data
    set is wrong. An error is a word of another emotion that the picture's own cannot produce.
    """
    p = _error_distribution(latent.emotion)
    count = int(rng.negative_binomial(kept, 1 - noise)) if kept and noise else 0
    count = min(count, int((p > 0).sum()))
    return rng.choice(EMOTION_KEYWORDS, size=count, replace=False, p=p).tolist()


@functools.cache
def _error_distribution(emotion: str) -> NDArray[np.float64]:
    """Returns the mean p(keyword) of the other emotions, without the words of `emotion`."""
    others = [other for other in EMOTIONS if other != emotion]
    p = np.mean([keyword_distribution(other, 0.5) for other in others], axis=0)
    p[[EMOTION_KEYWORDS.index(word) for word in EMOTION_WORDS[emotion]]] = 0.0
    return p / p.sum()


def draw_other_keywords(
    latent: Latent, things: Sequence[str], rng: np.random.Generator
) -> list[str]:
    """Draws the 8 to 15 or so keywords that are no emotion words.

    3 to 5 context words (each from the own emotion with probability `CONTEXT_TRUE`, else from a
    random one), some names of things in the picture, 2 or 3 words for its category, 3 to 5
    fillers.
    """
    words = [_context_word(latent, rng) for _ in range(rng.integers(3, 6))]
    words += [thing for thing in things if rng.random() < THING_LISTED]
    words += rng.permutation(CATEGORY_WORDS[latent.category])[: rng.integers(2, 4)].tolist()
    words += rng.permutation(FILLER_WORDS)[: rng.integers(3, 6)].tolist()
    return list(dict.fromkeys(words))


def _context_word(latent: Latent, rng: np.random.Generator) -> str:
    own = rng.random() < CONTEXT_TRUE
    words = CONTEXT_WORDS[latent.emotion if own else EMOTIONS[rng.integers(len(EMOTIONS))]]
    return words[rng.integers(len(words))]


def write_list(words: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Shuffles the words and spells a few of them the way uploaders do."""
    return [_spell(words[i], rng) for i in rng.permutation(len(words))]


def _spell(word: str, rng: np.random.Generator) -> str:
    if rng.random() >= ODD_SPELLING:
        return word
    return (word.upper(), word.title(), f"  {word} ", f"{word.capitalize()} ")[rng.integers(4)]
