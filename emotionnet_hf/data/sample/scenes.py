"""Landscapes whose ridge line and furniture carry the emotion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emotionnet_hf.data.sample.elements import ELEMENTS, SKY
from emotionnet_hf.data.sample.latent import Latent, Palette
from emotionnet_hf.data.sample.pen import Pen, Points


@dataclass(frozen=True)
class Scenery:
    """What a landscape of one emotion tends to contain.

    Attributes:
        jagged: ridge line from rolling hills (0) to teeth (1).
        height: height of the ridge above the horizon.
        things: chance of each element in `ELEMENTS`, at full intensity.
    """

    jagged: float
    height: float
    things: dict[str, float]


SCENES: dict[str, Scenery] = {
    "happiness": Scenery(0.15, 0.4, {"sun": 0.8, "flower": 0.85, "tree": 0.5}),
    "excitement": Scenery(0.45, 0.4, {"firework": 0.85, "balloon": 0.5, "crowd": 0.6}),
    "surprise": Scenery(0.4, 0.5, {"comet": 0.75, "rainbow": 0.6, "sun": 0.15}),
    "fear": Scenery(0.85, 0.7, {"moon": 0.7, "bare tree": 0.65, "bat": 0.7}),
    "anger": Scenery(0.9, 0.7, {"lightning": 0.8, "volcano": 0.6, "rough sea": 0.3}),
    "disgust": Scenery(0.3, 0.35, {"swamp bubble": 0.8, "fly": 0.7, "garbage": 0.5}),
    "sadness": Scenery(0.35, 0.45, {"rain": 0.85, "cloud": 0.6, "willow": 0.55}),
    "loneliness": Scenery(0.1, 0.15, {"lonely figure": 0.75, "bare tree": 0.3, "moon": 0.25}),
    "peace": Scenery(0.1, 0.35, {"calm lake": 0.85, "boat": 0.5, "low sun": 0.5}),
    "love": Scenery(0.2, 0.35, {"couple": 0.7, "heart balloon": 0.55, "low sun": 0.3}),
}
"""The typical landscape of each latent emotion."""

DISTRACTORS: dict[str, float] = {
    "cloud": 0.3,
    "house": 0.25,
    "tree": 0.2,
    "bird": 0.2,
    "sun": 0.08,
    "moon": 0.06,
    "bare tree": 0.06,
    "flower": 0.06,
    "rain": 0.04,
    "balloon": 0.05,
    "lonely figure": 0.05,
}
"""Elements that turn up in any landscape."""


def draw_scene(pen: Pen, latent: Latent, palette: Palette, rng: np.random.Generator) -> list[str]:
    """Draws a landscape over the pen's unit square; returns words for what is seen."""
    scenery = SCENES[latent.emotion]
    chosen = _choose_things(scenery, latent.intensity, rng)
    horizon = rng.uniform(0.0, 0.35)
    for name in chosen:
        if name in SKY:
            x, y = rng.uniform(-0.7, 0.7), rng.uniform(-0.75, -0.3)
            ELEMENTS[name](pen.at(x, y, rng.uniform(0.26, 0.36)), palette, rng)
    jagged = float(np.clip(rng.normal(scenery.jagged, 0.2), 0, 1))
    for depth in range(int(rng.integers(1, 3))):
        top = horizon - scenery.height * rng.uniform(0.6, 1.2) * (1 - 0.4 * depth)
        pen.polygon(_ridge(top, horizon, jagged, rng), palette.accents[depth])
    pen.polygon(_box(-2, horizon, 2, 2), palette.figure)
    for name in chosen:
        if name not in SKY:
            x, y = rng.uniform(-0.65, 0.65), rng.uniform(horizon, 0.75)
            ELEMENTS[name](pen.at(x, y, rng.uniform(0.32, 0.45)), palette, rng)
    return [*chosen, "mountain" if jagged > 0.55 else "hill"]


def _choose_things(scenery: Scenery, intensity: float, rng: np.random.Generator) -> list[str]:
    """Draws which elements appear; faint emotions leave more of theirs out."""
    strength = 0.75 + 0.4 * intensity
    chances = dict(DISTRACTORS)
    for name, chance in scenery.things.items():
        chances[name] = min(max(chances.get(name, 0), strength * chance), 0.97)
    return [name for name in ELEMENTS if rng.random() < chances.get(name, 0)]


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _ridge(top: float, base: float, jagged: float, rng: np.random.Generator) -> Points:
    """Returns a skyline between `top` and `base`: a blend of sine hills and a zigzag."""
    x = np.linspace(-2, 2, 81)
    phase, waves = rng.random(2) * [1, 1.2] + [0, 0.6]
    turn = waves * x + phase
    teeth = 2 * np.abs((1.7 * turn) % 1 - 0.5) + rng.normal(0, 0.05, len(x))
    hills = 0.5 + 0.5 * np.sin(2 * np.pi * turn * 0.6)
    y = base - (base - top) * (jagged * teeth + (1 - jagged) * hills)
    return np.concatenate([np.stack([x, y], axis=1), [[2, 2], [-2, 2]]])
