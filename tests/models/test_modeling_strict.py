import pytest
import timm
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
from emotionnet_hf.models.modeling_emotionnet import EmotionNetPreTrainedModel

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


# --- what is missing is never memory that nobody wrote


@pytest.fixture
def dirty(monkeypatch):
    """Memory that nobody wrote holds anything; here it holds 777."""
    empty_like = torch.empty_like

    def filled(*args, **kwargs):
        tensor = empty_like(*args, **kwargs)
        return tensor if tensor.device.type == "meta" else tensor.fill_(777)

    monkeypatch.setattr(torch, "empty_like", filled)


def clean(model):
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return [name for name, tensor in tensors.items() if (tensor == 777).any()] == []


def loaded(kind, folder, how, **options):
    """From a folder, or with its tensors as a state_dict; the folder lacks what was taken out."""
    if how == "folder":
        return kind.from_pretrained(folder, **options)
    config = kind.config_class.from_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    return kind.from_pretrained(None, config=config, state_dict=state, **options)


how = pytest.mark.parametrize("how", ["folder", "state_dict"])
VECTORS = "text_tower.keyword_embedding.weight"


@how
@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("tensor", [None, torch.zeros(4, 6)], ids=["missing", "of another size"])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, TRUNK) for kind in CLASSES),
        (EmotionNetForPreTraining, "emotionnet.backbone.bn1.running_mean"),
        (EmotionNetForPreTraining, "emotionnet.visual_projection.bias"),
        (EmotionNetForPreTraining, VECTORS),
        (EmotionNetForZeroShotImageClassification, VECTORS),
    ],
)
def test_trunk_and_word_vectors_are_whole_or_refused(spoiled, kind, name, tensor, new_head, how):
    folder = spoiled(**{name: tensor})
    with pytest.raises(CheckpointError, match=name.removeprefix("emotionnet.")) as caught:
        loaded(kind, folder, how, ignore_mismatched_sizes=new_head)
    assert ("The state_dict" if how == "state_dict" else f"Checkpoint '{folder}'") in str(
        caught.value
    )


@how
@pytest.mark.parametrize("gone", [["weight"], ["bias"], ["weight", "bias"]])
@pytest.mark.parametrize("kind", [EmotionNetForImageClassification, EmotionNetForPreTraining])
def test_what_a_head_lacks_is_initialised(spoiled, dirty, kind, gone, how):
    folder = spoiled(**{f"classifier.{name}": None for name in gone})
    with pytest.raises(CheckpointError, match=r"classifier\.(weight|bias)"):
        loaded(kind, folder, how)
    model = loaded(kind, folder, how, ignore_mismatched_sizes=True)
    assert clean(model)
    head, state = model.classifier, load_file(folder / "model.safetensors")
    bound = head.in_features**-0.5  # as nn.Linear begins
    for name in gone:
        assert 0.5 * bound < getattr(head, name).abs().max() <= bound
    for name in {"weight", "bias"} - set(gone):
        assert torch.equal(getattr(head, name), state[f"classifier.{name}"])


@how
@pytest.mark.parametrize("gone", [["weight"], ["bias"], ["weight", "bias"]])
def test_what_the_head_of_textcnn_lacks_is_initialised(tiny_textcnn, tmp_path, dirty, gone, how):
    tiny_textcnn().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    kept = {k: v for k, v in tensors.items() if k not in {f"classifier.{name}" for name in gone}}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    kind = TextCNNForSequenceClassification
    with pytest.raises(CheckpointError, match=r"classifier\.(weight|bias)"):
        loaded(kind, tmp_path, how)
    model = loaded(kind, tmp_path, how, ignore_mismatched_sizes=True)
    assert clean(model)
    for name in gone:
        assert 0 < getattr(model.classifier, name).abs().max() <= model.classifier.in_features**-0.5


def test_a_whole_state_dict_is_loaded(checkpoint):
    model = loaded(EmotionNetForPreTraining, checkpoint, "state_dict")
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        assert torch.equal(model.state_dict()[name], tensor)


class WithMore(EmotionNetPreTrainedModel):
    """A class of a user's own."""

    def __init__(self, config):
        super().__init__(config)
        self.emotionnet = EmotionNetModel(config)
        self.more = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5))
        self.post_init()


def test_layers_that_a_subclass_adds_are_initialised(checkpoint, tmp_path, dirty):
    EmotionNetModel.from_pretrained(checkpoint).save_pretrained(tmp_path / "trunk")
    model = WithMore.from_pretrained(tmp_path / "trunk", ignore_mismatched_sizes=True)
    assert clean(model)
    assert 0 < model.more[0].weight.abs().max() < 1
    assert model.more[1].running_var.tolist() == [1] * 5


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext", "swin_tiny_patch4_window7_224"])
def test_buffers_that_are_not_saved_are_made_anew(tiny_net, tmp_path, dirty, backbone):
    model = tiny_net(backbone)
    model.save_pretrained(tmp_path)
    again = EmotionNetForPreTraining.from_pretrained(tmp_path)
    for name, buffer in model.named_buffers():
        assert torch.equal(again.get_buffer(name), buffer)


def test_new_models_keep_the_weights_that_timm_gave_them(tiny_config):
    torch.manual_seed(3)
    model = EmotionNetModel(tiny_config("test_vit"))
    torch.manual_seed(3)
    raw = timm.create_model("test_vit", pretrained=False, num_classes=0)
    for name, tensor in raw.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], tensor)
