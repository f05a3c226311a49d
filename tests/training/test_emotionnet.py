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
from emotionnet_hf.models import TextCNNForSequenceClassification
from emotionnet_hf.training import (
    BackboneWeightsError,
    EmotionNetArguments,
    RecipeError,
    train_emotionnet,
)
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.data import load_splits
from emotionnet_hf.training.emotionnet import EmotionNetTask


@pytest.fixture
def task(make_emotionnet):
    arguments = make_emotionnet()
    return EmotionNetTask(arguments, load_splits(arguments.data))


def test_the_paper_recipe_is_the_default():
    arguments = EmotionNetArguments(data="d", output_dir="o", text_model="t")
    assert (arguments.backbone, arguments.backbone_weights) == ("resnet50", "pretrained")
    assert (arguments.optimizer, arguments.learning_rate) == ("sgd", 0.001)
    assert (arguments.momentum, arguments.weight_decay) == (0.9, 1e-5)
    assert (arguments.batch_size, arguments.epochs, arguments.image_size) == (256, 30, 224)
    assert (arguments.lr_schedule, arguments.lr_drop_epochs) == ("step", [10, 20])
    assert (arguments.soft_labels, arguments.embedding_weight) == (True, 1.0)


def test_augmentation_depends_on_seed_epoch_and_row_alone(task):
    rows = task.train_rows
    both = rows.__getitems__(MicroBatch(1, np.array([4, 7])))["pixels"]
    alone = rows.__getitems__(MicroBatch(1, np.array([7])))["pixels"]
    later = rows.__getitems__(MicroBatch(2, np.array([7])))["pixels"]
    assert both.dtype == torch.uint8
    assert both.shape == (2, 3, 32, 32)
    assert torch.equal(both[1], alone[0])
    assert not torch.equal(alone, later)


def test_evaluation_pixels_are_those_of_the_saved_processor(task, make_emotionnet):
    split = load_dataset(make_emotionnet().data)["validation"]
    pixels = task.rows["validation"].for_evaluation(np.array([0, 3]))["pixel_values"]
    expected = task.train_rows.processor(
        [split[0]["image"], split[3]["image"]], return_tensors="pt"
    )["pixel_values"]
    assert torch.equal(pixels, expected)


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
    task = EmotionNetTask(arguments, load_splits(arguments.data))
    batch = task.train_rows.__getitems__(MicroBatch(0, np.arange(5)))
    target = task.targets(batch, Accelerator(cpu=True))
    assert torch.equal(target, batch["labels"] / batch["labels"].sum(-1, keepdim=True))


def test_without_embedding_loss_the_projection_stays(make_emotionnet):
    arguments = make_emotionnet(embedding_weight=0.0, epochs=1)
    before = EmotionNetTask(arguments, load_splits(arguments.data)).model
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
    task = EmotionNetTask(arguments, load_splits(arguments.data))
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
    before = EmotionNetTask(arguments, load_splits(arguments.data)).model.state_dict()
    after = load_file(train_emotionnet(arguments) / "model.safetensors")
    name = "emotionnet.backbone.stem.0.weight"
    assert before[name].shape == after[name].shape
    assert not torch.equal(before[name], after[name])
