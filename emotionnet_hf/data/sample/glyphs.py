"""The icons themselves, each drawn around its origin in the unit square."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emotionnet_hf.data.sample.latent import Palette
from emotionnet_hf.data.sample.pen import Pen, curve, drop, ellipse, heart, star

Glyph = Callable[[Pen, Palette, np.random.Generator], None]


def _flower(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    petals = int(rng.integers(5, 9))
    for turn in np.linspace(0, 2 * np.pi, petals, endpoint=False):
        petal = pen.at(0, 0, angle=turn)
        petal.disc(0.65, 0, 0.35, 0.24, palette.figure, palette.ink)
    pen.disc(0, 0, 0.32, fill=palette.accents[0])


def _sun(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.disc(0, 0, 0.5, None, palette.figure, palette.ink)
    for turn in np.linspace(0, 2 * np.pi, int(rng.integers(8, 13)), endpoint=False):
        ray = np.array([[0.65, -0.1], [1, 0], [0.65, 0.1]])
        pen.at(0, 0, angle=turn).polygon(ray, palette.figure, palette.ink, 0.03)


def _star_burst(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    tips = int(rng.integers(8, 15))
    pen.polygon(star(tips, rng.uniform(0.45, 0.65)), palette.figure, palette.ink)
    pen.at(0, 0, 0.5).polygon(star(tips, 0.6), palette.accents[0])


def _rocket(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    tilted = pen.at(0, 0, angle=rng.normal(0.4, 0.3))
    fins = np.array([[-0.7, 0.7], [0, -0.1], [0.7, 0.7]])
    tilted.polygon(fins, palette.accents[0], palette.ink)
    tilted.polygon(star(4, 0.2, 0.3) * [1, 1.2] + [0, 0.75], palette.accents[1])
    tilted.disc(0, -0.15, 0.33, 0.8, palette.figure, palette.ink)
    tilted.disc(0, -0.35, 0.14, fill=palette.ink)


def _gift_box(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        pen.disc(0.3 * side, -0.7, 0.3, 0.22, palette.accents[0], palette.ink)
    box = np.array([[-0.8, -0.5], [0.8, -0.5], [0.8, 0.9], [-0.8, 0.9]])
    pen.polygon(box, palette.figure, palette.ink)
    pen.line(np.array([[0, -0.5], [0, 0.9]]), palette.accents[0], 0.25)
    pen.line(np.array([[-0.8, -0.1], [0.8, -0.1]]), palette.ink, 0.06)


def _exclamation_mark(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        pen.disc(0, 0, 1.0, fill=palette.accents[0], outline=palette.ink)
    bar = np.array([[-0.22, -0.8], [0.22, -0.8], [0.1, 0.3], [-0.1, 0.3]])
    pen.polygon(bar, palette.figure, palette.ink)
    pen.disc(0, 0.62, 0.18, None, palette.figure, palette.ink)


def _skull(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    jaw = np.array([[-0.4, 0.3], [0.4, 0.3], [0.35, 0.9], [-0.35, 0.9]])
    pen.polygon(jaw, palette.figure, palette.ink)
    pen.disc(0, -0.15, 0.8, 0.7, palette.figure, palette.ink)
    for side in (-1, 1):
        pen.disc(0.33 * side, -0.1, 0.2, fill=palette.ink)
    pen.polygon(np.array([[0, 0.12], [0.1, 0.32], [-0.1, 0.32]]), palette.ink)
    for x in (-0.15, 0.0, 0.15):
        pen.line(np.array([[x, 0.55], [x, 0.88]]), palette.ink, 0.05)


def _spider(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        for knee, foot in ((-0.6, -0.9), (-0.35, -0.3), (0.1, 0.4), (0.4, 0.95)):
            leg = np.array([[0, 0], [0.6 * side, knee], [0.95 * side, foot]])
            pen.line(leg, palette.figure, 0.08)
    pen.disc(0, 0.2, 0.38, 0.45, palette.figure)
    pen.disc(0, -0.3, 0.24, fill=palette.figure)


def _thunder_bolt(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    left = [[0.1, -1], [-0.55, 0.15], [-0.05, 0.15], [-0.2, 1]]
    right = [[0.55, -0.25], [0.05, -0.25], [0.4, -1]]
    pen.polygon(np.array(left + right), palette.figure, palette.ink)


def _flame(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    tongues = np.array([[-0.35, -0.3], [-0.2, -0.1], [0.05, -1.0], [0.3, -0.2], [0.5, -0.5]])
    base = ellipse(0.7, 0.7, 0.0, 0.5, y=0.3)
    flame = np.concatenate([base, tongues])
    pen.polygon(flame, palette.figure, palette.ink)
    pen.at(0, 0.4, 0.5).polygon(flame, palette.accents[0])


def _slime(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    x = np.linspace(0.9, -0.9, 40)
    lengths = 0.25 + 0.6 * np.abs(np.sin(5.5 * x + rng.uniform(0, 3))) ** 3
    drip = np.stack([x, lengths - 0.1], axis=1)
    pen.polygon(np.concatenate([[[-0.9, -0.7], [0.9, -0.7]], drip]), palette.figure, palette.ink)
    for _ in range(4):
        where = rng.uniform(-0.6, 0.6), rng.uniform(-0.5, -0.1)
        pen.disc(*where, 0.11, outline=palette.ink)


def _fish_bone(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.line(np.array([[-0.5, 0], [0.7, 0]]), palette.figure, 0.1)
    for x in (-0.1, 0.15, 0.4):
        pen.line(np.array([[x + 0.1, -0.4], [x, 0], [x + 0.1, 0.4]]), palette.figure, 0.08)
    pen.polygon(np.array([[0.65, 0], [1, -0.4], [1, 0.4]]), palette.figure)
    pen.polygon(np.array([[-1, 0.1], [-0.45, -0.4], [-0.45, 0.4]]), palette.figure, palette.ink)
    pen.disc(-0.6, -0.08, 0.08, fill=palette.ink)


def _broken_heart(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.polygon(heart(), palette.figure, palette.ink)
    crack = np.array([[0.0, -0.45], [-0.22, -0.1], [0.2, 0.15], [-0.12, 0.45], [0.02, 1.0]])
    pen.line(crack, palette.ink, rng.uniform(0.14, 0.22))


def _tear_drop(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    count = int(rng.integers(1, 4))
    for place in np.linspace(-0.55, 0.55, count) if count > 1 else [0.0]:
        size = 0.9 if count == 1 else 0.5
        pen.at(place, rng.normal(0, 0.15), size).polygon(drop(), palette.figure, palette.ink)


def _empty_chair(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.line(np.array([[-0.5, -0.95], [-0.5, 0.95]]), palette.figure, 0.14)
    pen.line(np.array([[-0.5, 0.15], [0.5, 0.15], [0.5, 0.95]]), palette.figure, 0.14)
    for y in (-0.8, -0.4):
        pen.line(np.array([[-0.5, y], [-0.2, y + 0.08]]), palette.figure, 0.12)


def _spiral(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    turn = np.linspace(0, rng.uniform(2, 3.2), 60)
    radius = turn / turn[-1]
    angle = 2 * np.pi * turn
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    pen.line(points, palette.figure, rng.uniform(0.07, 0.12))


def _peace_sign(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    width = rng.uniform(0.1, 0.18)
    pen.disc(0, 0, 0.9, outline=palette.figure, width=width)
    for foot in ((0, -0.9), (0, 0.9), (-0.63, 0.63), (0.63, 0.63)):
        pen.line(np.array([[0, 0], foot]), palette.figure, width)


def _lotus(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for turn in (-2.75, -0.4, -2.35, -0.8, -1.57):
        pen.at(0, 0.5, angle=turn).disc(0.6, 0, 0.6, 0.22, palette.figure, palette.ink)
    pen.line(curve((-0.8, 0.7), (0, 0.9), (0.8, 0.7)), palette.figure, 0.1)


def _heart(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.polygon(heart(), palette.figure, palette.ink, rng.uniform(0.04, 0.1))
    if rng.random() < 0.4:
        pen.line(np.array([[-1.1, 0.5], [1.1, -0.5]]), palette.accents[0], 0.1)


def _rings(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        pen.disc(0.38 * side, 0.15, 0.55, outline=palette.figure, width=0.13)
    pen.at(-0.38, -0.55, 0.2).polygon(star(4, 0.6), palette.accents[0], palette.ink)


GLYPHS: dict[str, Glyph] = {
    "flower": _flower,
    "sun": _sun,
    "star burst": _star_burst,
    "rocket": _rocket,
    "gift box": _gift_box,
    "exclamation mark": _exclamation_mark,
    "skull": _skull,
    "spider": _spider,
    "thunder bolt": _thunder_bolt,
    "flame": _flame,
    "slime": _slime,
    "fish bone": _fish_bone,
    "broken heart": _broken_heart,
    "tear drop": _tear_drop,
    "empty chair": _empty_chair,
    "spiral": _spiral,
    "peace sign": _peace_sign,
    "lotus": _lotus,
    "heart": _heart,
    "rings": _rings,
}
"""How to draw each icon."""
