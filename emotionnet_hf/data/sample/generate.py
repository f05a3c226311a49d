"""Writes the sample to disk: pictures, keyword lists, vocabulary and truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emotionnet_hf.data.sample.latent import (
    STREAM_CLEAN,
    STREAM_UPLOADER,
    STREAM_WRONG,
    Latent,
    draw_latent,
    stream,
)
from emotionnet_hf.data.sample.picture import draw_picture, encode, near_copy
from emotionnet_hf.data.sample.tags import (
    draw_clean_keywords,
    draw_other_keywords,
    draw_wrong_keywords,
    keep_keywords,
    write_list,
)
from emotionnet_hf.data.sample.vocabulary import EMOTION_KEYWORDS
from emotionnet_hf.files import whole_folder
from emotionnet_hf.lock import one_run

SOURCE = "emotionnet_hf generated sample"
"""The `source` column of every row."""

MAX_NOISE = 0.75
"""Beyond this share of errors the vocabulary is too small to err in."""


@dataclass(frozen=True)
class SampleSummary:
    """What `generate_sample` wrote.

    Attributes:
        path: the folder.
        num_images: number of pictures.
        num_groups: number of pictures that are no near copy of another.
        num_emotion_keywords: size of the emotion vocabulary.
        noise_rate: measured share of listed emotion keywords that are wrong.
        missing_rate: measured share of clean emotion keywords that are not listed.
    """

    path: Path
    num_images: int
    num_groups: int
    num_emotion_keywords: int
    noise_rate: float
    missing_rate: float


@dataclass(frozen=True)
class _Settings:
    """The arguments that decide what one picture and its row look like."""

    image_size: int
    seed: int
    noise: float
    missing: float
    near_duplicates: float


def generate_sample(
    out: Path,
    *,
    num_images: int = 3000,
    image_size: int = 96,
    seed: int = 0,
    noise: float = 0.15,
    missing: float = 0.3,
    near_duplicates: float = 0.05,
    progress: bool = True,
) -> SampleSummary:
    """Draws pictures with stock-style keywords whose truth is known.

    Writes `images/000123.jpg`, `metadata.jsonl` (`file_name`, `keywords`, `group`, `source`: what
    an uploader gives), `emotion_keywords.txt` (the emotion vocabulary, one a line) and
    `truth.jsonl` (`file_name`, `emotion`, `intensity`, `category`, `clean_keywords`,
    `near_copy_of`: what no uploader knows). The folder appears whole or not at all.

    The first n pictures and rows are the same for any `num_images`, and repeated calls write the
    same bytes; `noise` and `missing` change keyword lists, never pictures or truth.

    Args:
        out: the folder to write; it must not exist.
        num_images: number of pictures.
        image_size: width and height of each picture in pixels, at least 16.
        seed: chooses the sample.
        noise: expected share of the listed emotion keywords that are wrong, 0 to 0.75.
        missing: expected share of the clean emotion keywords that are left out, below 1.
        near_duplicates: share of pictures that are near copies of an earlier one, below 1.
        progress: whether to show a progress bar.

    Returns:
        Counts and the measured rates.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: `out` exists.
        AnotherRunError: another run writes `out`.
    """
    settings = _Settings(image_size, seed, noise, missing, near_duplicates)
    _check(settings, num_images)
    out = Path(out)
    with one_run(out):
        if out.exists():
            raise FileExistsError(
                f"{out} exists; delete it or choose another folder for the sample"
            )
        with whole_folder(out) as folder:
            (folder / "images").mkdir()
            rows, truths = _write_pictures(folder, settings, num_images, progress)
            _write_lines(folder / "metadata.jsonl", rows)
            _write_lines(folder / "truth.jsonl", truths)
            (folder / "emotion_keywords.txt").write_text(
                "\n".join(EMOTION_KEYWORDS) + "\n", "utf-8"
            )
    return _summarize(out, rows, truths)


def _check(settings: _Settings, num_images: int) -> None:
    if num_images < 1:
        raise ValueError(f"num_images must be at least 1, not {num_images}")
    if settings.image_size < 16:
        raise ValueError(f"image_size must be at least 16 pixels, not {settings.image_size}")
    if settings.seed < 0:
        raise ValueError(f"seed must not be negative, but is {settings.seed}")
    if not 0 <= settings.noise <= MAX_NOISE:
        raise ValueError(f"noise must lie in [0, {MAX_NOISE}], not {settings.noise}")
    for name in ("missing", "near_duplicates"):
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"{name} must lie in [0, 1), not {getattr(settings, name)}")


def _write_pictures(
    folder: Path, settings: _Settings, num_images: int, progress: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows, truths = [], []
    for index in tqdm(range(num_images), "drawing", unit="image", disable=not progress):
        latent = draw_latent(settings.seed, index, settings.near_duplicates)
        image, things = draw_picture(settings.seed, latent, settings.image_size)
        if latent.root != index:
            image = near_copy(image, settings.seed, index)
        (folder / _file_name(index)).write_bytes(encode(image, settings.seed, index))
        clean = draw_clean_keywords(latent, stream(settings.seed, latent.root, STREAM_CLEAN))
        keywords = _upload(latent, index, clean, things, settings)
        rows.append(
            {
                "file_name": _file_name(index),
                "keywords": keywords,
                "group": f"{latent.root:06d}",
                "source": SOURCE,
            }
        )
        truths.append(_truth(latent, index, clean))
    return rows, truths


def _upload(
    latent: Latent, index: int, clean: list[str], things: list[str], settings: _Settings
) -> list[str]:
    """Returns the keyword list of one uploader, who is another one for each near copy."""
    # Errors have a stream of their own: more noise adds words, and takes none of the others away.
    rng = stream(settings.seed, index, STREAM_UPLOADER)
    others = draw_other_keywords(latent, things, rng)
    kept = keep_keywords(clean, settings.missing, rng)
    wrong_rng = stream(settings.seed, index, STREAM_WRONG)
    wrong = draw_wrong_keywords(latent, len(kept), settings.noise, wrong_rng)
    return write_list([*kept, *wrong, *others], rng)


def _truth(latent: Latent, index: int, clean: list[str]) -> dict[str, Any]:
    return {
        "file_name": _file_name(index),
        "emotion": latent.emotion,
        "intensity": round(latent.intensity, 4),
        "category": latent.category,
        "clean_keywords": clean,
        "near_copy_of": None if latent.root == index else _file_name(latent.root),
    }


def _file_name(index: int) -> str:
    return f"images/{index:06d}.jpg"


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def _summarize(
    out: Path, rows: list[dict[str, Any]], truths: list[dict[str, Any]]
) -> SampleSummary:
    """Counts errors and omissions in what was written, the way a reader of the files would."""
    vocabulary = set(EMOTION_KEYWORDS)
    listed = clean = right = 0
    for row, truth in zip(rows, truths, strict=True):
        emotions = vocabulary & {keyword.strip().lower() for keyword in row["keywords"]}
        listed += len(emotions)
        clean += len(truth["clean_keywords"])
        right += len(emotions & set(truth["clean_keywords"]))
    return SampleSummary(
        path=out,
        num_images=len(rows),
        num_groups=len({row["group"] for row in rows}),
        num_emotion_keywords=len(vocabulary),
        noise_rate=1 - right / listed if listed else 0.0,
        missing_rate=1 - right / clean,
    )
