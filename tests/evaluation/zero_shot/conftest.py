"""A benchmark by hand, and tiny models that know some of its words."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from PIL import Image

from emotionnet_hf.data.benchmarks.benchmark import Benchmark, benchmark_features
from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForPreTraining,
    TextCNNConfig,
    TextCNNForSequenceClassification,
    build_image_processor,
    keyword_tokenizer,
)

CLASSES = ("joy", "fear", "awe")
KEYWORDS = ["joy", "fear", "candy cane", "awe", "calm", "tree"]


def row(path, labels, *, label=None, box=None, name=None):
    target = [1 / len(labels) if c in labels else 0.0 for c in range(len(CLASSES))]
    return {
        "image": {"bytes": None, "path": str(path)},
        "image_id": name or path.name,
        "group": path.name,
        "box": box,
        "label": labels[0] if label is None else label,
        "labels": labels,
        "target": target,
    }


def benchmark_of(rows, task="single-label", name="Toy", classes=CLASSES):
    split = Dataset.from_list(rows, features=benchmark_features(classes))
    splits = DatasetDict(train=split.select([]), validation=split.select([]), test=split)
    return Benchmark(name, task, splits, "by hand", "rows")


@pytest.fixture(scope="session")
def toy():
    """What tests make benchmarks with."""
    return SimpleNamespace(row=row, benchmark=benchmark_of, classes=CLASSES)


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    values = np.random.default_rng(0).integers(0, 256, (12, 40, 52, 3), dtype=np.uint8)
    for number, value in enumerate(values):
        Image.fromarray(value).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def rows(picture_folder):
    """Twelve pictures, the classes in turn."""
    return [row(path, [n % 3]) for n, path in enumerate(sorted(picture_folder.glob("*.png")))]


@pytest.fixture(scope="session")
def make_emotionnet(tmp_path_factory):
    """Saves tiny EmotionNets."""

    def make(**config):
        torch.manual_seed(1)
        settings = {"backbone": "test_resnet", "projection_dim": 6, "vocab_size": 8, **config}
        model = EmotionNetForPreTraining(EmotionNetConfig(id2label={0: "joy"}, **settings))
        for name, parameter in model.named_parameters():
            if "projection.weight" in name:
                parameter.data.normal_(std=3.0)
        model.text_tower.keyword_embedding.weight.data[:2] = 0
        folder = tmp_path_factory.mktemp("emotionnet")
        model.save_pretrained(folder)
        keyword_tokenizer(KEYWORDS).save_pretrained(folder)
        build_image_processor("test_resnet", 32).save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def make_text_model(tmp_path_factory):
    """Saves tiny TextCNNs of eight classes."""

    def make(config=TextCNNConfig, **settings):
        torch.manual_seed(2)
        settings = {"vocab_size": 8, "embedding_dim": 5, "hidden_size": 6, **settings}
        names = dict(enumerate("abcdefgh"))
        model = TextCNNForSequenceClassification(config(id2label=names, **settings))
        if isinstance(norm := model.textcnn.norm, torch.nn.BatchNorm1d):
            norm.running_mean.data.normal_()
            norm.running_var.data.uniform_(0.5, 2)
        folder = tmp_path_factory.mktemp("textcnn")
        model.save_pretrained(folder)
        keyword_tokenizer(KEYWORDS).save_pretrained(folder)
        return folder

    return make
