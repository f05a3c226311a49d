"""What is true of a picture before anybody draws or describes it: the latent variables.

A picture's latents are a function of `(seed, index)` alone, so that the first n pictures are the
same however many are asked for, and so that noise in the keywords never moves a pixel.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from emotionnet_hf.data.sample.pen import Color

CATEGORIES: dict[str, float] = {"face": 0.4, "scene": 0.3, "symbol": 0.3}
"""The kinds of picture the paper names (humans, scenes, symbols), with their shares."""

HUES: dict[str, float] = {
    "happiness": 0.14,
    "excitement": 0.06,
    "surprise": 0.85,
    "fear": 0.75,
    "anger": 0.0,
    "disgust": 0.3,
    "sadness": 0.62,
    "loneliness": 0.56,
    "peace": 0.48,
    "love": 0.94,
}
"""The hue (0..1) a cliche would give each emotion; only `HUE_SHARE` of the pictures follow it."""

EMOTIONS: tuple[str, ...] = tuple(HUES)
"""The latent emotions, ordered as a ring: neighbours share keywords and are easy to confuse."""

HUE_SHARE = 0.35
"""Share of pictures whose palette follows the emotion's cliche; the others take any hue."""

# One stream of random numbers for each thing that must not move when another one changes.
STREAM_LATENT, STREAM_DRAW, STREAM_CLEAN, STREAM_UPLOADER, STREAM_WRONG, STREAM_COPY = range(6)


@dataclass(frozen=True)
class Latent:
    """The truth about one picture.

    Attributes:
        root: index of the picture this one is a near copy of, or its own index.
        emotion: one of `EMOTIONS`.
        intensity: 0 (faint) to 1 (strong); bends the shapes and grades the synonyms.
        category: one of `CATEGORIES`.
    """

    root: int
    emotion: str
    intensity: float
    category: str


@dataclass(frozen=True)
class Palette:
    """Colours of one picture, chosen for contrast and nearly independent of the emotion.

    Attributes:
        ground: two colours the background runs between.
        figure: the main body, readable on `ground`.
        ink: strokes, readable on `figure`.
        accents: four further colours without a fixed role.
    """

    ground: tuple[Color, Color]
    figure: Color
    ink: Color
    accents: tuple[Color, Color, Color, Color]


def stream(seed: int, index: int, which: int) -> np.random.Generator:
    """Returns the random numbers of one picture for one purpose (a `STREAM_*` constant)."""
    return np.random.default_rng([seed, index, which])


def draw_latent(seed: int, index: int, near_duplicates: float) -> Latent:
    """Draws the latents of picture `index`.

    With probability `near_duplicates` the picture copies a uniformly chosen earlier one; a copy
    of a copy points at the first of the chain.
    """
    rng = stream(seed, index, STREAM_LATENT)
    if rng.random() < near_duplicates and index > 0:
        return draw_latent(seed, int(rng.integers(index)), near_duplicates)
    return Latent(
        root=index,
        emotion=EMOTIONS[rng.integers(len(EMOTIONS))],
        intensity=float(rng.random()),
        category=str(rng.choice(list(CATEGORIES), p=list(CATEGORIES.values()))),
    )


def draw_palette(emotion: str, rng: np.random.Generator) -> Palette:
    """Draws a palette: lightness and saturation freely, hue weakly tied to the emotion."""
    hue = HUES[emotion] + rng.normal(0, 0.05) if rng.random() < HUE_SHARE else rng.random()
    saturation = rng.uniform(0.1, 0.9)
    figure = rng.uniform(0.5, 0.85)
    # Grounds are darker than figures, or, for the darker figures, lighter now and then.
    ground = figure - rng.uniform(0.25, 0.5)
    if figure < 0.65 and rng.random() < 0.6:
        ground = rng.uniform(0.86, 0.95)
    other = hue + rng.uniform(0.2, 0.8)
    return Palette(
        ground=(
            _color(hue, ground, saturation),
            _color(hue + rng.normal(0, 0.08), ground + rng.uniform(-0.1, 0.1), saturation),
        ),
        figure=_color(other, figure, rng.uniform(0.2, 0.9)),
        ink=_color(rng.random(), rng.uniform(0.03, 0.15), 0.4),
        accents=_accents(rng),
    )


def _accents(rng: np.random.Generator) -> tuple[Color, Color, Color, Color]:
    first, second, third, fourth = (
        _color(rng.random(), rng.uniform(0.3, 0.9), rng.uniform(0.3, 1.0)) for _ in range(4)
    )
    return first, second, third, fourth


def _color(hue: float, lightness: float, saturation: float) -> Color:
    rgb = colorsys.hls_to_rgb(hue % 1.0, min(max(lightness, 0.03), 0.97), saturation)
    red, green, blue = (round(255 * value) for value in rgb)
    return red, green, blue
