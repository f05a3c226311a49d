"""The second stage starts where the first one ended, or says why it cannot."""

import logging
import re
import shutil

import pytest
import torch
from transformers import AutoTokenizer

from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
)
from emotionnet_hf.training import RecipeError, train_emotionnet
from emotionnet_hf.training.emotionnet import EmotionNetTask
from emotionnet_hf.training.stages import open_start

W = "emotionnet.visual_projection."


@pytest.fixture(scope="module")
def stage1(release_data, release_model, tmp_path_factory):
    """A run of the first stage: classification alone."""
    from tests.training.conftest import emotionnet_arguments

    run = tmp_path_factory.mktemp("stage1") / "run"
    arguments = emotionnet_arguments(
        *(release_data, release_model, run),
        **{"soft_labels": False, "embedding_weight": 0.0, "epochs": 1},
    )
    return train_emotionnet(arguments).parent


def start_state(task):
    return {k: v.clone() for k, v in task.model.state_dict().items()}


@pytest.mark.parametrize("form", ["run", "model", "classifier alone"])
def test_trunk_and_classifier_are_taken_over_and_w_is_new(
    make_variant, stage1, tmp_path, form, caplog
):
    place = {"run": stage1, "model": stage1 / "model"}.get(form, tmp_path / "classifier")
    if form == "classifier alone":
        EmotionNetForImageClassification.from_pretrained(stage1 / "model").save_pretrained(place)
    with caplog.at_level(logging.INFO):
        # No weights of ImageNet are asked for, which a machine without a network does not have.
        task = EmotionNetTask(make_variant(init_from=str(place), backbone_weights="pretrained"))
    there = EmotionNetForPreTraining.from_pretrained(stage1 / "model").state_dict()
    here = start_state(task)
    for name, value in there.items():
        if name.startswith(W):
            assert not torch.equal(here[name], value)
        else:
            assert torch.equal(here[name], value), name
    assert f"new: {W.rstrip('.')}" in caplog.text
    assert task.model.config.joint_space == "word_vectors"
    assert task.model.config.backbone == "test_convnext"


def test_a_trained_w_goes_on(make_variant, stage1, se30k8_model, caplog):
    first = train_emotionnet(make_variant("two", init_from=str(stage1), epochs=1))
    with caplog.at_level(logging.INFO):
        task = EmotionNetTask(
            make_variant(init_from=str(first), auxiliary_text_model=str(se30k8_model))
        )
    there = EmotionNetForPreTraining.from_pretrained(first).state_dict()
    assert torch.equal(task.model.state_dict()[f"{W}weight"], there[f"{W}weight"])
    assert "new: auxiliary_projection" in caplog.text  # a third branch begins


def test_the_second_stage_moves_from_where_the_first_ended(make_variant, stage1):
    arguments = make_variant(init_from=str(stage1), epochs=1, learning_rate=1e-8)
    folder = train_emotionnet(arguments)
    there = EmotionNetForPreTraining.from_pretrained(stage1 / "model").state_dict()
    here = EmotionNetForPreTraining.from_pretrained(folder).state_dict()
    for name in ("classifier.weight", "emotionnet.backbone.stem.0.weight"):
        torch.testing.assert_close(here[name], there[name], rtol=0, atol=1e-5)
    assert EmotionNetConfig.from_pretrained(folder).joint_space == "word_vectors"


def changed(stage1, folder, **changes):
    """The model of the first stage, with another configuration and fresh weights."""
    config = EmotionNetConfig.from_pretrained(stage1 / "model")
    for name, value in changes.items():
        setattr(config, name, value)
    EmotionNetForPreTraining(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(stage1 / "model").save_pretrained(folder)
    return str(folder)


LABELS = {0: "sun", 1: "moon"}
TRAINED = {"joint_space": "word_vectors", "projection_dim": 5}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id2label": LABELS}, r"its 2 classes \(sun, moon, \.\.\.\) are not this run's"),
        ({"backbone": "test_vit"}, "trunk test_vit, this run test_convnext"),
        (TRAINED, r"its W gives 5 numbers \(word_vectors\), this run's 16"),
        ({"joint_space": "text_model"}, r"its W gives 16 numbers \(text_model\), this run's"),
        ({"auxiliary_dim": 8}, "its auxiliary head has 8 outputs, this run's 0"),
        ({"backbone_kwargs": {"drop_rate": 0.1}}, "its backbone_kwargs are"),
    ],
)
def test_what_does_not_fit_is_told(make_variant, stage1, tmp_path, changes, told):
    place = changed(stage1, tmp_path / "other", **changes)
    with pytest.raises(RecipeError, match=told):
        EmotionNetTask(make_variant(init_from=place))


def test_pixels_that_were_normalised_otherwise_are_told(tmp_path):
    EmotionNetConfig(backbone="vit_small_patch16_224.dino").save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match=r"trunk \S+\.dino, this run \S+\.augreg_in21k: set"):
        open_start(str(tmp_path), "vit_small_patch16_224.augreg_in21k")
    with pytest.raises(RecipeError, match=r"no file named model\.safetensors"):  # so far it fits
        open_start(str(tmp_path), "vit_small_patch16_224.dino")


def test_a_w_of_unknown_space_may_go_on(make_variant, stage1, tmp_path):
    place = changed(stage1, tmp_path / "released", joint_space="unknown")
    state = start_state(EmotionNetTask(make_variant(init_from=place)))
    there = EmotionNetForPreTraining.from_pretrained(place).state_dict()
    assert torch.equal(state[f"{W}weight"], there[f"{W}weight"])


def test_no_place_no_model_and_a_text_model_are_told(make_variant, release_model, stage1, tmp_path):
    unfinished = tmp_path / "unfinished"
    shutil.copytree(stage1, unfinished, ignore=shutil.ignore_patterns("model"))
    without_weights = tmp_path / "without"
    without_weights.mkdir()
    shutil.copy(stage1 / "model" / "config.json", without_weights)
    for place, told in (
        (tmp_path / "nowhere" / "x", "init_from: There is no folder"),
        (unfinished, "is no model folder: it has no config.json"),
        ("owner/name", "init_from: There is no folder owner/name, and no model of"),
        (without_weights, "no file named model.safetensors"),
        (release_model, "holds a TextCNN; needed is an EmotionNet"),
    ):
        with pytest.raises(RecipeError, match=re.escape(told)):
            EmotionNetTask(make_variant(init_from=str(place)))
