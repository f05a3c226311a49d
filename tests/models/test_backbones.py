import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from emotionnet_hf.models import backbones
from emotionnet_hf.models.backbones import BackboneWeightsError, load_backbone, pretrained_name

CHOICES = r"'pretrained'.*\.safetensors file.*'none'"
NAMES = ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"]


def trunk(name: str = "test_resnet") -> torch.nn.Module:
    torch.manual_seed(1)
    return timm.create_model(name, pretrained=False, num_classes=0)


@pytest.fixture
def weights(tmp_path):
    """Writes the weights of another timm model, with or without its classifier."""

    def make(name: str = "test_resnet", num_classes: int = 0, drop=(), **extra):
        torch.manual_seed(2)
        state = timm.create_model(name, pretrained=False, num_classes=num_classes).state_dict()
        state = {k: v for k, v in state.items() if not k.endswith(tuple(drop) or "\0")}
        save_file({**state, **extra}, tmp_path / "weights.safetensors")
        return str(tmp_path / "weights.safetensors")

    return make


def test_none_leaves_the_trunk_as_it_was_made():
    model = trunk()
    load_backbone(model, "test_resnet", "none")
    for name, tensor in trunk().state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


@pytest.mark.parametrize("num_classes", [0, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_fills_the_trunk_whether_or_not_it_has_a_classifier(weights, name, num_classes):
    path, model = weights(name, num_classes), trunk(name)
    load_backbone(model, name, path)
    stored = load_file(path)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, stored[key])


def test_a_counter_that_nothing_reads_may_be_missing(weights):
    load_backbone(trunk(), "test_resnet", weights(drop=["num_batches_tracked"]))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"drop": ["conv1.0.weight"]}, r"missing \['conv1.0.weight'\]"),
        ({"stranger": torch.zeros(2)}, r"without a place \['stranger'\]"),
        ({"conv1.0.weight": torch.zeros(3, 3)}, r"conv1\.0\.weight"),
        ({"name": "test_vit"}, "missing .* without a place"),
    ],
)
def test_a_file_that_does_not_fit_names_the_tensor_and_the_choices(weights, change, named):
    path = weights(**change)
    with pytest.raises(BackboneWeightsError, match=rf"(?s)does not fit test_resnet.*{named}"):
        load_backbone(trunk(), "test_resnet", path)
    with pytest.raises(BackboneWeightsError, match=rf"(?s){CHOICES}"):
        load_backbone(trunk(), "test_resnet", path)


def test_a_missing_file_names_the_choices(tmp_path):
    with pytest.raises(BackboneWeightsError, match=rf"nowhere\.safetensors.*{CHOICES}"):
        load_backbone(trunk(), "test_resnet", str(tmp_path / "nowhere.safetensors"))


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(BackboneWeightsError, match=CHOICES):
        load_backbone(trunk(), "test_resnet", str(tmp_path))


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_a_truncated_file_names_the_choices(weights, tmp_path, size):
    path = tmp_path / "weights.safetensors"
    weights()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BackboneWeightsError, match=rf"weights\.safetensors is no .*{CHOICES}"):
        load_backbone(trunk(), "test_resnet", str(path))


def test_a_pickle_is_not_read(tmp_path):
    torch.save(trunk().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(BackboneWeightsError, match="no readable safetensors file"):
        load_backbone(trunk(), "test_resnet", str(tmp_path / "weights.pt"))


def test_names_without_a_tag_say_whose_weights_they_get(caplog, monkeypatch):
    state = trunk("resnet50").state_dict()
    monkeypatch.setattr(backbones, "_download", lambda name: state)
    for name in ("resnet50", "resnet50.tv_in1k", "no_model_of_timm"):
        with caplog.at_level("INFO"):
            load_backbone(trunk("resnet50"), name, "pretrained")
    said = [record.message for record in caplog.records]
    assert said == ["the pretrained weights of resnet50 are timm's resnet50.a1_in1k"]
    # What timm itself would download.
    assert timm.create_model("resnet50").pretrained_cfg["tag"] == "a1_in1k"
    assert pretrained_name("no_model_of_timm") == "no_model_of_timm"


def test_offline_the_pretrained_weights_name_the_choices():
    with pytest.raises(
        BackboneWeightsError, match=rf"(?s)test_resnet cannot be downloaded.*{CHOICES}"
    ):
        load_backbone(trunk(), "test_resnet", "pretrained")


def test_the_real_imagenet_weights_fill_their_trunk(real_data):
    path = real_data / "imagenet_backbone" / "mobilenetv2_100.safetensors"
    model = trunk("mobilenetv2_100")
    load_backbone(model, "mobilenetv2_100", str(path))
    stored = load_file(path)
    assert all(
        torch.equal(tensor, stored[key])
        for key, tensor in model.state_dict().items()
        if key in stored
    )
    with torch.no_grad():
        assert model.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 1280)
