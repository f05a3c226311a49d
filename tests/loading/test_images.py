import filecmp
import struct
import sys
import zlib
from io import BytesIO

import datasets
import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin, features
from PIL.PngImagePlugin import PngImageFile

from emotionnet_hf.data.writing import encode_picture
from emotionnet_hf.loading import images
from emotionnet_hf.loading.images import ImageError, decode, is_plain_rgb, open_image, open_stored
from emotionnet_hf.models import pipeline_images

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


def chunk(name: bytes, body: bytes) -> bytes:
    text = name + body
    return struct.pack(">I", len(body)) + text + struct.pack(">I", zlib.crc32(text))


def png(depth: int, colour: int, width: int, row: bytes, *chunks: bytes) -> bytes:
    """A PNG of one row."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + body + chunk(b"IEND", b"")


def test_16_bit_rgb_png_is_scaled():
    data = png(16, 2, 2, struct.pack(">6H", 65535, 0, 32896, 257, 65535, 0))
    assert pixels(data)[0].tolist() == [[255, 0, 128], [1, 255, 0]]
    assert not is_plain_rgb(decode(data), data)


def test_16_bit_grey_with_transparency_is_put_on_white():
    # Half-transparent black and opaque grey, and a key: what has its value is transparent.
    alpha = png(16, 4, 2, struct.pack(">4H", 0, 32896, 25700, 65535))
    assert pixels(alpha)[0, :, 0].tolist() == [127, 100]
    key = png(16, 0, 4, struct.pack(">4H", 0, 1, 257, 65535), chunk(b"tRNS", b"\0\0"))
    assert pixels(key)[0, :, 0].tolist() == [255, 0, 1, 255]


@pytest.mark.parametrize(
    ("depth", "row", "key", "expected"),
    [
        (1, b"\x40", 0, [255, 255, 255, 255]),
        (2, b"\x1b", 1, [0, 255, 170, 255]),
        (4, b"\x05\xaf", 5, [0, 255, 170, 255]),
        (8, b"\x00\x05\xaa\xff", 5, [0, 255, 170, 255]),
    ],
)
def test_the_transparent_grey_of_a_png_is_one_of_its_own_depth(depth, row, key, expected):
    data = png(depth, 0, 4, row, chunk(b"tRNS", struct.pack(">H", key)))
    assert pixels(data)[0, :, 0].tolist() == expected


def test_the_transparent_colour_of_a_16_bit_png():
    row = struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0x3412, 0x7856, 0xBC9A)
    data = png(16, 2, 2, row, chunk(b"tRNS", row[:6]))
    assert pixels(data)[0].tolist() == [[255] * 3, [0x34, 0x78, 0xBC]]


def tiff(values: np.ndarray, bits: int, kind: int, *, photometric: int = 1) -> bytes:
    """A TIFF of one row of grey: `kind` is 1 unsigned, 2 signed, 3 float."""
    data = values.tobytes()
    width = len(data) * 8 // bits
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1}
    tags |= {279: len(data), 339: kind}
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    directory = struct.pack("<H", len(tags)) + rows + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory


@pytest.mark.parametrize(
    ("values", "bits", "kind", "expected"),
    [
        # Two values of 12 bits in three bytes: 4095 and 2048, 0 and 257.
        (np.array([0xFF, 0xF8, 0x00, 0x00, 0x01, 0x01], np.uint8), 12, 1, [255, 128, 0, 16]),
        (np.array([0, 257, 32896, 65535], np.uint16), 16, 1, [0, 1, 128, 255]),
        (np.array([0, 16448, 32767], np.int16), 16, 2, [0, 128, 255]),
        (np.array([0, 2**30, 2**31 - 1], np.int32), 32, 2, [0, 128, 255]),
        (np.array([0, 2**31, 2**32 - 1], np.uint32), 32, 1, [0, 128, 255]),
        (np.array([0, 2**30, 2**16], np.uint32), 32, 1, [0, 64, 0]),
        (np.array([0, 257, 65535], np.int32), 32, 2, [0, 1, 255]),
        (np.array([0, 0.5, 1], np.float32), 32, 3, [0, 128, 255]),
    ],
)
def test_white_is_the_largest_value_that_a_tiff_can_hold(values, bits, kind, expected):
    assert pixels(tiff(values, bits, kind))[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    "values", [np.array([0, 257, 65535], np.uint16), np.float32([0, 1 / 255, 1])]
)
def test_of_a_tiff_whose_white_is_zero_the_grey_is_turned(values):
    bits, kind = (16, 1) if values.dtype == np.uint16 else (32, 3)
    assert pixels(tiff(values, bits, kind, photometric=0))[0, :, 0].tolist() == [255, 254, 0]


def bitmap(alpha: int) -> bytes:
    """A bitmap of 32 bits with a mask for alpha, as Windows writes them."""
    rgba = np.asarray(corners().convert("RGBA")).copy()
    rgba[..., 3] = alpha
    data = rgba[::-1, :, [2, 1, 0, 3]].tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, 24, 16, 1, 32, 3, len(data), 2835, 2835, 0, 0)
    header += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    start = 14 + len(header)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + header + data


def test_a_bitmap_whose_alpha_is_0_everywhere_has_none():
    assert decode(bitmap(0)).mode == "RGBA"
    assert (pixels(bitmap(0)) == np.asarray(corners())).all()
    # Any other alpha is one.
    assert (pixels(bitmap(128))[0, 0] == (255, 127, 127)).all()
    data = bytearray(bitmap(0))
    data[-1] = 1
    assert (pixels(bytes(data))[0, 0] == WHITE).all()


def test_a_tiff_that_does_not_call_its_fourth_value_alpha():
    image = corners().convert("RGBA")
    image.putalpha(0)
    data = saved(image, "TIFF")
    assert (pixels(data) == WHITE).all()  # it says so: ExtraSamples
    # Under the number of another, private tag nobody reads it.
    unsaid = data.replace(struct.pack("<HHI", 338, 3, 1), struct.pack("<HHI", 337, 3, 1))
    assert unsaid != data
    assert decode(unsaid).mode == "RGBA"
    assert (pixels(unsaid) == np.asarray(corners())).all()


def test_a_png_that_is_transparent_everywhere_is_white():
    image = corners().convert("RGBA")
    image.putalpha(0)
    assert (pixels(saved(image)) == WHITE).all()


BOMB = zlib.compress(b"x" * 2**21)
LONG = {
    "zTXt": chunk(b"zTXt", b"prompt\0\0" + BOMB),
    "iTXt": chunk(b"iTXt", b"prompt\0\1\0\0\0" + BOMB),
    "iCCP": chunk(b"iCCP", b"p\0\0" + BOMB),
    "64 MB of text": chunk(b"tEXt", b"a\0" + b"b" * 2**20) * 65,
    "checksum of a text": chunk(b"tEXt", b"a\0b")[:-1] + b"?",
    "checksum of a profile": chunk(b"iCCP", b"p\0\0" + zlib.compress(b"x"))[:-1] + b"?",
    "checksum of a private chunk": chunk(b"prIv", b"b")[:-1] + b"?",
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("late", [False, True])
def test_a_png_is_used_whatever_its_texts_and_profiles_are(name, late):
    plain = saved(corners())
    place = len(plain) - 12 if late else 33  # before the end, or after the header
    data = plain[:place] + LONG[name] + plain[place:]
    assert (pixels(data) == np.asarray(corners())).all()
    # Others refuse it, so a data set does not hold it as it is.
    if refused := _refused_by_pillow(data):
        assert not is_plain_rgb(decode(data), data)
    stored, ending, _ = encode_picture(data, max_pixels=10**6, shorter_side=None)
    assert ending == ".png"
    assert (np.asarray(Image.open(BytesIO(stored))) == np.asarray(corners())).all()
    assert refused or late


def _refused_by_pillow(data: bytes) -> bool:
    try:
        Image.open(BytesIO(data)).load()
    except (OSError, SyntaxError, ValueError):
        return True
    return False


def test_pillows_limits_stay_as_they_are(monkeypatch):
    before = (PngImagePlugin.MAX_TEXT_CHUNK, ImageFile.LOAD_TRUNCATED_IMAGES)
    plain = saved(corners())
    data = plain[:33] + LONG["zTXt"] + plain[33:]
    open_image(data)
    assert (PngImagePlugin.MAX_TEXT_CHUNK, ImageFile.LOAD_TRUNCATED_IMAGES) == before
    with pytest.raises(ImageError, match="too large"):
        open_image(data, max_pixels=100)


@pytest.mark.parametrize("texts", [b"", LONG["zTXt"]])
def test_a_png_with_a_long_text_keeps_its_transparency_and_orientation(texts):
    image = corners().convert("RGBA")
    image.putpixel((0, 0), (0, 0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 3
    plain = saved(image, exif=exif)
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="3"/>'
    by_xmp = saved(image)[:33] + chunk(b"iTXt", xmp) + saved(image)[33:]
    expected = np.asarray(corners()).copy()
    expected[0, 0] = WHITE
    for whole in (plain, by_xmp):
        data = whole[:33] + texts + whole[33:]
        assert (pixels(data) == expected[::-1, ::-1]).all()


def test_damage_of_a_png_that_matters_is_still_damage():
    plain = saved(corners())
    place = plain.index(b"IDAT")
    wrong = bytearray(plain[:33] + LONG["zTXt"] + plain[33:])
    wrong[wrong.index(b"IDAT") + 8] ^= 0xFF
    with pytest.raises(ImageError, match="damaged"):
        open_image(bytes(wrong))
    with pytest.raises(ImageError, match="truncated"):
        open_image(plain[:33] + LONG["iTXt"] + plain[33 : place + 8])


def heic(image: Image.Image, orientation: int = 1) -> bytes:
    file = BytesIO()
    container = pytest.importorskip("pillow_heif").from_pillow(image)
    exif = Image.Exif()
    exif[0x0112] = orientation
    container[0].info["exif"] = exif.tobytes()
    container.save(file, quality=100)
    return file.getvalue()


def test_heic_is_read_upright_by_the_extra():
    image = corners().resize((96, 64), Image.Resampling.NEAREST)
    for data in (heic(image), heic(image.transpose(Image.Transpose.ROTATE_90), 6)):
        got = pixels(data)
        assert got.shape == (64, 96, 3)
        assert np.abs(got[::16, 8::16].astype(int) - np.asarray(image)[::16, 8::16]).max() < 20
        assert not is_plain_rgb(decode(data), data)
    with pytest.raises(ImageError, match=r"^too large: 96x64 pixels \(limit 100\)$"):
        open_image(heic(image), max_pixels=100)
    with pytest.raises(ImageError, match="damaged: HEIC, "):
        open_image(heic(image)[:200])


def test_heic_without_the_extra_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for brands in (b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic"):
        data = b"\0\0\0\x18ftyp" + brands + bytes(200)
        with pytest.raises(ImageError, match=r"^HEIC without its reader: .*emotionnet-hf\[heic\]"):
            open_image(data)
    # AVIF is of the same family and needs no extra.
    with pytest.raises(ImageError, match=r"^(not an image|damaged|truncated)"):
        open_image(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(200))


def test_a_checkpoint_takes_this_very_file_along():
    assert filecmp.cmp(images.__file__, pipeline_images.__file__, shallow=False)


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
