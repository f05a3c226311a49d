import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.writing import encode_picture, ordered_map
from emotionnet_hf.loading.images import ImageError


def saved(image, kind, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(width=40, height=20) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def encoded(data, shorter_side=None):
    stored, suffix, rgb = encode_picture(data, max_pixels=10**6, shorter_side=shorter_side)
    return stored, suffix, Image.open(BytesIO(stored)), rgb


@pytest.mark.parametrize(("kind", "ending"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp")])
def test_plain_files_are_kept_byte_for_byte(kind, ending):
    data = saved(noise(), kind)
    stored, suffix, _, rgb = encoded(data)
    assert (stored, suffix, rgb.mode) == (data, ending, "RGB")
    assert encoded(data, shorter_side=20)[0] == data  # never enlarged, and 20 is 20


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "GIF"])
def test_other_formats_become_png_without_loss(kind):
    data = saved(noise().quantize(16) if kind == "GIF" else noise(), kind)
    _, suffix, image, rgb = encoded(data)
    assert (suffix, image.format, image.mode) == (".png", "PNG", "RGB")
    assert (np.asarray(image) == np.asarray(rgb)).all()


def test_jpeg_that_has_to_change_stays_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6
    _, suffix, image, _ = encoded(saved(noise(), "JPEG", exif=exif))
    assert (suffix, image.format, image.mode, image.size) == (".jpg", "JPEG", "RGB", (20, 40))
    assert image.getexif().get(0x0112) is None  # or it would be turned again
    _, suffix, image, _ = encoded(saved(noise().convert("CMYK"), "JPEG", icc_profile=b"CMYK"))
    assert (suffix, image.mode) == (".jpg", "RGB")
    assert "icc_profile" not in image.info


def test_transparency_is_gone_for_good():
    _, _, image, _ = encoded(saved(noise().convert("RGBA"), "PNG"))
    assert image.mode == "RGB"
    _, _, image, _ = encoded(saved(noise(), "PNG", transparency=(1, 2, 3)))
    assert not image.has_transparency_data


def test_shrinking_keeps_the_proportions():
    _, suffix, image, rgb = encoded(saved(noise(), "PNG"), shorter_side=10)
    assert (suffix, image.size, rgb.size) == (".png", (20, 10), (40, 20))
    assert encoded(saved(noise(999, 1), "PNG"), shorter_side=1)[2].size == (999, 1)


def test_unusable_pictures_are_refused():
    with pytest.raises(ImageError, match="zero bytes"):
        encoded(b"")


def test_map_keeps_order_and_its_window():
    running, most = 0, 0
    lock = threading.Lock()

    def work(item):
        return item * item

    def items():
        nonlocal running, most
        for item in range(50):
            running += 1
            most = max(most, running)
            yield item

    results = []
    with ThreadPoolExecutor(4) as pool:
        for result in ordered_map(pool, work, items(), window=8):
            with lock:
                running -= 1
            results.append(result)
    assert results == [item * item for item in range(50)]
    assert most <= 8


def test_map_passes_errors_on():
    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        list(ordered_map(pool, lambda item: 1 / item, [1, 0, 1], window=2))
