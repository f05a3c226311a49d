import json
import logging
import pickle
import shutil

import pytest
import torch
from PIL import Image
from torchvision.models import resnet50
from transformers import AutoModel, AutoModelForImageClassification, AutoTokenizer, pipeline

import emotionnet_hf.pipelines  # noqa: F401  (registers emotion-tagging)
from emotionnet_hf.cli import convert, main
from emotionnet_hf.models.convert_original import LABEL_SETS, NUMBERED
from emotionnet_hf.models.encoders import open_encoder

EMOTIONS = ["awe", "calm", "joy"]
TAGS = ["tree", "joy", "Candy  Cane", "sea"]


def run(*words) -> int:
    return main([str(word) for word in words])


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    assert line.startswith("emotionnet: ")
    return line


@pytest.fixture(autouse=True)
def nothing_large_stays(tmp_path):
    """pytest keeps the folders of three runs, and a ResNet-50 has 100 MB."""
    yield
    shutil.rmtree(tmp_path / "out", ignore_errors=True)


@pytest.fixture
def vocabularies(tmp_path):
    """The two files of the release."""
    for name, key, names in (("etag2idx", "key2idx", EMOTIONS), ("tag2idx", "tag2idx", TAGS)):
        ids = {name: i for i, name in enumerate(names)}
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps({key: ids}))
    return tmp_path


@pytest.fixture
def net(tmp_path):
    """A two-branch model of zeros; its file is small because each tensor is one number."""
    sizes = {n: t.shape for n, t in resnet50().state_dict().items() if n[:3] != "fc."}
    sizes |= {"fc.weight": (3, 2048), "fc.bias": (3,), "proj.weight": (2, 2048), "proj.bias": (2,)}
    tensors = {f"module.{name}": torch.zeros(()).expand(size) for name, size in sizes.items()}
    torch.save({"epoch": 30, "state_dict": tensors}, tmp_path / "net.pth.tar")
    return tmp_path / "net.pth.tar"


@pytest.fixture
def text(tmp_path):
    sizes = {
        **{"embedding.weight": (6, 5), "conv.weight": (4, 1, 5), "conv.bias": (4,)},
        **{f"bn.{name}": (4,) for name in ("weight", "bias", "running_mean", "running_var")},
        **{"fc.weight": (8, 4), "fc.bias": (8,)},
    }
    torch.save({name: torch.rand(size) for name, size in sizes.items()}, tmp_path / "text.pth")
    return tmp_path / "text.pth"


def test_released_model_with_its_names(net, vocabularies, tmp_path, capsys):
    out = tmp_path / "out"
    names = tmp_path / "etag2idx.pkl"
    assert run("convert", net, "--vocabulary", names, "--out", out, "--no-progress") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"two-branch checkpoint, all 322 tensors placed: {out}"
    assert lines[1] == "3 classes"
    assert "--word-vectors" in lines[2]
    assert "does not say in which space" in lines[3]
    model = AutoModelForImageClassification.from_pretrained(out)
    assert model.config.id2label == dict(enumerate(EMOTIONS))


def test_word_vectors_give_a_text_tower(net, vocabularies, tmp_path, capsys):
    (tmp_path / "vectors.txt").write_text("3 2\njoy 1 2\nawe 3 4\ncandy_cane 5 6\n")
    words = ["--vocabulary", tmp_path / "etag2idx.pkl", "--keywords", tmp_path / "tag2idx.pkl"]
    words += ["--word-vectors", tmp_path / "vectors.txt", "--out", tmp_path / "out", "--json"]
    assert run("convert", net, *words) == 0
    assert json.loads(capsys.readouterr().out) == {
        "kind": "two-branch",
        "out": str(tmp_path / "out"),
        "tensors": 322,
        "classes": 3,
        "keywords": 3,
        "auxiliary": None,
        "joint_space": "unknown",
    }
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("awe, Candy Cane, joy, tree").input_ids == [2, 3, 4, 1]


def test_word_vectors_of_another_size_are_told(net, vocabularies, tmp_path, capsys):
    (tmp_path / "vectors.txt").write_text("1 3\njoy 1 2 3\n")
    words = ["--labels", "numbered", "--word-vectors", tmp_path / "vectors.txt"]
    assert run("convert", net, *words, "--out", tmp_path / "out") == 1
    assert "the joint space needs" in one_line(capsys.readouterr().err.splitlines()[-1])
    assert not (tmp_path / "out").exists()


def test_text_model(text, vocabularies, tmp_path, capsys):
    words = ["--keywords", tmp_path / "tag2idx.pkl", "--labels", "se30k8"]
    assert run("convert", text, *words, "--out", tmp_path / "out", "--no-progress") == 0
    assert "text checkpoint, all 9 tensors" in capsys.readouterr().out
    assert AutoModel.from_pretrained(tmp_path / "out").config.vocab_size == 6


def test_text_model_without_its_keywords(text, tmp_path, capsys):
    assert run("convert", text, "--labels", "se30k8", "--out", tmp_path / "out") == 1
    assert "tag2idx.pkl" in one_line(capsys.readouterr().err)


def test_missing_and_hostile_files_are_one_line(tmp_path, capsys):
    out = tmp_path / "out"
    assert run("convert", tmp_path / "no.pth", "--out", out) == 1
    assert "no.pth does not exist" in one_line(capsys.readouterr().err)
    torch.save({"fc.weight": torch.nn.Linear(1, 1)}, tmp_path / "net.pth")
    assert run("convert", tmp_path / "net.pth", "--out", out) == 1
    assert "net.pth asks for torch.nn.modules.linear.Linear" in one_line(capsys.readouterr().err)
    assert not out.exists()


def test_bad_usage_ends_with_2(tmp_path, capsys):
    words = ["convert", "net.pth", "--out", "out"]
    for more in (["--labels", "emoset"], ["--labels", "ube", "--vocabulary", "names.txt"]):
        with pytest.raises(SystemExit) as ended:
            run(*words, *more)
        assert ended.value.code == 2
        capsys.readouterr()


def test_command_offers_all_label_sets():
    assert (*LABEL_SETS, NUMBERED) == convert._LABELS


def test_a_converted_model_never_compares_with_words_in_silence(
    net, vocabularies, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(logging.Logger, "warning_once", logging.Logger.warning)
    (tmp_path / "vectors.txt").write_text("3 2\njoy 1 2\nawe 3 4\ncandy_cane 5 6\n")
    words = ["--vocabulary", tmp_path / "etag2idx.pkl", "--word-vectors", tmp_path / "vectors.txt"]
    out = tmp_path / "out"
    assert run("convert", net, *words, "--out", out, "--json") == 0
    Image.new("RGB", (300, 280), "red").save(tmp_path / "a.png")
    told = "it is not known in which space W lives"
    for task, more in (
        ("zero-shot-image-classification", {"candidate_labels": ["joy", "awe"]}),
        ("emotion-tagging", {"candidates": ["joy", "awe"]}),
    ):
        caplog.clear()
        pipeline(task, model=str(out))(str(tmp_path / "a.png"), **more)
        assert told in caplog.text, task
    caplog.clear()
    open_encoder(out, "cpu").text(["joy"])  # search, index
    assert told in caplog.text
    caplog.clear()
    pipeline("emotion-tagging", model=str(out))(str(tmp_path / "a.png"))  # its own classes
    assert told not in caplog.text
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"joint_space": "word_vectors"}))
    pipeline("emotion-tagging", model=str(out))(str(tmp_path / "a.png"), candidates=["joy"])
    assert told not in caplog.text
