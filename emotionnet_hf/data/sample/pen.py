"""A pen that draws unit-sized shapes at any place, size and angle.

Every figure of the sample is described once, in the square [-1, 1] x [-1, 1] with x to the right
and y down, and lands on the picture through a pose. Position, scale and rotation are therefore
nuisances that no figure has to think about.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Points = NDArray[np.float64]


class Pen:
    """Draws on an image in the coordinates of a pose."""

    def __init__(
        self, image: Image.Image, x: float, y: float, scale: float, angle: float = 0.0
    ) -> None:
        """Takes a pose.

        Args:
            image: the RGB picture that is drawn on, in place.
            x: where the pose's origin lies, in pixels from the left.
            y: where the pose's origin lies, in pixels from the top.
            scale: pixels per unit.
            angle: clockwise rotation in radians.
        """
        self._image = image
        self._draw = ImageDraw.Draw(image)
        self._origin = np.array([x, y])
        self._scale = scale
        self._angle = angle
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        self._matrix = np.array([[cos, sin], [-sin, cos]])

    def at(self, x: float, y: float, scale: float = 1.0, angle: float = 0.0) -> Pen:
        """Returns a pen whose origin is the point (x, y) of this one."""
        px, py = np.array([x, y]) @ self._matrix + self._origin
        return Pen(self._image, px, py, self._scale * scale, self._angle + angle)

    def polygon(
        self, points: Points, fill: Color | None, outline: Color | None = None, width: float = 0.05
    ) -> None:
        """Draws a closed shape; `outline` adds a border of `width` units."""
        placed = self._place(points)
        if fill is not None:
            self._draw.polygon(placed, fill=fill)
        if outline is not None:
            self._draw.line([*placed, *placed[:2]], outline, self._pixels(width), joint="curve")

    def line(self, points: Points, color: Color, width: float = 0.08) -> None:
        """Draws an open stroke of `width` units with round ends."""
        placed = self._place(points)
        pixels = self._pixels(width)
        self._draw.line(placed, color, pixels, joint="curve")
        if pixels > 3:
            for px, py in (placed[0], placed[-1]):
                half = pixels / 2
                self._draw.ellipse((px - half, py - half, px + half, py + half), fill=color)

    def disc(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float | None = None,
        fill: Color | None = None,
        outline: Color | None = None,
        width: float = 0.05,
    ) -> None:
        """Draws an ellipse around (x, y); `ry` defaults to `rx`."""
        self.polygon(ellipse(rx, ry, x=x, y=y), fill, outline, width)

    def _place(self, points: Points) -> list[tuple[float, float]]:
        placed = np.asarray(points) @ self._matrix + self._origin
        return [(px, py) for px, py in placed.tolist()]

    def _pixels(self, width: float) -> int:
        return max(1, round(width * self._scale))


def ellipse(
    rx: float,
    ry: float | None = None,
    start: float = 0.0,
    stop: float = 1.0,
    x: float = 0.0,
    y: float = 0.0,
) -> Points:
    """Returns points on an ellipse around (x, y), from turn `start` to turn `stop`.

    Turn 0 points right, 0.25 down, 0.5 left, 0.75 up.
    """
    turn = 2 * np.pi * np.linspace(start, stop, 24)
    ry = rx if ry is None else ry
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1)


def star(tips: int, inner: float, outer: float = 1.0) -> Points:
    """Returns a star with `tips` points whose notches lie at radius `inner`."""
    radius = np.tile([outer, inner], tips)
    turn = np.arange(2 * tips) * np.pi / tips - np.pi / 2
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)


def heart(steps: int = 36) -> Points:
    """Returns a heart that fills the unit square, beginning at its notch, clockwise."""
    turn = np.linspace(0, 2 * np.pi, steps)
    x = np.sin(turn) ** 3
    y = -(13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)) / 16
    return np.stack([x, y], axis=1)


def drop() -> Points:
    """Returns a tear drop with its tip up."""
    arc = ellipse(0.6, 0.6, -0.05, 0.55, y=0.4)
    return np.concatenate([arc, [[0, -1]]])


def curve(
    start: tuple[float, float], bend: tuple[float, float], stop: tuple[float, float]
) -> Points:
    """Returns a quadratic Bezier stroke from `start` to `stop`, pulled towards `bend`."""
    t = np.linspace(0, 1, 12)[:, None]
    return (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(stop)
