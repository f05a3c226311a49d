"""People in front of landscapes, and where their boxes lie."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.sample import benchmark_pictures
from emotionnet_hf.data.sample.benchmark_pictures import draw_group, draw_portrait
from emotionnet_hf.data.sample.latent import EMOTIONS, Latent


def face(root: int, emotion: str = "fear") -> Latent:
    return Latent(root, emotion, 0.5, "face")


@pytest.fixture
def grey(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces landscapes by grey, so that what is not grey is a figure."""

    def backdrop(seed: int, root: int, emotion: str, intensity: float, canvas: int) -> Image.Image:
        return Image.new("RGB", (2 * canvas, 2 * canvas), (1, 2, 3))

    monkeypatch.setattr(benchmark_pictures, "_backdrop", backdrop)


def drawn(image: Image.Image) -> np.ndarray:
    return (np.asarray(image) != (1, 2, 3)).any(axis=-1)


def inside(mask: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    return mask[top:bottom, left:right]


@pytest.mark.usefixtures("grey")
def test_the_face_is_in_its_box() -> None:
    for root in range(30):
        image, box = draw_portrait(1, face(root), 64)
        mask = drawn(image)
        assert image.size == (96, 96)
        # Hats and hair reach beyond the face.
        assert inside(mask, box).sum() > 0.8 * mask.sum()
        assert inside(mask, box).mean() > 0.5


@pytest.mark.usefixtures("grey")
@pytest.mark.parametrize("count", [1, 2])
def test_bodies_are_in_their_boxes(count: int) -> None:
    for root in range(30):
        people = [face(root, EMOTIONS[place]) for place in range(count)]
        image, boxes = draw_group(1, people, 64)
        mask = drawn(image)
        assert image.size == (128, 128)
        assert len(boxes) == count
        covered = np.zeros_like(mask)
        for box in boxes:
            assert inside(mask, box).mean() > 0.35
            inside(covered, box)[:] = True
        assert (mask & covered).sum() > 0.97 * mask.sum()
    if count == 2:
        assert boxes[0][2] <= boxes[1][0] + 1


def test_the_same_picture_again_but_another_for_another_root() -> None:
    for draw in (draw_portrait, lambda seed, latent, size: draw_group(seed, [latent], size)):
        first, again, other = (draw(1, face(root), 32)[0] for root in (4, 4, 5))
        assert first.tobytes() == again.tobytes()
        assert first.tobytes() != other.tobytes()
