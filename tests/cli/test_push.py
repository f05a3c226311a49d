import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import DatasetCard, constants
from PIL import Image

from emotionnet_hf.cli import main
from emotionnet_hf.data import build_dataset
from tests.hub_server import HubServer


@pytest.fixture
def hub(monkeypatch):
    """A Hub on the loopback address, where this process is alice, who may write."""
    with HubServer() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", server.WRITE)
        yield server


@pytest.fixture
def model(checkpoint, tmp_path):
    (tmp_path / "arguments.json").write_text("{}")  # of its training
    return Path(shutil.copytree(checkpoint, tmp_path / "model"))


@pytest.fixture
def built(tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    for i in range(12):
        noise = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((40, 30)).save(source / f"{i}.png")
    rows = [{"file_name": f"{i}.png", "keywords": ["joy", "tree"]} for i in range(12)]
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_dataset(source, tmp_path / "words", progress=False)
    return tmp_path / "words"


def run(*words) -> int:
    return main(["push", *map(str, words), "--no-progress"])


def one_line(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("emotionnet: ")]
    assert "Traceback" not in text
    return line


def test_push_model_prints_where_it_is(hub, model, tmp_path, capsys):
    results = tmp_path / "results.json"
    record = {"dataset": "SE30K8", "split": "test", "protocol": "linear-probe"}
    record |= {"environment": {"packages": {"torch": "2.15.0"}}}
    results.write_text(json.dumps(record | {"metrics": {"accuracy": 0.5}}))
    options = ("--results", results, "--license", "mit", "--dataset", "alice/words")
    assert run("model", model, "alice/emotions", *options) == 0
    assert capsys.readouterr().out.startswith(f"{hub.url}/alice/emotions: ")
    card = hub.read("alice/emotions", "README.md").decode()
    assert "license: mit" in card
    assert "- alice/words" in card
    assert "| SE30K8 | linear-probe | accuracy | 0.698 (Table 2) | 0.500 |" in card


def test_push_model_prints_json(hub, model, capsys):
    options = ("--json", "--private", "--revision", "v1")
    assert run("model", model, "alice/emotions", *options) == 0
    report = json.loads(capsys.readouterr().out)
    repository = hub.repository("alice/emotions")
    assert repository.private
    assert report["commit"] == repository.commit("v1").oid
    assert (report["repo_id"], report["removed"]) == ("alice/emotions", [])


def test_push_dataset_and_its_pull_request(hub, built, capsys):
    assert run("dataset", built, "alice/words", "--license", "cc-by-4.0") == 0
    assert run("dataset", built, "alice/words", "--license", "mit", "--create-pr") == 0
    urls = [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()]
    page = f"{hub.url}/datasets/alice/words"
    assert urls == [page, f"{page}/discussions/1"]
    licences = [
        DatasetCard(hub.read("alice/words", "README.md", "dataset", revision).decode()).data.license
        for revision in ("main", "refs/pr/1")
    ]
    assert licences == ["cc-by-4.0", "mit"]


def test_errors_are_one_line(hub, model, built, monkeypatch, capsys):
    converted = shutil.copytree(model, model.parent / "converted")
    (converted / "conversion.json").write_text('{"kind": "two-branch"}')
    for words, said in (
        (("dataset", built, "alice/words"), "names no licence"),
        (("dataset", model, "alice/words", "--license", "mit"), "is no built data set"),
        (("model", built, "alice/emotions"), "holds no model"),
        (("model", model, "alice/emotions", "--results", model / "no.json"), "No results at"),
        (("model", model, "carol/emotions"), "may not write to carol/emotions"),
        (("model", converted, "alice/emotions"), "--license"),
        (("model", model, "emo tions"), "cannot be the name of a repository"),
    ):
        assert run(*words) == 1
        assert said in one_line(capsys.readouterr().err)
    monkeypatch.delenv("HF_TOKEN")
    assert run("model", model, "alice/emotions") == 1
    assert "hf auth login" in one_line(capsys.readouterr().err)
    assert not hub.storage.repositories


def test_offline_is_said(model, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert run("model", model, "alice/emotions") == 1
    assert "HF_HUB_OFFLINE is set" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("words", [(), ("model",), ("model", "a"), ("space", "a", "b")])
def test_bad_usage(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["push", *words])
    assert caught.value.code == 2
