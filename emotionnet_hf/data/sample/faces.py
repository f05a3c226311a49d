"""Cartoon faces whose mouth, brows and eyes carry the emotion."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from emotionnet_hf.data.sample.latent import Latent, Palette
from emotionnet_hf.data.sample.pen import Color, Pen, curve, drop, ellipse, heart

WHITE: Color = (250, 250, 250)


@dataclass(frozen=True)
class Expression:
    """The muscles of a face; every value is a mean around which faces vary.

    Attributes:
        curve: mouth corners up (+1) or down (-1).
        open: height of the open mouth, 0 closed.
        width: half width of the mouth.
        skew: one-sided curl of the mouth.
        brow_tilt: inner ends down (+1, angry) or up (-1, worried).
        brow_lift: how far the brows are raised.
        eye: openness of the eyes; below 0.15 they are closed arcs.
        gaze: pupils to the side.
        wave: trembling mouth line.
        tear: chance of tears.
        blush: chance of red cheeks.
        tongue: chance of a tongue out.
        heart: chance of hearts for eyes.
    """

    curve: float = 0.0
    open: float = 0.05
    width: float = 0.4
    skew: float = 0.0
    brow_tilt: float = 0.0
    brow_lift: float = 0.0
    eye: float = 0.7
    gaze: float = 0.0
    wave: float = 0.0
    tear: float = 0.03
    blush: float = 0.15
    tongue: float = 0.03
    heart: float = 0.0


EXPRESSIONS: dict[str, Expression] = {
    "happiness": Expression(curve=0.8, open=0.12, width=0.45, brow_lift=0.1, eye=0.6, blush=0.3),
    "excitement": Expression(curve=0.9, open=0.5, width=0.5, brow_lift=0.5, eye=1.1, tongue=0.15),
    "surprise": Expression(open=0.6, width=0.24, brow_lift=0.8, eye=1.15),
    "fear": Expression(curve=-0.4, open=0.22, wave=0.6, brow_tilt=-0.7, brow_lift=0.4, eye=1.1),
    "anger": Expression(curve=-0.6, open=0.15, brow_tilt=1.0, brow_lift=-0.3, eye=0.6),
    "disgust": Expression(curve=-0.3, skew=0.8, brow_tilt=0.4, eye=0.32, tongue=0.45),
    "sadness": Expression(curve=-0.8, brow_tilt=-0.8, eye=0.5, tear=0.5),
    "loneliness": Expression(curve=-0.3, width=0.22, brow_tilt=-0.4, eye=0.45, gaze=0.9, tear=0.1),
    "peace": Expression(curve=0.4, width=0.32, eye=0.0),
    "love": Expression(curve=0.6, width=0.36, eye=0.45, blush=0.7, heart=0.35),
}
"""The mean face of each latent emotion."""


def draw_face(pen: Pen, latent: Latent, palette: Palette, rng: np.random.Generator) -> list[str]:
    """Draws one face that fills the pen's unit square; returns words for what is seen."""
    face = _sample_expression(latent, rng)
    things = _head(pen, palette, rng)
    _eyes(pen, face, palette, rng)
    _brows(pen, face, palette.ink, rng.uniform(0.06, 0.12))
    _mouth(pen, face, palette, rng)
    if rng.random() < face.tear:
        things.append("water drop")
        _tears(pen, rng)
    if rng.random() < 0.15:
        things.append("glasses")
        for side in (-1, 1):
            pen.disc(0.38 * side, -0.15, 0.32, outline=palette.ink, width=0.06)
    return things


def _sample_expression(latent: Latent, rng: np.random.Generator) -> Expression:
    """Moves from the neutral to the mean face by the intensity, and adds individual variation."""
    mean, neutral = EXPRESSIONS[latent.emotion], Expression()
    strength = 0.55 + 0.6 * latent.intensity
    values = {}
    for field in fields(Expression):
        rest = getattr(neutral, field.name)
        value = rest + strength * (getattr(mean, field.name) - rest)
        chance = field.name in ("tear", "blush", "tongue", "heart")
        values[field.name] = value if chance else value + rng.normal(0, _SPREAD[field.name])
    return Expression(**values)


_SPREAD = {
    "curve": 0.2,
    "open": 0.06,
    "width": 0.05,
    "skew": 0.2,
    "brow_tilt": 0.25,
    "brow_lift": 0.18,
    "eye": 0.13,
    "gaze": 0.35,
    "wave": 0.12,
}


def _head(pen: Pen, palette: Palette, rng: np.random.Generator) -> list[str]:
    """Draws the head with a random outline, hair and hat, none of which mean anything."""
    things = []
    kind = rng.integers(5)
    if kind == 1:
        things.append("hair")
        pen.disc(0, -0.25, 1.05, 1.0, palette.accents[0])
    for side in (-1, 1) if rng.random() < 0.3 else ():
        pen.disc(0.95 * side, 0, 0.2, 0.25, palette.figure, palette.ink, 0.04)
    outline = palette.ink if rng.random() < 0.6 else None
    head = ellipse(rng.uniform(0.85, 1.0), rng.uniform(0.9, 1.08))
    pen.polygon(head, palette.figure, outline, rng.uniform(0.03, 0.07))
    if kind == 2:
        things.append("hat")
        hat = np.array([[-0.7, -0.75], [-0.5, -1.5], [0.5, -1.5], [0.7, -0.75]])
        pen.polygon(hat, palette.accents[1], outline)
    elif kind == 3:
        things.append("hair")
        for x in np.linspace(-0.5, 0.5, int(rng.integers(3, 8))):
            pen.line(curve((x, -0.85), (1.4 * x, -1.1), (1.5 * x, -1.3)), palette.accents[2], 0.1)
    if rng.random() < 0.3:
        pen.line(curve((0, -0.05), (0.15, 0.12), (-0.02, 0.16)), palette.ink, 0.05)
    return things


def _eyes(pen: Pen, face: Expression, palette: Palette, rng: np.random.Generator) -> None:
    hearts = rng.random() < face.heart
    blush = rng.random() < face.blush
    for side in (-1, 1):
        eye = pen.at(0.38 * side, -0.15)
        if blush:
            pen.disc(0.62 * side, 0.2, 0.16, 0.11, (235, 120, 130))
        if hearts:
            eye.at(0, 0, 0.24).polygon(heart(), (225, 50, 80))
        elif face.eye < 0.15:
            eye.line(curve((-0.2, 0), (0, 0.2), (0.2, 0)), palette.ink, 0.07)
        else:
            _open_eye(eye, face, palette)


def _open_eye(eye: Pen, face: Expression, palette: Palette) -> None:
    height = 0.24 * min(face.eye, 1.3)
    eye.disc(0, 0, 0.22, height, WHITE, palette.ink, 0.04)
    # The pupil shrinks with the lid, so that it never leaves a narrow eye.
    radius = min(0.1, 0.8 * height)
    eye.disc(float(np.clip(0.11 * face.gaze, -0.12, 0.12)), 0.02, radius, fill=(20, 20, 25))


def _brows(pen: Pen, face: Expression, ink: Color, width: float) -> None:
    height = -0.5 - 0.16 * face.brow_lift
    slope = 0.15 * face.brow_tilt
    for side in (-1, 1):
        inner, outer = (0.16 * side, height + slope), (0.6 * side, height - slope)
        pen.line(curve(inner, (0.4 * side, height - 0.05), outer), ink, width)


def _mouth(pen: Pen, face: Expression, palette: Palette, rng: np.random.Generator) -> None:
    """Draws lips between two bent strokes; the gap between them is the open mouth."""
    t = np.linspace(-1, 1, 13)
    middle = 0.5 + 0.2 * face.curve * (1 - 2 * t**2) - 0.14 * face.skew * t
    middle += 0.06 * face.wave * np.sin(4 * np.pi * t)
    gap = 0.5 * max(face.open, 0) * np.sqrt(1 - t**2)
    # A smile opens downwards from its upper lip, a frown upwards: the corners stay where they are.
    upper = np.stack([face.width * t, middle - gap * (0.4 if face.curve > 0 else 1)], axis=1)
    lower = np.stack([face.width * t, middle + gap], axis=1)
    if face.open > 0.1:
        inside = WHITE if rng.random() < 0.3 else (70, 20, 30)
        pen.polygon(np.concatenate([upper, lower[::-1]]), inside, palette.ink, 0.05)
    else:
        pen.line(lower, palette.ink, 0.08)
    if rng.random() < face.tongue:
        pen.at(0.1, 0.5 + 0.2 * face.curve).disc(0, 0.14, 0.13, 0.18, (225, 90, 110))


def _tears(pen: Pen, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        if side > 0 or rng.random() < 0.6:
            tear = pen.at(0.42 * side, rng.uniform(0.15, 0.4), 0.17)
            tear.polygon(drop(), (110, 180, 235), (40, 90, 150), 0.15)
