"""Embedding beside the stock pipeline of transformers: one model, the same files, the same cores.

    python -m benchmarks.embed                 # speed, with a ResNet-50 of random weights
    python -m benchmarks.embed --data FOLDER   # and quality, with a real trunk on labelled pictures
    python -m benchmarks.embed --data FOLDER --only quality    # that alone, beside what is there

Both sides go from files to vectors in memory; opening and calibrating the model is timed apart. The
stock pipeline runs as a user would call it, with its default batch of 1 and with 32. Rounds are
interleaved and each side counts with its fastest, because the machine may be shared; for the same
reason there are images per second of processor time, of which others take nothing. The change in
the features is against those of the stock pipeline, which are eager fp32.

Random weights are good for speed only: they put all pictures into nearly the same place. What a
precision does to retrieval is read from the real trunk, under `quality`: the ten nearest neighbours
that are kept, and the mAP of finding pictures of the same category.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import pipeline

from benchmarks.dedup import draw_jpeg
from benchmarks.measuring import Parser
from emotionnet_hf.evaluation.embed.change import feature_change
from emotionnet_hf.evaluation.embed.encoding import Encoding, encoding_threads
from emotionnet_hf.evaluation.embed.engines import Engine, open_engine
from emotionnet_hf.evaluation.embed.precision import EngineError
from emotionnet_hf.evaluation.embed.rows import DataSetOptions
from emotionnet_hf.evaluation.embed.running import CALIBRATED
from emotionnet_hf.evaluation.embed.sources import Source, open_source
from emotionnet_hf.evaluation.retrieval.scores import retrieval_scores
from emotionnet_hf.files import write_json
from emotionnet_hf.models import EmotionNetConfig, EmotionNetModel, build_image_processor
from emotionnet_hf.models.encoders import FEATURES, open_encoder

RESULTS = Path(__file__).parent / "results"
SIZES = ((500, 375), (375, 500), (500, 333), (320, 256), (640, 480))
TRUNK = "timm:mobilenetv2_100={}/imagenet_backbone/mobilenetv2_100.safetensors"
VARIANTS = [(p, r) for r in ("torch", "openvino") for p in ("fp32", "bf16", "int8")]


def save_model(folder: Path, backbone: str) -> None:
    """Save an EmotionNet of random weights."""
    torch.manual_seed(0)
    EmotionNetModel(EmotionNetConfig(backbone=backbone)).save_pretrained(folder)
    build_image_processor(backbone).save_pretrained(folder)


def save_pictures(folder: Path, count: int) -> list[str]:
    """Draw JPEGs of the sizes of photographs on the web."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        data = draw_jpeg(rng, *SIZES[number % len(SIZES)])
        (folder / f"{number:04d}.jpg").write_bytes(data)
    return sorted(str(path) for path in folder.iterdir())


def stock(model: Path, files: list[str], batch_size: int | None) -> Callable[[], np.ndarray]:
    """The stock pipeline; a batch of None leaves its default."""
    extract = pipeline("image-feature-extraction", model=str(model), device="cpu")
    options: dict[str, Any] = {} if batch_size is None else {"batch_size": batch_size}
    return lambda: np.array(extract(files, pool=True, **options)).reshape(len(files), -1)


def open_variants(
    encoding: Encoding, source: Source
) -> tuple[dict[str, Engine], dict[str, float | str]]:
    """Open every precision and runtime that is here; seconds each took, or why it is not here."""
    pixels = encoding.sample(source.items(), CALIBRATED)
    engines: dict[str, Engine] = {}
    told: dict[str, float | str] = {}
    for precision, runtime in VARIANTS:
        name, started = f"{precision} {runtime}", time.perf_counter()
        try:
            engines[name] = open_engine(
                encoding.encoder,
                precision=precision,  # type: ignore[arg-type]
                runtime=runtime,  # type: ignore[arg-type]
                calibration=pixels,
                threads=encoding.threads,
            )
            told[name] = time.perf_counter() - started
        except (EngineError, ImportError) as error:
            told[name] = str(error)
        print(f"opened {name}: {told[name]}", flush=True)
    return engines, told


def ours(encoding: Encoding, engine: Engine, source: Source) -> Callable[[], np.ndarray]:
    """Our way from the same files to vectors."""

    def run() -> np.ndarray:
        batches = encoding.encode(engine, source.items())
        return np.concatenate([batch.vectors[FEATURES] for batch in batches])

    return run


def timed_rounds(
    sides: dict[str, Callable[[], np.ndarray]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, np.ndarray]]:
    """Seconds and processor seconds of every side in every round, and its features."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    busy: dict[str, list[float]] = {name: [] for name in sides}
    features = {}
    for number in range(rounds):
        for name, run in sides.items():
            started, worked = time.perf_counter(), time.process_time()
            features[name] = run()
            busy[name].append(time.process_time() - worked)
            seconds[name].append(time.perf_counter() - started)
            rate = len(features[name]) / seconds[name][-1]
            of_cpu = len(features[name]) / busy[name][-1]
            told = f"{rate:.1f} images/s, {of_cpu:.1f} a second of processor time"
            print(f"round {number}: {name}: {told}", flush=True)
    return seconds, busy, features


def speed(backbone: str, count: int, rounds: int, cores: int, folder: Path) -> dict[str, Any]:
    """Time all sides on one model and the same files."""
    save_model(folder / "model", backbone)
    files = save_pictures(folder / "pictures", count)
    source = open_source(folder / "pictures", DataSetOptions())
    with encoding_threads(cores) as pool:
        encoding = Encoding(open_encoder(folder / "model", "cpu"), pool, cores, 8, 10**8)
        engines, opened = open_variants(encoding, source)
        torch.set_num_threads(cores)
        sides = {
            "stock": stock(folder / "model", files, None),
            "stock batch 32": stock(folder / "model", files, 32),
            **{name: ours(encoding, engine, source) for name, engine in engines.items()},
        }
        for run in [ours(encoding, engine, source) for engine in engines.values()]:
            run()  # first calls lay out weights
        seconds, busy, features = timed_rounds(sides, rounds)
    rates = {name: count / min(times) for name, times in seconds.items()}
    best = max(rates["stock"], rates["stock batch 32"])
    result = {
        name: {
            "images_per_second": rate,
            "images_per_processor_second": count / min(busy[name]),
            "times_stock_by_processor_time": min(busy["stock"]) / min(busy[name]),
            "all_seconds": seconds[name],
            "all_processor_seconds": busy[name],
            "times_stock": rate / rates["stock"],
            "times_faster_stock": rate / best,
            "change": asdict(feature_change(features[name], features["stock"])),
        }
        for name, rate in rates.items()
    }
    for name, side in result.items():
        change = feature_change(features[name], features["stock"])
        print(
            f"{name}: {side['images_per_second']:.1f} images/s, {side['times_stock']:.2f} times "
            f"stock ({side['times_stock_by_processor_time']:.2f} by processor time), "
            f"{side['times_faster_stock']:.2f} times the faster stock; largest relative "
            f"difference {change.largest_relative:.1e}, mean {change.mean_relative:.1e}, cosine "
            f"{change.mean_cosine:.6f}",
            flush=True,
        )
    return {"backbone": backbone, "pictures": count, "opened": opened, "sides": result}


def category_map(features: np.ndarray, categories: np.ndarray) -> float:
    """Mean AP of finding pictures of the same category by cosine, each the query once."""
    codes = np.unique(categories, return_inverse=True)[1]
    return retrieval_scores(features, codes, ks=(1,))["mean_average_precision"]


def quality(data: Path, count: int, cores: int) -> dict[str, Any]:
    """Measure what every precision changes, with a real trunk on labelled pictures."""
    lines = (data / "emoji" / "metadata.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["category"]]
    chosen = np.random.default_rng(0).permutation(len(rows))[: count + CALIBRATED]
    picked = [rows[i] for i in chosen]
    files = [str(data / "emoji" / row["file_name"]) for row in picked]
    categories = np.array([row["category"] for row in picked[CALIBRATED:]])
    source = open_source(files, DataSetOptions())
    checked = open_source(files[CALIBRATED:], DataSetOptions())
    result: dict[str, Any] = {"pictures": len(categories), "trunk": "mobilenetv2_100"}
    with encoding_threads(cores) as pool:
        encoding = Encoding(open_encoder(TRUNK.format(data), "cpu"), pool, cores, 8, 10**8)
        engines, _ = open_variants(encoding, source)
        eager = lambda pixels: {  # noqa: E731
            FEATURES: encoding.encoder.model(pixels)[FEATURES].detach().numpy()
        }
        expected = ours(encoding, eager, checked)()
        result["eager"] = {"mAP": category_map(expected, categories)}
        for name, engine in engines.items():
            found = ours(encoding, engine, checked)()
            change = feature_change(found, expected)
            result[name] = {"mAP": category_map(found, categories), "change": asdict(change)}
            told = f"mAP {result[name]['mAP']:.4f} (eager {result['eager']['mAP']:.4f})"
            print(f"{name}: {told}; {change}", flush=True)
    return result


def main() -> None:
    """Compare all sides and write the numbers."""
    parser = Parser("Embedding beside the stock pipeline.")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder with emoji/ and imagenet_backbone/")
    parser.add_argument("--shared", action="store_true", help="note that others used the cores")
    parser.add_argument("--out", type=Path, default=RESULTS / "embed.json")
    parser.add_argument(
        "--only", choices=("speed", "quality"), help="measure one part, keep the file's other one"
    )
    arguments = parser.parse_args()
    environment = parser.environment(arguments, [0])
    os.environ["TQDM_DISABLE"] = "1"
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    torch.set_num_threads(arguments.cores)
    kept = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.only else {}
    result = {**kept, "what": __doc__}
    for part in measured(arguments, environment):  # each is long, and kept though the next one fail
        result.update(part)
        write_json(arguments.out, result)
        print(f"wrote {arguments.out}")


def cpu() -> dict[str, Any]:
    """Return what decides which precision is fast here."""
    here = torch.cpu.get_capabilities()
    units = ("avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
    return {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "units": [name for name in units if here.get(name)],
    }


def measured(
    arguments: argparse.Namespace, environment: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Measure the parts that are asked for; each tells of the machine it was measured on."""
    if arguments.only != "quality":
        with tempfile.TemporaryDirectory() as folder:
            sizes = (arguments.backbone, arguments.pictures, arguments.rounds, arguments.cores)
            yield {
                "environment": environment,
                "cpu": cpu(),
                "cores": arguments.cores,
                "machine_was_shared": arguments.shared,
                "speed": speed(*sizes, Path(folder)),
            }
    if arguments.only != "speed" and arguments.data:
        found = quality(arguments.data, 600, arguments.cores)
        yield {"quality": {**found, "environment": environment, "cpu": cpu()}}


if __name__ == "__main__":
    main()
