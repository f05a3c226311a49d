import pytest
import torch
from safetensors.torch import load_file, save_file

from emotionnet_hf.models import (
    CheckpointError,
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    EmotionNetModel,
    TextCNNForSequenceClassification,
    TextCNNModel,
)

CLASSES = [
    EmotionNetModel,
    EmotionNetForImageClassification,
    EmotionNetForZeroShotImageClassification,
    EmotionNetForPreTraining,
]
TRUNK = "emotionnet.backbone.conv1.0.weight"


@pytest.fixture
def spoiled(tiny_net, tmp_path):
    """Saves a net with some of its tensors replaced, or left out where the value is None."""

    def make(**changes):
        tiny_net("test_resnet").save_pretrained(tmp_path)
        path = tmp_path / "model.safetensors"
        tensors = load_file(path)
        assert TRUNK in tensors
        tensors |= {name.replace("__", "."): value for name, value in changes.items()}
        kept = {name: value for name, value in tensors.items() if value is not None}
        save_file(kept, path, metadata={"format": "pt"})
        return tmp_path

    return make


def refused(kind, folder, named, **options):
    with pytest.raises(CheckpointError) as caught:
        kind.from_pretrained(folder, **options)
    assert named in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("kind", CLASSES)
def test_a_trunk_with_a_missing_tensor_is_refused(spoiled, kind, new_head):
    folder = spoiled(**{TRUNK: None})
    refused(kind, folder, "backbone.conv1.0.weight", ignore_mismatched_sizes=new_head)


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("kind", CLASSES)
def test_a_trunk_with_a_tensor_of_another_size_is_refused(spoiled, kind, new_head):
    folder = spoiled(**{TRUNK: torch.zeros(3, 3)})
    name = "backbone.conv1.0.weight (3, 3), needed"
    refused(kind, folder, name, ignore_mismatched_sizes=new_head)


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", ["stranger", "emotionnet.backbone.stranger"])
def test_an_extra_tensor_is_refused(spoiled, kind, name, new_head):
    refused(kind, spoiled(**{name: torch.zeros(2)}), "stranger", ignore_mismatched_sizes=new_head)


def test_a_head_with_a_missing_tensor_is_refused(spoiled):
    folder = spoiled(classifier__bias=None)
    refused(EmotionNetForImageClassification, folder, "missing: classifier.bias")
    EmotionNetModel.from_pretrained(folder)  # which has no such head


def test_a_head_of_another_size_is_refused_with_the_remedy(checkpoint):
    with pytest.raises(CheckpointError, match=r"classifier\.weight \(4, .*ignore_mismatched_sizes"):
        EmotionNetForImageClassification.from_pretrained(checkpoint, num_labels=8)


@pytest.mark.parametrize("size", [0, 7, 500, -1])
def test_a_truncated_file_is_refused(checkpoint, size):
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="truncated"):
        EmotionNetForPreTraining.from_pretrained(checkpoint)


def test_a_new_head_starts_anew_on_the_same_trunk(checkpoint, pictures):
    old = EmotionNetForImageClassification.from_pretrained(checkpoint)
    new = EmotionNetForImageClassification.from_pretrained(
        checkpoint, num_labels=8, ignore_mismatched_sizes=True
    )
    assert new.classifier.weight.shape == (8, old.classifier.in_features)
    assert new.config.num_labels == len(new.config.id2label) == 8
    for name, tensor in old.emotionnet.state_dict().items():
        assert torch.equal(new.emotionnet.state_dict()[name], tensor)
    bound = old.classifier.in_features**-0.5  # as nn.Linear begins
    assert 0.9 * bound < new.classifier.weight.abs().max() <= bound
    assert torch.isfinite(new(pictures()).logits).all()


def test_a_new_head_survives_saving(checkpoint, pictures, tmp_path):
    model = EmotionNetForImageClassification.from_pretrained(
        checkpoint, id2label={i: f"class {i}" for i in range(8)}, ignore_mismatched_sizes=True
    )
    model.save_pretrained(tmp_path / "tuned")
    loaded = EmotionNetForImageClassification.from_pretrained(tmp_path / "tuned")
    assert loaded.config.label2id["class 7"] == 7
    with torch.no_grad():
        assert torch.equal(loaded(pictures()).logits, model(pictures()).logits)


def test_loading_info_is_given_where_asked(checkpoint):
    model, info = EmotionNetModel.from_pretrained(checkpoint, output_loading_info=True)
    assert isinstance(model, EmotionNetModel)
    assert not info["missing_keys"]


def test_a_folder_without_weights_is_an_error(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"model\.safetensors"):
        EmotionNetModel.from_pretrained(checkpoint)


def test_a_saved_part_does_not_open_as_the_whole(checkpoint, tmp_path):
    EmotionNetModel.from_pretrained(checkpoint).save_pretrained(tmp_path / "trunk")
    refused(EmotionNetForPreTraining, tmp_path / "trunk", "text_tower.keyword_embedding.weight")


def test_new_heads_can_be_put_on_a_trunk(checkpoint, tmp_path):
    trunk = EmotionNetModel.from_pretrained(checkpoint)
    trunk.save_pretrained(tmp_path / "trunk")
    model = EmotionNetForImageClassification.from_pretrained(
        tmp_path / "trunk", num_labels=3, ignore_mismatched_sizes=True
    )
    for name, tensor in trunk.state_dict().items():
        assert torch.equal(model.emotionnet.state_dict()[name], tensor)


@pytest.mark.parametrize("kind", [TextCNNModel, TextCNNForSequenceClassification])
def test_textcnn_is_as_strict(tiny_textcnn, tmp_path, kind):
    tiny_textcnn().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["textcnn.conv.bias"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    refused(kind, tmp_path, "conv.bias", ignore_mismatched_sizes=True)


def test_a_state_dict_of_the_callers_own_is_the_callers_business(checkpoint):
    state = load_file(checkpoint / "model.safetensors")
    del state["classifier.bias"]
    config = EmotionNetForPreTraining.from_pretrained(checkpoint).config
    model = EmotionNetForPreTraining.from_pretrained(None, config=config, state_dict=state)
    assert torch.equal(model.classifier.weight, state["classifier.weight"])
