"""Tiny models of every kind, with weights that are not what a fresh model has."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import transformers

from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForPreTraining,
    TextCNNConfig,
    TextCNNForSequenceClassification,
    build_image_processor,
    keyword_tokenizer,
)

KEYWORDS = ["joy", "fear", "candy cane", "awe", "calm", "tree", "unheard of"]
EMOTIONS = ["joy", "fear", "awe", "calm"]
PROJECTION = 6


@pytest.fixture(autouse=True)
def quiet_loading() -> None:
    transformers.utils.logging.disable_progress_bar()


@pytest.fixture
def tiny_config() -> Callable[..., EmotionNetConfig]:
    def make(backbone: str = "test_resnet", **changes) -> EmotionNetConfig:
        values = {
            "projection_dim": PROJECTION,
            "vocab_size": len(KEYWORDS) + 2,
            "id2label": dict(enumerate(EMOTIONS)),
        }
        return EmotionNetConfig(backbone=backbone, **{**values, **changes})

    return make


@pytest.fixture
def tiny_net(tiny_config) -> Callable[..., EmotionNetForPreTraining]:
    """Makes an EmotionNet in evaluation mode; the word vector of "unheard of" is zero."""

    def make(backbone: str = "test_resnet", **changes) -> EmotionNetForPreTraining:
        torch.manual_seed(7)
        model = EmotionNetForPreTraining(tiny_config(backbone, **changes)).eval()
        for buffer in model.emotionnet.backbone.buffers():
            if buffer.is_floating_point() and buffer.ndim == 1:  # statistics of BatchNorm
                buffer.add_(0.1 * torch.rand_like(buffer))
        for row in (0, 1, -1):
            model.text_tower.keyword_embedding.weight.data[row] = 0
        return model

    return make


@pytest.fixture
def pictures() -> Callable[[str], torch.Tensor]:
    """Makes two random images, as large as a timm model wants them."""

    def make(backbone: str = "test_resnet") -> torch.Tensor:
        size = timm.get_pretrained_cfg(backbone).input_size[-1]
        return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))

    return make


@pytest.fixture
def tiny_textcnn() -> Callable[..., TextCNNForSequenceClassification]:
    """Makes a TextCNN in evaluation mode; word vectors of padding and unknown are not zero."""

    def make(variant: str = "paper", **changes) -> TextCNNForSequenceClassification:
        torch.manual_seed(5)
        values = {
            "vocab_size": len(KEYWORDS) + 2,
            "embedding_dim": 5,
            "hidden_size": 4,
            "id2label": dict(enumerate(EMOTIONS)),
        }
        kind = TextCNNConfig if variant == "paper" else getattr(TextCNNConfig, variant)
        model = TextCNNForSequenceClassification(kind(**{**values, **changes})).eval()
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer))
        return model

    return make


@pytest.fixture
def checkpoint(tiny_net, tmp_path) -> Path:
    """The folder of a whole EmotionNet: model, tokenizer, image processor."""
    folder = tmp_path / "emotionnet"
    tiny_net("test_resnet").save_pretrained(folder)
    keyword_tokenizer(KEYWORDS).save_pretrained(folder)
    build_image_processor("test_resnet", image_size=160).save_pretrained(folder)
    return folder
