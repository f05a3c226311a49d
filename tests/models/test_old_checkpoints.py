"""Checkpoints of earlier versions open and give what they gave; see checkpoints/README.md."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForZeroShotImageClassification,
    AutoTokenizer,
)

from emotionnet_hf.models import CheckpointError  # and so the classes are registered

CHECKPOINTS = Path(__file__).parent / "checkpoints"
NETS = sorted(CHECKPOINTS.glob("*/emotionnet"))
CLASSIFIERS = sorted(CHECKPOINTS.glob("*/emotionnet_*"))
TEXTS = sorted(CHECKPOINTS.glob("*/textcnn_*"))
EMOTIONS = {0: "joy", 1: "fear", 2: "awe", 3: "calm"}


def called(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


each_net = pytest.mark.parametrize("folder", NETS, ids=called)
each_classifier = pytest.mark.parametrize("folder", CLASSIFIERS, ids=called)
each_processor = pytest.mark.parametrize("folder", NETS + CLASSIFIERS, ids=called)
each_text = pytest.mark.parametrize("folder", TEXTS, ids=called)
each = pytest.mark.parametrize("folder", NETS + TEXTS, ids=called)


def maker():
    """The module that made the checkpoints: only its pictures are used here."""
    spec = spec_from_file_location("make_checkpoints", CHECKPOINTS / "make_checkpoints.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected(folder: Path) -> dict:
    return json.loads((folder / "expected.json").read_text())


def tokens(folder: Path) -> dict:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer(expected(folder)["texts"], padding=True, return_tensors="pt")


def close(output, values) -> None:
    values = torch.tensor(values)
    assert values.std() > 0.01
    torch.testing.assert_close(output, values, rtol=1e-4, atol=1e-4)


def test_each_version_left_one_of_each_kind():
    versions = [path for path in CHECKPOINTS.iterdir() if path.is_dir() and path.name[0] != "_"]
    assert versions
    for version in versions:
        assert {path.name for path in version.iterdir()} == {
            *("emotionnet", "emotionnet_fine_tuned", "emotionnet_auxiliary"),
            *("textcnn_paper", "textcnn_published_code", "textcnn_plain"),
        }
        assert sum(path.stat().st_size for path in version.glob("*/*")) < 250_000


@each_net
def test_emotionnet_gives_what_it_gave(folder):
    model, values = AutoModelForPreTraining.from_pretrained(folder), expected(folder)
    with torch.no_grad():
        output = model(pixel_values=maker().pixels(), **tokens(folder))
    for name in ("logits", "pooler_output", "image_embeds", "text_embeds"):
        close(output[name], values[name])
    assert model.config.id2label == EMOTIONS


@each_net
def test_emotionnet_opens_as_each_class(folder):
    pixels, values = maker().pixels(), expected(folder)
    with torch.no_grad():
        tower = AutoModel.from_pretrained(folder)(pixels)
        close(tower.pooler_output, values["pooler_output"])
        close(tower.image_embeds, values["image_embeds"])
        classifier = AutoModelForImageClassification.from_pretrained(folder)
        close(classifier(pixels).logits, values["logits"])
        zero_shot = AutoModelForZeroShotImageClassification.from_pretrained(folder)
        output = zero_shot(pixel_values=pixels, **tokens(folder))
    image, text = torch.tensor(values["image_embeds"]), torch.tensor(values["text_embeds"])
    cosines = torch.nn.functional.cosine_similarity(image[:, None], text[None], dim=-1)
    close(output.logits_per_image, (10 * cosines).tolist())


@each_classifier
def test_classifier_without_a_text_tower_gives_what_it_gave(folder):
    pixels, values = maker().pixels(), expected(folder)
    model = AutoModelForImageClassification.from_pretrained(folder)
    with torch.no_grad():
        close(model(pixels).logits, values["logits"])
        tower = AutoModel.from_pretrained(folder)(pixels)
    close(tower.pooler_output, values["pooler_output"])
    assert [model.config.id2label[i] for i in range(model.config.num_labels)] == values["labels"]
    if folder.name == "emotionnet_fine_tuned":
        assert tower.image_embeds.shape == (2, 0)
    else:
        close(tower.image_embeds, values["image_embeds"])


@each_classifier
def test_what_a_classifier_does_not_have_is_not_made_up(folder):
    for kind in (AutoModelForPreTraining, AutoModelForZeroShotImageClassification):
        with pytest.raises(CheckpointError, match="text_tower"):
            kind.from_pretrained(folder)


@each_processor
def test_image_processor_makes_what_it_made(folder):
    processor = AutoImageProcessor.from_pretrained(folder)
    pixels = processor(maker().picture(), return_tensors="pt")["pixel_values"][0]
    # Versions of the libraries may round a pixel to its neighbour's value, 1 of 255.
    values = torch.tensor(expected(folder)["picture"])
    torch.testing.assert_close(pixels[:, ::8, ::8], values, rtol=0, atol=0.02)


@each_text
def test_textcnn_gives_what_it_gave(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        output = model(**tokens(folder))
    for name in ("logits", "pooler_output"):
        close(output[name], expected(folder)[name])
    assert model.config.id2label == EMOTIONS


@each_text
def test_textcnn_opens_as_its_body(folder):
    with torch.no_grad():
        output = AutoModel.from_pretrained(folder)(**tokens(folder))
    close(output.pooler_output, expected(folder)["pooler_output"])


def test_the_two_variants_are_told_apart():
    for folder in TEXTS:
        published = folder.name != "textcnn_paper"
        config = AutoConfig.from_pretrained(folder)
        assert (config.pooling, config.activation, config.batch_norm) == (
            ("padded", "none", True) if published else ("masked", "relu", False)
        )


@each
def test_tokenizer_gives_the_ids_that_it_gave(folder):
    assert tokens(folder)["input_ids"].tolist() == expected(folder)["input_ids"]
    assert AutoTokenizer.from_pretrained(folder).model_max_length == 100
