from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import imagehash
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from emotionnet_hf import phash as module
from emotionnet_hf.loading.images import ImageError, open_image
from emotionnet_hf.phash import (
    HashTextError,
    has_structure,
    hashes_from_hex,
    hashes_to_hex,
    phash,
    phash_file,
    pixel_digest,
)


def noise(rng, width: int, height: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def picture(rng, width: int, height: int) -> Image.Image:
    """Something smooth with a little noise, as photographs are."""
    smooth = np.asarray(noise(rng, 6, 5).resize((width, height), Image.Resampling.BICUBIC))
    grain = rng.integers(-12, 13, smooth.shape)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def flat(rng, width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), tuple(rng.integers(0, 256, 3).tolist()))


def mirrored(rng, width: int, height: int) -> Image.Image:
    """Half of the coefficients are zero, or nearly."""
    left = np.asarray(noise(rng, width, height))
    return Image.fromarray(np.maximum(left, left[:, ::-1]))


def black_and_white(rng, width: int, height: int) -> Image.Image:
    """Overshoots on either side are cut off."""
    return Image.fromarray(255 * rng.integers(0, 2, (height, width), dtype=np.uint8)).convert("RGB")


def saved(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reference(data: bytes) -> str:
    return str(imagehash.phash(open_image(data)))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def only_fast(monkeypatch):
    """Whoever asks Pillow to decode a picture fails."""

    def refuse(*arguments, **options):
        raise AssertionError("decoded by Pillow")

    monkeypatch.setattr(module, "open_image", refuse)


@pytest.mark.parametrize("draw", [noise, picture, flat, mirrored, black_and_white])
def test_hashes_are_those_of_imagehash(rng, draw):
    sizes = rng.integers(1, 300, (60, 2)).tolist()
    sizes += [[1, 1], [1, 500], [500, 1], [32, 32], [31, 33], [33, 31], [64, 32], [1, 32], [32, 1]]
    for width, height in sizes:
        image = draw(rng, width, height)
        assert phash(image) == str(imagehash.phash(image)), (width, height)


def test_the_small_picture_is_pillows(rng):
    # Every length at least once, and where Pillow 13 changes the order of its two passes.
    sizes = [(n, 40) for n in range(1, 700, 3)] + [(50, n) for n in range(1, 700, 3)]
    sizes += [(n, 2 * n - 32 + more) for n in (33, 50, 100) for more in (-1, 0, 1, 2)]
    sizes += [(2000, 1300), (1300, 2000), (3000, 33)]
    for width, height in sizes:
        grey = rng.integers(0, 256, (height, width), dtype=np.uint8)
        small = Image.fromarray(grey).resize((32, 32), Image.Resampling.LANCZOS)
        assert (module._small(grey) == np.asarray(small)).all(), (width, height)


def test_doubtful_pictures_are_left_to_imagehash(rng, monkeypatch):
    asked = []
    real = imagehash.phash
    monkeypatch.setattr(module.imagehash, "phash", lambda image: asked.append(1) or real(image))
    phash(picture(rng, 80, 60))
    assert not asked
    phash(flat(rng, 80, 60))
    assert asked


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I", "F", "YCbCr", "LA"])
def test_modes_of_all_kinds(rng, mode):
    image = picture(rng, 90, 70).convert("RGB" if mode != "LA" else "L").convert(mode)
    assert phash(image) == str(imagehash.phash(image))


@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411", "Gray"])
def test_jpegs_are_read_as_pillow_reads_them(rng, sampling, only_fast):
    for quality in (5, 60, 95):
        for size in [(64, 64), (61, 83), (17, 9), (100, 1), (1, 7)]:
            pixels = np.asarray(picture(rng, *size))
            data = simplejpeg.encode_jpeg(pixels, quality, colorsubsampling=sampling)
            pillows = np.asarray(Image.open(BytesIO(data)).convert("L"))
            assert (module._plain_jpeg(data, 10**6) == pillows).all()
            assert phash_file(data) == reference(data)


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True},
        {"progressive": True, "subsampling": "4:2:0", "quality": 20},
        {"restart_marker_blocks": 2},
        {"keep_rgb": True},
        {"icc_profile": b"not read"},
        {"comment": b"nothing"},
    ],
    ids=str,
)
def test_jpegs_as_pillow_writes_them(rng, options, only_fast):
    data = saved(picture(rng, 120, 90), **options)
    assert phash_file(data) == reference(data)


@pytest.mark.parametrize("orientation", range(10))
def test_pictures_are_hashed_upright(rng, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = picture(rng, 120, 90)
    data = saved(image, exif=exif)
    assert phash_file(data) == reference(data)
    if orientation == 6:
        assert phash_file(data) != phash_file(saved(image))


def test_orientation_in_xmp(rng):
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = saved(picture(rng, 120, 90), xmp=xmp)
    assert phash_file(data) == reference(data)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO"])
def test_other_formats(rng, kind):
    data = saved(picture(rng, 120, 90), kind)
    assert phash_file(data) == reference(data)


def test_transparency_and_cmyk(rng):
    image = picture(rng, 120, 90)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    for data in (saved(image, "PNG"), saved(image.convert("CMYK"))):
        assert phash_file(data) == reference(data)


def test_files_and_bytes(rng, tmp_path):
    data = saved(picture(rng, 120, 90))
    (tmp_path / "a.jpg").write_bytes(data)
    assert phash_file(tmp_path / "a.jpg") == phash_file(data)
    with pytest.raises(ImageError, match="cannot be read"):
        phash_file(tmp_path / "none.jpg")


def outcome(data: bytes, hasher) -> str:
    try:
        return hasher(data)
    except ImageError as error:
        return f"error: {error}"


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_fare_as_with_pillow(rng):
    whole = [saved(picture(rng, 90, 60), quality=30, progressive=p) for p in (False, True)]
    outcomes = set()
    for round_ in range(300):
        data = bytearray(whole[round_ % 2])
        if round_ % 3:
            for place in rng.integers(2, len(data), 2):
                data[place] = rng.integers(0, 256)
        else:
            del data[rng.integers(2, len(data)) :]
        expected = outcome(bytes(data), reference)
        assert outcome(bytes(data), phash_file) == expected
        outcomes.add(expected.partition(":")[0])
    assert len(outcomes) > 50  # some were refused, some not
    assert "error" in outcomes


def test_nothing_is_decoded_beyond_the_limit(rng):
    data = saved(picture(rng, 120, 90))
    assert phash_file(data, max_pixels=120 * 90) == reference(data)
    with pytest.raises(ImageError, match="too large"):
        phash_file(data, max_pixels=120 * 90 - 1)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"text"])
def test_what_is_no_image(data):
    with pytest.raises(ImageError):
        phash_file(data)


def test_threads_do_not_disturb_each_other(rng):
    files = [saved(picture(rng, *size)) for size in rng.integers(20, 300, (40, 2)).tolist()]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(phash_file, files)) == [reference(data) for data in files]


def test_texts_are_those_of_imagehash(rng):
    texts = [phash(picture(rng, 50, 40)) for _ in range(20)] + ["0" * 16, "f" * 16, "8" + "0" * 15]
    numbers = hashes_from_hex(texts)
    assert numbers.dtype == np.uint64
    assert hashes_to_hex(numbers) == texts
    for text, number in zip(texts, numbers, strict=True):
        bits = imagehash.hex_to_hash(text).hash
        assert np.packbits(bits).view(">u8")[0] == number
        assert str(imagehash.ImageHash(bits)) == text
    distance = imagehash.hex_to_hash(texts[0]) - imagehash.hex_to_hash(texts[1])
    assert np.bitwise_count(numbers[0] ^ numbers[1]) == distance


def has(image) -> bool:
    return bool(has_structure(hashes_from_hex([phash(image)]))[0])


def test_flat_pictures_have_no_structure():
    assert not any(has(Image.new("L", (40, 30), value)) for value in range(256))


def test_pictures_that_change_in_one_direction_have_no_structure(rng):
    for _ in range(200):
        points = rng.integers(2, 9)
        places = np.linspace(0, 1, points)
        line = np.interp(np.linspace(0, 1, rng.integers(40, 400)), places, rng.random(points))
        values = np.repeat(np.uint8(line * 255)[None], rng.integers(40, 400), axis=0)
        assert not has(Image.fromarray(values))
        assert not has(Image.fromarray(np.ascontiguousarray(values.T)))


def test_other_pictures_have_structure(rng):
    # Half of the bits of a hash are set, where no two waves are equally strong.
    assert all(has(draw(rng, 200, 150)) for draw in (picture, noise) for _ in range(50))
    faint = np.uint8(200 + rng.integers(0, 2, (60, 80)))
    assert has(Image.fromarray(faint))


def test_pixels_are_named_by_what_they_are():
    red, blue = (Image.new("RGB", (8, 6), colour) for colour in ("red", "blue"))
    digest = pixel_digest(saved(red, "PNG"))
    assert len(digest) == 32
    assert digest == pixel_digest(saved(red, "BMP")) == pixel_digest(saved(red, "TIFF"))
    others = [saved(blue, "PNG"), saved(Image.new("RGB", (6, 8), "red"), "PNG")]
    assert digest not in map(pixel_digest, others)
    with pytest.raises(ImageError, match="too large"):
        pixel_digest(saved(red, "PNG"), max_pixels=47)


def test_texts_in_capitals_and_none():
    assert hashes_from_hex(["ABCDEF0123456789"]).tolist() == [0xABCDEF0123456789]
    assert hashes_from_hex([]).shape == (0,)
    assert hashes_to_hex(np.zeros(0, np.uint64)) == []


@pytest.mark.parametrize(
    "text", ["", "f" * 15, "f" * 17, "g" * 16, "0x" + "f" * 14, " " * 16, "\u0661" * 16, None, 7]
)
def test_texts_that_are_no_hashes(text):
    with pytest.raises(HashTextError, match="hash 1 "):
        hashes_from_hex(["0" * 16, text])


def test_real_pictures(real_data):
    files = sorted((real_data / "bass").rglob("*.*"))[::25]
    pictures = [path for path in files if path.suffix in (".png", ".jpg")]
    assert pictures
    for path in pictures:
        assert phash_file(path) == reference(path.read_bytes())


def test_real_pictures_have_structure(real_data):
    files = sorted((real_data / "oasis_dev").rglob("*.jpg"))[:100]
    texts = [phash_file(path) for path in files]
    assert len(texts) == 100
    assert has_structure(hashes_from_hex(texts)).all()
