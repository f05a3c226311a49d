import pytest
import torch
from transformers import BertConfig

from emotionnet_hf.export.model_folder import (
    ExportError,
    difference,
    load_model,
    load_processor,
)
from emotionnet_hf.models import (
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    EmotionNetModel,
)
from emotionnet_hf.models.place import ModelKindError


@pytest.mark.parametrize(
    "kind",
    [
        EmotionNetModel,
        EmotionNetForImageClassification,
        EmotionNetForZeroShotImageClassification,
        EmotionNetForPreTraining,
    ],
)
def test_a_model_opens_as_what_it_was_saved_from(as_folder, kind):
    model = load_model(as_folder(kind))
    assert type(model) is kind
    assert not model.training


def test_half_precision_is_opened_in_float32(checkpoint, tmp_path):
    half = EmotionNetForPreTraining.from_pretrained(checkpoint, dtype=torch.bfloat16)
    half.save_pretrained(tmp_path)
    assert {tensor.dtype for tensor in load_model(tmp_path).parameters()} == {torch.float32}


def test_a_folder_without_a_model_is_an_error_that_says_where_models_are(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model folder: it has no config\.json"):
        load_model(tmp_path)


def test_another_model_is_an_error_that_says_what_can_be_exported(tmp_path):
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ExportError, match="is a BertConfig; what can be exported: EmotionNetForP"):
        load_model(tmp_path)


def test_the_processor_comes_with_the_size_of_its_crop(checkpoint, tmp_path):
    processor, size = load_processor(checkpoint)
    assert size == (32, 32)
    processor.crop_size = None
    processor.save_pretrained(tmp_path)
    config = (tmp_path / "preprocessor_config.json").read_text().replace('"crop_size": null,', "")
    (tmp_path / "preprocessor_config.json").write_text(config.replace("EmotionNet", "ViT"))
    with pytest.raises(ExportError, match="has no crop_size"):
        load_processor(tmp_path)


@pytest.mark.parametrize(
    "name", ["/no/where", "./nowhere", "../nowhere", "a/b/nowhere", "no where"]
)
def test_a_missing_folder_is_said_to_be_missing(tmp_path, monkeypatch, name):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    with pytest.raises(FileNotFoundError, match=f"There is no folder {name}. Give the folder of"):
        load_model(name)


def test_what_may_be_a_folder_or_a_repository_is_looked_for_as_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The tests have no network.
    with pytest.raises(FileNotFoundError, match="There is no folder runs/model, and no model of"):
        load_model("runs/model")


def test_a_file_is_no_model(checkpoint):
    with pytest.raises(FileNotFoundError, match=r"safetensors is a file; give the folder"):
        load_model(checkpoint / "model.safetensors")


def test_a_config_that_cannot_be_read_is_not_said_to_be_missing(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelKindError, match="not a valid JSON"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([0.5, -0.2], [0.5, -0.1], 0.1),
        ([100.0, 0.0], [100.0, 1.0], 0.01),
        ([1.0], [1.0], 0.0),
        ([1.0], [float("nan")], float("inf")),
        ([1.0], [1.0, 1.0], float("inf")),
        ([[]], [[]], 0.0),
        ([[]], [[1.0]], float("inf")),
    ],
)
def test_difference_is_absolute_for_small_values_and_a_share_of_large_ones(ours, theirs, expected):
    assert difference(torch.tensor(ours), torch.tensor(theirs)) == pytest.approx(expected)
