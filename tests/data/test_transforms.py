import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as vision

from emotionnet_hf.data.transforms import augment, crop_box

SIZES = [(256, 256), (640, 480), (100, 400), (1000, 60), (7, 5)]


def draw(width: int, height: int, count: int, scale=(0.08, 1.0)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([crop_box(width, height, rng, scale) for _ in range(count)])


def torchvision_draw(width: int, height: int, count: int, scale=(0.08, 1.0)) -> np.ndarray:
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    boxes = []
    for _ in range(count):
        top, left, h, w = RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3])
        boxes.append((left, top, left + w, top + h))
    return np.array(boxes)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.5, 0.6)])
def test_boxes_follow_torchvisions_law(size, scale):
    ours, theirs = draw(*size, 4000, scale), torchvision_draw(*size, 4000, scale)
    shares = np.linspace(0.05, 0.95, 7)
    for side in range(4):
        given, wanted = (np.quantile(boxes[:, side], shares) for boxes in (ours, theirs))
        length = size[side % 2]
        assert np.abs(given - wanted).max() <= max(1, 0.05 * length)
        assert abs(ours[:, side].mean() - theirs[:, side].mean()) <= max(0.2, 0.02 * length)


@pytest.mark.parametrize("size", [*SIZES, (1, 1), (1, 500), (500, 1), (2, 3), (10_000, 1)])
def test_a_box_lies_inside_the_image_and_is_not_empty(size):
    left, top, right, bottom = draw(*size, 500).T
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (right <= size[0]).all()
    assert (bottom <= size[1]).all()
    assert (right > left).all()
    assert (bottom > top).all()


@pytest.mark.parametrize("size", [(1000, 60), (60, 1000), (1, 500), (500, 1), (300, 290)])
def test_where_nothing_fits_the_box_is_torchvisions(size):
    scale = (1.5, 2.0)  # more than there is: every try fails
    assert (draw(*size, 3, scale) == torchvision_draw(*size, 3, scale)).all()


def test_the_whole_image_can_be_the_box():
    boxes = {tuple(box) for box in draw(40, 40, 500, (1.0, 1.0))}
    assert (0, 0, 40, 40) in boxes


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_the_same_seed_gives_the_same_pixels():
    image = noise(50, 40)
    one, same, other = (augment(image, 16, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_global_random_state_is_neither_read_nor_changed():
    image = noise(50, 40)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    augment(image, 16, np.random.default_rng(0))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


@pytest.mark.parametrize("size", [(50, 40), (1, 1), (300, 2)])
def test_pixels_are_bytes_of_the_asked_size(size):
    pixels = augment(noise(*size), 24, np.random.default_rng(0))
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (3, 24, 24)
    assert pixels.is_contiguous()


def test_pixels_are_those_of_torchvisions_crop_and_resize():
    image = noise(60, 50).resize((300, 250), Image.Resampling.BICUBIC)
    for seed in range(10):
        pixels = augment(image, 32, np.random.default_rng(seed))
        left, top, right, bottom = crop_box(300, 250, np.random.default_rng(seed))
        expected = vision.pil_to_tensor(
            vision.resized_crop(image, top, left, bottom - top, right - left, [32, 32])
        )
        wanted = (expected, expected.flip(-1))
        # At the rim one scaling sees the pixels around the box, the other does not.
        inside = slice(2, -2)
        distances = [(pixels.int() - x.int()).abs()[:, inside, inside].max().item() for x in wanted]
        assert min(distances) <= 1


def test_half_of_the_crops_are_flipped():
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None], (64, 1, 3))
    image = Image.fromarray(ramp)
    flipped = [
        bool(pixels[0, 0, 0] > pixels[0, 0, -1])
        for pixels in (augment(image, 8, np.random.default_rng(seed)) for seed in range(1000))
    ]
    assert 430 < sum(flipped) < 570


def test_the_scale_is_passed_on():
    image = noise(64, 64)
    whole = augment(image, 64, np.random.default_rng(5), scale=(1.0, 1.0))
    part = augment(image, 64, np.random.default_rng(5), scale=(0.08, 0.08))
    assert not torch.equal(whole, part)
