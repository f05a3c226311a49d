import socket
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.image_files import NoImagesError
from emotionnet_hf.models import (
    CheckpointError,
    EmotionNetForImageClassification,
    TextCNNConfig,
    TextCNNForSequenceClassification,
)
from emotionnet_hf.pipelines import UnknownCandidatesError
from emotionnet_hf.tagging import NoTaggerError, Tagged, tag_images


def save(path, seed=0, mode="RGB", size=(40, 30), **options):
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize(size).convert(mode).save(path, **options)
    return str(path)


@pytest.fixture
def tag(checkpoint):
    def run(*images, **options) -> list[Tagged]:
        return list(tag_images(images, model=str(checkpoint), progress=False, **options))

    return run


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder that a web server on this machine shows, and its address."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_missing_path_is_an_error_that_names_it(tag, tmp_path):
    with pytest.raises(NoImagesError, match=r"nowhere\.png does not exist"):
        tag(str(tmp_path / "nowhere.png"))


def test_missing_model_is_an_error_that_says_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no folder runs/no/model\. Give"):
        list(tag_images([save(tmp_path / "a.png")], model="runs/no/model", progress=False))


def test_folder_without_images_is_an_error(tag, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(NoImagesError, match="holds no image"):
        tag(str(tmp_path))


def test_what_is_passed_over_in_a_folder_is_told(tag, tmp_path, caplog):
    save(tmp_path / "a.png")
    (tmp_path / "b.svg").touch()
    (tmp_path / "c.mp4").touch()
    assert len(tag(str(tmp_path))) == 1
    assert "passed over 1 .mp4, 1 .svg" in caplog.text


def test_bad_images_are_reported_in_their_place_and_the_others_tagged(tag, tmp_path):
    whole = (tmp_path / "whole.jpg", tmp_path / "last.jpg")
    names = [save(path, seed, size=(64, 64)) for seed, path in enumerate(whole)]
    bad = {
        "zero.jpg": (b"", "zero bytes"),
        "text.png": (b"hello", "not an image"),
        "cut.jpg": (whole[0].read_bytes()[:-300], "truncated"),
    }
    for name, (data, _) in bad.items():
        (tmp_path / name).write_bytes(data)
    words = [names[0], *(str(tmp_path / name) for name in bad), names[1]]
    results = tag(*words, batch_size=2)
    assert [result.image for result in results] == words
    assert [result.error for result in results] == [None, *(why for _, why in bad.values()), None]
    assert [len(result.tags) for result in results] == [5, 0, 0, 0, 5]
    (alone,) = tag(names[1])
    assert [entry["label"] for entry in results[-1].tags] == [
        entry["label"] for entry in alone.tags
    ]


def test_only_bad_images_is_no_crash(tag, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert tag(str(tmp_path)) == [Tagged(str(tmp_path / "a.png"), error="zero bytes")]


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "I;16", "RGBA", "LA"])
def test_picture_of_any_mode_is_tagged(tag, tmp_path, mode):
    suffix = "tif" if mode in ("CMYK", "I;16") else "png"
    if mode == "I;16":
        Image.fromarray(np.full((30, 40), 40000, np.uint16)).save(tmp_path / "a.tif")
    else:
        save(tmp_path / f"a.{suffix}", mode=mode)
    (result,) = tag(str(tmp_path / f"a.{suffix}"))
    assert result.error is None
    assert result.tags


def test_rotated_picture_gets_the_tags_of_the_upright_one(tag, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn clockwise
    lying = save(tmp_path / "lying.png", exif=exif)
    with Image.open(lying) as image:
        image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png", exif=b"")
    one, other = tag(lying, str(tmp_path / "upright.png"))
    assert one.tags == other.tags


def test_url_gives_the_tags_of_the_file(tag, served):
    folder, address = served
    name = save(folder / "a.png")
    result, local = tag(f"{address}/a.png", name)
    assert result == Tagged(f"{address}/a.png", local.tags)


def test_url_with_spaces_and_accents(tag, served):
    folder, address = served
    path = save(folder / "ein Café.png")
    (expected,) = tag(path)
    for url in (f"{address}/ein Café.png", f"{address}/ein%20Caf%C3%A9.png"):
        (tagged,) = tag(url)
        assert (tagged.error, tagged.tags) == (None, expected.tags)


def test_heic_in_a_folder_is_tagged_or_the_extra_is_named(tag, tmp_path, monkeypatch):
    picture = Image.open(save(tmp_path / "a.png"))
    pytest.importorskip("pillow_heif").from_pillow(picture).save(tmp_path / "b.heic", quality=90)
    png, heic = tag(str(tmp_path))
    assert heic.tags
    assert {tag["label"] for tag in heic.tags} == {tag["label"] for tag in png.tags}
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    png, heic = tag(str(tmp_path))
    assert png.tags
    assert "emotionnet-hf[heic]" in str(heic.error)


def test_url_of_nothing_is_one_error(tag, served):
    folder, address = served
    good = save(folder / "a.png")
    missing, fine = tag(f"{address}/b.png", good)
    assert missing.tags == []
    assert "404" in missing.error
    assert fine.error is None


def test_url_of_a_page_is_one_error(tag, served):
    folder, address = served
    (folder / "page.html").write_text("<p>no picture</p>")
    assert tag(f"{address}/page.html")[0].error == "not an image"


def test_unreachable_url_is_one_error(tag, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    down, fine = tag(f"http://127.0.0.1:{port}/a.png", save(tmp_path / "a.png"))
    assert "cannot be fetched" in down.error
    assert fine.error is None


@pytest.mark.parametrize("url", ["http://", "http://[", "http://127.0.0.1:x/a.png", "http://a b/"])
def test_broken_url_is_one_error(tag, url):
    (result,) = tag(url)
    assert "cannot be fetched" in result.error


def test_candidates_and_top_k_reach_the_pipeline(tag, tmp_path):
    (result,) = tag(save(tmp_path / "a.png"), candidates=["joy", "fear", "tree"], top_k=2)
    assert len(result.tags) == 2
    assert {entry["label"] for entry in result.tags} < {"joy", "fear", "tree"}


def test_unknown_candidates_are_an_error(tag, tmp_path):
    with pytest.raises(UnknownCandidatesError):
        tag(save(tmp_path / "a.png"), candidates=["zzz"])


@pytest.mark.parametrize("batch_size", [0, -2])
def test_batch_size_has_to_be_positive(tag, tmp_path, batch_size):
    with pytest.raises(ValueError, match="at least 1"):
        tag(save(tmp_path / "a.png"), batch_size=batch_size)


def test_tags_come_as_they_are_computed(checkpoint, tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.png", i)
    results = tag_images([str(tmp_path)], model=str(checkpoint), batch_size=1, progress=False)
    next(results)
    (tmp_path / "3.png").unlink()
    assert [result.error is None for result in results] == [True, True, False]


def test_nothing_to_tag_gives_nothing(tag):
    assert tag() == []


def test_candidates_may_be_an_array(tag, tmp_path):
    path, words = save(tmp_path / "a.png"), ["joy", "fear"]
    assert tag(path, candidates=np.array(words)) == tag(path, candidates=words)


def test_a_textcnn_and_a_part_of_a_net_are_named_in_a_line(checkpoint, tmp_path, caplog, capfd):
    """Where ``pipeline()`` has thousands of characters."""
    image, part, text = save(tmp_path / "a.png"), tmp_path / "part", tmp_path / "text"
    EmotionNetForImageClassification.from_pretrained(checkpoint).save_pretrained(part)
    TextCNNForSequenceClassification(TextCNNConfig()).save_pretrained(text)
    for folder, kind, message in (
        (text, NoTaggerError, "is a TextCNNForSequenceClassification, which tags no pictures"),
        (part, CheckpointError, "text_tower.keyword_embedding.weight"),
    ):
        with pytest.raises(kind, match=message) as caught:
            list(tag_images([image], model=str(folder), progress=False))
        assert len(str(caught.value)) < 500
    assert "LOAD REPORT" not in caplog.text + "".join(capfd.readouterr())
