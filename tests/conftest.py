"""What every test stands on: no network, caches of its own, and where real data would be."""

import atexit
import os
import pickle
import random
import shutil
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _isolate() -> None:
    """Point the Hugging Face libraries away from the network and from the user's caches.

    They read these variables once, when imported, and processes started by tests inherit them:
    so this runs as the conftest is read, before any test module, and not as a fixture. Every
    pytest-xdist worker reads the conftest too and so gets caches of its own.
    """
    cache = Path(tempfile.mkdtemp(prefix="emotionnet-tests-"))
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    os.environ.update(
        HF_HOME=str(cache),
        HF_HUB_CACHE=str(cache / "hub"),
        HF_DATASETS_CACHE=str(cache / "datasets"),
        HF_MODULES_CACHE=str(cache / "modules"),
        HF_EVALUATE_CACHE=str(cache / "evaluate"),
        TORCH_HOME=str(cache / "torch"),
        HF_HUB_OFFLINE="1",
        HF_EVALUATE_OFFLINE="1",
        # A forked DataLoader worker would otherwise warn about the tokenizers' threads.
        TOKENIZERS_PARALLELISM="false",
        # Figures are drawn to files: there may be no display.
        MPLBACKEND="Agg",
    )


_isolate()


@pytest.fixture(scope="session")
def checkpoint(tagging_checkpoint) -> Path:
    """The same, by the name that other folders of tests have their own of."""
    return tagging_checkpoint


@pytest.fixture(scope="session")
def tagging_checkpoint(tmp_path_factory) -> Path:
    """A saved folder of a tiny EmotionNet: six word vectors, the keyword "nameless" without one."""
    # Not at the top: importing torch takes longer than most tests.
    import torch

    from emotionnet_hf.models import (
        EmotionNetConfig,
        EmotionNetForPreTraining,
        build_image_processor,
        keyword_tokenizer,
    )

    keywords = ["joy", "fear", "candy cane", "awe", "calm", "tree", "nameless"]
    emotions = ["joy", "fear", "awe", "calm", "nameless"]
    torch.manual_seed(3)
    model = EmotionNetForPreTraining(
        EmotionNetConfig(
            backbone="test_resnet",
            projection_dim=6,
            vocab_size=len(keywords) + 2,
            id2label=dict(enumerate(emotions)),
        )
    )
    # Heads as large as that give each picture tags of its own.
    for head in (model.classifier, model.emotionnet.visual_projection):
        head.weight.data.normal_(std=3.0)
    for row in (0, 1, -1):
        model.text_tower.keyword_embedding.weight.data[row] = 0
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    model.save_pretrained(folder)
    keyword_tokenizer(keywords).save_pretrained(folder)
    build_image_processor("test_resnet", 32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures, word vectors and weights, which is never part of the repository.

    It lies beside the checkout where there is one; a test that asks for it is skipped elsewhere.
    """
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data beside this checkout")
    return folder


RELEASE_EMOTIONS = ["awe", "calm", "fear", "joy"]
RELEASE_TAGS = [
    *("Malian", "San Crist\u00f3bal", "awe", "calm", "candy cane", "dark", "fear", "joy"),
    *("night", "sea", "tree", "white"),
]
CLASSES = [
    *("anger", "disgust", "fear", "happiness", "neutral", "sadness"),
    *("surprise(negative)", "surprise(positive)"),
]


def write_pickle(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))


def write_vocabularies(folder: Path) -> None:
    """The three vocabularies in the form of the release."""
    etag = {name: i for i, name in enumerate(RELEASE_EMOTIONS)}
    tag = {name: i for i, name in enumerate(RELEASE_TAGS)}
    links = {name: tag[name] for name in RELEASE_EMOTIONS}
    for name, forward, backward, ids in (
        ("etag2idx", "key2idx", "idx2key", etag),
        ("tag2idx", "tag2idx", "idx2tag", tag),
        ("etag2tagidx", "tag2idx", "idx2tag", links),
    ):
        tables = {forward: ids, backward: {i: n for n, i in ids.items()}}
        write_pickle(folder / "idx2name" / f"{name}.pkl.keep", tables)


def draw(path: Path, seed: int) -> None:
    """A small picture that has a hash of its own."""
    from PIL import Image

    colours = random.Random(seed)
    image = Image.new("RGB", (40, 30))
    image.putdata([tuple(colours.randrange(256) for _ in range(3)) for _ in range(4 * 3)] * 100)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "JPEG")


@pytest.fixture(scope="session")
def release_parts():
    """What tests write releases with: names, and functions that write pickles and pictures."""
    from types import SimpleNamespace

    return SimpleNamespace(
        emotions=RELEASE_EMOTIONS,
        tags=RELEASE_TAGS,
        classes=CLASSES,
        write_pickle=write_pickle,
        write_vocabularies=write_vocabularies,
        draw=draw,
    )


@pytest.fixture(scope="session")
def release(tmp_path_factory) -> Path:
    """A small StockEmotion release: 40 train, 8 validation, 12 test images, and 3 bad rows."""
    folder = tmp_path_factory.mktemp("release") / "stockemotion"
    write_vocabularies(folder)
    chance = random.Random(0)
    lists: dict[str, list] = {"train": [], "val": [], "test": []}
    keywords, urls = {}, []
    for number in range(60):
        cid = 1000 + 7 * number
        path = f"{number % 3}/{cid}.jpg"
        tags = chance.sample(range(len(RELEASE_TAGS)), 5)
        emotions = [i for i, n in enumerate(RELEASE_EMOTIONS) if RELEASE_TAGS.index(n) in tags]
        emotions = emotions or [3]
        draw(folder / "images" / path, cid)
        urls.append([path, f"https://stock.example/{cid}.jpg"])
        if number < 40:
            lists["train"].append([path, emotions, tags])
            continue
        lists["val" if number < 48 else "test"].append([path, emotions])
        names = [RELEASE_TAGS[i] for i in tags] + ["rare word"]
        keywords[cid if number % 2 else str(cid)] = names
    lists["train"].insert(5, ["0/nothing9.jpg", [0], [2]])
    lists["train"].append(["0/1000.jpg", [0], [2]])
    lists["test"].insert(2, ["1/1007.jpg", [1]])
    for name, rows in lists.items():
        write_pickle(folder / f"CNNsplit_{name}.pkl", rows)
    write_pickle(folder / "full_keywords.pkl", keywords)
    write_pickle(folder / "urls.pkl", urls)
    return folder


@pytest.fixture(scope="session")
def se30k8_release(tmp_path_factory) -> Path:
    """A small SE30K8 release: 60 images, every sixth without a majority, and 3 bad rows."""
    folder = tmp_path_factory.mktemp("release") / "se30k8"
    write_vocabularies(folder)
    chance, rows = random.Random(1), {}
    for number in range(60):
        cid = 500 + 3 * number
        label = chance.choice(CLASSES)
        votes = [[label], [label], [label, "neutral"], ["fear"], ["neutral"]]
        if number % 6 == 0:
            votes = [[name] for name in chance.sample(CLASSES, 5)]
        tags = chance.sample(RELEASE_TAGS, 4)
        draw(folder / "images" / f"{cid}.jpg", cid)
        rows[cid] = {
            "image_emotion": votes,
            "image_url": f"https://stock.example/{cid}.jpg",
            "work_ids": [f"SECRET{cid}{i}" for i in range(5)],
            "tags": tags,
            "emotion_tags": [name for name in tags if name in RELEASE_EMOTIONS],
            "keys": ["joy"],
            "re_path": f"somewhere/{cid}.jpg",
        }
    bad = rows[500] | {"image_emotion": [["joy"]] * 5}
    rows.update({1: bad, 2: rows[500] | {"image_emotion": [["fear"]] * 6}, "x": bad})
    write_pickle(folder / "annotations" / "mturk_annotations_240.pkl.keep", rows)
    return folder
