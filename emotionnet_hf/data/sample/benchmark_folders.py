"""Drawn pictures in the layouts of DeepEmotion, UnBiasedEmotion, AffectNet and EmoSet."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageStat

from emotionnet_hf.data.benchmarks.emoset import CLASSES as EMOSET
from emotionnet_hf.data.sample.benchmark_latents import (
    AFFECTNET_SOURCES,
    MIKELS_SOURCES,
    UBE_SOURCES,
    Drawing,
    affect,
    draw_latents,
    spread,
)
from emotionnet_hf.data.sample.benchmark_pictures import (
    STREAM_ANNOTATORS,
    Box,
    Order,
    Written,
    draw_portrait,
)
from emotionnet_hf.data.sample.latent import stream
from emotionnet_hf.data.sample.picture import draw_picture
from emotionnet_hf.emotions import AFFECTNET
from emotionnet_hf.files import write_json

AFFECTNET_TRAIN = {
    "neutral": 74_874,
    "happy": 134_415,
    "sad": 25_459,
    "surprise": 14_090,
    "fear": 6_378,
    "disgust": 3_803,
    "anger": 24_882,
}
"""Training faces of the real AffectNet by class; the drawn ones follow the square roots."""

_UNUSED = ("contempt", "none", "uncertain", "no face")
_AFFECTNET_COLUMNS = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)


def write_deepemotion(order: Order) -> Written:
    """Writes `<class>/000123.jpg`, as many of each class."""
    labels = spread(dict.fromkeys(MIKELS_SOURCES, 1.0), order.num_images)
    drawings = draw_latents(order.seed, labels, MIKELS_SOURCES)
    return _write_pictures(order, drawings, [f"{d.label}/{d.index:06d}.jpg" for d in drawings])


def write_unbiasedemotion(order: Order) -> Written:
    """Writes `images/<emotion>/<object>/000123.jpg`; the object is the category of the picture."""
    labels = spread(dict.fromkeys(UBE_SOURCES, 1.0), order.num_images)
    drawings = draw_latents(order.seed, labels, UBE_SOURCES)
    paths = [f"images/{d.label}/{d.latent.category}/{d.index:06d}.jpg" for d in drawings]
    return _write_pictures(order, drawings, paths)


def _write_pictures(order: Order, drawings: Sequence[Drawing], paths: Sequence[str]) -> Written:
    for drawing, path in zip(order.progress(drawings), paths, strict=True):
        image, _ = draw_picture(order.seed, drawing.latent, order.image_size)
        order.save(image, drawing, path)
    return list(zip(paths, drawings, strict=True))


def write_emoset(order: Order) -> Written:
    """Writes pictures, an annotation of each, `info.json` and `{train,val,test}.json`.

    80 % train, 5 % validation, 15 % test, as many of each class; rows have the three fields of
    the current download: class, picture, annotation.
    """
    labels = spread(dict.fromkeys(EMOSET, 1.0), order.num_images)
    drawings = draw_latents(order.seed, labels, MIKELS_SOURCES)
    rows = []
    for drawing in order.progress(drawings):
        name = f"{drawing.label}/{drawing.label}_{drawing.index:05d}"
        image, things = draw_picture(order.seed, drawing.latent, order.image_size)
        rows.append([drawing.label, f"image/{name}.jpg", f"annotation/{name}.json"])
        order.save(image, drawing, rows[-1][1])
        annotation = order.folder / rows[-1][2]
        annotation.parent.mkdir(parents=True, exist_ok=True)
        annotation.write_text(json.dumps(_emoset_annotation(drawing, image, things)), "utf-8")
    ids = {name: index for index, name in enumerate(EMOSET)}
    info = {"label2idx": ids, "idx2label": {str(i): name for name, i in ids.items()}}
    write_json(order.folder / "info.json", info)
    train, seen = round(0.8 * len(rows)), round(0.85 * len(rows))
    for split, part in (("train", rows[:train]), ("val", rows[train:seen]), ("test", rows[seen:])):
        write_json(order.folder / f"{split}.json", part)
    return [(row[1], drawing) for row, drawing in zip(rows, drawings, strict=True)]


def _emoset_annotation(
    drawing: Drawing, image: Image.Image, things: Sequence[str]
) -> dict[str, object]:
    """The attributes of EmoSet that a drawing has."""
    brightness = ImageStat.Stat(image.convert("L")).mean[0] / 255
    colorfulness = ImageStat.Stat(image.convert("HSV")).mean[1] / 255
    return {
        "image_id": f"{drawing.label}_{drawing.index:05d}",
        "emotion": drawing.label,
        "brightness": round(brightness, 1),
        "colorfulness": round(colorfulness, 1),
        "object": list(things),
    }


def write_affectnet(order: Order) -> Written:
    """Writes faces, `training.csv` and the official part `validation.csv` (20 %).

    The training part is as unbalanced as the square roots of `AFFECTNET_TRAIN`, the validation
    part is balanced. In both, 2 % of the rows and 4 at least have an expression from 7 to 10.
    `facial_landmarks` is empty.
    """
    held_out = round(0.2 * order.num_images)
    shares = {name: count**0.5 for name, count in AFFECTNET_TRAIN.items()}
    train = _affectnet_labels(shares, order.num_images - held_out)
    labels = train + _affectnet_labels(dict.fromkeys(AFFECTNET, 1.0), held_out)
    drawings = draw_latents(order.seed, labels, AFFECTNET_SOURCES, "face")
    rows, paths = [], []
    for drawing in order.progress(drawings):
        image, box = _draw_affectnet(order, drawing)
        file = f"{drawing.index % 7 + 1}/{drawing.index:06d}.jpg"
        rows.append((file, *_affectnet_fields(order, drawing, box)))
        paths.append(f"Manually_Annotated_Images/{file}")
        order.save(image, drawing, paths[-1])
    for name, part in (("training", rows[: len(train)]), ("validation", rows[len(train) :])):
        with (order.folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table, lineterminator="\n")
            writer.writerows([_AFFECTNET_COLUMNS, *part])
    return list(zip(paths, drawings, strict=True))


def _affectnet_labels(shares: dict[str, float], count: int) -> list[str]:
    unused = max(len(_UNUSED), round(0.02 * count))
    return spread(shares, count - unused) + spread(dict.fromkeys(_UNUSED, 1.0), unused)


def _draw_affectnet(order: Order, drawing: Drawing) -> tuple[Image.Image, Box]:
    if drawing.label != "no face":
        return draw_portrait(order.seed, drawing.latent, order.image_size)
    # What a face detector found where there is none: the middle of a landscape.
    canvas = 3 * order.image_size // 2
    image, _ = draw_picture(order.seed, replace(drawing.latent, category="scene"), canvas)
    return image, (canvas // 4, canvas // 4, 3 * canvas // 4, 3 * canvas // 4)


def _affectnet_fields(order: Order, drawing: Drawing, box: Box) -> tuple[object, ...]:
    left, top, right, bottom = box
    expression = list(AFFECTNET_SOURCES).index(drawing.label)
    return left, top, right - left, bottom - top, "", expression, *_rated(order, drawing)


def _rated(order: Order, drawing: Drawing) -> tuple[float, float]:
    """Valence and arousal as one annotator rates them; -2 where AffectNet has none."""
    if drawing.label in ("none", "uncertain", "no face"):
        return -2.0, -2.0
    rng = stream(order.seed, drawing.index, STREAM_ANNOTATORS)
    truth = np.array(affect(drawing.latent)[:2])
    valence, arousal = np.clip(truth + rng.normal(0, 0.1, 2), -1, 1).round(6).tolist()
    return valence, arousal
