"""Two processes end with the weights of one, whatever is trained, and how."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset, Image, load_dataset

from emotionnet_hf.models import EmotionNetForPreTraining
from emotionnet_hf.training.emotionnet import EmotionNetTask
from tests.training.starting import (
    TOLERANCE,
    TOLERANCE_BF16,
    TRAIN,
    check_equal,
    check_processes,
    check_two_are_one,
    check_weights,
    command,
    finish,
    records,
    torchrun,
)

# SGD: the others take a step of about the learning rate for any gradient, and where it is near zero
# the last bit of a bfloat16 decides its direction.
BF16 = {"mixed_precision": "bf16", "optimizer": "sgd", "learning_rate": 0.5}
OPTIONS = {
    "bf16": BF16,
    "bf16 in parts": {**BF16, "gradient_accumulation_steps": 2},
    "clipped": {"max_grad_norm": 0.01, "optimizer": "sgd", "log_steps": 4, "checkpoint_steps": 4},
    "loaded apart": {"num_workers": 1, "gradient_accumulation_steps": 4},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["textcnn", "emotionnet"])
@pytest.mark.parametrize("option", OPTIONS)
def test_two_processes_are_one_with(make, kind, option):
    one, two = (make(kind, name, **OPTIONS[option]) for name in ("one", "two"))
    check_two_are_one(kind, one, two, TOLERANCE_BF16 if "bf16" in option else TOLERANCE)


@pytest.mark.parametrize("kind", ["textcnn", "emotionnet"])
@pytest.mark.parametrize("option", ["as it is", "bf16"])
def test_one_row_less_a_step_would_be_seen(make, kind, option):
    for size in (16, 15):
        TRAIN[kind](make(kind, str(size), batch_size=size, **OPTIONS.get(option, {})))
    runs = [make(kind, str(size)).output_dir for size in (16, 15)]
    with pytest.raises(AssertionError):
        check_weights(*runs, TOLERANCE_BF16 if "bf16" in option else TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["published_code", "published_code_nlt"])
def test_dropout_differs_between_processes_and_their_run_is_repeated_exactly(make_textcnn, variant):
    one, two, again = (make_textcnn(name, variant=variant) for name in ("one", "two", "again"))
    processes = [torchrun(command("textcnn", arguments)) for arguments in (two, again)]
    TRAIN["textcnn"](one)
    for process in processes:
        finish(process)
    check_processes(two.output_dir, 2)
    check_equal(two.output_dir, again.output_dir, 0.0)
    with pytest.raises(AssertionError):
        check_weights(one.output_dir, two.output_dir)


@pytest.mark.slow
def test_images_without_a_known_keyword_are_left_out_of_the_mean_of_all(make_emotionnet, tmp_path):
    one, two = (make_emotionnet(name) for name in ("one", "two"))
    splits = load_dataset(one.data)
    rows = splits["train"].cast_column("image", Image(decode=False)).to_list()
    for row in rows[::3]:
        row["keywords"] = ["nobody knows it"]
    (tmp_path / "data").mkdir()
    few = Dataset.from_list(rows, features=splits["train"].features)
    few.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    one.data = two.data = str(tmp_path / "data")
    check_two_are_one("emotionnet", one, two)


@pytest.mark.slow
def test_three_processes_are_one(make):
    one, three = (make("textcnn", name, batch_size=12) for name in ("one", "three"))
    check_two_are_one("textcnn", one, three, processes=3)


NEITHER = {"soft_labels": False, "embedding_weight": 0.0}
VARIANTS = {
    "extra": {},
    "published extra": {"auxiliary_loss": "cross_entropy", "embedding_target": "text_model"},
    "neither": NEITHER,
    "no embedding loss": {"embedding_weight": 0.0},
    "basic8": {**NEITHER, "classes": "basic8", "config": "basic8"},
    "all_keywords": {**NEITHER, "classes": "all_keywords", "config": "all_keywords"},
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_processes_are_one_in_each_variant(make_variant, se30k8_model, variant):
    recipe = dict(VARIANTS[variant])
    if "extra" in variant:
        recipe["auxiliary_text_model"] = str(se30k8_model)
    one, two = (make_variant(name, **recipe) for name in ("one", "two"))
    check_two_are_one("emotionnet", one, two)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
def test_two_processes_judge_the_model_that_is_kept(make, checkpointing):
    # BatchNorm: each process normalises its own part, and has running statistics of its own.
    arguments = make(
        "emotionnet", "net", backbone="test_resnet", gradient_checkpointing=checkpointing
    )
    finish(torchrun(command("emotionnet", arguments)))
    check_processes(arguments.output_dir, 2)
    model = EmotionNetForPreTraining.from_pretrained(Path(arguments.output_dir) / "model").eval()
    with torch.inference_mode():
        measured = EmotionNetTask(arguments).evaluate(model, Accelerator())
    found = [r["validation"] for r in records(arguments.output_dir) if "validation" in r]
    best = max(found, key=lambda metrics: metrics["mean_average_precision"])
    assert measured == pytest.approx(best, rel=1e-4)


@pytest.mark.slow
def test_a_test_split_is_measured_by_two_processes(make_textcnn, se30k8_data):
    one, two = (make_textcnn(name, classes="se30k8", config="text") for name in ("one", "two"))
    one.data = two.data = str(se30k8_data)
    check_two_are_one("textcnn", one, two)
    mine, theirs = (
        json.loads((Path(run.output_dir) / "results.json").read_text())["metrics"]
        for run in (one, two)
    )
    assert theirs == pytest.approx(mine, rel=1e-4)
