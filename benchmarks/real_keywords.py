"""EmotionNet on real pictures with keywords: 4,146 emoji, and 583 rated silhouettes (BASS).

    python benchmarks/real_keywords.py --work DIR      # stop and start it as you like

Needs a folder of data that is not part of this project (``--data``); says what it misses.

Tagging. Emoji of one concept (three drawing styles) stay in one split, so a model is asked for the
keywords of concepts it never saw. A fifth of the concepts, 'test', is reported on and nothing is
chosen on it. The rest trains; of it the validation part (a fifth) chooses EmotionNet's recipe among
``CANDIDATES`` (one seed each) and, with the same right, classifier and regularisation of the linear
layer on frozen ImageNet features. Then both train on the whole rest and are scored after the
last epoch. Scores are hit@1 and mean average precision (mAP) over the emotion keywords that
occur in training, on pictures that have one; the vocabulary is the StockEmotion release's.
'labelled' candidates see only the pictures with an emotion keyword, 'all' ones every picture
(the others teach through the embedding loss and, with soft labels, TextCNN's guesses), in about as
many steps; which is better is measured, not assumed.

Valence and arousal. Ridge regression from the features of a model to BASS' mean ratings,
cross-validated R2 (5 folds, pictures of one name in one fold, the penalty chosen inside the
training folds, several draws of the folds).

Writes benchmarks/results/real_keywords.json and real_keywords.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, load_dataset
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoImageProcessor

from emotionnet_hf.data import build_dataset
from emotionnet_hf.evaluation import Features, extract_features
from emotionnet_hf.evaluation.clean_labels import listed_labels
from emotionnet_hf.files import write_json, write_text
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.metrics import hit_at_k, mean_average_precision
from emotionnet_hf.models import EmotionNetConfig, EmotionNetForPreTraining, build_image_processor
from emotionnet_hf.training import (
    EmotionNetArguments,
    TextCNNArguments,
    train_emotionnet,
    train_textcnn,
)
from emotionnet_hf.training.backbones import load_backbone
from emotionnet_hf.training.run_folder import environment

RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).parents[2] / "shared" / "data"
NEEDED = {
    "emoji": "emoji",
    "bass": "bass",
    "vectors": "w2v_googlenews_8k/googlenews_8k_300d.bin",
    "trunk": "imagenet_backbone/mobilenetv2_100.safetensors",
    "vocabulary": "release_vocabulary/etag2idx.pkl.keep",
}
BACKBONE, IMAGE_SIZE = "mobilenetv2_100", 128
TEST, VALIDATION = 0.2, 0.16
# The splits are nested: 'report' trains on what 'choose' trains and validates on.
SHARES = {"choose": VALIDATION, "report": 0.0}
RECIPE: dict[str, Any] = {
    "backbone": BACKBONE,
    "image_size": IMAGE_SIZE,
    "crop_scale": [0.6, 1.0],
    "batch_size": 32,
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "lr_schedule": "cosine",
    "warmup_epochs": 0.5,
    "select_on": "last",
    # Depthwise convolutions in this layout are many times slower on CPUs.
    "channels_last": False,
    "mixed_precision": "no",
    "progress": False,
}
LABELLED = {"pictures": "labelled", "epochs": 10}
ALL = {"pictures": "all", "epochs": 3}
CANDIDATES: dict[str, dict[str, Any]] = {
    "labelled, 1e-3": {**LABELLED, "learning_rate": 1e-3},
    "labelled, 3e-4": {**LABELLED, "learning_rate": 3e-4},
    "all, 1e-3": {**ALL, "learning_rate": 1e-3},
    "all, 1e-3, hard labels": {**ALL, "learning_rate": 1e-3, "soft_labels": False},
}
PENALTIES = {"ridge": (1e2, 3e2, 1e3, 3e3, 1e4, 3e4), "softmax": (1e-3, 1e-2, 1e-1)}
FOLDS, FOLD_SEEDS, BOOTSTRAPS = 5, range(5), 300
TAGGING = {"hit@1": "hit_at_1", "mAP": "mean_average_precision"}
AFFECT = {
    "valence, US": "valence_us",
    "arousal, US": "arousal_us",
    "valence": "valence",
    "arousal": "arousal",
}

Scores = dict[str, float]


class Bench:
    """The folders of a benchmark, and what is trained in them.

    Args:
        data: Folder of the real data.
        work: Folder for data sets and runs.
    """

    def __init__(self, data: Path, work: Path) -> None:
        self.paths = {name: data / relative for name, relative in NEEDED.items()}
        self.work = work

    def prepare(self, part: str, pictures: str) -> tuple[Path, Path]:
        """Build the emoji set and train its TextCNN, where that is not done; return both."""
        folder = self.work / f"{part}-{pictures}"
        if not (folder / "data").is_dir():
            build_dataset(
                *(self.paths["emoji"], folder / "data"),
                emotions=Vocabulary.from_file(self.paths["vocabulary"]),
                validation=SHARES[part],
                test=TEST,
                min_emotion_keywords=1 if pictures == "labelled" else 0,
                progress=False,
            )
        recipe = TextCNNArguments(
            data=str(folder / "data"),
            output_dir=str(folder / "textcnn"),
            word_vectors=str(self.paths["vectors"]),
            epochs=15,
            batch_size=64,
            learning_rate=0.05,
            lr_drop_epochs=[5, 10],
            select_on="last",
            progress=False,
        )
        return folder / "data", train_textcnn(recipe)

    def bass(self) -> Dataset:
        """Build BASS, where that is not done."""
        if not (self.work / "bass").is_dir():
            build_dataset(
                *(self.paths["bass"], self.work / "bass"),
                validation=0.0,
                test=0.0,
                min_emotion_keywords=0,
                progress=False,
            )
        return load_dataset(str(self.work / "bass"))["train"]

    def run(self, part: str, name: str, seed: int) -> None:
        """Train a candidate, keep its scores on held-out emoji and its features of BASS."""
        folder = self.work / f"{part}-runs" / f"{name}-{seed}"
        if (folder / "features.npz").is_file():
            return
        candidate = CANDIDATES[name]
        data, text_model = self.prepare(part, candidate["pictures"])
        changes = {key: value for key, value in candidate.items() if key != "pictures"}
        model = train_emotionnet(
            EmotionNetArguments(
                data=str(data),
                text_model=str(text_model),
                output_dir=str(folder / "run"),
                backbone_weights=str(self.paths["trunk"]),
                seed=seed,
                **{**RECIPE, **changes},
            )
        )
        trained = EmotionNetForPreTraining.from_pretrained(model)
        processor = AutoImageProcessor.from_pretrained(model)
        train, held = self.labelled(part)
        np.savez(
            folder / "features.npz",
            train=features(trained, processor, train).pooled,
            logits=features(trained, processor, held).logits,
            bass=features(trained, processor, self.bass()).pooled,
        )

    def results(self, part: str, name: str, seed: int) -> dict[str, np.ndarray]:
        """Return what ``run`` kept."""
        with np.load(self.work / f"{part}-runs" / f"{name}-{seed}" / "features.npz") as stored:
            return dict(stored)

    def imagenet(self, part: str) -> dict[str, np.ndarray]:
        """Return features of the trunk as it came: of training, held-out and BASS pictures."""
        path = self.work / f"imagenet-{part}.npz"
        if not path.is_file():
            config = EmotionNetConfig(
                backbone=BACKBONE, projection_dim=2, vocab_size=2, id2label={0: "none"}
            )
            model = EmotionNetForPreTraining(config)
            load_backbone(model.emotionnet.backbone, BACKBONE, str(self.paths["trunk"]))
            processor = build_image_processor(BACKBONE, IMAGE_SIZE)
            sets = dict(
                zip(("train", "held", "bass"), (*self.labelled(part), self.bass()), strict=True)
            )
            np.savez(path, **{k: features(model, processor, v).pooled for k, v in sets.items()})
        with np.load(path) as stored:
            return dict(stored)

    def labelled(self, part: str) -> tuple[Dataset, Dataset]:
        """Return the pictures with an emotion keyword: of training, and held out."""
        data, _ = self.prepare(part, "labelled")
        splits = load_dataset(str(data))
        return splits["train"], splits["validation" if part == "choose" else "test"]


def features(model: EmotionNetForPreTraining, processor: Any, split: Dataset) -> Features:
    """Run a model over the pictures of a split."""
    return extract_features(model, processor, (row["image"] for row in split))


def keyword_scores(scores: np.ndarray, labels: np.ndarray, trained: np.ndarray) -> Scores:
    """Score predictions over the keywords that occur in training.

    Args:
        scores: Float, (N, K).
        labels: Bool, (N, K); rows without a keyword that occurs in training are left out.
        trained: Labels of the training pictures, bool, (M, K).

    Returns:
        ``hit_at_1`` and ``mean_average_precision``.
    """
    known = trained.any(axis=0)
    scores, labels = scores[:, known], labels[:, known]
    rows = labels.any(axis=1)
    return {
        "hit_at_1": hit_at_k(scores[rows], labels[rows]),
        "mean_average_precision": mean_average_precision(scores[rows], labels[rows]),
    }


def linear_scores(
    kind: str, penalty: float, train: np.ndarray, labels: np.ndarray, held: np.ndarray
) -> np.ndarray:
    """Train a linear layer on frozen features and score held-out ones.

    Args:
        kind: ``softmax``: EmotionNet's own classification loss against y / |y|; ``ridge``: least
            squares, one keyword against the rest.
        penalty: Of the squared weights, a picture's share for ``softmax``.
        train: Features, float, (M, D).
        labels: Bool, (M, K).
        held: Features, float, (N, D).

    Returns:
        Float, (N, K); -inf for keywords that no training picture has.
    """
    scaler = StandardScaler().fit(train)
    train, held = scaler.transform(train), scaler.transform(held)
    scores = np.full((len(held), labels.shape[1]), -np.inf)
    known = np.flatnonzero(labels.any(axis=0))
    if kind == "ridge":
        scores[:, known] = Ridge(penalty).fit(train, labels[:, known]).predict(held)
        return scores
    # A picture with n keywords is n rows of weight 1 / n: the same loss as one soft target.
    rows, keywords = np.nonzero(labels)
    weights = 1 / labels.sum(axis=1)[rows]
    model = LogisticRegression(C=1 / (penalty * len(train)), tol=1e-3, max_iter=300)
    model.fit(train[rows], keywords, sample_weight=weights)
    scores[:, model.classes_] = model.decision_function(held)
    return scores


def cross_validated_r2(x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Return R2 of ridge regression on pictures whose group was not trained on.

    Args:
        x: Features, float, (N, D).
        y: Targets, float, (N, T).
        groups: Rows of one group are in one fold, (N,).
        seed: Of the folds.

    Returns:
        Float, (T,).
    """
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    predicted = np.empty_like(y)
    for fold in np.array_split(names, FOLDS):
        held = np.isin(groups, fold)
        ridge = RidgeCV(np.logspace(0, 6, 19), alpha_per_target=True)
        predicted[held] = (
            make_pipeline(StandardScaler(), ridge).fit(x[~held], y[~held]).predict(x[held])
        )
    return np.asarray(r2_score(y, predicted, multioutput="raw_values"))


def compared(
    scores: list[np.ndarray],
    base: np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    groups: np.ndarray,
) -> dict[str, list[float]]:
    """Return the 95 % interval of the gain over a base: bootstrap over concepts.

    Args:
        scores: Of each seed, float, (N, K); the gain is that of their mean score.
        base: Float, (N, K).
        labels: Bool, (N, K).
        train: Labels of the training pictures, bool, (M, K).
        groups: Concept of each picture, (N,).

    Returns:
        The ends of the interval, for each metric.
    """
    rng, names = np.random.default_rng(0), np.unique(groups)
    members = {name: np.flatnonzero(groups == name) for name in names}
    gains: dict[str, list[float]] = {}
    for _ in range(BOOTSTRAPS):
        rows = np.concatenate([members[name] for name in rng.choice(names, len(names))])
        seeds = [keyword_scores(s[rows], labels[rows], train) for s in scores]
        for metric, value in keyword_scores(base[rows], labels[rows], train).items():
            gains.setdefault(metric, []).append(float(np.mean([s[metric] for s in seeds])) - value)
    return {
        metric: np.quantile(values, [0.025, 0.975]).tolist() for metric, values in gains.items()
    }


def choose(bench: Bench) -> dict[str, Any]:
    """Choose EmotionNet's recipe and the linear layer's penalty, by mAP on the validation part."""
    train, held = map(listed_labels, bench.labelled("choose"))
    trunk = bench.imagenet("choose")
    emotionnet = {
        name: keyword_scores(bench.results("choose", name, 0)["logits"], held, train)
        for name in CANDIDATES
    }
    linear = {
        (kind, penalty): keyword_scores(
            linear_scores(kind, penalty, trunk["train"], train, trunk["held"]), held, train
        )
        for kind, penalties in PENALTIES.items()
        for penalty in penalties
    }
    return {
        "emotionnet": emotionnet,
        "linear": {f"{kind}, {penalty:g}": scores for (kind, penalty), scores in linear.items()},
        "chosen": best(emotionnet),
        "chosen_linear": best(linear),
    }


def best(scores: dict[Any, Scores]) -> Any:
    """Return the name with the highest mean average precision."""
    return max(scores, key=lambda name: scores[name]["mean_average_precision"])


def tagging(bench: Bench, chosen: dict[str, Any], seeds: range) -> dict[str, Any]:
    """Score EmotionNet, the linear layer and chance on the test concepts."""
    pictures = bench.labelled("report")
    train, held = map(listed_labels, pictures)
    trunk = bench.imagenet("report")
    linear = linear_scores(*chosen["chosen_linear"], trunk["train"], train, trunk["held"])
    logits = [bench.results("report", chosen["chosen"], seed)["logits"] for seed in seeds]
    constant = np.tile(train.mean(axis=0), (len(held), 1))
    known = train.any(axis=0)
    groups = np.array([Path(name).stem for name in pictures[1]["image_id"]])
    return {
        "pictures": {"train": len(train), "test": int(held[:, known].any(axis=1).sum())},
        "test_concepts": len(np.unique(groups)),
        "keywords": {"train": int(known.sum()), "test": int((known & held.any(axis=0)).sum())},
        "EmotionNet": spread([keyword_scores(values, held, train) for values in logits]),
        "linear on ImageNet features": spread([keyword_scores(linear, held, train)]),
        "chance": spread([keyword_scores(constant, held, train)]),
        "gain_interval": compared(logits, linear, held, train, groups),
    }


def affect(bench: Bench, chosen: dict[str, Any], seeds: range) -> dict[str, Any]:
    """Regress the ratings of BASS on features."""
    rows = (bench.paths["bass"] / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rated = {row["file_name"]: row for row in map(json.loads, rows)}
    names = bench.bass()["image_id"]
    y = np.array([ratings(rated[name]) for name in names])
    groups = np.array([Path(name).stem.rstrip("0123456789") for name in names])
    trunk = bench.imagenet("report")["bass"]
    trained = [bench.results("report", chosen["chosen"], seed)["bass"] for seed in seeds]

    def scores(x: np.ndarray) -> Scores:
        folds = [cross_validated_r2(x, y, groups, seed) for seed in FOLD_SEEDS]
        return dict(zip(AFFECT.values(), np.mean(folds, axis=0).tolist(), strict=True))

    candidates = {name: bench.results("choose", name, 0)["bass"] for name in CANDIDATES}
    return {
        "pictures": len(y),
        "groups": len(np.unique(groups)),
        "EmotionNet": spread([scores(x) for x in trained]),
        "ImageNet": spread([scores(trunk)]),
        "both": spread([scores(np.hstack([trunk, x])) for x in trained]),
        "candidates": {name: scores(x) for name, x in candidates.items()},
    }


def ratings(row: dict[str, Any]) -> list[float]:
    """Return the ``AFFECT`` of a picture: by US raters, and the mean of US and Chinese means."""
    us = [row[f"{what}_mean_us"] for what in ("valence", "arousal")]
    cn = [row[f"{what}_mean_cn"] for what in ("valence", "arousal")]
    return [*us, *((a + b) / 2 for a, b in zip(us, cn, strict=True))]


def spread(runs: list[Scores]) -> dict[str, Any]:
    """Return values, mean and standard deviation over the seeds, for each metric."""
    table = {}
    for metric in runs[0]:
        values = [run[metric] for run in runs]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        table[metric] = {"values": values, "mean": float(np.mean(values)), "sd": sd}
    return table


def table(rows: dict[str, Any], metrics: dict[str, str]) -> list[str]:
    """Return the lines of a Markdown table: a row a model, a column a metric."""
    lines = [f"| | {' | '.join(metrics)} |", f"| --- |{' --- |' * len(metrics)}"]
    for name, scores in rows.items():
        cells = [scores[metric] for metric in metrics.values()]
        told = [
            f"{c['mean']:.3f}" + ("" if c["sd"] is None else f" ± {c['sd']:.3f}") for c in cells
        ]
        lines.append(f"| {name} | {' | '.join(told)} |")
    return lines


def markdown(result: dict[str, Any]) -> str:
    """Return the tables for people."""
    tags, affect, chosen = result["tagging"], result["affect"], result["choice_on_validation"]
    low = tags["gain_interval"]
    gains = "; ".join(
        f"{name} {low[key][0]:+.3f} to {low[key][1]:+.3f}" for name, key in TAGGING.items()
    )
    candidates = {
        name: f"{s['hit_at_1']:.3f} | {s['mean_average_precision']:.3f}"
        for name, s in [
            *chosen["emotionnet"].items(),
            *((f"linear, {name}", s) for name, s in chosen["linear"].items()),
        ]
    }
    models = ("EmotionNet", "linear on ImageNet features", "chance")
    trunks = ("ImageNet", "EmotionNet", "both")
    affected = {f"{name} features": affect[name] for name in trunks}
    affected |= {
        f"EmotionNet features, candidate '{name}'": spread([scores])
        for name, scores in affect["candidates"].items()
    }
    return "\n".join(
        [
            "# Real pictures with keywords",
            "",
            f"Mean ± standard deviation over {len(result['seeds'])} seeds of EmotionNet; the other "
            "rows have no randomness. Trunk: MobileNetV2 trained on ImageNet, "
            f"{IMAGE_SIZE} px, for every row. Written by `python benchmarks/real_keywords.py`, "
            "whose first lines say how recipe and penalties were chosen.",
            "",
            "## Emotion keywords of emoji",
            "",
            f"{tags['pictures']['train']} training pictures with {tags['keywords']['train']} emotion "
            f"keywords; {tags['pictures']['test']} test pictures of {tags['test_concepts']} other "
            f"concepts, {tags['keywords']['test']} keywords.",
            "",
            *table({name: tags[name] for name in models}, TAGGING),
            "",
            f"EmotionNet's gain over the linear layer, 95 % interval over test concepts: {gains}.",
            "",
            "On the validation part, where recipe and penalty were chosen:",
            "",
            "| | hit@1 | mAP |",
            "| --- | --- | --- |",
            *(f"| {name} | {cells} |" for name, cells in candidates.items()),
            "",
            "## Valence and arousal of silhouettes (BASS)",
            "",
            f"Cross-validated R2 on {affect['pictures']} pictures, {affect['groups']} names. 'US': "
            "mean of the US raters; otherwise of US and Chinese means. The spread is that of "
            "EmotionNet's seeds; candidates were trained once, on four fifths.",
            "",
            *table(affected, AFFECT),
            "",
            *COMMENT,
        ]
    )


def run_all(arguments: argparse.Namespace, cells: list[tuple[str, str, int]]) -> None:
    """Train in processes of their own, some at a time."""
    threads = str(max(1, (os.cpu_count() or 1) // arguments.workers))
    environ = {**os.environ, "OMP_NUM_THREADS": threads, "TRANSFORMERS_VERBOSITY": "error"}
    folders = ["--data", str(arguments.data), "--work", str(arguments.work)]

    def start(cell: tuple[str, str, int]) -> None:
        words = [sys.executable, __file__, *folders, "--cell", *map(str, cell)]
        subprocess.run(words, env=environ, check=True)
        print(*cell, "done", flush=True)

    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(start, cells))


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description="EmotionNet on real pictures with keywords.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data")
    parser.add_argument("--work", type=Path, default=Path("real_keywords"), help="for the runs")
    parser.add_argument("--seeds", type=int, default=3, help="of EmotionNet (default 3)")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time (default 2)")
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    missing = [path for path in NEEDED.values() if not (arguments.data / path).exists()]
    if missing:
        sys.exit(f"Skipped: {arguments.data} lacks {', '.join(missing)}; see --data.")
    bench = Bench(arguments.data, arguments.work)
    if arguments.cell:
        part, name, seed = arguments.cell
        bench.run(part, name, int(seed))
        return
    seeds = range(arguments.seeds)
    for part in SHARES:
        for pictures in ("labelled", "all") if part == "choose" else ("labelled",):
            bench.prepare(part, pictures)
    run_all(arguments, [("choose", name, 0) for name in CANDIDATES])
    chosen = choose(bench)
    bench.prepare("report", CANDIDATES[chosen["chosen"]]["pictures"])
    run_all(arguments, [("report", chosen["chosen"], seed) for seed in seeds])
    result = {
        "what": __doc__,
        "settings": {
            "recipe": RECIPE,
            "candidates": CANDIDATES,
            "test": TEST,
            "validation": VALIDATION,
        },
        "seeds": list(seeds),
        "environment": environment(),
        "choice_on_validation": chosen,
        "tagging": tagging(bench, chosen, seeds),
        "affect": affect(bench, chosen, seeds),
    }
    write_json(RESULTS / "real_keywords.json", result)
    write_text(RESULTS / "real_keywords.md", markdown(result))
    print(markdown(result))


if __name__ == "__main__":
    main()
