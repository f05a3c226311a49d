import json

import pytest
import timm
import torch
from transformers import (
    AutoConfig,
    AutoModelForPreTraining,
    ZeroShotImageClassificationPipeline,
)
from transformers.pipelines import PIPELINE_REGISTRY

from emotionnet_hf.models import (
    CheckpointError,
    EmotionNetConfig,
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    EmotionNetModel,
)
from emotionnet_hf.models.modeling_words import UnknownCandidatesError

TINY = timm.list_models("test_*")
# One of each kind of feature map: convolution, tokens, channels last, and both in one.
KINDS = ["test_resnet", "test_vit", "test_mambaout", "test_coatnet"]
CLASSES = [
    EmotionNetModel,
    EmotionNetForImageClassification,
    EmotionNetForZeroShotImageClassification,
    EmotionNetForPreTraining,
]
IDS = torch.tensor([[2, 3, 0], [4, 8, 5]])


def inputs_of(kind, pictures):
    """What a class is called with, and nothing else."""
    ids = {} if kind in CLASSES[:2] else {"input_ids": IDS}
    return {"pixel_values": pictures, **ids}


# --- configuration


def test_a_configuration_survives_saving(tiny_config, tmp_path):
    config = tiny_config(
        "test_vit", backbone_kwargs={"drop_path_rate": 0.1}, logit_scale=3.5, problem_type=None
    )
    config.save_pretrained(tmp_path)
    for loaded in (
        EmotionNetConfig.from_pretrained(tmp_path),
        AutoConfig.from_pretrained(tmp_path),
    ):
        assert isinstance(loaded, EmotionNetConfig)
        assert {**loaded.to_dict(), "_name_or_path": ""} == config.to_dict()
        assert loaded.id2label == {0: "joy", 1: "fear", 2: "awe", 3: "calm"}
        assert loaded.label2id == {"joy": 0, "fear": 1, "awe": 2, "calm": 3}


def test_the_saved_auto_map_is_whole_whatever_class_was_saved(tiny_config, tmp_path):
    for kind in CLASSES:
        kind(tiny_config()).save_pretrained(tmp_path / kind.__name__)
        config = json.loads((tmp_path / kind.__name__ / "config.json").read_text())
        assert set(config["auto_map"]) == {
            "AutoConfig",
            "AutoModel",
            "AutoModelForPreTraining",
            "AutoModelForImageClassification",
            "AutoModelForZeroShotImageClassification",
        }
        for target in config["auto_map"].values():
            module = target.split(".")[0]
            assert (tmp_path / kind.__name__ / f"{module}.py").is_file()


def test_two_configurations_do_not_share_their_auto_map(tiny_config):
    one, other = tiny_config(), tiny_config()
    one.auto_map["AutoModel"] = "changed"
    assert other.auto_map["AutoModel"] != "changed"


def test_backbone_arguments_reach_timm(tiny_net):
    model = tiny_net("test_vit", backbone_kwargs={"depth": 2})
    assert len(model.emotionnet.backbone.blocks) == 2


def test_an_unknown_backbone_is_named(tiny_config):
    with pytest.raises(RuntimeError, match="no_such_net"):
        EmotionNetModel(tiny_config("no_such_net"))


# --- outputs


@pytest.mark.parametrize("backbone", TINY)
def test_outputs_equal_those_of_raw_timm(tiny_net, pictures, backbone):
    model, images = tiny_net(backbone), pictures(backbone)
    raw = timm.create_model(backbone, pretrained=False, num_classes=0).eval()
    raw.load_state_dict(model.emotionnet.backbone.state_dict())
    with torch.no_grad():
        output = model.emotionnet(images)
        assert torch.equal(output.last_hidden_state, raw.forward_features(images))
        assert torch.equal(output.pooler_output, raw(images))


@pytest.mark.parametrize("backbone", TINY)
def test_logits_equal_those_of_a_timm_classifier(tiny_net, pictures, backbone):
    model, images = tiny_net(backbone), pictures(backbone)
    raw = timm.create_model(backbone, pretrained=False, num_classes=4).eval()
    missing = raw.load_state_dict(model.emotionnet.backbone.state_dict(), strict=False).missing_keys
    head = raw.get_classifier()
    assert len(missing) == 2
    head.load_state_dict(model.classifier.state_dict())
    with torch.no_grad():
        assert torch.equal(model(images).logits, raw(images))


def test_resnet50_has_the_shapes_and_the_size_of_the_paper():
    config = EmotionNetConfig(num_labels=690, projection_dim=300, vocab_size=2)
    model = EmotionNetForPreTraining(config).eval()
    with torch.no_grad():
        trunk = model.emotionnet(torch.zeros(1, 3, 224, 224))
        output = model(torch.zeros(1, 3, 224, 224))
    assert trunk.last_hidden_state.shape == (1, 2048, 7, 7)
    assert output.pooler_output.shape == (1, 2048)
    assert output.image_embeds.shape == (1, 300)
    assert output.logits.shape == (1, 690)
    text = model.text_tower.keyword_embedding.weight.numel()
    assert sum(p.numel() for p in model.parameters()) - text == 25_536_542


def test_all_classes_compute_the_same(tiny_net, pictures, tmp_path):
    whole, images = tiny_net(), pictures()
    whole.save_pretrained(tmp_path)
    trunk, classifier, zero_shot = [kind.from_pretrained(tmp_path).eval() for kind in CLASSES[:3]]
    with torch.no_grad():
        expected = whole(images, IDS)
        assert torch.equal(trunk(images).pooler_output, expected.pooler_output)
        assert torch.equal(trunk(images).image_embeds, expected.image_embeds)
        assert torch.equal(classifier(images).logits, expected.logits)
        output = zero_shot(IDS, images)
        assert torch.equal(output.image_embeds, expected.image_embeds)
        assert torch.equal(output.text_embeds, expected.text_embeds)
        assert torch.equal(zero_shot.get_image_features(images), expected.image_embeds)
        assert torch.equal(zero_shot.get_text_features(IDS), expected.text_embeds)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_tuple_holds_what_the_output_holds(tiny_config, pictures, kind):
    model = kind(tiny_config()).eval()
    inputs = inputs_of(kind, pictures())
    with torch.no_grad():
        expected = model(**inputs).to_tuple()
        by_argument = model(**inputs, return_dict=False)
        model.config.return_dict = False
        by_configuration = model(**inputs)
    for given in (by_argument, by_configuration):
        assert isinstance(given, tuple)
        assert len(given) == len(expected)
        assert all(map(torch.equal, given, expected))


def test_the_text_tower_averages_the_known_keywords(tiny_net):
    tower = tiny_net().text_tower
    vectors = tower.keyword_embedding.weight
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    embeds = tower(IDS, mask)
    torch.testing.assert_close(embeds[0], (vectors[2] + vectors[3]) / 2)
    torch.testing.assert_close(embeds[1], (vectors[4] + vectors[5]) / 2)  # 8 has no vector


def test_the_mask_hides_keywords(tiny_net):
    tower = tiny_net().text_tower
    hidden = tower(torch.tensor([[2, 3]]), torch.tensor([[1, 0]]))
    assert torch.equal(hidden, tower(torch.tensor([[2]])))


def test_a_list_of_unknown_keywords_is_a_row_of_zeros(tiny_net):
    assert not tiny_net().text_tower(torch.tensor([[1, 0, 8], [1, 1, 1]])).any()


def test_word_vectors_are_not_trained(tiny_net):
    assert not tiny_net().text_tower.keyword_embedding.weight.requires_grad


# --- zero-shot


def naive_cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    norms = (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
    return dot / norms if norms else 0.0


def test_zero_shot_logits_are_scaled_cosines(tiny_config, pictures):
    torch.manual_seed(0)
    model = EmotionNetForZeroShotImageClassification(tiny_config(logit_scale=3.0)).eval()
    with torch.no_grad():
        output = model(IDS, pictures())
    expected = [
        [3 * naive_cosine(image, text) for text in output.text_embeds.tolist()]
        for image in output.image_embeds.tolist()
    ]
    torch.testing.assert_close(output.logits_per_image, torch.tensor(expected))
    assert torch.equal(output.logits_per_text, output.logits_per_image.T)


def test_an_unknown_candidate_has_cosine_zero_and_is_told(tiny_net, pictures, tmp_path, caplog):
    tiny_net().save_pretrained(tmp_path)
    model = EmotionNetForZeroShotImageClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        logits = model(torch.tensor([[1], [2]]), pictures()).logits_per_image
        model(torch.tensor([[1], [2]]), pictures())
    assert logits[:, 0].tolist() == [0, 0]
    assert logits[:, 1].abs().min() > 0
    told = [r for r in caplog.records if "no word vector for the texts number [0]" in r.message]
    assert len(told) == 1


def test_texts_without_any_known_keyword_are_an_error(tiny_net, pictures, tmp_path):
    tiny_net().save_pretrained(tmp_path)
    model = EmotionNetForZeroShotImageClassification.from_pretrained(tmp_path).eval()
    texts = torch.tensor([[1], [0]])
    with torch.no_grad(), pytest.raises(UnknownCandidatesError, match=r"no word of the 2 texts"):
        model(texts, pictures())
    with torch.no_grad():
        told = model(texts, pictures(), unknown_is_told=True).logits_per_image
    assert not told.any()
    exported = torch.export.export(model, (torch.tensor([[2], [1]]), pictures()))
    assert not exported.module()(texts, pictures()).logits_per_image.any()


# --- training


def checkpoint_gradients(model, enable):
    """Switch it on or off by the name that this transformers has for it."""
    switch = "enable" if enable else "disable"
    today = getattr(model, f"activation_checkpointing_{switch}", None)
    (today or getattr(model, f"gradient_checkpointing_{switch}"))()


def gradients(model, images):
    model.zero_grad()
    output = model(images)
    (output.logits.square().sum() + output.image_embeds.square().sum()).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("backbone", KINDS)
def test_gradient_checkpointing_gives_the_same_gradients(tiny_net, pictures, backbone):
    model, images = tiny_net(backbone), pictures(backbone)
    expected = gradients(model, images)
    checkpoint_gradients(model, True)
    given = gradients(model, images)
    assert given.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(given[name], gradient, rtol=1e-4, atol=1e-5)


def test_gradient_checkpointing_keeps_fewer_tensors(tiny_net, pictures):
    model = tiny_net("test_vit").train()

    def kept() -> int:
        sizes = []
        hooks = torch.autograd.graph.saved_tensors_hooks
        with hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            model(pictures("test_vit"))
        return sum(sizes)

    before = kept()
    checkpoint_gradients(model, True)
    assert model.emotionnet.gradient_checkpointing
    assert kept() < before / 2
    checkpoint_gradients(model, False)
    assert not model.emotionnet.gradient_checkpointing
    assert kept() == before


@pytest.mark.parametrize("backbone", KINDS)
def test_channels_last_gives_the_same_outputs(tiny_net, pictures, backbone):
    model, images = tiny_net(backbone), pictures(backbone)
    with torch.no_grad():
        expected = model(images)
        model.to(memory_format=torch.channels_last)
        given = model(images.contiguous(memory_format=torch.channels_last))
    for name in ("logits", "pooler_output", "image_embeds"):
        torch.testing.assert_close(given[name], expected[name], rtol=1e-4, atol=1e-5)


# --- saving and loading


@pytest.mark.parametrize("backbone", TINY)
def test_a_saved_net_computes_the_same_to_the_last_bit(tiny_net, pictures, tmp_path, backbone):
    model, images = tiny_net(backbone), pictures(backbone)
    model.save_pretrained(tmp_path)
    loaded = EmotionNetForPreTraining.from_pretrained(tmp_path)
    assert not loaded.training
    with torch.no_grad():
        given, expected = loaded(images, IDS).to_tuple(), model(images, IDS).to_tuple()
    assert all(map(torch.equal, given, expected))


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_survives_saving(tiny_config, pictures, tmp_path, kind):
    model = kind(tiny_config()).eval()
    model.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    inputs = inputs_of(kind, pictures())
    with torch.no_grad():
        assert all(map(torch.equal, loaded(**inputs).to_tuple(), model(**inputs).to_tuple()))


def test_weights_are_saved_as_safetensors_only(tiny_net, tmp_path):
    tiny_net().save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "configuration_emotionnet.py",
        "modeling_emotionnet.py",
        "modeling_strict.py",
        "modeling_words.py",
        "pipeline_emotion_tagging.py",
        "pipeline_images.py",
        "pipeline_keyword_zero_shot.py",
        "pipeline_urls.py",
    }


def test_a_loaded_net_can_be_saved_over_its_own_file(tiny_net, tmp_path):
    tiny_net().save_pretrained(tmp_path)
    loaded = EmotionNetForPreTraining.from_pretrained(tmp_path)
    before = {name: tensor.clone() for name, tensor in loaded.state_dict().items()}
    loaded.save_pretrained(tmp_path)
    after = EmotionNetForPreTraining.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_loaded_tensors_lie_where_torch_would_put_them(tiny_net, tmp_path):
    tiny_net().save_pretrained(tmp_path)
    loaded = EmotionNetForPreTraining.from_pretrained(tmp_path)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in loaded.state_dict().values())


def test_a_net_loads_in_half_precision(tiny_net, tmp_path):
    tiny_net().save_pretrained(tmp_path)
    loaded = EmotionNetForPreTraining.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {p.dtype for p in loaded.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_net_announces_the_pipelines_of_its_branches(tiny_config, tmp_path, kind):
    kind(tiny_config()).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    zero_shot = kind in (EmotionNetForPreTraining, EmotionNetForZeroShotImageClassification)
    tasks = {"emotion-tagging"} if kind is EmotionNetForPreTraining else set()
    tasks |= {"zero-shot-image-classification"} if zero_shot else set()
    assert set(config.get("custom_pipelines", {})) == tasks
    # Where the task is registered, the file's entry would only ask for trust.
    loaded = EmotionNetConfig.from_pretrained(tmp_path)
    assert loaded.custom_pipelines == {}
    assert EmotionNetConfig(**loaded.to_dict()).to_dict() == loaded.to_dict()


STOCK = "transformers.pipelines.zero_shot_image_classification.ZeroShotImageClassificationPipeline"


@pytest.mark.parametrize("stock", [STOCK, ZeroShotImageClassificationPipeline])
def test_pipelines_are_found_in_the_configuration_where_they_are_not_registered(
    tiny_net, monkeypatch, stock
):
    config = tiny_net().config
    config.architectures = ["EmotionNetForPreTraining"]
    tasks = {"zero-shot-image-classification": {"impl": stock}}
    monkeypatch.setattr(PIPELINE_REGISTRY, "supported_tasks", tasks)
    pipelines = config.custom_pipelines
    assert set(pipelines) == {"emotion-tagging", "zero-shot-image-classification"}
    pipelines["emotion-tagging"]["pt"] = (AutoModelForPreTraining,)  # as pipeline() does
    json.dumps(config.to_dict()["custom_pipelines"])


# --- the auxiliary head (section 5.3, extra supervision)


def test_auxiliary_head_is_a_linear_map_of_the_feature(tiny_net, pictures):
    model = tiny_net(auxiliary_dim=5)
    with torch.no_grad():
        output = model(pictures())
    weight, bias = (p.detach().double().numpy() for p in model.auxiliary_projection.parameters())
    expected = output.pooler_output.double().numpy() @ weight.T + bias
    assert output.auxiliary_embeds.shape == (2, 5)
    torch.testing.assert_close(output.auxiliary_embeds.double(), torch.from_numpy(expected))


def test_without_auxiliary_head_nothing_of_it_is_there(tiny_net, pictures, tmp_path):
    model = tiny_net()
    assert not any("auxiliary" in name for name in model.state_dict())
    with torch.no_grad():
        assert model(pictures()).auxiliary_embeds is None
    model.save_pretrained(tmp_path)
    loaded = EmotionNetForPreTraining.from_pretrained(tmp_path)
    assert loaded.state_dict().keys() == model.state_dict().keys()


def test_auxiliary_head_survives_saving(tiny_net, pictures, tmp_path):
    model = tiny_net(auxiliary_dim=5)
    model.save_pretrained(tmp_path)
    loaded = EmotionNetForPreTraining.from_pretrained(tmp_path)
    with torch.no_grad():
        given, expected = loaded(pictures(), IDS).to_tuple(), model(pictures(), IDS).to_tuple()
    assert len(given) == 5
    assert all(map(torch.equal, given, expected))
    assert loaded.config.auxiliary_dim == 5


@pytest.mark.parametrize("kind", CLASSES[:3])
def test_classes_that_lack_the_auxiliary_head_open_the_same_folder(
    tiny_net, pictures, tmp_path, kind
):
    model = tiny_net(auxiliary_dim=5)
    model.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    assert not any("auxiliary" in name for name in loaded.state_dict())
    with torch.no_grad():
        assert len(loaded(**inputs_of(kind, pictures())).to_tuple()) > 0


def test_a_folder_that_lost_its_auxiliary_head_is_refused(tiny_net, tmp_path):
    tiny_net().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "auxiliary_dim": 5}))
    with pytest.raises(CheckpointError, match=r"missing: auxiliary_projection"):
        EmotionNetForPreTraining.from_pretrained(tmp_path)
