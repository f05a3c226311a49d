"""One picture: background, clutter, the figure, and what a camera and a JPEG encoder add."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

from emotionnet_hf.data.sample.faces import draw_face
from emotionnet_hf.data.sample.latent import (
    STREAM_COPY,
    STREAM_DRAW,
    Latent,
    Palette,
    draw_palette,
    stream,
)
from emotionnet_hf.data.sample.pen import Pen, curve, star
from emotionnet_hf.data.sample.scenes import draw_scene
from emotionnet_hf.data.sample.symbols import draw_symbol

OVERSAMPLING = 2
"""Figures are drawn this much larger and averaged down, which smooths their edges."""


def draw_picture(seed: int, latent: Latent, size: int) -> tuple[Image.Image, list[str]]:
    """Draws the picture of `latent.root`; returns it with words for what is seen."""
    rng = stream(seed, latent.root, STREAM_DRAW)
    palette = draw_palette(latent.emotion, rng)
    image = _background(latent, palette, OVERSAMPLING * size, rng)
    half = OVERSAMPLING * size / 2
    if latent.category == "scene":
        pen = Pen(image, half, half, half * rng.uniform(1.0, 1.2), rng.normal(0, 0.05))
        things = draw_scene(pen, latent, palette, rng)
    else:
        draw = draw_face if latent.category == "face" else draw_symbol
        _clutter(image, palette, int(rng.integers(0, 6)), rng)
        things = draw(_pose(image, rng), latent, palette, rng)
        _clutter(image, palette, int(rng.integers(0, 2)), rng)
    return _photograph(image.reduce(OVERSAMPLING), rng), things


def near_copy(image: Image.Image, seed: int, index: int) -> Image.Image:
    """Returns what an agency that resells a picture makes of it: cropped, resized, brightened."""
    rng = stream(seed, index, STREAM_COPY)
    size = image.width
    left, top, right, bottom = rng.uniform(0, 0.025, 4) * size
    box = (left, top, size - right, size - bottom)
    copy = image.resize((size, size), Image.Resampling.BICUBIC, box)
    gain = rng.uniform(0.95, 1.05)
    return copy.point([min(255, round(gain * value)) for value in range(256)] * 3)


def encode(image: Image.Image, seed: int, index: int) -> bytes:
    """Returns the picture as JPEG at a random quality; a near copy draws its own."""
    quality = int(stream(seed, index, STREAM_COPY).integers(55, 96))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _pose(image: Image.Image, rng: np.random.Generator) -> Pen:
    """Places a figure so that most of it stays inside the frame."""
    size = image.width
    scale = size * rng.uniform(0.32, 0.46)
    room = max(0.0, size / 2 - 0.95 * scale)
    x, y = size / 2 + rng.uniform(-room, room, 2)
    return Pen(image, x, y, scale, rng.normal(0, 0.14))


def _background(
    latent: Latent, palette: Palette, size: int, rng: np.random.Generator
) -> Image.Image:
    """Runs between the two ground colours: plain, linear, round, striped or cloudy."""
    axis = np.linspace(-1, 1, size // OVERSAMPLING, dtype=np.float32)
    # No sky has stripes.
    kind = rng.integers(4 if latent.category == "scene" else 5)
    if kind == 0:
        mix = np.full((len(axis), len(axis)), rng.random())
    elif kind == 1:
        mix = np.linalg.norm(np.stack(np.meshgrid(axis, axis)), axis=0) / 1.4
    elif kind == 2:
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5)).astype(np.uint8))
        mix = np.asarray(coarse.resize((len(axis),) * 2, Image.Resampling.BICUBIC)) / 255
    else:
        turn, waves = rng.uniform(0, 2 * np.pi), rng.uniform(2, 6)
        ramp = np.cos(turn) * axis[None, :] + np.sin(turn) * axis[:, None]
        mix = (ramp + 1.5) / 3 if kind == 3 else (np.sin(2 * np.pi * waves * ramp) > 0)
    first, second = (np.array(color, dtype=np.float32) for color in palette.ground)
    pixels = first + np.asarray(mix, dtype=np.float32)[..., None] * (second - first)
    # Nearest is exact here: averaging down undoes it.
    return Image.fromarray(pixels.astype(np.uint8)).resize((size, size), Image.Resampling.NEAREST)


def _clutter(image: Image.Image, palette: Palette, count: int, rng: np.random.Generator) -> None:
    """Scatters small shapes that mean nothing, so that extra strokes alone tell nothing."""
    size = image.width
    for _ in range(count):
        x, y = rng.uniform(0, size, 2)
        pen = Pen(image, x, y, size * rng.uniform(0.02, 0.07), rng.uniform(0, 2 * np.pi))
        color = palette.accents[rng.integers(4)]
        kind = rng.integers(5)
        if kind == 0:
            pen.disc(0, 0, 1, fill=color)
        elif kind == 1:
            pen.polygon(star(int(rng.integers(2, 6)), 0.6), color)
        elif kind == 2:
            pen.line(np.array([[-1.5, 0.0], [1.5, 0.0]]), color, 0.4)
        elif kind == 3:
            pen.line(curve((-1.5, 0), (0, rng.uniform(-2, 2)), (1.5, 0)), color, 0.3)
        else:
            pen.disc(0, 0, 0.9, outline=color, width=0.3)


def _photograph(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Mirrors half of the pictures; blurs some, adds grain to others."""
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0) * image.width / 96))
    if rng.random() < 0.6:
        shape = (image.height, image.width, 3 if rng.random() < 0.5 else 1)
        grain = rng.standard_normal(shape, dtype=np.float32) * rng.uniform(2, 9)
        image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    return image
