"""What is exported: a tiny EmotionNet (`checkpoint`, of all tests), and tiny TextCNNs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from emotionnet_hf.models import (
    EmotionNetConfig,
    TextCNNConfig,
    TextCNNForSequenceClassification,
    build_image_processor,
    keyword_tokenizer,
)

KEYWORDS = ["joy", "fear", "candy cane", "awe", "calm", "tree"]


@pytest.fixture(autouse=True)
def quiet_loading() -> None:
    transformers.utils.logging.disable_progress_bar()


@pytest.fixture
def text_folder(tmp_path) -> Callable[..., Path]:
    """Makes the folder of a TextCNN, of the paper or of the published code."""

    def make(variant: str) -> Path:
        torch.manual_seed(5)
        kind = TextCNNConfig if variant == "paper" else TextCNNConfig.published_code
        model = TextCNNForSequenceClassification(
            kind(
                vocab_size=len(KEYWORDS) + 2,
                embedding_dim=5,
                hidden_size=4,
                max_keywords=4,
                id2label=dict(enumerate(["joy", "fear", "awe"])),
            )
        )
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer))
        model.save_pretrained(tmp_path / "text")
        keyword_tokenizer(KEYWORDS).save_pretrained(tmp_path / "text")
        return tmp_path / "text"

    return make


@pytest.fixture
def as_folder(checkpoint, tmp_path) -> Callable[..., Path]:
    """Saves a part of the whole model as the folder of another class."""

    def make(kind) -> Path:
        kind.from_pretrained(checkpoint).save_pretrained(tmp_path / "part")
        keyword_tokenizer(KEYWORDS).save_pretrained(tmp_path / "part")
        build_image_processor("test_resnet", 32).save_pretrained(tmp_path / "part")
        return tmp_path / "part"

    return make


@pytest.fixture
def bare_folder(tmp_path) -> Callable[..., Path]:
    """Makes a folder as of a converted fine-tuned model: no joint space, no tokenizer."""

    def make(kind) -> Path:
        torch.manual_seed(6)
        labels = dict(enumerate(["joy", "fear", "awe"]))
        model = kind(EmotionNetConfig(backbone="test_resnet", projection_dim=0, id2label=labels))
        model.classifier.weight.data.normal_(std=3.0)
        model.save_pretrained(tmp_path / "bare")
        build_image_processor("test_resnet", 32).save_pretrained(tmp_path / "bare")
        return tmp_path / "bare"

    return make
