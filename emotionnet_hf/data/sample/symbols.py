"""Icons: each emotion owns a few, and borrows now and then from its neighbours."""

from __future__ import annotations

import numpy as np

from emotionnet_hf.data.sample.glyphs import GLYPHS
from emotionnet_hf.data.sample.latent import EMOTIONS, Latent, Palette
from emotionnet_hf.data.sample.pen import Pen

SYMBOLS: dict[str, tuple[str, ...]] = {
    "happiness": ("flower", "sun"),
    "excitement": ("star burst", "rocket"),
    "surprise": ("gift box", "exclamation mark"),
    "fear": ("skull", "spider"),
    "anger": ("thunder bolt", "flame"),
    "disgust": ("slime", "fish bone"),
    "sadness": ("broken heart", "tear drop"),
    "loneliness": ("empty chair", "spiral"),
    "peace": ("peace sign", "lotus"),
    "love": ("heart", "rings"),
}
"""The icons of each latent emotion; the names double as keywords."""

BORROWED = 0.22
"""Highest share (at intensity 0) of icons taken from a neighbour on the ring of emotions."""


def draw_symbol(pen: Pen, latent: Latent, palette: Palette, rng: np.random.Generator) -> list[str]:
    """Draws one icon, or a small pattern of it, on the unit square; returns words for it."""
    names = SYMBOLS[_owner(latent, rng)]
    name = names[rng.integers(len(names))]
    if rng.random() < 0.12:
        for x, y in ((-0.55, -0.5), (0.55, -0.5), (-0.55, 0.6), (0.55, 0.6)):
            GLYPHS[name](pen.at(x, y, rng.uniform(0.4, 0.5), rng.normal(0, 0.2)), palette, rng)
        return [name, "pattern"]
    GLYPHS[name](pen, palette, rng)
    return [name]


def _owner(latent: Latent, rng: np.random.Generator) -> str:
    place = EMOTIONS.index(latent.emotion)
    if rng.random() < BORROWED * (1 - latent.intensity):
        place += int(rng.choice([-1, 1]))
    return EMOTIONS[place % len(EMOTIONS)]
