import json

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import load_dataset
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForPreTraining, AutoTokenizer

from emotionnet_hf.data import build_dataset
from emotionnet_hf.losses import classification_loss, embedding_loss, soft_labels
from emotionnet_hf.models import TextCNNForSequenceClassification, backbones
from emotionnet_hf.training import (
    BackboneWeightsError,
    EmotionNetArguments,
    RecipeError,
    train_emotionnet,
)
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.emotionnet import EmotionNetTask


@pytest.fixture
def task(make_emotionnet):
    return EmotionNetTask(make_emotionnet())


def test_the_paper_recipe_is_the_default():
    arguments = EmotionNetArguments(data="d", output_dir="o", text_model="t")
    assert (arguments.backbone, arguments.backbone_weights) == ("resnet50.tv_in1k", "pretrained")
    assert (arguments.optimizer, arguments.learning_rate) == ("sgd", 0.001)
    assert (arguments.momentum, arguments.weight_decay) == (0.9, 1e-5)
    assert (arguments.batch_size, arguments.epochs, arguments.image_size) == (256, 30, 224)
    assert (arguments.lr_schedule, arguments.lr_drop_epochs) == ("step", [10, 20])
    assert (arguments.soft_labels, arguments.embedding_weight) == (True, 1.0)


def test_a_model_names_the_pretrained_weights_it_began_from(make_emotionnet, monkeypatch):
    state = EmotionNetTask(make_emotionnet()).model.emotionnet.backbone.state_dict()
    monkeypatch.setattr(backbones, "_download", lambda name: state)
    for weights, name in (("none", "test_convnext"), ("pretrained", "test_convnext.r160_in1k")):
        model = EmotionNetTask(make_emotionnet(backbone_weights=weights)).model
        assert model.config.backbone == name


def test_losses_are_the_equations_on_the_batch(task):
    accelerator = Accelerator(cpu=True)
    batch = task.train_rows.__getitems__(MicroBatch(0, np.arange(6)))
    task.model.eval()
    found = task.losses(task.model, dict(batch), accelerator)
    pixels = batch["pixels"].float() / 255
    output = task.model(
        (pixels - task.mean) / task.std, batch["keyword_ids"], batch["keyword_mask"]
    )
    predicted = task.text_model(batch["context_ids"], batch["context_mask"]).logits.softmax(-1)
    cls = classification_loss(output.logits, soft_labels(predicted, batch["labels"])).mean()
    embed = embedding_loss(output.image_embeds, output.text_embeds).mean()
    torch.testing.assert_close(found["classification_loss"], cls)
    torch.testing.assert_close(found["embedding_loss"], embed)
    torch.testing.assert_close(found["loss"], cls + embed)


def test_images_without_a_known_keyword_do_not_dilute_the_embedding_loss(task):
    accelerator = Accelerator(cpu=True)
    task.model.eval()
    batch = task.train_rows.__getitems__(MicroBatch(0, np.arange(4)))
    whole = task.losses(task.model, dict(batch), accelerator)["embedding_loss"]
    doubled = {name: torch.cat([value, value]) for name, value in batch.items()}
    doubled["keyword_ids"][4:] = task.tokenizer.unk_token_id
    found = task.losses(task.model, doubled, accelerator)["embedding_loss"]
    torch.testing.assert_close(found, whole)


def test_without_soft_labels_the_target_is_the_listed_keywords(make_emotionnet):
    arguments = make_emotionnet(soft_labels=False)
    task = EmotionNetTask(arguments)
    batch = task.train_rows.__getitems__(MicroBatch(0, np.arange(5)))
    target = task.targets(batch, Accelerator(cpu=True))
    assert torch.equal(target, batch["labels"] / batch["labels"].sum(-1, keepdim=True))


def test_without_embedding_loss_the_projection_stays(make_emotionnet):
    arguments = make_emotionnet(embedding_weight=0.0, epochs=1)
    before = EmotionNetTask(arguments).model
    assert not before.emotionnet.visual_projection.weight.requires_grad
    record = json.loads((train_emotionnet(arguments).parent / "metrics.jsonl").open().readline())
    assert record["train"]["loss"] == record["train"]["classification_loss"]


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_checkpointing": True, "backbone": "test_resnet"},
        {"mixed_precision": "bf16"},
        {"channels_last": True},
        {"soft_label_form": "printed", "divide_by_classes": True},
        {"num_workers": 1},
        {"backbone": "test_vit", "image_size": 48},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_options_train(make_emotionnet, changes):
    folder = train_emotionnet(make_emotionnet(epochs=1, **changes))
    assert (folder / "model.safetensors").is_file()


def test_saved_folder_holds_all_that_belongs_to_the_model(make_emotionnet, text_model):
    folder = train_emotionnet(make_emotionnet(epochs=1))
    model = AutoModelForPreTraining.from_pretrained(folder)
    words = TextCNNForSequenceClassification.from_pretrained(text_model).get_input_embeddings()
    assert torch.equal(model.text_tower.keyword_embedding.weight, words.weight)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(text_model).get_vocab()
    assert AutoImageProcessor.from_pretrained(folder).crop_size["height"] == 32


def test_trunk_starts_from_the_file_it_is_given(make_emotionnet, tmp_path):
    import timm
    from safetensors.torch import save_file

    source = timm.create_model("test_convnext")
    save_file(source.state_dict(), tmp_path / "trunk.safetensors")
    arguments = make_emotionnet(backbone_weights=str(tmp_path / "trunk.safetensors"))
    task = EmotionNetTask(arguments)
    state = task.model.emotionnet.backbone.state_dict()
    assert all(torch.equal(source.state_dict()[name], value) for name, value in state.items())


def test_pretrained_weights_offline_are_an_error_that_names_the_choices(make_emotionnet):
    with pytest.raises(BackboneWeightsError, match=r"'pretrained'.*\.safetensors.*'none'"):
        train_emotionnet(make_emotionnet(backbone_weights="pretrained"))


def test_a_text_model_of_other_emotions_is_refused(make_emotionnet, tmp_path, data):
    from emotionnet_hf.data.sample import generate_sample
    from emotionnet_hf.keywords import Vocabulary

    generate_sample(tmp_path / "s", num_images=30, image_size=32, progress=False)
    vocabulary = Vocabulary(["joy", "love", "fear", "anger", "sadness", "happy"])
    build_dataset(tmp_path / "s", tmp_path / "d", emotions=vocabulary, progress=False)
    arguments = make_emotionnet()
    arguments.data = str(tmp_path / "d")
    with pytest.raises(RecipeError, match="Train TextCNN on the same data set"):
        train_emotionnet(arguments)


def test_a_text_model_folder_without_model_is_refused(make_emotionnet, tmp_path):
    arguments = make_emotionnet()
    arguments.text_model = str(tmp_path)
    with pytest.raises(RecipeError, match=r"no config\.json"):
        train_emotionnet(arguments)


def test_training_changes_the_trunk(make_emotionnet):
    arguments = make_emotionnet(epochs=1)
    torch.manual_seed(0)
    before = EmotionNetTask(arguments).model.state_dict()
    after = load_file(train_emotionnet(arguments) / "model.safetensors")
    name = "emotionnet.backbone.stem.0.weight"
    assert before[name].shape == after[name].shape
    assert not torch.equal(before[name], after[name])


# --- the variants of section 5.3


def validated(folder):
    lines = (folder.parent / "metrics.jsonl").read_text().splitlines()
    return [r["validation"] for r in map(json.loads, lines) if "validation" in r][-1]


@pytest.mark.parametrize(
    ("changes", "labels", "metrics"),
    [
        ({"classes": "basic8", "config": "basic8"}, 8, {"accuracy", "top_2_accuracy"}),
        (
            {"classes": "all_keywords", "config": "all_keywords"},
            12,
            {"hit_at_1", "mean_average_precision", "all_keywords_hit_at_1"},
        ),
        ({"config": "subset_50"}, 4, {"hit_at_1", "mean_average_precision"}),
    ],
    ids=["basic8", "all_keywords", "subset_50"],
)
def test_a_variant_of_tables_4_and_5_trains(make_variant, changes, labels, metrics):
    arguments = make_variant(soft_labels=False, embedding_weight=0.0, batch_size=8, **changes)
    folder = train_emotionnet(arguments)
    assert AutoModelForPreTraining.from_pretrained(folder).config.num_labels == labels
    assert set(validated(folder)) == {*metrics, "classification_loss", "embedding_loss"}


@pytest.mark.parametrize("pseudo_labels", ["hard", "soft"])
def test_target_of_basic8_is_the_pseudo_label(make_variant, release_data, pseudo_labels):
    arguments = make_variant(
        classes="basic8", config="basic8", soft_labels=False, pseudo_labels=pseudo_labels
    )
    task = EmotionNetTask(arguments)
    batch = task.train_rows.__getitems__(MicroBatch(0, np.array([5, 2])))
    target = task.targets(batch, Accelerator(cpu=True))
    split = load_dataset(str(release_data), "basic8")["train"].select([5, 2])
    expected = torch.tensor(split["basic8_scores"][:])
    if pseudo_labels == "hard":
        expected = torch.nn.functional.one_hot(torch.tensor(split["basic8"][:]), 8).float()
    torch.testing.assert_close(target, expected)


def test_target_of_all_keywords_is_shared_among_them(make_variant, release_data):
    arguments = make_variant(classes="all_keywords", config="all_keywords", soft_labels=False)
    task = EmotionNetTask(arguments)
    batch = task.train_rows.__getitems__(MicroBatch(0, np.array([1])))
    target = task.targets(batch, Accelerator(cpu=True))[0]
    ids = load_dataset(str(release_data), "all_keywords")["train"][1]["keyword_ids"]
    assert target.nonzero().flatten().tolist() == sorted(ids)
    torch.testing.assert_close(target[ids], torch.full((len(ids),), 1 / len(ids)))


def test_a_subset_is_a_part_of_the_training_split(make_variant):
    sizes = [
        len(EmotionNetTask(make_variant(config=config)).train_rows)
        for config in ("subset_25", "subset_75", None)
    ]
    assert 0 < sizes[0] < sizes[1] < sizes[2] == 40


@pytest.mark.parametrize(("representation", "size"), [("features", 16), ("logits", 8)])
def test_extra_supervision_leaves_a_head_in_the_model(
    make_variant, se30k8_model, representation, size
):
    arguments = make_variant(
        auxiliary_text_model=str(se30k8_model), auxiliary_representation=representation
    )
    torch.manual_seed(arguments.seed)
    before = EmotionNetTask(arguments).model.auxiliary_projection.weight.clone()
    folder = train_emotionnet(arguments)
    model = AutoModelForPreTraining.from_pretrained(folder)
    assert model.config.auxiliary_dim == size
    assert not torch.equal(model.auxiliary_projection.weight, before)
    assert model(torch.zeros(1, 3, 32, 32)).auxiliary_embeds.shape == (1, size)
    assert 0 <= validated(folder)["auxiliary_loss"] <= 2


def test_without_extra_supervision_there_is_no_head(make_variant):
    model = EmotionNetTask(make_variant()).model
    assert model.config.auxiliary_dim == 0
    assert not any("auxiliary" in name for name in model.state_dict())


def test_a_text_model_of_other_emotions_will_do_where_it_predicts_nothing(
    make_emotionnet, release_model
):
    arguments = make_emotionnet(soft_labels=False)
    arguments.text_model = str(release_model)
    assert EmotionNetTask(arguments).model.config.num_labels > 4
