"""The ``emotion-tagging`` pipeline: emotion words for images, from both branches of EmotionNet.

This file travels with every checkpoint (``trust_remote_code``): it needs torch, transformers and
Pillow, and nothing of the package that trained the model. It opens the same pictures as that
package does, as the same pixels, and refuses the same ones; only the errors of damaged files are
Pillow's own here, where the package has one kind with short reasons (``emotionnet_hf.pipelines``).
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import torch
from PIL import ExifTags, Image
from torch.nn import functional as F
from transformers import Pipeline

logger = logging.getLogger(__name__)

TASK = "emotion-tagging"

URL_PREFIXES = ("http://", "https://")

# Formats met in stock libraries. Pillow knows more, but some of those start other programs
# (EPS runs Ghostscript) and most are nothing but attack surface.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")

MAX_PIXELS = 89_478_485
"""Largest width x height, Pillow's own limit: a quarter of a gigabyte of RGB."""

MAX_DOWNLOAD = 2**28
"""Bytes of a URL: far above any picture that passes the limit of pixels, far below any memory."""

# How the EXIF orientations 2 to 8 are turned upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnknownCandidatesError(ValueError):
    """Not one of the candidates has a word vector in the model."""


class EmotionTaggingPipeline(Pipeline):
    """Tag images with emotion keywords.

    ``pipeline("emotion-tagging", model=DIR)(images, candidates=None, top_k=5)``. Images are
    paths, URLs, bytes or PIL images, one or many, opened as the training data were;
    ``batch_size`` as in every pipeline.

    Without ``candidates`` the model's own emotion keywords are ranked by the probability that the
    classification branch gives them. With ``candidates`` (words, phrases, or comma-separated
    lists of them) those are ranked by cosine in the joint space, as in the paper's zero-shot
    experiment (section 5.4).

    Returns, for each image, a list of ``{"label", "score", "probability", "cosine"}``, best
    first: ``score`` is what was ranked by; ``probability`` is None for a candidate that is not
    among the model's emotion keywords.
    """

    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = True

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
            if isinstance(candidates, str) or not candidates:
                raise ValueError("candidates must be a list of words, such as ['joy', 'fear'].")
            postprocess["candidates"] = list(candidates)
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

    def _text(self, labels: tuple[str, ...], asked: bool) -> torch.Tensor:
        """Return the candidates in the joint space, float (T, D); computed once for a list.

        Of candidates that were ``asked`` for, unknown ones are worth a word; the model's own
        keywords are ranked without their vectors.
        """
        cached: tuple[tuple[str, ...], torch.Tensor] | None = getattr(self, "_text_cache", None)
        if cached is not None and cached[0] == labels:
            return cached[1]
        tokens = self.tokenizer(list(labels), padding=True, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            embeds = self.model.text_tower(**tokens).float().cpu()
        unknown = [label for label, row in zip(labels, embeds, strict=True) if not row.any()]
        if asked and len(unknown) == len(labels):
            raise UnknownCandidatesError(
                f"The model knows none of the candidates {unknown[:5]}: it has word vectors for "
                f"{len(self.tokenizer)} keywords, such as {self.model.config.id2label[0]!r}."
            )
        if asked and unknown:
            logger.warning("no word vector for %s: they get cosine 0", unknown)
        self._text_cache = (labels, embeds)
        return embeds


def open_picture(image: str | Path | bytes | Image.Image, timeout: float | None) -> Image.Image:
    """Open a picture as the training data were opened: upright, transparency on white.

    Args:
        image: Path, URL, base64 text, a file's bytes, or a PIL image.
        timeout: Seconds that a URL's server may stay silent; None waits for ever.

    Returns:
        An image of mode RGB.

    Raises:
        OSError: A file or URL cannot be read, or holds no image of `FORMATS`. A damaged file may
            raise whatever else Pillow's decoder for it does.
        ValueError: A text that is neither a path nor a URL nor base64, too many pixels or bytes,
            or grey values without a meaning.
        TypeError: Something else altogether.
    """
    if isinstance(image, Image.Image):
        return _as_rgb(image)
    source: Path | bytes
    if isinstance(image, str) and image.startswith(URL_PREFIXES):
        source = _download(image, timeout)
    else:
        source = image if isinstance(image, bytes) else read_source(image)
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]  # AVIF is a matter of the build
    file = BytesIO(source) if isinstance(source, bytes) else source
    try:
        opened = Image.open(file, formats=formats)
    except Image.DecompressionBombError as error:
        raise ValueError(f"too large: {error}") from error
    with opened:
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"too large: {width}x{height} pixels (limit {MAX_PIXELS})")
        return _as_rgb(opened)


def _download(url: str, timeout: float | None) -> bytes:
    """Fetch a URL, but not without end."""
    with urlopen(Request(url, headers={"User-Agent": TASK}), timeout=timeout) as answer:
        data: bytes = answer.read(MAX_DOWNLOAD + 1)
    if len(data) > MAX_DOWNLOAD:
        raise ValueError(f"too large: more than {MAX_DOWNLOAD:,} bytes")
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


def _as_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture into what a viewer shows, as ``to_rgb`` of the package does."""
    image.load()
    turn = _TURNS.get(_orientation(image))
    if image.mode == "F" or image.mode.startswith("I"):
        image = _scaled_to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    rgb = image.convert("RGB")
    upright = rgb if turn is None else rgb.transpose(turn)
    # Whoever met its EXIF rotation again would turn the picture a second time.
    upright.info = {}
    return upright


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1, upright, where none is given or the EXIF block is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception as error:  # Pillow's readers of EXIF raise all kinds
        logger.debug("damaged EXIF block: %s", error)
        return 1


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    """Scale grey values of 16 or 32 bits; Pillow's own conversion clips them at 255."""
    is_float = image.mode == "F"
    data = bytearray((image if is_float else image.convert("I")).tobytes())
    values = torch.frombuffer(data, dtype=torch.float32 if is_float else torch.int32).double()
    if not (values.isfinite().all() and values.min() >= 0):
        raise ValueError("grey values below zero or not finite")
    largest = values.max()
    if is_float and largest > 1:
        raise ValueError("floating-point grey values above 1 have no known white")
    # Mode I holds 32 bits, but files of 16 bits are opened in it too.
    full = 1.0 if is_float else 65535.0 if largest <= 65535 else 2.0**31 - 1
    grey = (values * (255 / full)).round().to(torch.uint8)
    return Image.frombytes("L", image.size, grey.numpy().tobytes())
