import pytest
import torch
from transformers import BertConfig

from emotionnet_hf.export.model_folder import (
    ExportError,
    check_output,
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
    (tmp_path / "preprocessor_config.json").write_text(config.replace("CLIP", "ViT"))
    with pytest.raises(ExportError, match="has no crop_size"):
        load_processor(tmp_path)


def test_only_an_earlier_export_is_overwritten(tmp_path):
    out = tmp_path / "out"
    check_output("model", out, "mark", overwrite=False)
    out.mkdir()
    check_output("model", out, "mark", overwrite=False)
    (out / "config.json").touch()
    with pytest.raises(ExportError, match=r"out exists; .*--overwrite"):
        check_output("model", out, "mark", overwrite=False)
    with pytest.raises(ExportError, match="no earlier export of this kind"):
        check_output("model", out, "mark", overwrite=True)
    (out / "mark").touch()
    check_output("model", out, "mark", overwrite=True)
    with pytest.raises(ExportError, match="holds the model"):
        check_output(out / "model", out, "mark", overwrite=True)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([0.5, -0.2], [0.5, -0.1], 0.1),
        ([100.0, 0.0], [100.0, 1.0], 0.01),
        ([1.0], [1.0], 0.0),
        ([1.0], [float("nan")], float("inf")),
        ([1.0], [1.0, 1.0], float("inf")),
    ],
)
def test_difference_is_absolute_for_small_values_and_a_share_of_large_ones(ours, theirs, expected):
    assert difference(torch.tensor(ours), torch.tensor(theirs)) == pytest.approx(expected)
