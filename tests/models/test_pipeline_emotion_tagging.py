"""The pipeline's own way of opening pictures, against the package's.

What it computes is tested in tests/test_pipelines.py, that it travels in test_checkpoint_folder.py.
"""

import base64
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from emotionnet_hf.loading.images import open_image
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
    "F.tiff": lambda: Image.fromarray(NOISE[..., 0].astype(np.float32) / 255),
}


@pytest.fixture(params=KINDS)
def path(request, tmp_path):
    KINDS[request.param]().save(tmp_path / request.param)
    return tmp_path / request.param


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode == "RGB" and np.array_equal(np.asarray(one), np.asarray(other))


def test_every_kind_of_picture_looks_as_in_training(path):
    assert same(open_picture(path, None), open_image(path))


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


def test_a_url_is_fetched(tmp_path):
    RGBA.save(tmp_path / "a.png")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.func.log_message = lambda *words: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.png"
        assert same(open_picture(url, 5), open_image(tmp_path / "a.png"))
        server.shutdown()


def test_what_is_no_picture_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UnidentifiedImageError):
        open_picture(tmp_path / "a.png", None)
    with pytest.raises(FileNotFoundError):
        open_picture(tmp_path / "b.png", None)
    with pytest.raises(ValueError, match=r"Incorrect image source 'nowhere\.png': no such file"):
        read_source("nowhere.png")
    with pytest.raises(TypeError, match="No picture: float"):
        open_picture(3.5, None)
