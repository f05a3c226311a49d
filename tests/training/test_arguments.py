import dataclasses

import pytest

from emotionnet_hf.training.arguments import (
    EmotionNetArguments,
    RecipeError,
    RunArguments,
    TextCNNArguments,
)

NEEDED = {"data": "sample", "output_dir": "run", "text_model": "text/model"}


def test_the_defaults_are_the_papers():
    net = EmotionNetArguments(**NEEDED)
    assert (net.optimizer, net.learning_rate, net.momentum) == ("sgd", 0.001, 0.9)
    assert (net.weight_decay, net.epochs, net.batch_size) == (1e-5, 30, 256)
    assert (net.lr_schedule, net.lr_drop_epochs, net.lr_drop_factor) == ("step", [10, 20], 0.1)
    assert (net.backbone, net.image_size, net.embedding_weight) == ("resnet50.tv_in1k", 224, 1)
    text = TextCNNArguments(data="sample", output_dir="run")
    assert (text.optimizer, text.learning_rate, text.epochs) == ("adagrad", 1.0, 30)
    assert (text.embedding_dim, text.max_keywords, text.variant) == (300, 100, "paper")


# --- what a type cannot say


@pytest.mark.parametrize("name", ["data", "output_dir", "text_model"])
def test_what_is_missing_is_named(name):
    with pytest.raises(RecipeError, match=rf"{name} is missing.*--{name}"):
        EmotionNetArguments(**{**NEEDED, name: ""})


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate", "log_steps"])
def test_numbers_that_must_be_above_zero_are_checked(name, value):
    with pytest.raises(RecipeError, match=f"{name} is {value}; it must be above 0"):
        EmotionNetArguments(**NEEDED, **{name: value})


def test_checkpoint_steps_of_zero_are_refused():
    with pytest.raises(RecipeError, match="checkpoint_steps is 0"):
        RunArguments(data="a", output_dir="b", checkpoint_steps=0)


@pytest.mark.parametrize("scale", [[0.5], [0.0, 1.0], [0.8, 0.2], [0.5, 1.5], [0.1, 0.2, 0.3]])
def test_a_crop_scale_is_two_shares_in_order(scale):
    with pytest.raises(RecipeError, match=r"crop_scale is .*; it must be two shares"):
        EmotionNetArguments(**NEEDED, crop_scale=scale)


# --- what is predicted, and what that goes with


@pytest.mark.parametrize(
    ("classes", "metric"),
    [
        ("emotion_keywords", "mean_average_precision"),
        ("all_keywords", "mean_average_precision"),
        ("basic8", "accuracy"),
    ],
)
def test_the_epoch_is_chosen_by_a_metric_of_the_classes(classes, metric):
    changes = {} if classes == "emotion_keywords" else {"soft_labels": False}
    assert EmotionNetArguments(**NEEDED, classes=classes, **changes).select_on == metric


def test_the_epoch_of_se30k8_is_chosen_by_accuracy():
    text = TextCNNArguments(data="a", output_dir="b", classes="se30k8")
    assert text.select_on == "accuracy"
    assert TextCNNArguments(data="a", output_dir="b").select_on == "mean_average_precision"


@pytest.mark.parametrize(
    ("classes", "metric"),
    [("emotion_keywords", "accuracy"), ("basic8", "hit_at_1"), ("all_keywords", "top_2_accuracy")],
)
def test_a_metric_that_will_not_be_measured_is_refused(classes, metric):
    with pytest.raises(RecipeError, match=rf"select_on is '{metric}'.*classes: {classes}; choose"):
        EmotionNetArguments(**NEEDED, classes=classes, soft_labels=False, select_on=metric)


@pytest.mark.parametrize("classes", ["all_keywords", "basic8"])
def test_soft_labels_are_of_emotion_keywords(classes):
    with pytest.raises(RecipeError, match=rf"classes: {classes} set soft_labels: false"):
        EmotionNetArguments(**NEEDED, classes=classes)


def test_votes_are_not_multi_hot():
    with pytest.raises(RecipeError, match="set targets: normalized"):
        TextCNNArguments(data="a", output_dir="b", classes="se30k8", targets="multi_hot")


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_extra_supervision_weighs_something(weight):
    with pytest.raises(RecipeError, match=r"auxiliary_weight is .*above 0"):
        EmotionNetArguments(**NEEDED, auxiliary_text_model="t", auxiliary_weight=weight)


@pytest.mark.parametrize("kind", [RunArguments, TextCNNArguments, EmotionNetArguments])
def test_every_argument_has_a_help_text(kind):
    assert all(field.metadata.get("help") for field in dataclasses.fields(kind))
