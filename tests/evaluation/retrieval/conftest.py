"""Pictures in two colours, as every kind of data set, and a small EmotionNet's index of them."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

COLOURS = {"fear": (20, 20, 60), "joy": (250, 220, 40)}


def draw(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    noise = np.random.default_rng(seed).integers(-20, 20, (32, 40, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Twelve pictures with a metadata file: six of fear, six of joy, one damaged."""
    root = tmp_path_factory.mktemp("gallery") / "pictures"
    lines = []
    for number in range(12):
        label = ("fear", "joy")[number % 2]
        draw(root / f"{number:02d}.png", COLOURS[label], number)
        keywords = [label, "tree"] if number < 4 else [label]
        lines.append({"file_name": f"{number:02d}.png", "keywords": keywords, "label": label})
    (root / "bad.png").write_bytes(b"no picture")
    text = "\n".join(map(json.dumps, lines))
    (root / "metadata.jsonl").write_text(text)
    return root


@pytest.fixture(scope="session")
def index(folder, checkpoint, tmp_path_factory) -> Path:
    """An index of the pictures by the small EmotionNet of the tests."""
    pytest.importorskip("faiss")
    from emotionnet_hf.evaluation.retrieval import build_index

    out = tmp_path_factory.mktemp("index") / "index"
    build_index(folder, checkpoint, out, progress=False)
    return out


@pytest.fixture(scope="session")
def drawing():
    return SimpleNamespace(draw=draw, colours=COLOURS)
