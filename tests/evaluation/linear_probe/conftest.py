from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from PIL import Image

from emotionnet_hf.data.benchmarks import Benchmark, benchmark_features
from emotionnet_hf.evaluation.linear_probe.rows import Pool
from emotionnet_hf.models.encoders import open_encoder

CLASSES = ("awe", "fear", "joy")
# Classes that a network with random weights can tell apart.
COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200))


def draw(path, label, seed):
    """A picture that mostly has the colour of its class."""
    noise = np.random.default_rng(seed).integers(-90, 90, (30 + seed % 7, 40, 3))
    pixels = np.clip(np.asarray(COLOURS[label]) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def row(path, label, *, target=None, labels=None, box=None, group=None):
    return {
        "image": {"bytes": None, "path": str(path)},
        "image_id": path.name,
        "group": group or path.name,
        "box": box,
        "label": label,
        "labels": [label] if labels is None else labels,
        "target": [float(i == label) for i in range(3)] if target is None else target,
    }


def make_benchmark(rows, name="Drawn", task="single-label"):
    features, splits = benchmark_features(CLASSES), {}
    for split in ("train", "validation", "test"):
        columns = {name: [r[name] for r in rows.get(split, [])] for name in features}
        splits[split] = Dataset.from_dict(columns, features=features)
    return Benchmark(name, task, DatasetDict(splits), "made in a test", "none")


def drawn_rows(folder, sizes=(24, 9, 12)):
    rows, number = {}, 0
    for split, size in zip(("train", "validation", "test"), sizes, strict=True):
        rows[split] = []
        for _ in range(size):
            path = folder / f"{number}.png"
            draw(path, number % 3, number)
            rows[split].append(row(path, number % 3))
            number += 1
    return rows


@pytest.fixture(scope="session")
def making():
    return SimpleNamespace(draw=draw, row=row, benchmark=make_benchmark, rows=drawn_rows)


@pytest.fixture
def benchmark(tmp_path):
    """24, 9 and 12 pictures of three colours."""
    return make_benchmark(drawn_rows(tmp_path / "pictures"))


@pytest.fixture
def pooled(benchmark):
    """The benchmark's pictures and parts."""
    pool = Pool()
    return pool, pool.add(benchmark)


@pytest.fixture
def encoder():
    """A small residual network with BatchNorm and fixed random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return open_encoder("timm:test_resnet=none", "cpu")
