"""Every block of code in README and docs runs as written, in order, or says why it cannot.

A comment right above a block, `<!-- not run: REASON -->`, or `<!-- not run, COMMAND: REASON -->`
for the commands in it that begin so, marks what needs a network, downloaded weights or hours.
"""

import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import constants
from PIL import Image

from emotionnet_hf.cli import main
from emotionnet_hf.data.counts import COUNTS_SCHEMA
from tests.hub_server import HubServer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"((?:^<!--[^\n]*-->\n)*)^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- not run(?:, (.+?))?: (.+?) -->")


@dataclass(frozen=True)
class Block:
    """A block of code, and what of it is marked: the beginning of commands -> the reason."""

    language: str
    code: str
    marks: dict[str, str]

    @property
    def commands(self) -> list[str]:
        """The commands of a block of bash, each whole."""
        lines = self.code.replace("\\\n", " ").splitlines()
        return [" ".join(line.split()) for line in lines if line.strip()]

    def marked(self, command: str) -> bool:
        return any(command.startswith(beginning) for beginning in self.marks)


def blocks(text: str) -> list[Block]:
    return [
        Block(language, code, {mark[1] or "": mark[2] for mark in MARK.finditer(comments)})
        for comments, language, code in BLOCK.findall(text)
    ]


def faults(text: str) -> list[str]:
    """What would be neither run nor marked, and marks of nothing."""
    found = []
    for block in blocks(text):
        commands = block.commands if block.language == "bash" else [""]
        if block.language not in ("bash", "python"):
            found.append(f"a block of {block.language or 'nothing'}")
        elif block.language == "bash":
            kept = [c for c in commands if not block.marked(c)]
            found += [c for c in kept if not c.startswith("emotionnet ")]
        for beginning in block.marks:
            if not any(command.startswith(beginning) for command in commands):
                found.append(f"a mark of nothing: {beginning}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_not(page):
    text = page.read_text(encoding="utf-8")
    assert len(blocks(text)) == text.count("\n```") // 2 > 0  # none is missed
    assert faults(text) == []


def test_blocks_that_are_neither_are_found():
    assert faults("```bash\nmake x\n```\n") == ["make x"]
    assert faults("<!-- not run: a network -->\n```bash\nmake x\n```\n") == []
    assert faults("<!-- not run, make y: z -->\n```bash\nmake x\n```\n") == [
        *("make x", "a mark of nothing: make y")
    ]
    assert faults("```\nx\n```\n") == ["a block of nothing"]
    assert blocks("```bash\na \\\n    b  # c\n```\n")[0].commands == ["a b # c"]


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC).save(path)


def save_emotionnet(folder: Path, **changes) -> None:
    """A tiny EmotionNet whose words are those that the pages use, and those of EMOTIC."""
    from emotionnet_hf.emotions import EMOTIC
    from emotionnet_hf.models import (
        EmotionNetConfig,
        EmotionNetForPreTraining,
        build_image_processor,
        keyword_tokenizer,
    )

    words = ["joy", "fear", "awe", "calm", "sunset", "haunted", "house", "houses", "tree"]
    words += sorted({word for keywords in EMOTIC.values() for word in keywords} - {*words})
    config = EmotionNetConfig(
        **{"backbone": "test_resnet", "projection_dim": 6, "vocab_size": len(words) + 2},
        **{"id2label": dict(enumerate(words[:4])), **changes},
    )
    torch.manual_seed(0)
    model = EmotionNetForPreTraining(config)
    model.save_pretrained(folder)
    build_image_processor("test_resnet").save_pretrained(folder)
    keyword_tokenizer(words).save_pretrained(folder)


def save_text_model(folder: Path) -> None:
    """A tiny TextCNN of SE30K8's classes that knows the words of classes."""
    from emotionnet_hf.emotions import EMOTIC, SE30K8
    from emotionnet_hf.models import (
        TextCNNConfig,
        TextCNNForSequenceClassification,
        keyword_tokenizer,
    )

    words = sorted({word for keywords in EMOTIC.values() for word in keywords} | {"night", "sea"})
    config = TextCNNConfig(
        vocab_size=len(words) + 2,
        embedding_dim=6,
        hidden_size=4,
        id2label=dict(enumerate(SE30K8)),
    )
    torch.manual_seed(0)
    TextCNNForSequenceClassification(config).save_pretrained(folder)
    keyword_tokenizer(words).save_pretrained(folder)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory, release):
    """Small things under the names that the pages use."""
    from emotionnet_hf.data.sample.benchmarks import generate_benchmarks

    root = tmp_path_factory.mktemp("workspace")
    rows = []
    for number in range(24):
        draw(root / "pictures" / f"{number}.jpg", number)
        words = ["joy", "sunset"] if number % 2 else ["fear", "house"]
        rows.append(json.dumps({"file_name": f"{number}.jpg", "keywords": words}))
    (root / "pictures" / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    (root / "my_emotion_words.txt").write_text("joy\nfear\n")
    for number, name in enumerate(("picture", "a", "b", "holiday/x", "holiday/y")):
        draw(root / f"{name}.jpg", 100 + number)
    draw(root / "scans" / "1.png", 110)
    draw(root / "scans" / "1.jpg", 111)
    shutil.copytree(release, root / "release")
    save_emotionnet(root / "runs" / "emotionnet" / "model")
    arguments = {"data": "out/stockemotion", "epochs": 1, "select_on": "last"}
    (root / "runs" / "emotionnet" / "arguments.json").write_text(json.dumps(arguments))
    save_text_model(root / "runs" / "se30k8_textcnn" / "model")
    generate_benchmarks(root / "drawn", num_images=60, progress=False)
    (root / "drawn" / "DeepEmotion").rename(root / "FI")
    (root / "drawn" / "EMOTIC").rename(root / "EMOTIC")
    shutil.rmtree(root / "drawn")
    return root


@pytest.fixture
def workspace(stand_ins, tmp_path, monkeypatch):
    """A workspace of one's own, and a Hub on the loopback address where alice may write."""
    shutil.copytree(stand_ins, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    with HubServer() as server:
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", server.WRITE)
        yield tmp_path / "work"


# What a page leaves to its reader, beside the names of files.
GIVEN = {
    "evaluation.md": {
        "scores": np.random.default_rng(0).random((9, 6)),
        "labels": np.eye(6, dtype=int)[np.arange(9) % 6],
    }
}


def prepare(page: str, root: Path) -> None:
    """Make what a page takes from another one, and the folders behind its placeholders."""
    if page == "data.md":
        # As the marked command would have written it, of a release without people.
        pq.write_table(COUNTS_SCHEMA.empty_table(), root / "counts.parquet")
        shutil.copytree(root / "runs" / "se30k8_textcnn" / "model", root / "MODEL")
    if page == "evaluation.md":
        main(["build", "release/", "--out", "out/stockemotion", "--no-progress"])
        shutil.copytree(root / "runs" / "emotionnet" / "model", root / "MODEL")
        save_emotionnet(root / "runs" / "extra" / "model", auxiliary_dim=4)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run_as_written_and_in_order(page, workspace, monkeypatch, capfd):
    prepare(page.name, workspace)
    names = dict(GIVEN.get(page.name, {}))
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python" and not block.marks:
            exec(compile(block.code, page.name, "exec"), names)
        for command in block.commands if block.language == "bash" else ():
            if block.marked(command):
                continue
            with monkeypatch.context() as patch:
                patch.setattr(constants, "HF_HUB_OFFLINE", " push " not in command)
                words = shlex.split(command, comments=True)
                status = main([*words[1:], "--no-progress"])
            assert status == 0, f"{command}\n{capfd.readouterr().err}"
