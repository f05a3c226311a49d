import json
import shutil

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import ModelCard
from PIL import Image
from transformers import AutoImageProcessor, pipeline

from emotionnet_hf.export import ExportError, export_timm, timm_trunk
from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    build_image_processor,
)

EMOTIONS = ["joy", "fear", "awe", "calm", "nameless"]


def picture(seed: int, size=(50, 40)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    return export_timm(checkpoint, tmp_path_factory.mktemp("timm") / "out")


def pixels_for(model) -> torch.Tensor:
    size = timm.data.resolve_model_data_config(model)["input_size"]
    return torch.randn(3, *size, generator=torch.Generator().manual_seed(1))


def assert_same(theirs, folder, tolerance=0.0) -> None:
    """Features and logits of a timm model are those of the folder's model, bit for bit."""
    pixels = pixels_for(theirs)
    with torch.no_grad():
        ours = EmotionNetForPreTraining.from_pretrained(folder)(pixels)
        features = theirs.forward_head(theirs.forward_features(pixels), pre_logits=True)
        assert torch.equal(features, ours.pooler_output)
        torch.testing.assert_close(theirs(pixels), ours.logits, rtol=tolerance, atol=0)


def test_timm_opens_the_folder(exported, checkpoint):
    model = timm.create_model(f"local-dir:{exported.out}", pretrained=True).eval()
    assert_same(model, checkpoint)
    assert list(model.pretrained_cfg["label_names"]) == EMOTIONS
    assert (exported.num_classes, exported.feature_size) == (5, model.num_features)


def test_timm_opens_it_from_the_hub(exported, checkpoint, monkeypatch):
    from huggingface_hub import constants

    # As if it had been downloaded: the client looks into its cache, tests have no network.
    commit = "0123456789" * 4
    repository = f"{constants.HF_HUB_CACHE}/models--someone--timm-net"
    shutil.copytree(exported.out, f"{repository}/snapshots/{commit}")
    shutil.os.makedirs(f"{repository}/refs")
    with open(f"{repository}/refs/main", "w") as file:
        file.write(commit)
    model = timm.create_model("hf-hub:someone/timm-net", pretrained=True).eval()
    assert_same(model, checkpoint)
    # As the trunk of something new.
    other = timm.create_model("hf-hub:someone/timm-net", pretrained=True, num_classes=3)
    assert other(pixels_for(other)).shape == (3, 3)


def test_stock_transformers_classifies_with_it_and_runs_no_code(exported, checkpoint):
    ours = pipeline("image-classification", model=str(checkpoint))
    theirs = pipeline("image-classification", model=str(exported.out))
    assert type(theirs.model).__module__.startswith("transformers.")
    image = picture(0, (32, 32)).resize((37, 37), Image.Resampling.NEAREST)  # no resize is left
    scores = {tag["label"]: tag["score"] for tag in theirs(image, top_k=5)}
    assert scores == pytest.approx({t["label"]: t["score"] for t in ours(image, top_k=5)}, abs=1e-4)
    assert set(scores) == set(EMOTIONS)


@pytest.mark.parametrize("size", [(50, 40), (300, 400), (37, 37), (90, 60), (43, 40)])
def test_timm_prepares_pictures_as_our_processor_does(exported, size):
    model = timm.create_model(f"local-dir:{exported.out}", pretrained=True)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    processor = AutoImageProcessor.from_pretrained(exported.out.parent / "processor")
    ours = processor(picture(3, size), return_tensors="pt")["pixel_values"][0]
    theirs = transform(picture(3, size))
    assert theirs.shape == ours.shape == (3, 32, 32)
    # They round the resized pixels each in its own way.
    apart = (theirs - ours).abs()
    step = 1 / 255 / min(processor.image_std)
    assert apart.max() <= 2 * step
    assert apart.mean() <= 0.3 * step


@pytest.fixture(scope="module", autouse=True)
def processor_beside(exported, checkpoint):
    AutoImageProcessor.from_pretrained(checkpoint).save_pretrained(
        exported.out.parent / "processor"
    )


def test_every_crop_is_cut_from_the_edge_that_our_processor_resizes_to():
    for crop in range(16, 700):
        edge = build_image_processor("resnet50", crop).size["shortest_edge"]
        assert int(crop / timm_trunk._crop_share(crop, edge)) == edge
    assert timm_trunk._crop_share(224, 256) == 0.875


@pytest.mark.parametrize(
    ("backbone", "size", "kwargs"),
    [
        ("test_vit", 64, {"img_size": 64}),
        ("test_resnet.r160_in1k", 96, {"drop_path_rate": 0.1}),
        ("dla34", 64, None),  # its classifier is a convolution, which rounds in its own way
    ],
)
def test_other_trunks(tmp_path, backbone, size, kwargs):
    torch.manual_seed(0)
    config = EmotionNetConfig(
        backbone=backbone, backbone_kwargs=kwargs, id2label=dict(enumerate(EMOTIONS))
    )
    EmotionNetForPreTraining(config).save_pretrained(tmp_path / "model")
    build_image_processor(backbone, size).save_pretrained(tmp_path / "model")
    result = export_timm(tmp_path / "model", tmp_path / "out")
    assert result.architecture == backbone.split(".")[0]
    model = timm.create_model(f"local-dir:{result.out}", pretrained=True).eval()
    assert [*timm.data.resolve_model_data_config(model)["input_size"]] == [3, size, size]
    assert_same(model, tmp_path / "model", tolerance=1e-5 if backbone == "dla34" else 0)
    pipeline("image-classification", model=str(result.out))(picture(0))


def test_a_model_without_classifier_becomes_a_trunk(as_folder, checkpoint, tmp_path):
    folder = as_folder(EmotionNetForZeroShotImageClassification)
    result = export_timm(folder, tmp_path / "out")
    assert result.num_classes == 0
    trunk = timm.create_model(f"local-dir:{result.out}", pretrained=True).eval()
    pixels = pixels_for(trunk)
    with torch.no_grad():
        ours = EmotionNetForPreTraining.from_pretrained(checkpoint)(pixels).pooler_output
        assert torch.equal(trunk(pixels), ours)
    card = ModelCard.load(result.out / "README.md")
    assert card.data.pipeline_tag == "image-feature-extraction"
    assert "The image trunk of `part`, an EmotionNet." in card.text


def test_folder_says_what_the_hub_and_a_reader_must_know(exported, checkpoint):
    card = ModelCard.load(exported.out / "README.md")
    assert card.data.library_name == "timm"
    assert card.data.pipeline_tag == "image-classification"
    assert f"The image trunk and the classifier of `{checkpoint.name}`, an EmotionNet." in card.text
    assert str(checkpoint.parent) not in card.content
    assert "{" not in card.text
    record = json.loads((exported.out / "timm.json").read_text())
    assert record["largest_difference"] == exported.largest_difference == 0
    # Licence, tag and sizes of timm's own weights are not ours.
    config = json.loads((exported.out / "config.json").read_text())
    assert not {"license", "tag", "test_input_size", "hf_hub_id"} & {*config["pretrained_cfg"]}


def test_a_model_without_a_joint_space_is_exported_whole(bare_folder, tmp_path):
    folder = bare_folder(EmotionNetForImageClassification)
    result = export_timm(folder, tmp_path / "out")
    model = timm.create_model(f"local-dir:{result.out}", pretrained=True).eval()
    pixels = pixels_for(model)
    with torch.no_grad():
        ours = EmotionNetForImageClassification.from_pretrained(folder)(pixels).logits
        assert torch.equal(model(pixels), ours)


def test_a_model_is_named_by_folder_or_repository(tmp_path, monkeypatch):
    (tmp_path / "secret" / "net").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "secret" / "net")
    for source in (".", tmp_path / "secret" / "net", f"{tmp_path}/secret/net/"):
        assert timm_trunk._public_name(source) == "net"
    assert timm_trunk._public_name("someone/net") == "someone/net"


def test_a_text_model_has_no_trunk(text_folder, tmp_path):
    with pytest.raises(ExportError, match="has no image trunk: it is a TextCNNForSequence"):
        export_timm(text_folder("paper"), tmp_path / "out")


def test_a_trunk_with_two_classifiers_is_an_error(tmp_path):
    backbone = "deit_tiny_distilled_patch16_224"
    config = EmotionNetConfig(
        backbone=backbone, backbone_kwargs={"img_size": 32, "depth": 1}, id2label={0: "a", 1: "b"}
    )
    EmotionNetForImageClassification(config).save_pretrained(tmp_path / "model")
    build_image_processor(backbone, 32).save_pretrained(tmp_path / "model")
    with pytest.raises(ExportError, match="no single linear classifier"):
        export_timm(tmp_path / "model", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_processor_that_timm_cannot_imitate_is_an_error(as_folder, tmp_path):
    folder = as_folder(EmotionNetForImageClassification)
    processor = AutoImageProcessor.from_pretrained(folder)
    processor.crop_size = {"height": 32, "width": 48}
    processor.save_pretrained(folder)
    with pytest.raises(ExportError, match="crop 32 x 48"):
        export_timm(folder, tmp_path / "out")


def test_a_model_that_computes_something_else_is_not_written(
    checkpoint, exported, tmp_path, monkeypatch
):
    shutil.copytree(exported.out, tmp_path / "out")
    make = timm_trunk._whole_trunk

    def make_wrongly(model):
        trunk = make(model)
        trunk.get_classifier().bias.data[0] += 1
        return trunk

    monkeypatch.setattr(timm_trunk, "_whole_trunk", make_wrongly)
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    with pytest.raises(ExportError, match="nothing was written"):
        export_timm(checkpoint, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
