import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from emotionnet_hf.models import EmotionNetForPreTraining, EmotionNetModel
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
    found = encoder.text(["joy", "joy, fear", "unheard of"])
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


SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 32,
    "patch_size": 16,
}


@pytest.mark.parametrize(
    "make",
    [
        lambda: ViTModel(ViTConfig(**SMALL)),
        lambda: Dinov2Model(Dinov2Config(**SMALL)),
        lambda: ViTModel(ViTConfig(**SMALL), add_pooling_layer=False),
        lambda: ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])),
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
    if output.pooler_output is not None and make().config.model_type != "vit":
        np.testing.assert_array_equal(found, output.pooler_output.flatten(1).numpy())


def test_clip_gives_projections_of_pictures(tmp_path, pictures):
    torch.manual_seed(6)
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=SMALL, projection_dim=12)).eval()
    model.save_pretrained(tmp_path)
    CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(tmp_path)
    from emotionnet_hf.models import keyword_tokenizer

    keyword_tokenizer(["joy", "fear"]).save_pretrained(tmp_path)
    encoder = open_encoder(tmp_path, "cpu")
    with torch.inference_mode():
        pixels = encoder.preprocess(pictures)
        expected = model.visual_projection(model.vision_model(pixels).pooler_output)
    np.testing.assert_allclose(encoder.encode(pictures)["features"], expected, atol=1e-6)
    assert encoder.text_space == "features" and encoder.text(["joy", "fear"]).shape == (2, 12)


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
    with pytest.raises(EncoderError, match="cannot be opened"):
        open_encoder("nobody/nothing")
