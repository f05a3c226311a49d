"""Do the paper's ideas help on the generated sample, whose truth is known?

    python -m benchmarks.ablation            # `make ablation`; stop and start it as you like

Trains EmotionNet with and without soft labels (Eq. 1), with and without the embedding loss
(Eq. 3), and with both, on samples with the paper's 15 % label error and with 40 %; at 15 % also
with both as the equations are printed (un-normalised soft labels and the 1/K of Eq. 2). Each seed
draws its own sample, weights and batches. Scores are against the clean keywords of test pictures,
which no training saw. Nothing is selected on them: the last epoch is scored.

Writes benchmarks/results/ablation.json and ablation.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_dataset
from scipy import stats
from transformers import AutoImageProcessor

from benchmarks.measuring import Parser
from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.sample import generate_sample
from emotionnet_hf.evaluation import extract_features
from emotionnet_hf.evaluation.clean_labels import (
    clean_labels,
    keyword_scores,
    listed_labels,
    read_truth,
)
from emotionnet_hf.files import write_json, write_text
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.models import EmotionNetForPreTraining
from emotionnet_hf.quickstart import emotionnet_recipe, textcnn_recipe
from emotionnet_hf.training import train_emotionnet, train_textcnn

RESULTS = Path(__file__).parent / "results"
NUM_IMAGES, TEST_SHARE, EPOCHS = 3600, 0.4, 12
NOISE = (0.15, 0.4)
VARIANTS: dict[str, dict[str, Any]] = {
    "neither": {"soft_labels": False, "embedding_weight": 0.0},
    "soft labels": {"embedding_weight": 0.0},
    "embedding loss": {"soft_labels": False},
    "both": {},
}
AS_PRINTED = "both, as printed"
PAPER_NOISE_VARIANTS = {
    **VARIANTS,
    AS_PRINTED: {"soft_label_form": "printed", "divide_by_classes": True},
}


def variants(noise: float) -> dict[str, dict[str, Any]]:
    """Return the trainings to compare; the printed equations only at the paper's own noise."""
    return PAPER_NOISE_VARIANTS if noise == NOISE[0] else VARIANTS


def prepare(folder: Path, noise: float, seed: int) -> Path:
    """Draw a sample, build it, train its TextCNN; once for all variants."""
    if not (folder / "sample").is_dir():
        generate_sample(
            folder / "sample", num_images=NUM_IMAGES, seed=seed, noise=noise, progress=False
        )
    if not (folder / "data").is_dir():
        emotions = Vocabulary.from_file(folder / "sample" / "emotion_keywords.txt")
        build_dataset(
            *(folder / "sample", folder / "data"),
            emotions=emotions,
            validation=0.0,
            test=TEST_SHARE,
            progress=False,
        )
    return train_textcnn(textcnn_recipe(folder / "data", folder / "textcnn", seed, progress=False))


def run_cell(work: Path, noise: float, seed: int) -> None:
    """Train and score every variant on one sample."""
    folder = work / f"noise-{noise}-seed-{seed}"
    text_model = prepare(folder, noise, seed)
    for name, changes in variants(noise).items():
        result = folder / f"{name}.json"
        if result.is_file():
            continue
        recipe = emotionnet_recipe(
            *(folder / "data", text_model, folder / name),
            epochs=EPOCHS,
            seed=seed,
            progress=False,
            select_on="last",
            **changes,
        )
        write_json(result, score(folder, train_emotionnet(recipe)))


def score(folder: Path, model: Path) -> dict[str, dict[str, float]]:
    """Score a model on the test pictures against their clean keywords."""
    test = load_dataset(str(folder / "data"))["test"]
    features = extract_features(
        EmotionNetForPreTraining.from_pretrained(model),
        AutoImageProcessor.from_pretrained(model),
        (row["image"] for row in test),
    )
    clean = clean_labels(test, read_truth(folder / "sample"))
    return keyword_scores(features.logits, clean, listed_labels(test))


def run_all(work: Path, seeds: range, workers: int) -> None:
    """Run the cells in processes of their own, some at a time."""
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    environ = {**os.environ, "OMP_NUM_THREADS": threads, "TRANSFORMERS_VERBOSITY": "error"}

    def start(cell: tuple[float, int]) -> None:
        noise, seed = cell
        words = [sys.executable, "-m", "benchmarks.ablation", "--cell", str(noise), str(seed)]
        work.mkdir(parents=True, exist_ok=True)
        with (work / f"noise-{noise}-seed-{seed}.log").open("wb") as log:
            subprocess.run([*words, "--work", str(work)], env=environ, check=True, stderr=log)
        print(f"noise {noise} seed {seed}: done", flush=True)

    with ThreadPoolExecutor(workers) as pool:
        # By seed, so that an interrupted ablation has both noise levels of the first seeds.
        list(pool.map(start, [(noise, seed) for seed, noise in product(seeds, NOISE)]))


def summarize(work: Path, seeds: range, environment: dict[str, Any]) -> dict[str, Any]:
    """Collect the scores: mean, spread, and the paired difference to 'neither'."""
    table: dict[str, Any] = {}
    for noise, name in [(noise, name) for noise in NOISE for name in variants(noise)]:
        cells = [read(work, noise, seed, name) for seed in seeds]
        base = [read(work, noise, seed, "neither") for seed in seeds]
        table.setdefault(f"{noise}", {})[name] = {
            metric: describe(
                np.array([cell["clean"][metric] for cell in cells]),
                np.array([cell["clean"][metric] for cell in base]),
            )
            for metric in ("hit_at_1", "mean_average_precision")
        }
        chance = [cell["chance"]["mean_average_precision"] for cell in cells]
        table[f"{noise}"][name]["chance_mean_average_precision"] = float(np.mean(chance))
    return {
        "what": __doc__,
        "settings": {"num_images": NUM_IMAGES, "test_share": TEST_SHARE, "epochs": EPOCHS},
        "seeds": list(seeds),
        "environment": environment,
        "noise": table,
    }


def read(work: Path, noise: float, seed: int, name: str) -> dict[str, dict[str, float]]:
    """Read the scores of one training."""
    path = work / f"noise-{noise}-seed-{seed}" / f"{name}.json"
    scores: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    return scores


def describe(values: np.ndarray, base: np.ndarray) -> dict[str, Any]:
    """Return mean, standard deviation, and the 95 % t interval of the difference to the base."""
    gain = values - base
    half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain))
    return {
        "values": values.tolist(),
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)),
        "gain": float(gain.mean()),
        "gain_interval": [float(gain.mean() - half), float(gain.mean() + half)],
    }


def markdown(result: dict[str, Any]) -> str:
    """Return the table for people."""
    lines = [
        "# Ablation on the generated sample",
        "",
        f"{len(result['seeds'])} seeds; mean ± standard deviation on clean test keywords, and the "
        "paired gain over 'neither' with its 95 % interval. Written by `make ablation`.",
    ]
    for noise, variants in result["noise"].items():
        lines += [
            "",
            f"## {float(noise):.0%} label error",
            "",
            "| training | hit@1 | gain | mAP | gain |",
            "| --- | --- | --- | --- | --- |",
        ]
        for name, scores in variants.items():
            cells = [name]
            for metric in ("hit_at_1", "mean_average_precision"):
                s = scores[metric]
                low, high = s["gain_interval"]
                gain = "" if name == "neither" else f"{s['gain']:+.3f} ({low:+.3f} to {high:+.3f})"
                cells += [f"{s['mean']:.3f} ± {s['sd']:.3f}", gain]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing and write the tables."""
    parser = Parser("The paper's ablation, on the generated sample.")
    parser.add_argument("--work", type=Path, default=Path("ablation"), help="folder for the runs")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time (default 2)")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        run_cell(arguments.work, float(arguments.cell[0]), int(arguments.cell[1]))
        return
    seeds = range(arguments.seeds)
    environment = parser.environment(arguments, seeds, arguments.work)
    run_all(arguments.work, seeds, arguments.workers)
    result = summarize(arguments.work, seeds, environment)
    write_json(RESULTS / "ablation.json", result)
    write_text(RESULTS / "ablation.md", markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
