"""EmotionNet for the Hugging Face ecosystem: what an image makes people feel.

Importing this package registers its models with transformers' Auto classes and the
``emotion-tagging`` task with ``pipeline``, so that ``from_pretrained`` and ``pipeline`` open our
checkpoints without ``trust_remote_code``.
"""

# First, because modules imported below read it.
__version__ = "0.1.0.dev0"

from emotionnet_hf.data.load import load_dataset, load_dataset_builder
from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    EmotionNetModel,
    TextCNNConfig,
    TextCNNForSequenceClassification,
    TextCNNModel,
)
from emotionnet_hf.pipelines import EmotionTaggingPipeline

__all__ = [
    "EmotionNetConfig",
    "EmotionNetForImageClassification",
    "EmotionNetForPreTraining",
    "EmotionNetForZeroShotImageClassification",
    "EmotionNetModel",
    "EmotionTaggingPipeline",
    "TextCNNConfig",
    "TextCNNForSequenceClassification",
    "TextCNNModel",
    "load_dataset",
    "load_dataset_builder",
]
