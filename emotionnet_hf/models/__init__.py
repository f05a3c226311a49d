"""Models: EmotionNet, TextCNN, and the tokenizer and image processor that go with them."""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForZeroShotImageClassification,
    AutoVideoProcessor,
)

from emotionnet_hf.models.configuration_emotionnet import EmotionNetConfig
from emotionnet_hf.models.configuration_textcnn import TextCNNConfig
from emotionnet_hf.models.image_processing_emotionnet import (
    EmotionNetImageProcessor,
    build_image_processor,
)
from emotionnet_hf.models.modeling_emotionnet import (
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    EmotionNetModel,
)
from emotionnet_hf.models.modeling_strict import CheckpointError
from emotionnet_hf.models.modeling_textcnn import TextCNNForSequenceClassification, TextCNNModel
from emotionnet_hf.models.tokenization_keywords import keyword_tokenizer

AutoConfig.register("emotionnet", EmotionNetConfig)
AutoConfig.register("textcnn", TextCNNConfig)
AutoModel.register(EmotionNetConfig, EmotionNetModel)
AutoModel.register(TextCNNConfig, TextCNNModel)
AutoModelForPreTraining.register(EmotionNetConfig, EmotionNetForPreTraining)
AutoModelForImageClassification.register(EmotionNetConfig, EmotionNetForImageClassification)
AutoModelForZeroShotImageClassification.register(
    EmotionNetConfig, EmotionNetForZeroShotImageClassification
)
AutoImageProcessor.register(
    EmotionNetConfig, image_processor_classes={"torchvision": EmotionNetImageProcessor}
)
# It has none: unsaid, `pipeline` looks for one beside the image processor, and asks its user
# whether to run what it thinks is its code.
AutoVideoProcessor.register(EmotionNetConfig, video_processor_classes={})
AutoModelForSequenceClassification.register(TextCNNConfig, TextCNNForSequenceClassification)

__all__ = [
    "CheckpointError",
    "EmotionNetConfig",
    "EmotionNetForImageClassification",
    "EmotionNetForPreTraining",
    "EmotionNetForZeroShotImageClassification",
    "EmotionNetImageProcessor",
    "EmotionNetModel",
    "TextCNNConfig",
    "TextCNNForSequenceClassification",
    "TextCNNModel",
    "build_image_processor",
    "keyword_tokenizer",
]
