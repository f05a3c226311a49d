"""The emotion is in the shapes: colours and single pixels must not give it away."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emotionnet_hf.data.sample.latent import CATEGORIES, EMOTIONS, Latent, draw_latent
from emotionnet_hf.data.sample.picture import draw_picture, near_copy

SIZE = 48
CHOSEN = ("happiness", "fear", "anger", "peace")
Array = NDArray[np.float64]


def draw_set(category: str, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draws pictures of one category, with the emotions in `CHOSEN` in turn."""
    pixels, labels = [], []
    for index in range(count):
        label = index % len(CHOSEN)
        intensity = draw_latent(7, index, 0.0).intensity
        image, _ = draw_picture(7, Latent(index, CHOSEN[label], intensity, category), SIZE)
        pixels.append(np.asarray(image))
        labels.append(label)
    return np.stack(pixels), np.array(labels)


def color_histogram(pixels: NDArray[np.uint8]) -> Array:
    """Returns the square roots of 8 x 8 x 8 RGB histograms."""
    bins = (pixels // 32).astype(int) @ [64, 8, 1]
    return np.sqrt([np.bincount(row.ravel(), minlength=512) / row.size for row in bins])


def gradient_histogram(pixels: NDArray[np.uint8], cell: int = 8, bins: int = 9) -> Array:
    """Returns histograms of gradient directions per cell (HOG, normalised per picture)."""
    gy, gx = np.gradient(pixels.mean(axis=-1), axis=(1, 2))
    direction = ((np.arctan2(gy, gx) % np.pi) / np.pi * bins).astype(int) % bins
    cells = SIZE // cell
    histogram = np.zeros((len(pixels), cells, cells, bins))
    for k in range(bins):
        strength = np.hypot(gx, gy) * (direction == k)
        histogram[..., k] = strength.reshape(-1, cells, cell, cells, cell).sum(axis=(2, 4))
    flat = np.sqrt(histogram.reshape(len(pixels), -1))
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def accuracy(features: Array, labels: NDArray[np.int64], ridge: float = 0.1) -> float:
    """Trains kernel ridge regression on the first 70 % and tests it on the rest."""
    squares = np.sum(features**2, axis=1)
    distance = squares[:, None] + squares[None] - 2 * features @ features.T
    kernel = np.exp(-distance / distance.mean())
    cut = int(0.7 * len(labels))
    targets = np.eye(len(CHOSEN))[labels[:cut]]
    weights = np.linalg.solve(kernel[:cut, :cut] + ridge * np.eye(cut), targets)
    return float(np.mean((kernel[cut:, :cut] @ weights).argmax(axis=1) == labels[cut:]))


def pixel_accuracy(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Tests the one pixel whose colour (4 x 4 x 4) decides best on the first 70 %."""
    codes = ((pixels // 64).astype(int) @ [16, 4, 1]).reshape(len(pixels), -1)
    cut = int(0.7 * len(labels))
    where = np.arange(codes.shape[1])
    votes = np.zeros((len(where), 64, len(CHOSEN)))
    for row, label in zip(codes[:cut], labels[:cut], strict=True):
        votes[where, row, label] += 1
    right = votes.argmax(axis=2)[where, codes] == labels[:, None]
    best = right[:cut].mean(axis=0).argmax()
    return float(right[cut:, best].mean())


def test_shapes_tell_what_colors_and_pixels_do_not() -> None:
    chance = 1 / len(CHOSEN)
    gains = []
    for category in CATEGORIES:
        pixels, labels = draw_set(category, 600)
        shape = accuracy(gradient_histogram(pixels), labels)
        color = accuracy(color_histogram(pixels), labels)
        gains.append([shape - chance, color - chance, pixel_accuracy(pixels, labels) - chance])
    shape, color, pixel = np.mean(gains, axis=0)
    assert shape > 0.25
    assert color < 0.45 * shape
    assert pixel < 0.45 * shape


@pytest.mark.parametrize("category", list(CATEGORIES))
@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_emotion_draws_in_every_category(category: str, emotion: str) -> None:
    for root in range(6):
        image, things = draw_picture(0, Latent(root, emotion, root / 5, category), 32)
        assert image.size == (32, 32)
        assert np.asarray(image).std() > 4
        assert all(isinstance(thing, str) and thing for thing in things)


def test_things_of_the_picture_do_not_change_with_its_size() -> None:
    for root in range(20):
        latent = draw_latent(0, root, 0.0)
        small, large = (draw_picture(0, latent, size)[1] for size in (32, 96))
        assert small == large


def test_a_near_copy_differs_a_little() -> None:
    latent = draw_latent(0, 5, 0.0)
    image, _ = draw_picture(0, latent, 96)
    copy = near_copy(image, 0, 6)
    difference = np.abs(np.asarray(image, dtype=float) - np.asarray(copy))
    assert copy.size == image.size
    assert 0 < difference.mean() < 25
