"""The uploader's errors and omissions, measured, and what the other words are worth."""

from __future__ import annotations

import numpy as np
import pytest

from emotionnet_hf.data.sample import EMOTION_KEYWORDS, EMOTIONS, keyword_distribution, tags
from emotionnet_hf.data.sample.elements import ELEMENTS
from emotionnet_hf.data.sample.glyphs import GLYPHS
from emotionnet_hf.data.sample.latent import Latent, draw_latent
from emotionnet_hf.data.sample.symbols import SYMBOLS
from emotionnet_hf.data.sample.vocabulary import (
    CATEGORY_WORDS,
    CONTEXT_WORDS,
    EMOTION_WORDS,
    FILLER_WORDS,
)

ANGER = Latent(root=0, emotion="anger", intensity=0.5, category="face")


def latents(count: int) -> list[Latent]:
    return [draw_latent(1, index, 0.0) for index in range(count)]


@pytest.mark.parametrize(("noise", "missing"), [(0.15, 0.3), (0.4, 0.5), (0.0, 0.0)])
def test_rates_are_the_documented_ones(noise: float, missing: float) -> None:
    rng = np.random.default_rng(0)
    clean = kept = wrong = 0
    for latent in latents(3000):
        true = tags.draw_clean_keywords(latent, rng)
        listed = tags.keep_keywords(true, missing, rng)
        errors = tags.draw_wrong_keywords(latent, len(listed), noise, rng)
        assert set(listed) <= set(true)
        assert not set(errors) & set(EMOTION_WORDS[latent.emotion])
        assert len({*listed, *errors}) == len(listed) + len(errors)
        clean, kept, wrong = clean + len(true), kept + len(listed), wrong + len(errors)
    assert kept / clean == pytest.approx(1 - missing, abs=0.01)
    assert wrong / (wrong + kept) == pytest.approx(noise, abs=0.015)


def test_every_picture_keeps_an_emotion_keyword_at_the_default() -> None:
    rng = np.random.default_rng(0)
    counts = [len(tags.keep_keywords(["a", "b", "c"], 0.3, rng)) for _ in range(200)]
    assert set(counts) == {2, 3}


def test_intensity_grades_the_synonyms() -> None:
    furious, frustrated = (EMOTION_KEYWORDS.index(word) for word in ("furious", "frustrated"))
    faint, strong = keyword_distribution("anger", 0.0), keyword_distribution("anger", 1.0)
    assert faint.sum() == pytest.approx(1)
    assert faint[frustrated] > 3 * strong[frustrated]
    assert strong[furious] > 3 * faint[furious]


def test_shared_words_belong_to_few_emotions() -> None:
    assert 50 <= len(EMOTION_KEYWORDS) <= 80
    owners = [sum(word in EMOTION_WORDS[e] for e in EMOTIONS) for word in EMOTION_KEYWORDS]
    assert set(owners) == {1, 2}
    assert all(word == word.lower() and " " not in word for word in EMOTION_KEYWORDS)


def test_other_words_are_no_emotion_words() -> None:
    others = {word for words in CONTEXT_WORDS.values() for word in words}
    others |= {word for words in CATEGORY_WORDS.values() for word in words}
    others |= {*FILLER_WORDS, *ELEMENTS, *GLYPHS}
    assert not others & set(EMOTION_KEYWORDS)
    assert {name for names in SYMBOLS.values() for name in names} == set(GLYPHS)


def test_context_tells_the_emotion_noisily() -> None:
    """Naive Bayes on the other words is far above chance and far from perfect."""
    rng = np.random.default_rng(0)
    sample = latents(1500)
    lists = [tags.draw_other_keywords(latent, [], rng) for latent in sample]
    emotions = np.array([EMOTIONS.index(latent.emotion) for latent in sample])
    words = sorted({word for words in lists for word in words})
    present = np.array([[word in row for word in words] for row in lists], dtype=float)
    train = np.arange(1500) < 1000
    ones = np.stack([present[train & (emotions == k)].sum(axis=0) for k in range(10)]) + 0.5
    log_p = np.log(ones / ones.sum(axis=1, keepdims=True))
    guess = (present[~train] @ log_p.T).argmax(axis=1)
    assert 0.4 < np.mean(guess == emotions[~train]) < 0.85


def test_spelling_varies_but_normalises() -> None:
    rng = np.random.default_rng(0)
    words = [f"candy cane {index}" for index in range(500)]
    written = tags.write_list(words, rng)
    assert sorted(word.strip().lower() for word in written) == sorted(words)
    assert written != words
    assert 10 < sum(word not in words for word in written) < 60
    assert any(word != word.strip() for word in written)


def test_no_errors_without_words_to_list() -> None:
    assert tags.draw_wrong_keywords(ANGER, 0, 0.5, np.random.default_rng(0)) == []
