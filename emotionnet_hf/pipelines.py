"""The ``emotion-tagging`` pipeline where this package is installed: pictures opened strictly.

The pipeline itself travels with every checkpoint, see ``models/pipeline_emotion_tagging.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from transformers import AutoModelForPreTraining
from transformers.pipelines import PIPELINE_REGISTRY

from emotionnet_hf.loading.images import ImageError, open_image, to_rgb
from emotionnet_hf.models import pipeline_emotion_tagging
from emotionnet_hf.models.pipeline_emotion_tagging import (
    TASK,
    URL_PREFIXES,
    UnknownCandidatesError,
    download,
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
        try:
            data = download(image, timeout)
        except ValueError as error:  # the travelling code has an ImageError of its own
            raise ImageError(str(error)) from error
        return open_image(data)
    return open_image(image if isinstance(image, bytes) else read_source(image))


PIPELINE_REGISTRY.register_pipeline(
    TASK,
    pipeline_class=EmotionTaggingPipeline,
    pt_model=AutoModelForPreTraining,
    type="image",
)
# By this mark Pipeline.save_pretrained would save the code of this module, which runs only where
# the package is. The model brings the code that runs everywhere.
del EmotionTaggingPipeline._registered_impl
