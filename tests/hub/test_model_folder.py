import json
import shutil

import pytest

from emotionnet_hf.files import unfinished_name
from emotionnet_hf.hub.model_folder import (
    ModelFolderError,
    ModelFolderNotFoundError,
    open_model,
)
from emotionnet_hf.hub.privacy import PrivateTextError
from emotionnet_hf.lock import one_run


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_model_folder_and_its_run_folder_are_the_same_model(model, run_folder):
    by_model, by_run = open_model(model), open_model(run_folder)
    assert by_model == by_run
    assert (by_run.kind, by_run.task) == ("emotionnet", "image-classification")
    assert by_run.labels == ["joy", "fear", "awe", "calm", "nameless"]
    assert by_run.run.epoch == 2
    assert by_run.run.metrics == {"hit_at_1": 0.25, "mean_average_precision": 0.375}
    assert by_run.run.environment["packages"]["timm"] == "1.0.31"
    assert set(by_run.files) == {path.name for path in model.iterdir()}


def test_parameters_are_counted_in_the_files(model):
    from safetensors.numpy import load_file

    count = sum(tensor.size for tensor in load_file(model / "model.safetensors").values())
    assert open_model(model).parameters == count


def test_sharded_weights_are_whole_or_refused(model):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(model / "model.safetensors")
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[:9]}
    halves["model-00002-of-00002.safetensors"] = names[9:]
    expected = open_model(model).parameters
    for file, part in halves.items():
        save_file({name: tensors[name] for name in part}, model / file)
    (model / "model.safetensors").unlink()
    index = {name: file for file, part in halves.items() for name in part}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert open_model(model).parameters == expected
    (model / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"lacks weights \(model-00002-of-00002"):
        open_model(model)


def test_truncated_weights_are_refused(model):
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFolderError, match="no whole safetensors file"):
        open_model(model)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "old/best.pth.tar.pt", "x.pkl"])
def test_pickles_stay_here(model, name):
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"")
    opened = open_model(model)
    assert name not in opened.files and opened.left_out == opened.pickles == (name,)


def test_locks_and_what_is_unfinished_stay_here(model, run_folder):
    before = open_model(model)
    with one_run(run_folder, inside=True), one_run(model, inside=True), one_run(model):
        (model / unfinished_name("config.json")).touch()
        assert open_model(model) == open_model(run_folder) == before


def test_weights_in_a_pickle_alone_are_no_model(model):
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ModelFolderError, match=r"lacks weights.*writes safetensors"):
        open_model(model)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("model.safetensors", "weights"),
        ("modeling_emotionnet.py", "the code for trust_remote_code"),
        ("modeling_strict.py", "the code for trust_remote_code"),  # imported by the former
        ("tokenizer.json", "the tokenizer"),
        ("preprocessor_config.json", "the image processor"),
    ],
)
def test_what_a_user_would_miss_is_named(model, name, what):
    (model / name).unlink()
    with pytest.raises(ModelFolderError, match=rf"lacks {what} \({name}\)"):
        open_model(model)


def test_tokenizer_is_asked_for_only_where_the_weights_have_words(model):
    from emotionnet_hf.models import EmotionNetConfig, EmotionNetForImageClassification

    for path in model.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelFolderError, match="lacks the tokenizer"):
        open_model(model)
    for dim in (0, 6):
        config = EmotionNetConfig.from_pretrained(model, projection_dim=dim, vocab_size=None)
        EmotionNetForImageClassification(config).save_pretrained(model)
        opened = open_model(model)
        assert not opened.has("text_tower")
        assert opened.has("visual_projection") == (dim > 0)
        assert opened.task == "image-classification"


def test_record_of_a_conversion_is_found_for_its_auxiliary_classifier_too(model):
    assert open_model(model).conversion is None
    (model / "conversion.json").write_text('{"kind": "three-branch"}')
    auxiliary = shutil.copytree(model, model / "auxiliary")
    (auxiliary / "conversion.json").unlink()
    for folder in (model, auxiliary):
        assert open_model(folder).conversion == {"kind": "three-branch"}


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "preprocessor_config.json", "conversion.json"),
        *("../arguments.json", "../environment.json"),
    ],
)
@pytest.mark.parametrize("content", ['{"a": ', "[]", b"\xff\xfe"])
def test_damaged_file_is_named(model, run_folder, name, content):
    content = content if isinstance(content, bytes) else content.encode()
    (model / name).write_bytes(content)
    with pytest.raises(ModelFolderError, match=rf"{name.lstrip('./')} .*copy"):
        open_model(model)


def test_damaged_line_of_a_run_is_named(run_folder):
    path = run_folder / "metrics.jsonl"
    path.write_text('{"step": \n' + path.read_text())
    with pytest.raises(ModelFolderError, match=r"metrics.jsonl has a damaged line"):
        open_model(run_folder)


def test_last_epoch_is_not_called_the_best(run_folder):
    edit(run_folder / "arguments.json", select_on="last")
    measured = open_model(run_folder).run.measured("words")
    assert {(m.protocol, m.metric, m.value) for m in measured} == {
        ("last of 3 epochs", "hit_at_1", 0.75),
        ("last of 3 epochs", "mean_average_precision", 0.30),
    }


def test_folders_without_a_model(model, run_folder, tmp_path):
    with pytest.raises(ModelFolderNotFoundError, match="holds no model"):
        open_model(tmp_path / "nowhere")
    edit(model / "config.json", model_type="bert")
    with pytest.raises(ModelFolderError, match=r"is of a 'bert' model.*own push_to_hub"):
        open_model(model)
    shutil.rmtree(model)
    with pytest.raises(ModelFolderNotFoundError, match=r"has no model yet.*start it again"):
        open_model(run_folder)


def test_model_beside_a_run_is_not_its_result(model, run_folder):
    other = shutil.copytree(model, run_folder / "converted")
    assert open_model(other).run is None


def test_where_a_model_was_loaded_from_stays_private(model):
    config = model / "config.json"
    before = config.read_text()
    assert dict(open_model(model).contents())["config.json"] == config
    edit(config, _name_or_path=str(model.parent))
    published = dict(open_model(model).contents())["config.json"]
    assert json.loads(published) == json.loads(before) | {"_name_or_path": model.parent.name}
    # The file on disk is the caller's.
    assert str(model.parent) in config.read_text()


def test_other_paths_and_tokens_are_refused(model):
    edit(model / "tokenizer_config.json", vocab_file=str(model / "vocab.txt"))
    with pytest.raises(PrivateTextError, match=r"tokenizer_config.json holds a path"):
        dict(open_model(model).contents())
    edit(model / "tokenizer_config.json", vocab_file=None, token=f"hf_{'x' * 34}")
    with pytest.raises(PrivateTextError, match=r"tokenizer_config.json holds .* token"):
        dict(open_model(model).contents())


def test_paths_of_other_machines_are_refused_and_words_of_a_vocabulary_are_not(model):
    edit(model / "tokenizer_config.json", note="/s/ and </s>")
    assert dict(open_model(model).contents())
    for name, content in (
        ("config.json", {"data": ["--root=/mnt/nfs/words"]}),
        ("preprocessor_config.json", {"from": {"C:\\sets\\words": 1}}),
        ("notes.txt", "made from '/mnt/nfs/words'."),
    ):
        before = (model / name).read_text() if (model / name).exists() else "fine"
        if isinstance(content, str):
            (model / name).write_text(content)
        else:
            edit(model / name, **content)
        with pytest.raises(PrivateTextError, match=rf"{name} holds a path of a machine .*words"):
            dict(open_model(model).contents())
        (model / name).write_text(before)
    assert dict(open_model(model).contents())


def test_timm_export_is_opened_and_other_timm_models_are_not(timm_export):
    opened = open_model(timm_export)
    assert (opened.kind, opened.task) == ("timm", "image-classification")
    assert opened.labels == ["joy", "fear", "awe", "calm", "nameless"]
    assert opened.files == ("config.json", "model.safetensors", "timm.json")
    assert dict(opened.contents()).keys() == {*opened.files}
    (timm_export / "timm.json").unlink()
    with pytest.raises(ModelFolderError, match="own push_to_hub"):
        open_model(timm_export)


def test_text_model_is_opened(textcnn):
    opened = open_model(textcnn)
    assert (opened.kind, opened.task) == ("textcnn", "text-classification")
    assert "preprocessor_config.json" not in opened.files
