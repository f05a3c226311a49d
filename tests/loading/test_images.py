import struct
import zlib
from io import BytesIO

import datasets
import numpy as np
import pytest
from PIL import Image, features
from PIL.PngImagePlugin import PngImageFile

from emotionnet_hf.loading.images import ImageError, decode, is_plain_rgb, open_image, open_stored

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def saved(image, kind="PNG", **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def corners() -> Image.Image:
    """24 x 16, one colour a quadrant: red, green / blue, white."""
    image = Image.new("RGB", (24, 16), RED)
    image.paste(GREEN, (12, 0, 24, 8))
    image.paste(BLUE, (0, 8, 12, 16))
    image.paste(WHITE, (12, 8, 24, 16))
    return image


def pixels(data, **options) -> np.ndarray:
    image = open_image(data, **options)
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_rgb_is_left_alone(kind):
    assert (pixels(saved(corners(), kind)) == np.asarray(corners())).all()


def test_path_and_bytes_are_the_same(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(corners()))
    assert (pixels(path) == pixels(path.read_bytes())).all()


def test_stored_picture_has_bytes_or_a_path(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(corners()))
    for value in ({"bytes": path.read_bytes(), "path": "gone.png"}, {"bytes": None, "path": path}):
        assert (np.asarray(open_stored(value)) == np.asarray(corners())).all()
    for value, reason in (
        ({"bytes": None, "path": None}, "neither bytes nor a path"),
        ({"bytes": b"", "path": str(path)}, "zero bytes"),
        ({"bytes": None, "path": str(tmp_path / "gone.png")}, "No such file"),
    ):
        with pytest.raises(ImageError, match=reason):
            open_stored(value)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_close(kind):
    got = pixels(saved(Image.new("RGB", (24, 16), (200, 100, 50)), kind, quality=95))
    assert np.abs(got.astype(int) - (200, 100, 50)).max() <= 4


def test_palette():
    image = corners().quantize(4)
    assert image.mode == "P"
    assert (pixels(saved(image)) == np.asarray(image.convert("RGB"))).all()
    assert set(map(tuple, pixels(saved(image)).reshape(-1, 3))) == {RED, GREEN, BLUE, WHITE}


def test_palette_with_transparency_is_put_on_white():
    image = corners().quantize(4)
    red = image.getpixel((0, 0))
    got = pixels(saved(image, transparency=red))
    assert tuple(got[0, 0]) == WHITE
    assert tuple(got[0, 23]) == GREEN


def test_transparent_colour_of_rgb_and_grey_is_put_on_white():
    assert tuple(pixels(saved(corners(), transparency=RED))[0, 0]) == WHITE
    grey = Image.new("L", (8, 8), 7)
    assert tuple(pixels(saved(grey, transparency=7))[0, 0]) == WHITE


def test_alpha_is_put_on_white():
    image = Image.new("RGBA", (3, 1))
    image.putdata([(*RED, 255), (*RED, 0), (0, 0, 0, 128)])
    assert pixels(saved(image))[0].tolist() == [list(RED), list(WHITE), [127, 127, 127]]


def test_grey_alpha_is_put_on_white():
    image = Image.new("LA", (2, 1))
    image.putdata([(10, 255), (10, 0)])
    assert pixels(saved(image))[0].tolist() == [[10] * 3, list(WHITE)]


def test_grey_and_bilevel():
    assert tuple(pixels(saved(Image.new("L", (4, 4), 77)))[0, 0]) == (77, 77, 77)
    assert tuple(pixels(saved(Image.new("1", (4, 4), 1)))[0, 0]) == WHITE


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind):
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    got = pixels(saved(Image.fromarray(values), kind))
    assert got[0, :, 0].tolist() == [0, 1, 128, 255]


def test_16_bit_rgb_png_is_scaled():
    def chunk(name, body):
        text = name + body
        return struct.pack(">I", len(body)) + text + struct.pack(">I", zlib.crc32(text))

    row = b"\0" + struct.pack(">6H", 65535, 0, 32896, 257, 65535, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert pixels(data)[0].tolist() == [[255, 0, 128], [1, 255, 0]]
    assert not is_plain_rgb(decode(data), data)


def test_float_grey():
    values = np.array([[0, 0.5, 1]], dtype=np.float32)
    got = pixels(saved(Image.fromarray(values), "TIFF"))
    assert got[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(ImageError, match="no known white"):
        open_image(saved(Image.fromarray(values * 2), "TIFF"))


def test_cmyk_jpeg():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    got = pixels(saved(image, "JPEG", quality=100))
    assert np.abs(got.astype(int) - RED).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_rotation_is_applied(orientation, kind):
    # How to store the picture so that this orientation shows it upright: the inverse turn.
    turn = Image.Transpose
    stored = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }
    image = corners()
    if orientation > 1:
        image = image.transpose(stored[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(image, kind, exif=exif)
    assert (pixels(data) == np.asarray(corners())).all()
    assert is_plain_rgb(decode(data), data) == (kind == "PNG" and orientation == 1)


def test_exif_rotation_of_a_jpeg():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(corners().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=100)
    got = pixels(data)
    assert got.shape == (16, 24, 3)
    assert np.abs(got[2, 2].astype(int) - RED).max() < 40
    assert not is_plain_rgb(decode(data), data)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("block", [b"NOT A TIFF HEADER AT ALL", b"II*\0\xff\xff\xff\xff", b"II"])
def test_damaged_exif_costs_the_exif_and_not_the_picture(kind, block):
    data = saved(corners(), kind, exif=b"Exif\0\0" + block)
    assert pixels(data).shape == (16, 24, 3)
    if is_plain_rgb(decode(data), data):  # then other readers must get along with it too
        assert datasets.Image().decode_example({"bytes": data, "path": None}).size == (24, 16)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert tuple(pixels(data)[0, 0]) == RED
    assert not is_plain_rgb(decode(data), data)


def test_plain_files_are_recognised():
    for kind in ("PNG", "JPEG", "WEBP"):
        data = saved(corners(), kind)
        assert is_plain_rgb(decode(data), data), kind
    for image in (corners().convert("L"), corners().convert("RGBA"), corners().quantize(4)):
        assert not is_plain_rgb(decode(saved(image)), saved(image))
    assert not is_plain_rgb(decode(saved(corners(), "BMP")), saved(corners(), "BMP"))


def test_zero_bytes():
    with pytest.raises(ImageError, match=r"^zero bytes$"):
        open_image(b"")


@pytest.mark.parametrize(
    "data", [b"hello", b"<svg></svg>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0" * 99]
)
def test_not_an_image(data):
    with pytest.raises(ImageError, match=r"^not an image$"):
        open_image(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_truncated(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind)
    with pytest.raises(ImageError, match=r"^truncated$"):
        open_image(data[: len(data) // 2])


@pytest.mark.filterwarnings("ignore")
def test_damage_is_always_an_image_error():
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000", "PPM"):
        whole = np.frombuffer(saved(Image.fromarray(noise), kind), np.uint8)
        for _ in range(100):
            data = whole.copy()
            places = generator.integers(0, len(data), 4)
            data[places] = generator.integers(0, 256, 4)
            try:
                assert open_image(data.tobytes(), max_pixels=10**6).mode == "RGB"
            except ImageError as error:
                assert str(error)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path)


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims a size; of its pixels there is nothing."""
    data = bytearray(saved(Image.new("RGB", (1, 1))))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def test_bomb_is_refused_from_its_header(monkeypatch):
    large, huge = bomb(9000, 9000), bomb(60000, 60000)
    monkeypatch.setattr(PngImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=r"^too large: 9000x9000 pixels \(limit 1000000\)$"):
        open_image(large, max_pixels=10**6)
    with pytest.raises(ImageError, match=r"^too large"):
        open_image(huge)


def test_limit_is_inclusive():
    data = saved(corners())
    assert open_image(data, max_pixels=24 * 16).size == (24, 16)
    with pytest.raises(ImageError, match="too large: 24x16"):
        open_image(data, max_pixels=24 * 16 - 1)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_a_damaged_avif_is_an_image_error_or_a_picture():
    buffer = BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "AVIF")
    refused = 0
    for place in range(0, len(buffer.getvalue()), 7):
        data = bytearray(buffer.getvalue())
        data[place] ^= 0xFF
        try:
            assert open_image(bytes(data)).mode == "RGB"
        except ImageError:
            refused += 1
    assert refused
