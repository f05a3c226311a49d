import json

import pytest
from transformers import BertConfig

from emotionnet_hf.models.place import ModelKindError, check_place, read_config


def test_folders_of_models_and_names_of_repositories_pass(tmp_path):
    (tmp_path / "config.json").touch()
    check_place(tmp_path)
    check_place("owner/name")  # not asked for
    check_place("name")


@pytest.mark.parametrize(
    "name", ["/no/where", "./nowhere", "../nowhere", "a/b/nowhere", "no where"]
)
def test_missing_folder(name):
    with pytest.raises(FileNotFoundError, match=f"There is no folder {name}. Give the folder of"):
        check_place(name)


def test_folder_without_a_model_and_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config.json. A training run saves its model"):
        check_place(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(FileNotFoundError, match=r"safetensors is a file; give the folder"):
        check_place(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("found", "kind", "message"),
    [
        ("textcnn", "emotionnet", "holds a TextCNN; needed is an EmotionNet"),
        ("emotionnet", "textcnn", "holds an EmotionNet; needed is a TextCNN"),
        ("bert", "textcnn", "holds a model of the kind 'bert'; needed is a TextCNN"),
        (None, "emotionnet", "holds a model of the kind None; needed is an EmotionNet"),
    ],
)
def test_a_model_of_another_kind_is_named(tmp_path, found, kind, message):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": found}))
    with pytest.raises(ModelKindError, match=message):
        check_place(tmp_path, kind)
    check_place(tmp_path)
    if found in ("textcnn", "emotionnet"):
        check_place(tmp_path, found)


@pytest.mark.parametrize("kind", [None, "emotionnet"])
def test_a_repository_that_cannot_be_had_is_named(kind):
    with pytest.raises(
        FileNotFoundError, match=r"no folder owner/name, and no model of .*Give the"
    ) as told:
        read_config("owner/name", kind)
    assert "\n" not in str(told.value)


def test_the_configuration_of_an_unknown_kind_is_refused_and_of_another_named(tmp_path):
    for text, told in (("{}", "Unrecognized model"), ("{", ".*is not a valid JSON file")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ModelKindError, match=rf"no model that is known here \({told}"):
            read_config(tmp_path)
    BertConfig().save_pretrained(tmp_path)
    assert read_config(tmp_path).model_type == "bert"
    with pytest.raises(ModelKindError, match="'bert'; needed is an EmotionNet"):
        read_config(tmp_path, "emotionnet")


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
def test_a_damaged_configuration_is_an_error(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelKindError, match=r"config\.json is damaged"):
        check_place(tmp_path, "textcnn")
