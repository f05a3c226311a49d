"""The ``emotion-tagging`` pipeline: emotion words for images, from both branches of EmotionNet.

This file travels with every checkpoint (``trust_remote_code``): it needs torch, transformers and
Pillow, and nothing of the package that trained the model. It opens pictures with the package's
own code (``pipeline_images``), so a model sees what it saw in training.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import Sequence, Sized
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import torch
from PIL import Image
from torch.nn import functional as F
from transformers import Pipeline

from .modeling_words import KnownWords, checked_candidates
from .pipeline_images import ImageError, open_image, to_rgb
from .pipeline_urls import sendable_url

logger = logging.getLogger(__name__)

TASK = "emotion-tagging"

URL_PREFIXES = ("http://", "https://")

MAX_DOWNLOAD = 2**28
"""Bytes of a URL: far above any picture that passes the limit of pixels, far below any memory."""


class EmotionTaggingPipeline(Pipeline):
    """Tag images with emotion keywords.

    ``pipeline("emotion-tagging", model=DIR)(images, candidates=None, top_k=5)``. Images are
    paths, URLs, bytes or PIL images, one or many, opened as the training data were;
    ``batch_size`` as in every pipeline.

    Without ``candidates`` the model's own emotion keywords are ranked by the probability that the
    classification branch gives them. With ``candidates`` (words, phrases, or comma-separated
    lists of them) those are ranked by cosine in the joint space, as in the paper's zero-shot
    experiment (section 5.4); words that the model does not have are looked up by other forms.

    Returns, for each image, a list of ``{"label", "score", "probability", "cosine"}``, best
    first: ``score`` is what was ranked by; ``probability`` is None for a candidate that is not
    among the model's emotion keywords.
    """

    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = True
    # Not asked for, it is looked for, and pipeline() asks on the terminal to trust its code.
    _load_video_processor = False

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Tag images; see the class. None at all, such as an empty list, give an empty list."""
        if isinstance(inputs, Sized) and not isinstance(inputs, (str, bytes)) and not len(inputs):
            return []
        return super().__call__(inputs, **kwargs)

    def _sanitize_parameters(
        self,
        candidates: Sequence[str] | None = None,
        top_k: int | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Hand each stage its arguments, checked."""
        # What pipeline() itself passes to every pipeline.
        if unknown := sorted(set(kwargs) - {"tokenizer_kwargs", "image_processor_kwargs"}):
            raise TypeError(
                f"{TASK} knows no {', '.join(unknown)}; its options are candidates, top_k, timeout."
            )
        preprocess = {} if timeout is None else {"timeout": timeout}
        postprocess: dict[str, Any] = {}
        if candidates is not None:
            postprocess["candidates"] = checked_candidates(candidates)
        if top_k is not None:
            if top_k < 1:
                raise ValueError(f"top_k is {top_k}; it must be at least 1.")
            postprocess["top_k"] = top_k
        return preprocess, {}, postprocess

    def open_picture(self, image: Any, timeout: float | None) -> Image.Image:
        """Open one image as RGB; see the function of the same name."""
        return open_picture(image, timeout)

    def preprocess(self, image: Any, timeout: float | None = None) -> Any:
        """Open one image and make ``pixel_values``, (1, 3, H, W)."""
        picture = self.open_picture(image, timeout)
        return self.image_processor(images=picture, return_tensors="pt").to(self.dtype)

    def _forward(self, model_inputs: Any) -> dict[str, torch.Tensor]:
        """Run both branches."""
        output = self.model(**model_inputs, return_dict=True)
        return {"logits": output.logits, "image_embeds": output.image_embeds}

    def postprocess(
        self,
        model_outputs: dict[str, torch.Tensor],
        candidates: list[str] | None = None,
        top_k: int = 5,
    ) -> list[dict[str, Any]]:
        """Rank the candidates of one image."""
        names = [self.model.config.id2label[i] for i in range(self.model.config.num_labels)]
        probabilities = model_outputs["logits"][0].float().softmax(-1).tolist()
        labels = names if candidates is None else candidates
        if candidates is not None:
            by_name = dict(zip(self._normal_forms(names), probabilities, strict=True))
            probabilities = [by_name.get(name) for name in self._normal_forms(labels)]
        image = model_outputs["image_embeds"][0].float().cpu()
        text = self._text(tuple(labels), asked=candidates is not None)
        cosines = F.cosine_similarity(image[None], text, dim=-1).tolist()
        tags = [
            {
                "label": label,
                "score": probability if candidates is None else cosine,
                "probability": probability,
                "cosine": cosine,
            }
            for label, probability, cosine in zip(labels, probabilities, cosines, strict=True)
        ]
        return sorted(tags, key=lambda tag: -tag["score"])[:top_k]

    def _normal_forms(self, labels: Sequence[str]) -> list[str]:
        """Return the labels in the keywords' normal form, as the tokenizer brings them to it."""
        known: dict[str, str] = self.__dict__.setdefault("_normal_form_cache", {})
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        for label in labels:
            if label not in known:
                known[label] = normalizer.normalize_str(label)
        return [known[label] for label in labels]

    @cached_property
    def _known_words(self) -> KnownWords:
        return KnownWords(self.tokenizer, self.model.text_tower.keyword_embedding.weight)

    def _text(self, labels: tuple[str, ...], asked: bool) -> torch.Tensor:
        """Return the candidates in the joint space, float (T, D); computed once for a list.

        Candidates that were ``asked`` for are looked up by other forms and by their parts, and
        unknown ones are told, see ``KnownWords``; the model's own keywords are taken as they are.
        """
        cached: tuple[tuple[str, ...], torch.Tensor] | None = getattr(self, "_text_cache", None)
        if cached is not None and cached[0] == labels:
            return cached[1]
        texts = list(labels)
        if asked:
            self.model.config.warn_of_joint_space()
            texts = self._known_words.candidates(labels)
        tokens = self.tokenizer(texts, padding=True, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            embeds = self.model.text_tower(**tokens).float().cpu()
        self._text_cache = (labels, embeds)
        return embeds


def open_picture(image: str | Path | bytes | Image.Image, timeout: float | None) -> Image.Image:
    """Open a picture as the training data were opened: upright, transparency on white.

    Args:
        image: Path, URL, base64 text, a file's bytes, or a PIL image.
        timeout: Seconds that a URL's server may stay silent; None waits for ever.

    Returns:
        A loaded image of mode RGB.

    Raises:
        ImageError: A file or URL cannot be read, or holds no usable image; a ``ValueError``.
        ValueError: A text that is neither a path nor a URL nor base64.
        TypeError: Something else altogether.
    """
    if isinstance(image, Image.Image):
        image.load()
        return to_rgb(image, b"")
    if isinstance(image, str) and image.startswith(URL_PREFIXES):
        return open_image(download(image, timeout))
    return open_image(image if isinstance(image, bytes) else read_source(image))


def download(url: str, timeout: float | None) -> bytes:
    """Fetch a URL, spaces and accents included, but not without end.

    Args:
        url: As people write it.
        timeout: Seconds that the server may stay silent; None waits for ever.

    Returns:
        What is there.

    Raises:
        ImageError: It is no URL, the server cannot be reached or refuses, or there are more than
            ``MAX_DOWNLOAD`` bytes.
    """
    try:
        request = Request(sendable_url(url), headers={"User-Agent": TASK})
        with urlopen(request, timeout=timeout) as answer:
            data: bytes = answer.read(MAX_DOWNLOAD + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise ImageError(f"cannot be fetched: {error or type(error).__name__}") from error
    if len(data) > MAX_DOWNLOAD:
        raise ImageError(f"too large: more than {MAX_DOWNLOAD:,} bytes")
    return data


def read_source(image: str | Path) -> Path | bytes:
    """Tell a path from base64 text.

    Args:
        image: Either.

    Returns:
        The path of a file, or the bytes that the text stands for.

    Raises:
        ValueError: The text is neither.
        TypeError: It is no text.
    """
    if isinstance(image, Path):
        return image
    if not isinstance(image, str):
        raise TypeError(
            f"No picture: {type(image).__name__}. Give a path, a URL, bytes or a PIL image."
        )
    if os.path.isfile(image):  # Path.is_file() raises where a text is too long for a name
        return Path(image)
    text = image.partition(",")[2] if image.startswith("data:image/") else image
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            f"Incorrect image source {image[:80]!r}: no such file, no URL and no base64."
        ) from None
