"""From latent emotions to classes and back."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from emotionnet_hf.data.sample.benchmark_latents import (
    AFFECTNET_SOURCES,
    EMOTIC_CATEGORIES,
    MIKELS_SOURCES,
    NEUTRAL,
    SE30K8_SOURCES,
    UBE_SOURCES,
    affect,
    benchmark_seed,
    category_distribution,
    draw_latents,
    spread,
)
from emotionnet_hf.data.sample.faces import Expression, _sample_expression
from emotionnet_hf.data.sample.latent import EMOTIONS, Latent
from emotionnet_hf.emotions import AFFECTNET, EMOTIC, MIKELS, SE30K8, UBE


def test_tables_have_the_classes_of_the_benchmarks() -> None:
    assert tuple(MIKELS_SOURCES) == MIKELS
    assert tuple(UBE_SOURCES) == UBE
    assert tuple(SE30K8_SOURCES) == SE30K8
    assert tuple(AFFECTNET_SOURCES)[:7] == AFFECTNET
    assert len(AFFECTNET_SOURCES) == 11
    assert {name for row in EMOTIC_CATEGORIES.values() for name in row} == set(EMOTIC)
    assert tuple(EMOTIC_CATEGORIES) == EMOTIONS


@pytest.mark.parametrize("sources", [MIKELS_SOURCES, UBE_SOURCES, SE30K8_SOURCES])
def test_an_emotion_at_one_intensity_has_one_class(sources) -> None:
    for emotion in EMOTIONS:
        for intensity in (0.1, 0.4, 0.6, 0.9):
            owners = [
                label
                for label, row in sources.items()
                for source in row
                if source.emotion == emotion and source.low <= intensity < source.high
            ]
            assert len(owners) <= 1
            assert owners or sources is UBE_SOURCES


def test_latents_lie_in_their_sources() -> None:
    labels = spread(dict.fromkeys(SE30K8_SOURCES, 1.0), 800)
    drawings = draw_latents(5, labels, SE30K8_SOURCES)
    assert [drawing.label for drawing in drawings] == labels
    for drawing in drawings:
        latent = drawing.latent
        assert any(
            latent.emotion == emotion and low <= latent.intensity <= high
            for emotion, low, high in SE30K8_SOURCES[drawing.label]
        )
    copies = [drawing for drawing in drawings if drawing.latent.root != drawing.index]
    assert 0.02 < len(copies) / len(drawings) < 0.06
    for copy in copies:
        original = drawings[copy.latent.root]
        assert original.latent.root == original.index < copy.index
        assert (original.label, original.latent) == (copy.label, copy.latent)
    shares = Counter(drawing.latent.category for drawing in drawings)
    assert shares["face"] / 800 == pytest.approx(0.4, abs=0.06)


def test_spread_keeps_the_shares_in_every_beginning() -> None:
    labels = spread({"a": 3, "b": 1}, 40)
    for end in range(1, 41):
        assert labels[:end].count("b") == pytest.approx(end / 4, abs=1)
    assert labels.count("b") == 10


def test_the_neutral_intensity_draws_the_neutral_face() -> None:
    rng = np.random.default_rng(0)
    for emotion in EMOTIONS:
        faces = [_sample_expression(Latent(0, emotion, NEUTRAL, "face"), rng) for _ in range(200)]
        assert faces[0].tear == pytest.approx(Expression().tear)
        assert np.mean([face.curve for face in faces]) == pytest.approx(0, abs=0.06)


def test_seeds_differ_by_name_and_seed() -> None:
    seeds = {benchmark_seed(name, seed) for name in ("EMOTIC", "EmoSet") for seed in range(50)}
    assert len(seeds) == 100
    assert min(seeds) > 2**32


def test_intensity_grades_the_categories() -> None:
    names = tuple(EMOTIC)
    anger, annoyance = names.index("Anger"), names.index("Annoyance")
    faint, strong = (
        category_distribution(Latent(0, "anger", intensity, "face"), names)
        for intensity in (0.0, 1.0)
    )
    assert faint.sum() == pytest.approx(1)
    assert faint[annoyance] > faint[anger]
    assert strong[anger] > strong[annoyance]


def test_affect_has_the_signs_of_the_emotions() -> None:
    for emotion, sign in (("happiness", 1), ("sadness", -1)):
        values = [affect(Latent(0, emotion, i, "face"))[0] * sign for i in (NEUTRAL, 0, 0.5, 1)]
        assert values == sorted(values)
        assert all(0 <= value <= 1 for value in values)
