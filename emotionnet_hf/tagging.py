"""Tagging many images: files, folders, globs and URLs, the bad ones reported one by one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm
from transformers import pipeline

from emotionnet_hf.data.image_files import find_images, told_passed_over
from emotionnet_hf.evaluation.features import in_batches
from emotionnet_hf.models import EmotionNetConfig, EmotionNetForPreTraining
from emotionnet_hf.models.place import read_config
from emotionnet_hf.pipelines import TASK, URL_PREFIXES, load_picture

logger = logging.getLogger(__name__)

_TIMEOUT = 30.0  # seconds that a server may stay silent


class NoTaggerError(ValueError):
    """A model that cannot tag pictures."""


@dataclass(frozen=True)
class Tagged:
    """The tags of one image.

    Attributes:
        image: Path or URL.
        tags: As the ``emotion-tagging`` pipeline gives them, best first; empty after an error.
        error: Why the image could not be tagged, None where it could.
    """

    image: str
    tags: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


def tag_images(
    images: Sequence[str],
    *,
    model: str,
    candidates: Sequence[str] | None = None,
    top_k: int = 5,
    batch_size: int = 16,
    progress: bool = True,
) -> Iterator[Tagged]:
    """Tag images one after the other; memory does not grow with their number.

    Args:
        images: Files, folders (searched for images, deep), globs, URLs.
        model: Folder of an EmotionNet, or repository on the Hub.
        candidates: Words to rank; the model's own emotion keywords where None.
        top_k: Tags an image.
        batch_size: Images at a time.
        progress: Show a bar.

    Yields:
        The tags of each image, in order; an image that cannot be opened has an ``error`` instead.

    Raises:
        ValueError: ``batch_size`` is below 1.
        FileNotFoundError: There is no such model, or the folder holds none.
        NoTaggerError: It is no EmotionNet.
        CheckpointError: It is a part of an EmotionNet, such as a fine-tuned classifier.
        NoImagesError: A path does not exist, a glob or folder holds no image.
        UnknownCandidatesError: The model knows none of the candidates.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1.")
    _check_model(model)
    found = [path for word in images for path in _find(word)]
    if not found:
        return
    # Loaded here, because pipeline() would wrap an error in pages of its own.
    net = EmotionNetForPreTraining.from_pretrained(model)
    tagger = pipeline(TASK, model=net, tokenizer=model, image_processor=model)
    with tqdm(total=len(found), disable=not progress or len(found) == 1, desc="tagging") as bar:
        for batch in in_batches(found, batch_size):
            opened = [_open(path) for path in batch]
            pictures = [image for image in opened if not isinstance(image, str)]
            options: dict[str, Any] = {} if candidates is None else {"candidates": candidates}
            options |= {"top_k": top_k, "batch_size": batch_size}
            tags = iter(tagger(pictures, **options))
            for path, image in zip(batch, opened, strict=True):
                if isinstance(image, str):
                    yield Tagged(path, error=image)
                else:
                    yield Tagged(path, next(tags))
            bar.update(len(batch))


def _check_model(model: str) -> None:
    """Refuse what cannot tag; transformers' pipeline would tell it in thousands of letters."""
    config = read_config(model)
    if not isinstance(config, EmotionNetConfig):
        kind = (config.architectures or [config.model_type])[0]
        raise NoTaggerError(f"{model} is a {kind}, which tags no pictures: give an EmotionNet.")


def _find(word: str) -> list[str]:
    """Return the images that a word of the command line stands for; tell what is passed over."""
    if word.startswith(URL_PREFIXES):
        return [word]
    found = find_images(word)
    if found.passed_over:
        logger.warning("%s: passed over %s", word, told_passed_over(found.passed_over))
    return found.paths


def _open(path: str) -> Image.Image | str:
    """Open an image as RGB, or say why not."""
    try:
        return load_picture(path if path.startswith(URL_PREFIXES) else Path(path), timeout=_TIMEOUT)
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
