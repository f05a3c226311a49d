import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.models import save_for_hf
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    ConvNextImageProcessor,
    Dinov2Config,
    Dinov2Model,
    EfficientNetImageProcessor,
    PixtralImageProcessor,
    ResNetConfig,
    ResNetModel,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    ViTMAEConfig,
    ViTMAEModel,
    ViTModel,
)

from emotionnet_hf.models import (
    EmotionNetForPreTraining,
    EmotionNetModel,
    backbones,
    keyword_tokenizer,
)
from emotionnet_hf.models.encoders import EncoderError, open_encoder


@pytest.fixture(scope="module")
def pictures():
    noise = np.random.default_rng(0)
    sizes = ((40, 50), (64, 33), (80, 80))
    return [Image.fromarray(noise.integers(0, 256, (*size, 3), np.uint8)) for size in sizes]


def test_emotionnet_gives_both_spaces_as_the_model_itself_does(checkpoint, pictures):
    encoder = open_encoder(checkpoint, "cpu")
    model = EmotionNetModel.from_pretrained(checkpoint).eval()
    processor = AutoImageProcessor.from_pretrained(checkpoint)
    with torch.inference_mode():
        output = model(processor(pictures, return_tensors="pt")["pixel_values"])
    found = encoder.encode(pictures)
    assert encoder.kind == "emotionnet" and encoder.size == (160, 160)
    assert encoder.dims == {name: x.shape[1] for name, x in found.items()}
    np.testing.assert_array_equal(found["features"], output.pooler_output.numpy())
    np.testing.assert_array_equal(found["joint"], output.image_embeds.numpy())


def test_emotionnet_puts_words_into_the_joint_space(checkpoint):
    encoder = open_encoder(checkpoint, "cpu")
    model = EmotionNetForPreTraining.from_pretrained(checkpoint)
    vectors = model.text_tower.keyword_embedding.weight.detach().numpy()
    ids = AutoTokenizer.from_pretrained(checkpoint).get_vocab()
    found = encoder.text(["joys", "Joy!, fears", "unheard of"])
    assert encoder.text_space == "joint"
    np.testing.assert_array_equal(found[0], vectors[ids["joy"]])
    mean = (vectors[ids["joy"]] + vectors[ids["fear"]]) / 2
    np.testing.assert_allclose(found[1], mean, rtol=1e-6)
    assert not found[2].any()


def test_timm_equals_timm(tmp_path, pictures):
    torch.manual_seed(4)
    model = timm.create_model("test_resnet", num_classes=7).eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    encoder = open_encoder(f"timm:test_resnet={tmp_path / 'weights.safetensors'}", "cpu")
    data = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**data)
    with torch.inference_mode():
        pixels = torch.stack([transform(picture) for picture in pictures])
        expected = model.forward_head(model.forward_features(pixels), pre_logits=True)
    found = encoder.encode(pictures)["features"]
    np.testing.assert_array_equal(found, expected.numpy())
    assert encoder.dims == {"features": found.shape[1]}
    assert encoder.text is None and encoder.mean == tuple(data["mean"])


def test_timms_own_weights_are_named_with_their_tag(tmp_path, monkeypatch):
    model = timm.create_model("test_resnet", num_classes=0)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    monkeypatch.setattr(backbones, "_download", lambda name: model.state_dict())
    assert open_encoder("timm:test_resnet", "cpu").name == "timm:test_resnet.r160_in1k"
    for name in (f"timm:test_resnet={tmp_path / 'weights.safetensors'}", "timm:test_resnet=none"):
        assert open_encoder(name, "cpu").name == name


SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 32,
    "patch_size": 16,
}


def small_resnet():
    return ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ViTModel(ViTConfig(**SMALL)),
        lambda: Dinov2Model(Dinov2Config(**SMALL)),
        lambda: ViTModel(ViTConfig(**SMALL), add_pooling_layer=False),
        small_resnet,
    ],
    ids=["vit", "dinov2", "unpooled", "resnet"],
)
def test_transformers_models_give_their_pooled_output(tmp_path, pictures, make):
    torch.manual_seed(5)
    model = make().eval()
    model.save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = open_encoder(tmp_path, "cpu")
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    with torch.inference_mode():
        output = model(processor(pictures, return_tensors="pt")["pixel_values"])
    found = encoder.encode(pictures)["features"]
    assert found.shape == (3, encoder.dims["features"]) and encoder.size == (32, 32)
    pooled = output.pooler_output
    expected = output.last_hidden_state[:, 0] if pooled is None else pooled.flatten(1)
    np.testing.assert_array_equal(found, expected.numpy())


def test_a_classifier_without_pooler_gives_its_class_token_and_no_random_pooler(tmp_path, pictures):
    torch.manual_seed(5)
    model = ViTForImageClassification(ViTConfig(**SMALL)).eval()
    model.save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = open_encoder(tmp_path, "cpu")
    with torch.inference_mode():
        expected = model.vit(encoder.preprocess(pictures)).last_hidden_state[:, 0]
    np.testing.assert_array_equal(encoder.encode(pictures)["features"], expected.numpy())


def test_weights_that_are_missing_are_never_random(tmp_path):
    model = ViTModel(ViTConfig(**SMALL))
    state = {k: v for k, v in model.state_dict().items() if "attention" not in k}
    model.save_pretrained(tmp_path, state_dict=state)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match=r"its weights lack \S+attention"):
        open_encoder(tmp_path, "cpu")


def test_mae_sees_the_whole_picture(tmp_path, pictures):
    config = ViTMAEConfig(**SMALL, decoder_hidden_size=8, decoder_num_attention_heads=2)
    ViTMAEModel(config).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = open_encoder(tmp_path, "cpu")
    twice = [encoder.encode(pictures)["features"] for _ in range(2)]
    np.testing.assert_allclose(twice[0], twice[1], atol=1e-6)


@pytest.mark.parametrize(
    ("processor", "size", "mean"),
    [
        # It has a size of the crop, and does not crop.
        (EfficientNetImageProcessor(size={"height": 40, "width": 40}), (40, 40), 0.5),
        # It does not normalise.
        (ViTImageProcessor(size={"height": 32, "width": 48}, do_normalize=False), (32, 48), 0.0),
        (ConvNextImageProcessor(size={"shortest_edge": 48}), (48, 48), 0.5),
        (CLIPImageProcessor(size=64, crop_size={"height": 32, "width": 40}), (32, 40), 0.48145466),
    ],
)
def test_size_and_mean_are_those_of_the_pixels(tmp_path, pictures, processor, size, mean):
    small_resnet().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    encoder = open_encoder(tmp_path, "cpu")
    assert encoder.size == size == tuple(encoder.preprocess(pictures).shape[2:])
    assert encoder.mean[0] == pytest.approx(mean)


def test_pictures_of_no_fixed_size_are_refused(tmp_path):
    small_resnet().save_pretrained(tmp_path)
    PixtralImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="no fixed size"):
        open_encoder(tmp_path, "cpu")


def test_timm_repositories_open_as_what_they_are(tmp_path, pictures):
    torch.manual_seed(5)
    model = timm.create_model("test_resnet").eval()
    save_for_hf(model, tmp_path, safe_serialization=True)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["model_args"]  # not in timm's own repositories
    (tmp_path / "config.json").write_text(json.dumps(config))
    encoder = open_encoder(tmp_path, "cpu")
    with torch.inference_mode():
        features = model.forward_features(encoder.preprocess(pictures))
        expected = model.forward_head(features, pre_logits=True)
    np.testing.assert_array_equal(encoder.encode(pictures)["features"], expected.numpy())
    data = timm.data.resolve_model_data_config(model)
    assert (encoder.size, encoder.mean) == (data["input_size"][1:], data["mean"])


def test_clip_gives_projections_of_pictures(tmp_path, pictures):
    torch.manual_seed(6)
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=SMALL, projection_dim=12)).eval()
    model.save_pretrained(tmp_path)
    CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(tmp_path)
    keyword_tokenizer(["joy", "fear"]).save_pretrained(tmp_path)
    encoder = open_encoder(tmp_path, "cpu")
    with torch.inference_mode():
        pixels = encoder.preprocess(pictures)
        expected = model.visual_projection(model.vision_model(pixels).pooler_output)
    np.testing.assert_allclose(encoder.encode(pictures)["features"], expected, atol=1e-6)
    assert encoder.text_space == "features" and encoder.text(["joy", "fear"]).shape == (2, 12)


def test_siglip_pads_texts_to_full_length_whatever_its_tokenizer_knows(tmp_path):
    torch.manual_seed(6)
    text = {k: SMALL[k] for k in SMALL if not k.endswith("_size")}
    text |= {"hidden_size": 16, "intermediate_size": 16, "vocab_size": 9}
    text |= {"max_position_embeddings": 7, "projection_size": 16}
    SiglipModel(SiglipConfig(text_config=text, vision_config=SMALL)).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    tokenizer = keyword_tokenizer(["joy", "fear"])
    tokenizer.model_max_length = 10**30  # as that of SigLIP 2
    tokenizer.save_pretrained(tmp_path)
    encoder = open_encoder(tmp_path, "cpu")
    alone, beside = encoder.text(["joy"]), encoder.text(["joy", "joy, fear, joy"])
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-6)
    assert encoder.text(["joy, " * 20]).shape == alone.shape


def test_frozen_and_in_evaluation_mode(checkpoint):
    encoder = open_encoder(checkpoint, "cpu")
    assert not any(p.requires_grad for p in encoder.model.parameters())
    assert not any(module.training for module in encoder.model.modules())


def test_what_is_no_image_model_is_refused(tmp_path):
    BertModel(
        BertConfig(
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
            vocab_size=9,
        )
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(EncoderError, match="bert gives no image features"):
        open_encoder(tmp_path / "bert")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match=r"has no config\.json"):
        open_encoder(tmp_path / "empty")
    with pytest.raises(EncoderError, match="There is no folder"):
        open_encoder(tmp_path / "absent" / "deep" / "down")
    with pytest.raises(EncoderError, match="timm has no model 'resnet5000'"):
        open_encoder("timm:resnet5000")
    with pytest.raises(EncoderError, match="no model of that name from the Hub"):
        open_encoder("nobody/nothing")
