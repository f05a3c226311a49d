"""Drawn pictures and keyword lists in the form of the SE30K8 release."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotionnet_hf.data.sample.benchmark_latents import (
    SE30K8_SOURCES,
    Drawing,
    draw_latents,
    spread,
)
from emotionnet_hf.data.sample.benchmark_pictures import STREAM_ANNOTATORS, Order, Written
from emotionnet_hf.data.sample.latent import STREAM_CLEAN, STREAM_UPLOADER, STREAM_WRONG, stream
from emotionnet_hf.data.sample.picture import draw_picture
from emotionnet_hf.data.sample.tags import (
    draw_clean_keywords,
    draw_other_keywords,
    draw_wrong_keywords,
    keep_keywords,
    write_list,
)
from emotionnet_hf.data.sample.vocabulary import EMOTION_KEYWORDS
from emotionnet_hf.loading.normal_form import parse_keywords
from emotionnet_hf.loading.se30k8_rows import CLASSES, WORKERS

NOISE, MISSING = 0.15, 0.3
"""The uploader's errors and omissions, as the sample has them by default."""

RIGHT, CONFUSED = 0.65, 0.25
"""Chance that a worker selects the picture's class, or one that looks like it; else any."""

SECOND = 0.15
"""Chance that a worker selects a second class, drawn in the same way."""

LOOKS_LIKE: Mapping[str, tuple[str, ...]] = {
    "anger": ("disgust", "sadness"),
    "disgust": ("anger", "fear"),
    "fear": ("surprise(negative)", "sadness"),
    "happiness": ("surprise(positive)", "neutral"),
    "neutral": ("happiness", "sadness"),
    "sadness": ("neutral", "fear"),
    "surprise(negative)": ("fear", "surprise(positive)"),
    "surprise(positive)": ("happiness", "surprise(negative)"),
}
"""The classes that each class is taken for."""

_FIRST_ID = 700_000_000
_NUM_WORKERS = 40


def write_se30k8(order: Order) -> Written:
    """Writes `images/700000123.jpg`, `drawn_annotations.pkl` and the three vocabularies.

    As many pictures of each class. Five of 40 workers, noisily, select the classes of a picture.
    Its tags are what the sample's uploader writes; `keys` is one of the emotion keywords among
    them, by which such a picture would have been found.
    """
    labels = spread(dict.fromkeys(CLASSES, 1.0), order.num_images)
    drawings = draw_latents(order.seed, labels, SE30K8_SOURCES)
    rows, written = {}, []
    for drawing in order.progress(drawings):
        cid = _FIRST_ID + drawing.index
        image, things = draw_picture(order.seed, drawing.latent, order.image_size)
        order.save(image, drawing, f"images/{cid}.jpg")
        written.append((f"images/{cid}.jpg", drawing))
        rows[cid] = _row(order.seed, drawing, cid, things)
    _write_pickle(order.folder / "drawn_annotations.pkl", rows)
    _write_vocabularies(order.folder / "idx2name", [row["tags"] for row in rows.values()])
    return written


def _row(seed: int, drawing: Drawing, cid: int, things: Sequence[str]) -> dict[str, Any]:
    tags = _tags(seed, drawing, things)
    emotional = [tag for tag in tags if tag in EMOTION_KEYWORDS]
    rng = stream(seed, drawing.index, STREAM_ANNOTATORS)
    return {
        "image_emotion": [_vote(drawing.label, rng) for _ in range(WORKERS)],
        "image_url": f"https://drawn.example/{cid}.jpg",
        "work_ids": [
            f"drawn-worker-{number:02d}"
            for number in rng.choice(_NUM_WORKERS, WORKERS, replace=False).tolist()
        ],
        "tags": tags,
        "emotion_tags": emotional,
        "keys": [emotional[int(rng.integers(len(emotional)))]],
        "re_path": f"{cid}.jpg",
    }


def _tags(seed: int, drawing: Drawing, things: Sequence[str]) -> list[str]:
    """What an uploader writes; another one for each near copy."""
    latent = drawing.latent
    rng = stream(seed, drawing.index, STREAM_UPLOADER)
    clean = draw_clean_keywords(latent, stream(seed, latent.root, STREAM_CLEAN))
    kept = keep_keywords(clean, MISSING, rng)
    wrong_rng = stream(seed, drawing.index, STREAM_WRONG)
    wrong = draw_wrong_keywords(latent, len(kept), NOISE, wrong_rng)
    return parse_keywords(
        write_list([*kept, *wrong, *draw_other_keywords(latent, things, rng)], rng)
    )


def _vote(label: str, rng: np.random.Generator) -> list[str]:
    """The classes that one worker selects, in order."""
    count = 2 if rng.random() < SECOND else 1
    selected = [_select(label, rng) for _ in range(count)]
    return list(dict.fromkeys(selected))


def _select(label: str, rng: np.random.Generator) -> str:
    chance = rng.random()
    if chance < RIGHT:
        return label
    names = LOOKS_LIKE[label] if chance < RIGHT + CONFUSED else CLASSES
    return names[rng.integers(len(names))]


def _write_vocabularies(folder: Path, lists: Sequence[Sequence[str]]) -> None:
    tags = sorted({*EMOTION_KEYWORDS, *(tag for row in lists for tag in row)})
    tag_ids = {name: index for index, name in enumerate(tags)}
    emotion_ids = {name: index for index, name in enumerate(EMOTION_KEYWORDS)}
    links = {name: tag_ids[name] for name in EMOTION_KEYWORDS}
    for file, forward, backward, ids in (
        ("etag2idx", "key2idx", "idx2key", emotion_ids),
        ("tag2idx", "tag2idx", "idx2tag", tag_ids),
        ("etag2tagidx", "tag2idx", "idx2tag", links),
    ):
        inverse = {index: name for name, index in ids.items()}
        _write_pickle(folder / f"{file}.pkl", {forward: ids, backward: inverse})


def _write_pickle(path: Path, value: dict[Any, Any]) -> None:
    """Writes the release's own form; nothing of this package ever unpickles."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=4))
