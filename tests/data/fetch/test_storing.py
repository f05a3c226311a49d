import errno
import hashlib
import os

import pytest
from PIL import ExifTags, Image

from emotionnet_hf.data.fetch import storing
from emotionnet_hf.data.fetch.storing import Store
from emotionnet_hf.loading.images import ImageError, open_image


@pytest.fixture
def make_store(tmp_path):
    (tmp_path / "out" / ".fetch").mkdir(parents=True)

    def make(shorter_side=None, max_pixels=10**6):
        return Store(
            tmp_path / "out",
            tmp_path / "out" / ".fetch",
            max_pixels=max_pixels,
            shorter_side=shorter_side,
        )

    return make


def test_bytes_are_kept(make_store, make_picture, tmp_path):
    data = make_picture(1)
    stored = make_store().put(data, "a/b/c.jpg")
    assert (tmp_path / "out" / "a" / "b" / "c.jpg").read_bytes() == data
    assert (stored.bytes, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert list((tmp_path / "out" / ".fetch").iterdir()) == []


def test_large_picture_is_shrunk_upright(make_store, tmp_path):
    source = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = Image.new("RGB", (90, 60), "red")
    image.paste("blue", (0, 0, 90, 30))  # the upper half: right, once upright
    image.save(source, exif=exif)
    stored = make_store(shorter_side=20).put(source.read_bytes(), "a.jpg")
    written = tmp_path / "out" / "a.jpg"
    assert stored.bytes == written.stat().st_size
    with Image.open(written) as shrunk:
        assert (shrunk.size, shrunk.format) == ((20, 30), "JPEG")
        assert shrunk.getpixel((17, 15))[2] > 200
        assert shrunk.getpixel((2, 15))[0] > 200


@pytest.mark.parametrize("shorter_side", [None, 20])
@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_the_bytes_that_came_have_to_be_those_of_the_list(
    make_store, make_picture, tmp_path, shorter_side, kind
):
    data, store = make_picture(1), make_store(shorter_side)
    right = hashlib.new(kind, data).hexdigest()
    store.put(data, "a.jpg", (kind, right))
    before = (tmp_path / "out" / "a.jpg").read_bytes()
    with pytest.raises(
        ImageError, match=rf"^other bytes than the list says: {kind} is [0-9a-f]+, not"
    ):
        store.put(make_picture(2), "a.jpg", (kind, right))
    assert (tmp_path / "out" / "a.jpg").read_bytes() == before
    with pytest.raises(ImageError, match=r"^truncated$"):  # may pass, unlike other bytes
        store.put(data[:-100], "a.jpg", (kind, right))
    (tmp_path / "out" / "b.jpg").write_bytes(data)
    store.adopt("b.jpg", (kind, right))
    with pytest.raises(ImageError, match="other bytes"):
        store.adopt("a.jpg", (kind, "0" * len(right)))


@pytest.mark.parametrize("shorter_side", [None, 20])
def test_what_is_no_whole_picture_is_refused(make_store, make_picture, tmp_path, shorter_side):
    store = make_store(shorter_side, max_pixels=48 * 36)
    cases = {
        b"": "zero bytes",
        b"<html>": "not an image",
        make_picture()[:-100]: "truncated",
        make_picture(1, 48, 37): "too large",
    }
    for data, reason in cases.items():
        with pytest.raises(ImageError, match=reason):
            store.put(data, "a.jpg")
    assert not (tmp_path / "out" / "a.jpg").exists()
    store.put(make_picture(), "a.jpg")


def test_name_that_cannot_be(make_store, make_picture):
    store = make_store()
    store.put(make_picture(), "a.jpg")
    for name in ("a.jpg/b.jpg", "x" * 300):
        with pytest.raises(ImageError, match="cannot be written: "):
            store.put(make_picture(), name)


def test_full_disk_leaves_nothing_half(make_store, make_picture, tmp_path, monkeypatch):
    store = make_store()
    store.put(make_picture(1), "a.jpg")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storing.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.put(make_picture(2), "a.jpg")
    assert (tmp_path / "out" / "a.jpg").read_bytes() == make_picture(1)
    assert os.listdir(tmp_path / "out" / ".fetch") == []


def test_adopting_checks_and_shrinks(make_store, make_picture, tmp_path):
    place = tmp_path / "out" / "a.jpg"
    place.write_bytes(make_picture(1, 60, 40))
    assert make_store().adopt("a.jpg").bytes == len(make_picture(1, 60, 40))
    stored = make_store(shorter_side=20).adopt("a.jpg")
    assert open_image(place).size == (30, 20)
    assert stored.sha256 == hashlib.sha256(place.read_bytes()).hexdigest()
    place.write_bytes(make_picture(1)[:-50])
    with pytest.raises(ImageError, match="truncated"):
        make_store().adopt("a.jpg")
