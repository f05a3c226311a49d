"""The ``emotion-tagging`` pipeline where this package is installed: pictures opened strictly.

The pipeline itself travels with every checkpoint, see ``models/pipeline_emotion_tagging.py``.
"""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from PIL import Image
from transformers import AutoModelForPreTraining
from transformers.pipelines import PIPELINE_REGISTRY

from emotionnet_hf.loading.images import ImageError, open_image, to_rgb
from emotionnet_hf.models import pipeline_emotion_tagging
from emotionnet_hf.models.pipeline_emotion_tagging import (
    MAX_DOWNLOAD,
    TASK,
    URL_PREFIXES,
    UnknownCandidatesError,
    read_source,
)

__all__ = [
    "TASK",
    "URL_PREFIXES",
    "EmotionTaggingPipeline",
    "UnknownCandidatesError",
    "load_picture",
]


class EmotionTaggingPipeline(pipeline_emotion_tagging.EmotionTaggingPipeline):
    """Tag images with emotion keywords, as the pipeline that travels with the model does.

    What cannot be used as a picture is an ``ImageError`` that says why, as for training data.
    """

    def open_picture(self, image: Any, timeout: float | None) -> Image.Image:
        """Open one image as RGB, see ``load_picture``."""
        return load_picture(image, timeout)


def load_picture(
    image: str | Path | bytes | Image.Image, timeout: float | None = None
) -> Image.Image:
    """Open a picture for a model, as the training data were opened: upright, alpha on white.

    Args:
        image: Path, URL, base64 text, a file's bytes, or a PIL image.
        timeout: Seconds that a URL's server may stay silent; None waits for ever.

    Returns:
        A loaded image of mode RGB.

    Raises:
        ImageError: A file or URL cannot be read, or holds no usable image.
        ValueError: A text that is neither a path nor a URL nor base64.
        TypeError: Something else altogether.
    """
    if isinstance(image, Image.Image):
        return to_rgb(image, b"")
    if isinstance(image, str) and image.startswith(URL_PREFIXES):
        return open_image(_download(image, timeout))
    return open_image(image if isinstance(image, bytes) else read_source(image))


def _download(url: str, timeout: float | None) -> bytes:
    """Fetch a URL; whatever goes wrong on the way is an ``ImageError`` that says so."""
    try:
        request = Request(url, headers={"User-Agent": "emotionnet_hf"})
        with urlopen(request, timeout=timeout) as answer:
            data: bytes = answer.read(MAX_DOWNLOAD + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise ImageError(f"cannot be fetched: {error or type(error).__name__}") from error
    if len(data) > MAX_DOWNLOAD:
        raise ImageError(f"too large: more than {MAX_DOWNLOAD:,} bytes")
    return data


PIPELINE_REGISTRY.register_pipeline(
    TASK,
    pipeline_class=EmotionTaggingPipeline,
    pt_model=AutoModelForPreTraining,
    type="image",
)
# By this mark Pipeline.save_pretrained would save the code of this module, which runs only where
# the package is. The model brings the code that runs everywhere.
del EmotionTaggingPipeline._registered_impl
