import pytest

from emotionnet_hf.models import CheckpointError
from emotionnet_hf.training import RecipeError
from emotionnet_hf.training.text_models import check_classes, load_text_model


def test_a_text_model_comes_frozen_with_its_tokenizer(text_model):
    model, tokenizer = load_text_model(str(text_model), "text_model")
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert len(tokenizer) == model.config.vocab_size


def test_a_folder_without_a_model_is_refused_by_the_arguments_name(tmp_path):
    with pytest.raises(RecipeError, match=r"auxiliary_text_model: .* no config\.json"):
        load_text_model(str(tmp_path), "auxiliary_text_model")
    with pytest.raises(RecipeError, match="text_model: There is no folder runs/no/model"):
        load_text_model("runs/no/model", "text_model")


def test_a_model_whose_weights_are_gone_is_refused(text_model, tmp_path):
    import shutil

    shutil.copytree(text_model, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_text_model(str(tmp_path / "model"), "text_model")


def test_classes_must_be_the_same_in_the_same_order(se30k8_model):
    from emotionnet_hf.emotions import SE30K8

    model, _ = load_text_model(str(se30k8_model), "text_model")
    check_classes(model, list(SE30K8), "Remedy.")
    with pytest.raises(RecipeError, match=r"predicts 8 classes \(anger, .*8 that are.*Remedy\."):
        check_classes(model, list(reversed(SE30K8)), "Remedy.")
