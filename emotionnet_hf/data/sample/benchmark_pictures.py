"""The pictures of drawn benchmarks: those of the sample, and people in front of landscapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from emotionnet_hf.data.sample.benchmark_latents import Drawing
from emotionnet_hf.data.sample.faces import draw_face
from emotionnet_hf.data.sample.latent import EMOTIONS, Latent, Palette, draw_palette, stream
from emotionnet_hf.data.sample.pen import Pen
from emotionnet_hf.data.sample.picture import OVERSAMPLING, draw_picture, encode, near_copy

# The streams of random numbers after those of `latent`.
STREAM_PEOPLE, STREAM_COMPANY, STREAM_ANNOTATORS = 6, 7, 8

CONTEXT_FITS = 0.6
"""Chance that the landscape behind a group shows the first person's emotion and not any."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

Written = list[tuple[str, Drawing]]
"""Path of each picture inside the benchmark's folder, and what is drawn on it."""


@dataclass(frozen=True)
class Order:
    """What is to be drawn.

    Attributes:
        folder: the benchmark's folder, which exists.
        seed: from `benchmark_seed`.
        num_images: number of pictures.
        image_size: width and height of a picture of the sample in pixels.
        bar: counts the pictures.
    """

    folder: Path
    seed: int
    num_images: int
    image_size: int
    bar: tqdm

    def progress(self, drawings: Sequence[Drawing]) -> Iterator[Drawing]:
        """Yields the pictures to draw and moves the bar."""
        for drawing in drawings:
            yield drawing
            self.bar.update()

    def save(self, image: Image.Image, drawing: Drawing, path: str) -> None:
        """Writes a picture as JPEG, altered where it is a near copy."""
        if drawing.latent.root != drawing.index:
            image = near_copy(image, self.seed, drawing.index)
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encode(image, self.seed, drawing.index))


def draw_portrait(seed: int, face: Latent, size: int) -> tuple[Image.Image, Box]:
    """Draws one face in front of a landscape that means nothing; returns it with the face's box.

    The picture is 1.5 times as wide and high as `size`.
    """
    rng = stream(seed, face.root, STREAM_PEOPLE)
    canvas = 3 * size // 2
    image = _backdrop(seed, face.root, _any_emotion(rng), rng.random(), canvas)
    scale = size * rng.uniform(0.3, 0.42)
    x, y = rng.uniform(1.2 * scale, canvas - 1.2 * scale, 2)
    pen = _pen(image, x, y, scale, rng.normal(0, 0.14))
    draw_face(pen, face, draw_palette(face.emotion, rng), rng)
    box = (x - 1.15 * scale, y - 1.15 * scale, x + 1.15 * scale, y + 1.15 * scale)
    return image.reduce(OVERSAMPLING), _inside(box, canvas)


def draw_group(seed: int, people: Sequence[Latent], size: int) -> tuple[Image.Image, list[Box]]:
    """Draws people side by side in a landscape; returns the picture and the box of each body.

    The picture is twice as wide and high as `size`. A body is a coat with arms at any angle: the
    emotion of a person is in the face, and that of the first, often, in the landscape.
    """
    first, canvas = people[0], 2 * size
    rng = stream(seed, first.root, STREAM_PEOPLE)
    mood = first.emotion if rng.random() < CONTEXT_FITS else _any_emotion(rng)
    image = _backdrop(seed, first.root, mood, first.intensity, canvas)
    boxes = []
    for place, person in enumerate(people):
        scale = size * rng.uniform(0.24, 0.32)
        room = canvas / len(people) / 2 - 1.4 * scale
        x = canvas * (place + 0.5) / len(people) + rng.uniform(-room, room)
        y = rng.uniform(1.5 * scale, canvas - 3.4 * scale)
        pen, palette = _pen(image, x, y, scale), draw_palette(person.emotion, rng)
        _body(pen, palette, rng)
        draw_face(pen, person, palette, rng)
        box = (x - 1.4 * scale, y - 1.5 * scale, x + 1.4 * scale, y + 3.4 * scale)
        boxes.append(_inside(box, canvas))
    return image.reduce(OVERSAMPLING), boxes


def _backdrop(seed: int, root: int, emotion: str, intensity: float, canvas: int) -> Image.Image:
    """A landscape at the size at which figures are drawn."""
    scene, _ = draw_picture(seed, Latent(root, emotion, intensity, "scene"), canvas)
    # Nearest is exact here: averaging down undoes it.
    return scene.resize((OVERSAMPLING * canvas,) * 2, Image.Resampling.NEAREST)


def _any_emotion(rng: np.random.Generator) -> str:
    return EMOTIONS[rng.integers(len(EMOTIONS))]


def _pen(image: Image.Image, x: float, y: float, scale: float, angle: float = 0.0) -> Pen:
    return Pen(image, OVERSAMPLING * x, OVERSAMPLING * y, OVERSAMPLING * scale, angle)


def _body(pen: Pen, palette: Palette, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        hand = [1.2 * side, rng.uniform(0.3, 2.8)]
        pen.line(np.array([[0.5 * side, 1.25], hand]), palette.accents[0], 0.3)
    coat = np.array([[-0.55, 0.85], [0.55, 0.85], [0.95, 3.4], [-0.95, 3.4]])
    pen.polygon(coat, palette.accents[0], palette.ink, 0.05)


def _inside(box: tuple[float, float, float, float], canvas: int) -> Box:
    left, top, right, bottom = (min(max(round(value), 0), canvas) for value in box)
    return left, top, right, bottom
