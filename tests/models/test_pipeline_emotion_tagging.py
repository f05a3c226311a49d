"""The pipeline's way of opening pictures, against the package's.

What it computes is tested in tests/test_pipelines.py, that it travels in test_checkpoint_folder.py.
"""

import base64
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.loading.images import ImageError, open_image
from emotionnet_hf.models import pipeline_emotion_tagging, pipeline_images
from emotionnet_hf.models.pipeline_emotion_tagging import open_picture, read_source

NOISE = np.random.default_rng(4).integers(0, 256, (12, 9, 4), dtype=np.uint8)
RGBA = Image.fromarray(NOISE, "RGBA")
KINDS = {
    "RGB.png": lambda: RGBA.convert("RGB"),
    "RGB.jpg": lambda: RGBA.convert("RGB"),
    "RGBA.png": lambda: RGBA,
    "RGBA.webp": lambda: RGBA,
    "LA.png": lambda: RGBA.convert("LA"),
    "L.png": lambda: RGBA.convert("L"),
    "1.png": lambda: RGBA.convert("1"),
    "P.gif": lambda: RGBA.convert("RGB").quantize(7),
    "CMYK.jpg": lambda: RGBA.convert("CMYK"),
    "I16.png": lambda: Image.fromarray((NOISE[..., 0].astype(np.uint16) << 8) + NOISE[..., 1]),
    "I.tiff": lambda: Image.fromarray(NOISE[..., 0].astype(np.int32) * 257),
    "I16.tiff": lambda: Image.fromarray((NOISE[..., 0].astype(np.uint16) << 8) + NOISE[..., 1]),
    "I16B.tiff": lambda: Image.frombytes("I;16B", (9, 6), NOISE.tobytes()[:108]),
    # Of 32 bits, not of 16: white is 2^31 - 1.
    "I32.tiff": lambda: Image.fromarray(NOISE[..., 0].astype(np.int32) * (2**23 + 1)),
    "F.tiff": lambda: Image.fromarray(NOISE[..., 0].astype(np.float32) / 255),
}
GREY = NOISE[..., 0].astype(np.float32)
# What the package refuses, and its reason.
REFUSED = {
    "above 1.tiff": (lambda: Image.fromarray(GREY), "floating-point grey values above 1"),
    "below 0.tiff": (lambda: Image.fromarray(GREY / 255 - 0.1), "grey values below zero or not"),
    "nan.tiff": (
        lambda: Image.fromarray(GREY * np.float32("nan")),
        "grey values below zero or not",
    ),
    "I.tiff": (lambda: Image.fromarray(-GREY.astype(np.int32)), "grey values below zero or not"),
}
# What Pillow opens, or starts a program to open, and neither of us.
OTHER_FORMATS = ["a.eps", "a.pcx", "a.tga", "a.ico", "a.pdf"]


@pytest.fixture(params=KINDS)
def path(request, tmp_path):
    KINDS[request.param]().save(tmp_path / request.param)
    return tmp_path / request.param


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode == "RGB" and np.array_equal(np.asarray(one), np.asarray(other))


def test_every_kind_of_picture_looks_as_in_training(path):
    assert same(open_picture(path, None), open_image(path))


@pytest.mark.parametrize("name", REFUSED)
def test_grey_without_a_meaning_is_refused_for_the_reason_of_the_package(tmp_path, name):
    make, reason = REFUSED[name]
    make().save(tmp_path / name)
    for opens in (open_image, lambda path: open_picture(path, None)):
        with pytest.raises(ValueError, match=reason):
            opens(tmp_path / name)


@pytest.mark.parametrize("name", OTHER_FORMATS)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_other_formats_are_not_even_looked_into(tmp_path, monkeypatch, name, as_bytes):
    RGBA.convert("RGB").save(tmp_path / name)
    # As .png, so that the name tells nothing.
    path = (tmp_path / name).rename(tmp_path / "a.png")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *words: pytest.fail("started"))
    with pytest.raises(ImageError, match="not an image"):
        open_image(path)
    with pytest.raises(pipeline_images.ImageError, match="not an image"):
        open_picture(path.read_bytes() if as_bytes else path, None)


@pytest.mark.parametrize("kind", ["RGB.png", "RGB.jpg", "RGBA.webp", "F.tiff"])
def test_a_truncated_file_is_refused(tmp_path, kind):
    KINDS[kind]().resize((64, 64)).save(tmp_path / kind)
    data = (tmp_path / kind).read_bytes()
    data = data[: len(data) * 2 // 3]
    with pytest.raises(ImageError):
        open_image(data)
    with pytest.raises(pipeline_images.ImageError, match=r"truncated|damaged"):
        open_picture(data, None)


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    RGBA.save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 53)  # so that Pillow takes it for a bomb
    with pytest.raises(ValueError, match=r"too large: .*108 pixels"):
        open_picture(tmp_path / "a.png", None)


@pytest.mark.parametrize("error", [SyntaxError, struct.error, KeyError])
def test_a_damaged_exif_block_does_not_matter(tmp_path, monkeypatch, error):
    def damaged(image):
        raise error("damaged")

    RGBA.convert("RGB").save(tmp_path / "a.jpg")
    monkeypatch.setattr(Image.Image, "getexif", damaged)
    assert same(open_picture(tmp_path / "a.jpg", None), open_image(tmp_path / "a.jpg"))


def test_transparent_colour_of_a_palette_is_white(tmp_path):
    image = RGBA.convert("RGB").quantize(7)
    image.save(tmp_path / "a.png", transparency=3)
    assert (np.asarray(image) == 3).any()
    assert same(open_picture(tmp_path / "a.png", None), open_image(tmp_path / "a.png"))
    seen = np.asarray(open_picture(tmp_path / "a.png", None))
    assert (seen[np.asarray(image) == 3] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_and_only_once(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    RGBA.convert("RGB").save(tmp_path / "a.png", exif=exif)
    once = open_picture(tmp_path / "a.png", None)
    assert same(once, open_image(tmp_path / "a.png"))
    assert same(open_picture(once, None), once)


def test_all_sources_give_the_same_picture(tmp_path):
    path = tmp_path / "a.png"
    RGBA.resize((200, 200)).save(path)
    data = path.read_bytes()
    text = base64.b64encode(data).decode()
    expected = open_image(path)
    with Image.open(path) as image:
        sources = [path, str(path), data, image, text, f"data:image/png;base64,{text}"]
        assert all(same(open_picture(source, None), expected) for source in sources)


@pytest.fixture
def url(tmp_path):
    """Address of a picture, from a server of this machine."""
    RGBA.save(tmp_path / "a.png")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.func.log_message = lambda *words: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.png"
        server.shutdown()


def test_a_url_is_fetched(url, tmp_path):
    assert same(open_picture(url, 5), open_image(tmp_path / "a.png"))


def test_a_url_may_have_spaces_and_accents(url, tmp_path):
    (tmp_path / "a.png").rename(tmp_path / "ein Café.png")
    for name in ("ein Café.png?a=ä b#c", "ein%20Caf%C3%A9.png"):
        seen = open_picture(url.replace("a.png", name), 5)
        assert same(seen, open_image(tmp_path / "ein Café.png"))


def test_a_url_that_brings_nothing_says_why(url, tmp_path):
    for wrong, reason in (
        (url.replace("a.png", "b.png"), "cannot be fetched: HTTP Error 404"),
        ("http://[a/b.png", "cannot be fetched: Invalid IPv6 URL"),
        (url.replace("a.png", ""), "not an image"),
    ):
        with pytest.raises(pipeline_images.ImageError, match=reason):
            open_picture(wrong, 5)


def test_a_url_is_not_read_without_end(url, tmp_path, monkeypatch):
    assert pipeline_emotion_tagging.MAX_DOWNLOAD == 256 * 2**20
    size = (tmp_path / "a.png").stat().st_size
    monkeypatch.setattr(pipeline_emotion_tagging, "MAX_DOWNLOAD", size)
    assert same(open_picture(url, 5), open_image(tmp_path / "a.png"))
    monkeypatch.setattr(pipeline_emotion_tagging, "MAX_DOWNLOAD", size - 1)
    with pytest.raises(ValueError, match=f"too large: more than {size - 1} bytes"):
        open_picture(url, 5)


def test_what_is_no_picture_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(pipeline_images.ImageError, match="not an image"):
        open_picture(tmp_path / "a.png", None)
    with pytest.raises(pipeline_images.ImageError, match="cannot be read: No such file"):
        open_picture(tmp_path / "b.png", None)
    with pytest.raises(ValueError, match=r"Incorrect image source 'nowhere\.png': no such file"):
        read_source("nowhere.png")
    with pytest.raises(TypeError, match="No picture: float"):
        open_picture(3.5, None)
