"""What a user does with a repository that we published: the stock calls, and no package of ours."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from os import environ
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from PIL import Image

from emotionnet_hf.cli import main
from emotionnet_hf.hub import push_dataset, push_model

REPOSITORY = Path(__file__).resolve().parents[2]

OPEN_MODEL = """
import json, re, sys
import torch
from huggingface_hub import hf_hub_download
from transformers import AutoModel, AutoModelForImageClassification, AutoTokenizer, pipeline
from transformers.image_utils import load_image

name, picture = sys.argv[1:]
card = open(hf_hub_download(name, "README.md"), encoding="utf-8").read()
(shown,) = re.findall(r"```python\\n(.*?)```", card, re.DOTALL)
exec(shown)
tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=True)
tag_by_both = pipeline("emotion-tagging", model=name, trust_remote_code=True)
zero_shot = pipeline("zero-shot-image-classification", model=name, trust_remote_code=True)
print(json.dumps({
    "class": type(model).__module__,
    "features": features.tolist(),
    "tags": tag(image, top_k=5),
    "zero_shot": zero_shot(image, candidate_labels=["joy", "fear"]),
    "both": [found["label"] for found in tag_by_both(picture, top_k=5)],
    "ids": tokenizer("candy cane, joy").input_ids,
}))
"""

OPEN_TEXT_MODEL = """
import contextlib, io, json, re, sys
from huggingface_hub import hf_hub_download

card = open(hf_hub_download(sys.argv[1], "README.md"), encoding="utf-8").read()
(shown,) = re.findall(r"```python\\n(.*?)```", card, re.DOTALL)
exec(shown)
print(json.dumps({"labels": sorted(model.config.id2label.values()), "shape": list(logits.shape)}))
"""

OPEN_TIMM_EXPORT = """
import contextlib, io, json, re, sys
from PIL import Image
from huggingface_hub import hf_hub_download
from transformers import pipeline

name, picture = sys.argv[1:]
card = open(hf_hub_download(name, "README.md"), encoding="utf-8").read()
(shown,) = re.findall(r"```python\\n(.*?)```", card, re.DOTALL)
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    exec(shown)
# As the page's widget does it: no remote code.
found = pipeline("image-classification", model=name)(picture, top_k=5)
print(json.dumps({"shown": eval(printed.getvalue()), "widget": [tag["label"] for tag in found]}))
"""

OPEN_REVISION = """
import json, sys
from datasets import load_dataset
from transformers import AutoModelForSequenceClassification

kind, name, *revisions = sys.argv[1:]
found = []
for revision in revisions:
    if kind == "dataset":
        found.append(len(load_dataset(name, revision=revision, split="train")))
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            name, revision=revision, trust_remote_code=True
        )
        found.append(sorted(model.config.id2label.values()))
print(json.dumps(found))
"""

OPEN_DATA_SET = """
import io, json, sys
from datasets import load_dataset

rows = {}
for streaming in (True, False):
    found = load_dataset(sys.argv[1], streaming=streaming)
    rows[streaming] = {
        split: [
            (row["image_id"], row["keywords"], row["image"].tobytes().hex()) for row in part
        ] for split, part in found.items()
    }
assert rows[True] == rows[False]
names = found["train"].features["emotion_keywords"].feature.names
print(json.dumps({"rows": rows[True], "names": names}))
"""

LIBRARY_PUSH = """
import sys
from datasets import load_dataset
from transformers import AutoImageProcessor, AutoTokenizer
from emotionnet_hf import EmotionNetForPreTraining, TextCNNForSequenceClassification

model, text_model, built = sys.argv[1:]
for part in (EmotionNetForPreTraining, AutoTokenizer, AutoImageProcessor):
    part.from_pretrained(model).push_to_hub("alice/emotions")
for part in (TextCNNForSequenceClassification, AutoTokenizer):
    part.from_pretrained(text_model).push_to_hub("alice/text", private=True)
load_dataset(built).push_to_hub("alice/words")
"""

OPEN_LIBRARY_PUSH = """
import hashlib
import json
from datasets import load_dataset
from transformers import AutoImageProcessor, AutoModel, pipeline

model = AutoModel.from_pretrained("alice/emotions", trust_remote_code=True)
classify = pipeline("text-classification", model="alice/text", trust_remote_code=True)
words = load_dataset("alice/words", streaming=True)
print(json.dumps({
    "model": type(model).__name__,
    "size": AutoImageProcessor.from_pretrained(
        "alice/emotions", trust_remote_code=True
    ).crop_size["height"],
    "label": classify("beach, night")[0]["label"],
    "rows": {split: sum(1 for _ in part) for split, part in words.items()},
}))
"""


def told(output: str):
    """The JSON in the last line of a script, which asked its user nothing."""
    assert "Do you wish to run" not in output
    return json.loads(output.splitlines()[-1])


@pytest.mark.slow
def test_model_opens_everywhere_without_the_package(hub, model, checkpoint, python, tmp_path):
    import torch
    from transformers import AutoImageProcessor

    from emotionnet_hf import EmotionNetModel

    push_model(model, "alice/emotions", private=True, progress=False)
    shutil.rmtree(model)
    picture = tmp_path / "picture.jpg"
    Image.effect_mandelbrot((90, 70), (-3, -2.5, 2, 2.5), 100).convert("RGB").save(picture)
    arguments = ("alice/emotions", picture)
    answer = told(python(OPEN_MODEL, token=hub.READ, package=False, arguments=arguments))
    assert answer["class"].startswith("transformers_modules.")
    processor = AutoImageProcessor.from_pretrained(checkpoint)
    pixels = processor(Image.open(picture), return_tensors="pt")
    with torch.inference_mode():
        expected = EmotionNetModel.from_pretrained(checkpoint)(**pixels).pooler_output
    assert torch.allclose(torch.tensor(answer["features"]), expected, atol=1e-6)
    assert len(answer["tags"]) == 5
    assert {tag["label"] for tag in answer["zero_shot"]} == {"joy", "fear"}
    assert answer["both"] == [tag["label"] for tag in answer["tags"]]
    assert answer["ids"] == [4, 2]
    errors = python(OPEN_MODEL, package=False, arguments=arguments, fails=True)
    assert "alice/emotions" in errors.splitlines()[-1] or "Repository Not Found" in errors


@pytest.mark.slow
def test_text_model_opens_without_the_package(hub, textcnn, python):
    push_model(textcnn, "alice/text", license="mit", revision="v1", progress=False)
    config = json.loads((textcnn / "config.json").read_text())
    labels = {"0": "joy", "1": "fear", "2": "calm"}
    changed = {"id2label": labels, "label2id": {name: int(i) for i, name in labels.items()}}
    (textcnn / "config.json").write_text(json.dumps(config | changed))
    push_model(textcnn, "alice/text", license="mit", progress=False)
    answer = told(python(OPEN_TEXT_MODEL, package=False, arguments=["alice/text"]))
    assert answer == {"labels": ["calm", "fear", "joy"], "shape": [1, 3]}
    arguments = ["model", "alice/text", "v1", "main"]
    found = told(python(OPEN_REVISION, package=False, arguments=arguments))
    assert found == [["awe", "fear", "joy"], ["calm", "fear", "joy"]]


@pytest.mark.slow
def test_timm_export_opens_without_any_code_of_the_repository(
    hub, timm_export, python, tmp_path, checkpoint
):
    push_model(timm_export, "alice/timm", license="mit", progress=False)
    assert not [name for name in hub.paths("alice/timm") if name.endswith(".py")]
    picture = tmp_path / "picture.jpg"
    Image.effect_mandelbrot((90, 70), (-3, -2.5, 2, 2.5), 100).convert("RGB").save(picture)
    answer = told(python(OPEN_TIMM_EXPORT, package=False, arguments=["alice/timm", picture]))
    labels = json.loads((checkpoint / "config.json").read_text())["id2label"].values()
    assert sorted(answer["widget"]) == sorted(labels)
    assert answer["widget"] == answer["shown"]


@pytest.mark.slow
def test_data_set_is_pulled_by_its_revision(hub, built, tmp_path, python):
    from emotionnet_hf.data import build_dataset

    rows = json.loads((built / "build.json").read_text())["rows"]
    push_dataset(built, "alice/words", license="mit", revision="v1", progress=False)
    source = tmp_path / "few"
    source.mkdir()
    for i in range(3):
        Image.effect_mandelbrot((40, 30 + i), (-3, -2.5, 2, 2.5), 50).save(source / f"{i}.png")
    lines = [{"file_name": f"{i}.png", "keywords": ["joy"]} for i in range(3)]
    (source / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    build_dataset(source, tmp_path / "fewer", validation=0.0, test=0.0, progress=False)
    push_dataset(tmp_path / "fewer", "alice/words", license="mit", progress=False)
    arguments = ["dataset", "alice/words", "v1", "main"]
    found = told(python(OPEN_REVISION, package=False, arguments=arguments))
    assert found == [rows["train"], 3]


def test_data_set_streams_and_loads_without_the_package(hub, built, python):
    import datasets

    push_dataset(built, "alice/words", license="mit", progress=False)
    answer = told(python(OPEN_DATA_SET, package=False, arguments=["alice/words"]))
    local = datasets.load_dataset(str(built))
    assert answer["rows"] == {
        split: [[row["image_id"], row["keywords"], row["image"].tobytes().hex()] for row in part]
        for split, part in local.items()
    }
    assert answer["names"] == local["train"].features["emotion_keywords"].feature.names
    # Streaming reads parts of the shards, and no token goes to where they are stored.
    assert any(request.range for request in hub.asked("GET", r"^/cdn/.*\.parquet"))


@pytest.mark.slow
def test_push_to_hub_of_the_libraries(hub, model, textcnn, built, python):
    arguments = [model, textcnn, built]
    python(LIBRARY_PUSH, token=hub.WRITE, arguments=arguments)
    answer = told(python(OPEN_LIBRARY_PUSH, token=hub.READ, package=False))
    rows = json.loads((built / "build.json").read_text())["rows"]
    assert answer["model"] == "EmotionNetModel"
    assert answer["size"] == 32
    assert answer["label"] in {"joy", "fear", "awe"}
    assert answer["rows"] == rows
    assert hub.repository("alice/text").private
    assert not [name for name in hub.paths("alice/emotions") if name.endswith((".bin", ".pt"))]
    # A card that we made stays when the library pushes again.
    push_model(model, "alice/emotions", progress=False)
    card = hub.read("alice/emotions", "README.md")
    assert b"must not be used for" in card
    python(LIBRARY_PUSH, token=hub.WRITE, arguments=arguments)
    assert b"must not be used for" in hub.read("alice/emotions", "README.md")


def test_broken_download_goes_on_where_it_was(hub, model, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    # The client keeps whole chunks, and its own are larger than these weights.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    push_model(model, "alice/emotions", progress=False)
    content = (model / "model.safetensors").read_bytes()
    hub.faults.cut_downloads = {"model.safetensors": 2}
    cache = tmp_path / "cache"
    path = Path(hf_hub_download("alice/emotions", "model.safetensors", cache_dir=cache))
    assert path.read_bytes() == content
    first, second, third = hub.asked("GET", "^/cdn/")
    begin = len(content) // 2 // 1000 * 1000
    again = begin + (len(content) - begin) // 2 // 1000 * 1000
    assert (first.range, second.range) == (None, f"bytes={begin}-")
    assert third.range == f"bytes={again}-"
    # Another host than the Hub's: it gets no token.
    assert all(request.user is None for request in (first, second, third))


def test_known_file_is_asked_for_and_not_fetched_again(hub, model, tmp_path):
    push_model(model, "alice/emotions", progress=False)
    for _ in range(2):
        path = hf_hub_download("alice/emotions", "config.json", cache_dir=tmp_path / "cache")
    assert len(hub.asked("HEAD", "config.json$")) == 2
    assert len(hub.asked("GET", "config.json$")) == 1
    # The cache keeps it under its ETag.
    assert (
        Path(path).resolve().name
        == hub.repository("alice/emotions").commit("main").files["config.json"].oid
    )
    config = json.loads((model / "config.json").read_text()) | {"logit_scale": 20.0}
    (model / "config.json").write_text(json.dumps(config))
    push_model(model, "alice/emotions", progress=False)
    path = hf_hub_download("alice/emotions", "config.json", cache_dir=tmp_path / "cache")
    assert json.loads(Path(path).read_text())["logit_scale"] == 20.0
    assert len(hub.asked("GET", "config.json$")) == 2


def test_private_and_gated_repositories_let_their_readers_in(hub, model, tmp_path):
    push_model(model, "alice/emotions", private=True, progress=False)

    def fetch(token):
        return hf_hub_download(
            *("alice/emotions", "config.json"), token=token, cache_dir=tmp_path / str(token)
        )

    assert fetch(hub.READ)
    for token in (False, hub.OTHER):
        with pytest.raises(RepositoryNotFoundError):
            fetch(token)
    repository = hub.repository("alice/emotions")
    repository.private, repository.gated = False, True
    for token in (False, hub.OTHER):
        with pytest.raises(GatedRepoError):
            fetch(token)
    repository.readers.add("bob")
    assert fetch(hub.OTHER)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("alice/locked", "gated"),
        ("alice/private", "alice/private is not a local folder|token"),
        ("alice/missing", "alice/missing is not a local folder|token"),
    ],
)
def test_our_commands_say_in_a_line_why_a_repository_does_not_open(
    hub, tmp_path, monkeypatch, capsys, name, said
):
    hub.storage.create("model", "alice/locked").gated = True
    hub.storage.create("model", "alice/private", private=True)
    monkeypatch.setenv("HF_TOKEN", hub.OTHER)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert main(["tag", str(tmp_path / "a.png"), "--model", name]) == 1
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("emotionnet:")
    ]
    assert any(word in line for word in said.split("|"))


@pytest.mark.slow
def test_killed_push_goes_on_without_sending_again_what_arrived(hub, built):
    held = hashlib.sha256(max((built / "data").iterdir()).read_bytes()).hexdigest()
    command = [sys.executable, "-m", "emotionnet_hf.cli", "push", "dataset", str(built)]
    command += ["alice/words", "--license", "mit", "--json", "--no-progress"]
    environment = environ | hub.environment(hub.WRITE) | {"OMP_NUM_THREADS": "1"}
    hub.faults.held = {held}
    with subprocess.Popen(command, env=environment, cwd=REPOSITORY) as process:
        while not hub.faults.holding.wait(0.1):
            assert process.poll() is None
        # The others arrive while this one hangs.
        deadline = time.monotonic() + 30
        count = len(list(built.rglob("*.parquet"))) - 1
        while len(hub.storage.objects) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert len(hub.storage.objects) == count
    assert hub.paths("alice/words", "dataset") == []
    hub.faults.held = set()
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["commit"] == hub.repository("alice/words", "dataset").commit("main").oid
    sent = Counter(request.path for request in hub.asked("PUT", "^/lfs/"))
    assert sent.pop(f"/lfs/{held}") == 2
    assert set(sent.values()) == {1}
    assert len(hub.paths("alice/words", "dataset")) == report["files"]
