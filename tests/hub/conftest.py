"""A Hub on the loopback address, this process logged in there, and things to publish."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from tests.hub_server import HubServer

REPOSITORY = Path(__file__).resolve().parents[2]
# Where `import emotionnet_hf` fails, even from an editable install: that is what None means.
WITHOUT_PACKAGE = "import sys; sys.modules['emotionnet_hf'] = None\n"


@pytest.fixture
def hub(monkeypatch):
    """The server; this process asks it, as the user alice who may write."""
    with HubServer() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setenv("HF_TOKEN", server.WRITE)
        yield server


@pytest.fixture
def impatient(monkeypatch):
    """The client's waits between tries take no time."""
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


@pytest.fixture
def python(hub, tmp_path):
    """Runs a script in a process of its own with empty caches; its output, or its errors."""

    def run(script, *, token=None, package=True, fails=False, arguments=()):
        home = {"HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        caches = {name: str(tmp_path / "home" / name) for name in os.environ if "_CACHE" in name}
        environment = os.environ | home | caches | hub.environment(token)
        script = script if package else WITHOUT_PACKAGE + script
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            env=environment | {"PYTHONPATH": str(REPOSITORY) if package else ""},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    return run


@pytest.fixture
def model(checkpoint, tmp_path):
    """A model folder of one's own, the result of a training of which little is recorded."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "made" / "model"))
    (folder.parent / "arguments.json").write_text("{}")
    return folder


@pytest.fixture
def fine_tuned(checkpoint, tmp_path):
    """What the stock Trainer leaves after fine-tuning on six classes."""
    from emotionnet_hf import EmotionNetForImageClassification

    folder = Path(shutil.copytree(checkpoint, tmp_path / "runs" / "fine-tuned" / "model"))
    labels = dict(enumerate(["anger", "disgust", "fear", "happiness", "sadness", "surprise"]))
    EmotionNetForImageClassification.from_pretrained(
        checkpoint, id2label=labels, num_labels=6, ignore_mismatched_sizes=True
    ).save_pretrained(folder)
    for name in ("training_args.bin", "optimizer.pt"):
        (folder / name).write_bytes(b"a pickle")
    state = {"best_model_checkpoint": str(folder / "checkpoint-9"), "log_history": []}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    # Of the model that it began with.
    (folder.parent / "arguments.json").write_text('{"data": "alice/words", "epochs": 3}')
    return folder


@pytest.fixture
def run_folder(model):
    """The run folder that `model` is the result of."""
    folder = model.parent
    arguments = {
        **{"data": "/secret/disk/stockemotion", "output_dir": str(folder), "epochs": 3},
        **{"select_on": "mean_average_precision", "backbone": "test_resnet", "seed": 7},
        **{"text_model": str(folder / "textcnn"), "lr_drop_epochs": [10, 20]},
    }
    (folder / "textcnn").mkdir()
    (folder / "arguments.json").write_text(json.dumps(arguments))
    environment = {"python": "3.11.7", "packages": {"torch": "2.15.0", "timm": "1.0.31"}}
    (folder / "environment.json").write_text(json.dumps(environment))
    records = [{"step": 1, "train": {"loss": 3.0}}]
    for epoch, (hit, ap) in enumerate([(0.5, 0.20), (0.25, 0.375), (0.75, 0.30)], 1):
        metrics = {"hit_at_1": hit, "mean_average_precision": ap, "classification_loss": 2.0}
        records.append({"step": 2 * epoch, "validation": metrics, "epoch": epoch})
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "metrics.jsonl").write_text(text + '{"step": 9, "valid')
    return folder


@pytest.fixture
def timm_export(checkpoint, tmp_path):
    """What `emotionnet export timm` makes of the tiny EmotionNet."""
    from emotionnet_hf.export import export_timm

    export_timm(checkpoint, tmp_path / "emotions-timm")
    return tmp_path / "emotions-timm"


@pytest.fixture(scope="session")
def _built(tmp_path_factory):
    from emotionnet_hf.data import build_dataset

    source = tmp_path_factory.mktemp("source") / "pictures"
    source.mkdir()
    rows = []
    for i in range(40):
        noise = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((40, 30)).save(source / f"{i}.png")
        rows.append({"file_name": f"{i}.png", "keywords": ["joy", "tree"] if i else ["zorblax"]})
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = source.parent / "pictures-with-words"
    build_dataset(source, out, validation=0.2, test=0.2, rows_per_shard=8, progress=False)
    return out


@pytest.fixture
def built(_built, tmp_path):
    """A built data set of one's own: 39 rows in several shards, one row in quarantine."""
    return Path(shutil.copytree(_built, tmp_path / "sets" / _built.name))


@pytest.fixture(scope="session")
def _textcnn(tmp_path_factory):
    import torch

    from emotionnet_hf.models import (
        TextCNNConfig,
        TextCNNForSequenceClassification,
        keyword_tokenizer,
    )

    folder = tmp_path_factory.mktemp("textcnn") / "model"
    torch.manual_seed(1)
    config = TextCNNConfig(
        vocab_size=6, embedding_dim=5, hidden_size=4, id2label={0: "joy", 1: "fear", 2: "awe"}
    )
    TextCNNForSequenceClassification(config).save_pretrained(folder)
    keyword_tokenizer(["beach", "sunset", "palm tree", "night"]).save_pretrained(folder)
    return folder


@pytest.fixture
def textcnn(_textcnn, tmp_path):
    """A TextCNN folder of one's own."""
    return Path(shutil.copytree(_textcnn, tmp_path / "text" / "model"))
