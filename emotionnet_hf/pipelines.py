"""Our pipelines where this package is installed: ``emotion-tagging`` opens pictures strictly.

The pipelines themselves travel with every checkpoint, see ``models/pipeline_emotion_tagging.py``
and ``models/pipeline_keyword_zero_shot.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from transformers import (
    AutoModelForPreTraining,
    TextClassificationPipeline,
    ZeroShotImageClassificationPipeline,
)
from transformers.pipelines import PIPELINE_REGISTRY

from emotionnet_hf.loading.images import ImageError, open_image, to_rgb
from emotionnet_hf.models import (
    EmotionNetConfig,
    TextCNNConfig,
    pipeline_emotion_tagging,
    pipeline_keyword_zero_shot,
)
from emotionnet_hf.models.modeling_words import UnknownCandidatesError
from emotionnet_hf.models.pipeline_emotion_tagging import (
    TASK,
    URL_PREFIXES,
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


class KeywordZeroShotPipeline(pipeline_keyword_zero_shot.KeywordZeroShotPipeline):
    """The stock task by keywords for an EmotionNet, and for any other model the stock pipeline."""

    def __new__(cls, model: Any = None, **kwargs: Any) -> Any:
        """Make the stock pipeline, and not one of ours, for a model of another kind."""
        if model is None or model.config.model_type == EmotionNetConfig.model_type:
            return super().__new__(cls)
        return ZeroShotImageClassificationPipeline(model=model, **kwargs)


class KeywordListPipeline(TextClassificationPipeline):
    """The stock task ``text-classification`` for a TextCNN: no text gives no classes.

    For any other model it is the stock pipeline, in which an empty list is an ``IndexError``.
    """

    def __new__(cls, model: Any = None, **kwargs: Any) -> Any:
        """Make the stock pipeline, and not one of ours, for a model of another kind."""
        if model is None or model.config.model_type == TextCNNConfig.model_type:
            return super().__new__(cls)
        return TextClassificationPipeline(model=model, **kwargs)

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        """Classify texts, see the stock pipeline."""
        if isinstance(inputs, (list, tuple)) and not inputs:
            return []
        return super().__call__(inputs, **kwargs)


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
# These tasks are transformers' own: only their class is replaced, and other models do not notice.
for _task, _class in (
    ("zero-shot-image-classification", KeywordZeroShotPipeline),
    ("text-classification", KeywordListPipeline),
):
    PIPELINE_REGISTRY.supported_tasks[_task] = {
        **PIPELINE_REGISTRY.supported_tasks[_task],
        "impl": _class,
    }
