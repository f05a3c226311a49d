"""The furniture of landscapes: sky, ground and weather, each drawn around its own origin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emotionnet_hf.data.sample.latent import Palette
from emotionnet_hf.data.sample.pen import Pen, curve, ellipse, heart, star

Element = Callable[[Pen, Palette, np.random.Generator], None]


def _sun(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.disc(0, 0, 0.6, fill=palette.accents[3])
    for turn in np.linspace(0, 2 * np.pi, int(rng.integers(7, 12)), endpoint=False):
        ray = np.array([[0.8, 0], [1.25, 0]])
        pen.at(0, 0, angle=turn).line(ray, palette.accents[3], 0.14)


def _low_sun(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.at(0, 1.2).disc(0, 0, rng.uniform(1.1, 1.5), fill=palette.accents[3])


def _moon(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    outer, inner = ellipse(0.9, 0.9, 0.2, 0.8), ellipse(0.55, 0.85, 0.8, 0.2, x=0.1)
    crescent = np.concatenate([outer, inner])
    pen.at(0, 0, angle=rng.normal(0.3, 0.3)).polygon(crescent, palette.accents[3])


def _cloud(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for x, y, radius in ((-0.7, 0.1, 0.5), (0, -0.15, 0.65), (0.7, 0.1, 0.45)):
        pen.disc(x, y, radius * rng.uniform(0.85, 1.15), fill=palette.accents[2])


def _rainbow(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for band, color in enumerate(palette.accents):
        arc = ellipse(2.6 - 0.25 * band, 2.2 - 0.25 * band, 0.5, 1.0)
        pen.at(0, 1.5).line(arc, color, 0.24)


def _comet(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    tilted = pen.at(0, 0, angle=rng.normal(-0.5, 0.2))
    for bend in (-0.5, 0.0, 0.5):
        tilted.line(curve((0, 0), (1.2, 0.4 * bend), (2.4, bend)), palette.accents[3], 0.16)
    tilted.at(0, 0, 0.75).polygon(star(5, 0.45), palette.accents[3], palette.ink, 0.08)


def _lightning(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 4))):
        x = np.array([0.0, -0.4, 0.1, -0.4, 0.0]) + rng.normal(0, 0.12, 5) + rng.uniform(-1.5, 1.5)
        pen.line(np.stack([x, np.linspace(-1.2, 2.0, 5)], axis=1), palette.accents[3], 0.18)


def _firework(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for color in palette.accents[: rng.integers(2, 4)]:
        burst = pen.at(rng.uniform(-1.8, 1.8), rng.uniform(-0.8, 0.8), rng.uniform(0.6, 1.1))
        for turn in np.linspace(0, 2 * np.pi, 12, endpoint=False):
            burst.at(0, 0, angle=turn).line(np.array([[0.25, 0], [1, 0]]), color, 0.1)


def _bat(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    wing = [[0, 0.1], [0.5, -0.35], [1, -0.1], [0.75, 0.02], [0.6, 0.25], [0.35, 0.12], [0, 0.45]]
    bat = np.array(wing + [[-x, y] for x, y in wing[::-1]])
    for _ in range(int(rng.integers(2, 5))):
        x, y = rng.uniform(-1.8, 1.8), rng.uniform(-0.6, 1.0)
        pen.at(x, y, 0.65, rng.normal(0, 0.2)).polygon(bat, palette.ink)


def _bird(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(2, 4))):
        bird = pen.at(rng.uniform(-1.5, 1.5), rng.uniform(-0.8, 0.8), 0.5)
        for side in (-1, 1):
            bird.line(curve((0, 0), (0.4 * side, -0.6), (side, -0.1)), palette.ink, 0.12)


def _balloon(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for color in palette.accents[: rng.integers(1, 4)]:
        balloon = pen.at(rng.uniform(-1.5, 1.5), rng.uniform(-0.8, 0.8), 0.6)
        balloon.line(curve((0, 0.8), (0.3, 1.2), (0, 1.9)), palette.ink, 0.07)
        balloon.disc(0, 0, 0.65, 0.85, color)


def _heart_balloon(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for color in palette.accents[: rng.integers(1, 3)]:
        balloon = pen.at(rng.uniform(-1.5, 1.5), rng.uniform(-0.5, 0.5), 0.7)
        balloon.line(curve((0, 0.9), (0.3, 1.3), (0, 2.0)), palette.ink, 0.07)
        balloon.polygon(heart(), color)


def _tree(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.line(np.array([[0, 0.6], [0, -0.3]]), palette.ink, 0.18)
    pen.disc(0, -0.8, rng.uniform(0.5, 0.7), rng.uniform(0.6, 0.8), palette.accents[1])


def _bare_tree(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.line(np.array([[0, 0.6], [0, -0.9]]), palette.ink, 0.16)
    for y in (-0.1, -0.4, -0.7):
        for side in (-1, 1):
            tip = (side * rng.uniform(0.4, 0.7), y - rng.uniform(0.3, 0.6))
            pen.line(np.array([[0, y], tip]), palette.ink, 0.09)


def _willow(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.line(curve((0, 0.6), (0.1, -0.3), (-0.1, -1)), palette.ink, 0.18)
    for x in np.linspace(-0.9, 0.8, 8):
        branch = curve((-0.1, -1), (x, -1.3), (1.1 * x, rng.uniform(-0.1, 0.4)))
        pen.line(branch, palette.accents[1], 0.1)


def _flower(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(3, 7))):
        flower = pen.at(rng.uniform(-1.8, 1.8), rng.uniform(-0.4, 0.6), rng.uniform(0.3, 0.5))
        flower.line(np.array([[0, 0], [0, 1.6]]), palette.ink, 0.15)
        flower.polygon(star(6, 0.45), palette.accents[2])
        flower.disc(0, 0, 0.32, fill=palette.accents[3])


def _person(pen: Pen, palette: Palette, color: int) -> None:
    body = np.array([[-0.28, 0.6], [-0.16, -0.25], [0.16, -0.25], [0.28, 0.6]])
    pen.polygon(body, palette.accents[color], palette.ink, 0.06)
    pen.disc(0, -0.5, 0.22, fill=palette.ink)


def _lonely_figure(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.disc(0, 0.62, 0.5, 0.08, palette.ink)
    _person(pen.at(0, 0, rng.uniform(0.8, 1.1)), palette, 0)


def _couple(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    lean = rng.uniform(0.1, 0.25)
    _person(pen.at(-0.25, 0, angle=lean), palette, 0)
    _person(pen.at(0.25, 0, angle=-lean), palette, 1)


def _crowd(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for x in np.linspace(-1.5, 1.5, int(rng.integers(4, 7))):
        person = pen.at(x, rng.uniform(-0.15, 0.15), 0.7)
        for side in (-1, 1):
            person.line(np.array([[0, -0.1], [0.5 * side, -0.7]]), palette.ink, 0.1)
        _person(person, palette, int(rng.integers(4)))


def _volcano(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for x in np.linspace(-0.7, 0.7, 5):
        stroke = curve((0, -0.8), (x, -1.9), (1.6 * x, rng.uniform(-1.6, -0.8)))
        pen.line(stroke, palette.accents[3], 0.14)
    cone = np.array([[-1.3, 0.6], [-0.3, -0.8], [0.3, -0.8], [1.3, 0.6]])
    pen.polygon(cone, palette.ink)


def _swamp_bubble(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.disc(0, 0.5, 1.9, 0.6, palette.accents[0])
    for _ in range(int(rng.integers(5, 9))):
        x, y = rng.uniform(-1.5, 1.5), rng.uniform(-0.3, 0.6)
        pen.disc(x, y, rng.uniform(0.15, 0.4), None, palette.accents[0], palette.ink, 0.08)


def _garbage(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    can = np.array([[-0.45, -0.5], [0.45, -0.5], [0.32, 0.6], [-0.32, 0.6]])
    pen.polygon(can, palette.accents[2], palette.ink, 0.08)
    for x in (-0.15, 0.15):
        pen.line(np.array([[x, -0.35], [0.8 * x, 0.45]]), palette.ink, 0.06)
    lid = np.array([[-0.6, -0.65], [0.55, -0.85]])
    pen.line(lid, palette.ink, 0.14)


def _fly(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(4, 8))):
        fly = pen.at(rng.uniform(-1.5, 1.5), rng.uniform(-2.2, 0.2), 0.22, rng.normal(0, 0.5))
        for side in (-1, 1):
            fly.disc(0.45 * side, -0.3, 0.45, 0.22, (235, 235, 240), palette.ink, 0.12)
        fly.disc(0, 0, 0.35, 0.5, palette.ink)


def _rain(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    slant = rng.normal(0, 0.35)
    for _ in range(int(rng.integers(20, 40))):
        x, y = rng.uniform(-4, 4), rng.uniform(-4.5, 1.5)
        pen.line(np.array([[x, y], [x - slant * 0.6, y + 0.6]]), palette.ink, 0.06)


def _calm_lake(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(6, 11))):
        x, y, half = rng.uniform(-2.5, 2.0), rng.uniform(-0.3, 1.5), rng.uniform(0.3, 0.9)
        pen.line(curve((x - half, y), (x, y + 0.1), (x + half, y)), palette.ink, 0.06)


def _rough_sea(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for y in (0.0, 0.5, 1.0):
        for x in np.arange(-3, 3, 0.9) + rng.uniform(-0.4, 0.4):
            wave = np.array([[0, 0.3], [0.55, -0.3], [0.5, 0.05], [0.9, 0.3]])
            pen.at(x, y).polygon(wave, palette.accents[1], palette.ink, 0.06)


def _boat(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.polygon(np.array([[-0.8, 0.2], [0.8, 0.2], [0.5, 0.6], [-0.5, 0.6]]), palette.ink)
    pen.polygon(np.array([[0, 0.1], [0, -1.0], [0.7, 0.1]]), palette.accents[2])


def _house(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    pen.polygon(_WALLS, palette.accents[2])
    pen.polygon(np.array([[-0.8, -0.3], [0, -0.9], [0.8, -0.3]]), palette.accents[3])
    pen.polygon(_WALLS * [0.25, 0.5] + [0, 0.3], palette.ink)


_WALLS = np.array([[-0.6, -0.3], [0.6, -0.3], [0.6, 0.6], [-0.6, 0.6]])

ELEMENTS: dict[str, Element] = {
    "rainbow": _rainbow,
    "sun": _sun,
    "low sun": _low_sun,
    "moon": _moon,
    "cloud": _cloud,
    "comet": _comet,
    "lightning": _lightning,
    "firework": _firework,
    "bat": _bat,
    "bird": _bird,
    "balloon": _balloon,
    "heart balloon": _heart_balloon,
    "volcano": _volcano,
    "rough sea": _rough_sea,
    "calm lake": _calm_lake,
    "house": _house,
    "tree": _tree,
    "bare tree": _bare_tree,
    "willow": _willow,
    "flower": _flower,
    "swamp bubble": _swamp_bubble,
    "garbage": _garbage,
    "fly": _fly,
    "boat": _boat,
    "crowd": _crowd,
    "couple": _couple,
    "lonely figure": _lonely_figure,
    "rain": _rain,
}
"""Everything a landscape can contain, from back to front; the names double as keywords."""

SKY = frozenset(list(ELEMENTS)[: list(ELEMENTS).index("heart balloon") + 1])
"""The elements that hang above the horizon, behind the ridge."""
