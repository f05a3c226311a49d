"""EmotionNet on real pictures with keywords: 4,146 emoji, and 583 rated silhouettes (BASS).

    python -m benchmarks.real_keywords      # hours on two cores; stop and start it as you like

Needs a folder of data that is not part of this project (``--data``); without it, says so.

Tagging. Emoji of one concept (three drawing styles) stay in one split, so a model is asked for the
keywords of concepts that it never saw. A fifth of the concepts, 'test', is reported on and nothing
is chosen on it. The rest trains; a fifth of that, 'validation', first chooses EmotionNet's recipe
among ``CANDIDATES`` and, with the same right, method and penalty of the linear layer on frozen
ImageNet features, and of plain fine-tuning (the same network and steps, softmax cross entropy on
the keywords as they are listed, no soft labels, no embedding loss: what anybody does who has not
read the paper); then all train on the whole rest and the last epoch counts. Scores: hit@1 and
mean average precision (mAP) over the emotion keywords that occur in training, on pictures that
have one; the vocabulary is the StockEmotion release's. 'labelled' candidates see the pictures with
an emotion keyword; 'all' every picture, of which the others teach by the embedding loss and by
TextCNN's guesses, in about as many steps. Which is better is measured, not assumed.

Valence and arousal. Ridge regression from features to BASS' mean ratings, cross-validated R2 (five
folds, pictures of one name in one fold, the penalty chosen inside the training folds).

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

from benchmarks.measuring import Parser
from emotionnet_hf import training
from emotionnet_hf.data import build_dataset
from emotionnet_hf.evaluation import Features, extract_features
from emotionnet_hf.evaluation.clean_labels import listed_labels
from emotionnet_hf.files import write_json, write_text
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.metrics import hit_at_k, mean_average_precision
from emotionnet_hf.models import EmotionNetConfig, EmotionNetForPreTraining, build_image_processor
from emotionnet_hf.models.backbones import load_backbone

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
# The splits are nested: 'report' trains on what 'choose' trains and validates on.
TEST, VALIDATION = 0.2, {"choose": 0.16, "report": 0.0}
TEXTCNN = {"epochs": 15, "batch_size": 64, "learning_rate": 0.05, "lr_drop_epochs": [5, 10]}
RECIPE: dict[str, Any] = {
    "backbone": BACKBONE,
    "image_size": IMAGE_SIZE,
    "crop_scale": [0.6, 1.0],
    "batch_size": 32,
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "lr_schedule": "cosine",
    "warmup_epochs": 0.5,
    # Depthwise convolutions in this layout are many times slower on CPUs.
    "channels_last": False,
    "mixed_precision": "no",
}
CANDIDATES: dict[str, dict[str, Any]] = {
    "labelled, 1e-3": {"pictures": "labelled", "epochs": 10, "learning_rate": 1e-3},
    "labelled, 3e-4": {"pictures": "labelled", "epochs": 10, "learning_rate": 3e-4},
    "labelled, 1e-4": {"pictures": "labelled", "epochs": 10, "learning_rate": 1e-4},
    "all, 1e-3": {"pictures": "all", "epochs": 3, "learning_rate": 1e-3},
}
NO_LOSSES = {"soft_labels": False, "embedding_weight": 0.0}
# Fine-tuning without the paper's losses, with the same rates to choose from. A picture without an
# emotion keyword has nothing to teach it.
PLAIN: dict[str, dict[str, Any]] = {
    f"plain, {rate}": {**CANDIDATES[f"labelled, {rate}"], **NO_LOSSES}
    for rate in ("1e-3", "3e-4", "1e-4")
}
OURS, THEIRS = "EmotionNet", "fine-tuned without the paper's losses"
LINEAR = "linear layer on ImageNet features"
SILENT: dict[str, Any] = {"select_on": "last", "progress": False}
PENALTIES = {"ridge": (1e2, 3e2, 1e3, 3e3, 1e4, 3e4), "softmax": (1e-3, 1e-2, 1e-1)}
FOLDS, FOLD_SEEDS, BOOTSTRAPS = 5, range(5), 300
RATINGS = ("valence, US", "arousal, US", "valence", "arousal")
LINE, FINDINGS = "\n", "## Findings\n"
Scores = dict[str, float]


class Bench:
    """The folders of a benchmark, and what is built and trained in them."""

    def __init__(self, data: Path, work: Path) -> None:
        self.paths = {name: data / relative for name, relative in NEEDED.items()}
        self.work = work

    def prepare(self, part: str, pictures: str) -> tuple[Path, Path]:
        """Build the emoji set and train its TextCNN, where that is not done; return both."""
        folder = self.work / f"{part}-{pictures}"
        emotions = Vocabulary.from_file(self.paths["vocabulary"])
        shares = {"validation": VALIDATION[part], "test": TEST}
        least = 1 if pictures == "labelled" else 0
        data = self._build("emoji", folder / "data", least, emotions=emotions, **shares)
        where = {"data": data, "output_dir": folder / "textcnn"}
        recipe = {**strings(where), "word_vectors": str(self.paths["vectors"]), **TEXTCNN, **SILENT}
        return data, training.train_textcnn(training.TextCNNArguments(**recipe))

    def bass(self) -> Dataset:
        """Return BASS, built where that is not done."""
        folder = self._build("bass", self.work / "bass", 0, validation=0.0, test=0.0)
        return load_dataset(str(folder))["train"]

    def _build(self, source: str, out: Path, least: int, **settings: Any) -> Path:
        if not out.is_dir():
            settings = {"min_emotion_keywords": least, "progress": False, **settings}
            build_dataset(self.paths[source], out, **settings)
        return out

    def labelled(self, part: str) -> tuple[Dataset, Dataset]:
        """Return the pictures with an emotion keyword: of training, and held out."""
        splits = load_dataset(str(self.prepare(part, "labelled")[0]))
        return splits["train"], splits["validation" if part == "choose" else "test"]

    def run(self, part: str, name: str, seed: int) -> None:
        """Train a candidate; keep its scores of held-out emoji and its features of BASS."""
        folder = self.work / f"{part}-runs" / f"{name}-{seed}"
        if (folder / "features.npz").is_file():
            return
        changes = dict({**CANDIDATES, **PLAIN}[name])
        data, text_model = self.prepare(part, changes.pop("pictures"))
        where = {"data": data, "text_model": text_model, "output_dir": folder / "run"}
        where["backbone_weights"] = self.paths["trunk"]
        recipe = {**strings(where), **RECIPE, **SILENT, **changes}
        model = training.train_emotionnet(training.EmotionNetArguments(seed=seed, **recipe))
        trained = EmotionNetForPreTraining.from_pretrained(model)
        processor = AutoImageProcessor.from_pretrained(model)
        held = features(trained, processor, self.labelled(part)[1])
        bass = features(trained, processor, self.bass())
        np.savez(folder / "features.npz", logits=held.logits, bass=bass.pooled)

    def results(self, part: str, name: str, seed: int) -> dict[str, np.ndarray]:
        """Return what ``run`` kept."""
        with np.load(self.work / f"{part}-runs" / f"{name}-{seed}" / "features.npz") as stored:
            return dict(stored)

    def imagenet(self, part: str) -> dict[str, np.ndarray]:
        """Return features of the trunk as it came: of training, held-out and BASS pictures."""
        path = self.work / f"imagenet-{part}.npz"
        if not path.is_file():
            config = EmotionNetConfig(backbone=BACKBONE, projection_dim=2, vocab_size=2)
            model = EmotionNetForPreTraining(config)
            load_backbone(model.emotionnet.backbone, BACKBONE, str(self.paths["trunk"]))
            processor = build_image_processor(BACKBONE, IMAGE_SIZE)
            train, held = self.labelled(part)
            sets = {"train": train, "held": held, "bass": self.bass()}
            found = {k: features(model, processor, v).pooled for k, v in sets.items()}
            np.savez(path, allow_pickle=False, **found)
        with np.load(path) as stored:
            return dict(stored)


def strings(paths: dict[str, Path]) -> dict[str, Any]:
    """Return paths as the strings that arguments of a training are."""
    return {name: str(path) for name, path in paths.items()}


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
        ``hit@1`` and ``mAP``.
    """
    known = trained.any(axis=0)
    rows = labels[:, known].any(axis=1)
    scores, labels = scores[rows][:, known], labels[rows][:, known]
    return {"hit@1": hit_at_k(scores, labels), "mAP": mean_average_precision(scores, labels)}


def linear_scores(
    kind: str, penalty: float, train: np.ndarray, labels: np.ndarray, held: np.ndarray
) -> np.ndarray:
    """Train a linear layer on frozen features and score held-out ones.

    Args:
        kind: ``softmax``, EmotionNet's own classification loss against y / |y|; or ``ridge``,
            least squares, one keyword against the rest.
        penalty: Of the squared weights; per picture for ``softmax``.
        train: Features, float, (M, D).
        labels: Bool, (M, K).
        held: Features, float, (N, D).

    Returns:
        Float, (N, K); -inf for keywords that no training picture has.
    """
    scaler = StandardScaler().fit(train)
    train, held = scaler.transform(train), scaler.transform(held)
    scores = np.full((len(held), labels.shape[1]), -np.inf)
    if kind == "ridge":
        known = labels.any(axis=0)
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
        ridge = make_pipeline(StandardScaler(), ridge).fit(x[~held], y[~held])
        predicted[held] = ridge.predict(x[held])
    return np.asarray(r2_score(y, predicted, multioutput="raw_values"))


def gain_interval(
    runs: list[np.ndarray],
    bases: list[np.ndarray],
    labels: np.ndarray,
    trained: np.ndarray,
    concepts: np.ndarray,
) -> dict[str, list[float]]:
    """Return, for each metric, the 95 % interval of a gain: bootstrap over concepts.

    Args:
        runs: Scores of each seed, float, (N, K); the gain is that of their mean metric.
        bases: Scores of what they are compared with, likewise.
        labels: Bool, (N, K).
        trained: Labels of the training pictures, bool, (M, K).
        concepts: Of each picture, (N,).
    """
    rng, names = np.random.default_rng(0), np.unique(concepts)
    gains: dict[str, list[float]] = {}
    for _ in range(BOOTSTRAPS):
        drawn = rng.choice(names, len(names))
        rows = np.concatenate([np.flatnonzero(concepts == name) for name in drawn])
        ours, theirs = (
            [keyword_scores(run[rows], labels[rows], trained) for run in side]
            for side in (runs, bases)
        )
        for metric in ours[0]:
            gain = np.mean([s[metric] for s in ours]) - np.mean([s[metric] for s in theirs])
            gains.setdefault(metric, []).append(float(gain))
    return {name: np.quantile(values, [0.025, 0.975]).tolist() for name, values in gains.items()}


def choose(bench: Bench) -> dict[str, Any]:
    """Choose EmotionNet's recipe, the plain one and the linear layer by validation mAP."""
    train, held = map(listed_labels, bench.labelled("choose"))
    trunk = bench.imagenet("choose")
    trainings = {**CANDIDATES, **PLAIN}
    runs = {name: bench.results("choose", name, 0)["logits"] for name in trainings}
    linear = {
        (kind, penalty): linear_scores(kind, penalty, trunk["train"], train, trunk["held"])
        for kind, penalties in PENALTIES.items()
        for penalty in penalties
    }
    trained = {name: keyword_scores(scores, held, train) for name, scores in runs.items()}
    ours, plain = ({name: trained[name] for name in kind} for kind in (CANDIDATES, PLAIN))
    theirs = {name: keyword_scores(scores, held, train) for name, scores in linear.items()}
    return {
        "EmotionNet": ours,
        "plain": plain,
        "linear": {f"{kind}, {penalty:g}": s for (kind, penalty), s in theirs.items()},
        "recipe": max(ours, key=lambda name: ours[name]["mAP"]),
        "plain_recipe": max(plain, key=lambda name: plain[name]["mAP"]),
        "linear_layer": max(theirs, key=lambda name: theirs[name]["mAP"]),
    }


def tagging(bench: Bench, chosen: dict[str, Any], seeds: range) -> dict[str, Any]:
    """Score EmotionNet, plain fine-tuning, the linear layer and chance on the test concepts."""
    pictures = bench.labelled("report")
    train, held = map(listed_labels, pictures)
    known = train.any(axis=0)
    trunk = bench.imagenet("report")
    kind, penalty = chosen["linear_layer"]
    linear = linear_scores(kind, penalty, trunk["train"], train, trunk["held"])
    runs, plain = (
        [bench.results("report", chosen[recipe], seed)["logits"] for seed in seeds]
        for recipe in ("recipe", "plain_recipe")
    )
    by_frequency = np.tile(train.mean(axis=0), (len(held), 1))
    concepts = np.array([Path(name).stem for name in pictures[1]["image_id"]])
    return {
        "training_pictures": len(train),
        "test_pictures": int(held[:, known].any(axis=1).sum()),
        "test_concepts": len(np.unique(concepts)),
        "keywords": int(known.sum()),
        "test_keywords": int((known & held.any(axis=0)).sum()),
        "models": {
            OURS: spread([keyword_scores(run, held, train) for run in runs]),
            THEIRS: spread([keyword_scores(run, held, train) for run in plain]),
            LINEAR: spread([keyword_scores(linear, held, train)]),
            "chance (keywords by frequency)": spread([keyword_scores(by_frequency, held, train)]),
        },
        "gain_intervals": {
            name: gain_interval(runs, bases, held, train, concepts)
            for name, bases in ((THEIRS, plain), (LINEAR, [linear]))
        },
    }


def affect(bench: Bench, chosen: dict[str, Any], seeds: range) -> dict[str, Any]:
    """Regress the ratings of BASS on features."""
    lines = (bench.paths["bass"] / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rated = {row["file_name"]: row for row in map(json.loads, lines)}
    names = bench.bass()["image_id"]
    y = np.array([ratings(rated[name]) for name in names])
    groups = np.array([Path(name).stem.rstrip("0123456789") for name in names])

    def scores(x: np.ndarray) -> Scores:
        folds = [cross_validated_r2(x, y, groups, seed) for seed in FOLD_SEEDS]
        return dict(zip(RATINGS, np.mean(folds, axis=0).tolist(), strict=True))

    trunk = bench.imagenet("report")["bass"]
    runs, plain = (
        [bench.results("report", chosen[recipe], seed)["bass"] for seed in seeds]
        for recipe in ("recipe", "plain_recipe")
    )
    models = {
        "ImageNet features": spread([scores(trunk)]),
        f"{OURS} features": spread([scores(run) for run in runs]),
        f"features {THEIRS}": spread([scores(run) for run in plain]),
        "both side by side": spread([scores(np.hstack([trunk, run])) for run in runs]),
    }
    for name in CANDIDATES:
        run = bench.results("choose", name, 0)["bass"]
        models[f"EmotionNet features, candidate '{name}'"] = spread([scores(run)])
    return {"pictures": len(y), "names": len(np.unique(groups)), "models": models}


def ratings(row: dict[str, Any]) -> list[float]:
    """Return the ``RATINGS`` of a picture: by US raters, and the mean of US and Chinese means."""
    us = [row["valence_mean_us"], row["arousal_mean_us"]]
    cn = [row["valence_mean_cn"], row["arousal_mean_cn"]]
    return [*us, *((a + b) / 2 for a, b in zip(us, cn, strict=True))]


def spread(runs: list[Scores]) -> dict[str, Any]:
    """Return, for each metric, the values, their mean and their standard deviation."""
    columns = {metric: [run[metric] for run in runs] for metric in runs[0]}
    return {
        metric: {
            "values": values,
            "mean": float(np.mean(values)),
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        }
        for metric, values in columns.items()
    }


def table(rows: dict[str, Any]) -> list[str]:
    """Return the lines of a Markdown table: a row a model, a column a metric."""
    metrics = list(next(iter(rows.values())))
    lines = [f"| | {' | '.join(metrics)} |", "| --- |" + " --- |" * len(metrics)]
    for name, scores in rows.items():
        cells = [
            f"{s['mean']:.3f}" + ("" if s["sd"] is None else f" ± {s['sd']:.3f}")
            for s in (scores[metric] for metric in metrics)
        ]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return lines


def main_tables(result: dict[str, Any]) -> str:
    """Return what README shows of what ``real_keywords.json`` holds: both tables, no candidates."""
    affect = result["affect"]["models"]
    chosen = {name: scores for name, scores in affect.items() if "candidate" not in name}
    return LINE.join([*table(result["tagging"]["models"]), "", *table(chosen)])


def markdown(result: dict[str, Any], findings: str) -> str:
    """Return the tables for people, and below them what a person wrote of them."""
    tags, bass, choice = result["tagging"], result["affect"], result["choice"]
    gains = [
        f"Over '{base}': "
        + "; ".join(f"{name} {a:+.3f} to {b:+.3f}" for name, (a, b) in interval.items())
        for base, interval in tags["gain_intervals"].items()
    ]
    tried = {f"EmotionNet, '{name}'": spread([s]) for name, s in choice["EmotionNet"].items()}
    tried |= {f"fine-tuned, '{name}'": spread([s]) for name, s in choice["plain"].items()}
    tried |= {f"linear layer, {name}": spread([s]) for name, s in choice["linear"].items()}
    seeds = len(result["seeds"])
    return f"""# Real pictures with keywords

Written by `benchmarks/real_keywords.py`, whose first lines say how splits, recipe and penalties
were chosen. Every row has the same trunk, MobileNetV2 trained on ImageNet, at {IMAGE_SIZE} px. Mean
± standard deviation over {seeds} seeds of the trainings; what has no ± was computed once.

## Emotion keywords of emoji

{tags["training_pictures"]} training pictures with {tags["keywords"]} emotion keywords;
{tags["test_pictures"]} test pictures of {tags["test_concepts"]} other concepts, which have
{tags["test_keywords"]} of the keywords.

{LINE.join(table(tags["models"]))}

Gain of EmotionNet, 95 % interval over test concepts. {". ".join(gains)}.

What was tried on the validation part; the best mAP of each kind was taken:

{LINE.join(table(tried))}

## Valence and arousal of silhouettes (BASS)

Cross-validated R2 on {bass["pictures"]} pictures of {bass["names"]} names. 'US': mean rating of the
US raters; else of US and Chinese means. Candidates were trained once, without the validation part.

{LINE.join(table(bass["models"]))}

{findings}"""


def run_all(arguments: argparse.Namespace, cells: list[tuple[str, str, int]]) -> None:
    """Train in processes of their own, some at a time."""
    threads = str(max(1, (os.cpu_count() or 1) // arguments.workers))
    environ = {**os.environ, "OMP_NUM_THREADS": threads, "TRANSFORMERS_VERBOSITY": "error"}
    folders = ["--data", str(arguments.data), "--work", str(arguments.work)]

    def start(cell: tuple[str, str, int]) -> None:
        words = [
            sys.executable,
            "-m",
            "benchmarks.real_keywords",
            *folders,
            "--cell",
            *map(str, cell),
        ]
        subprocess.run(words, env=environ, check=True)
        print(*cell, "done", flush=True)

    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(start, cells))


def measure(
    bench: Bench, arguments: argparse.Namespace, environment: dict[str, Any]
) -> dict[str, Any]:
    """Run what is missing, choose, and measure."""
    seeds = range(arguments.seeds)
    for pictures in ("labelled", "all"):  # here, so that no two processes build one folder
        bench.prepare("choose", pictures)
    run_all(arguments, [("choose", name, 0) for name in (*CANDIDATES, *PLAIN)])
    choice = choose(bench)
    for pictures in {"labelled", CANDIDATES[choice["recipe"]]["pictures"]}:
        bench.prepare("report", pictures)
    recipes = (choice["recipe"], choice["plain_recipe"])
    run_all(arguments, [("report", name, seed) for seed in seeds for name in recipes])
    return {
        "what": __doc__,
        "settings": {"recipe": RECIPE, "candidates": {**CANDIDATES, **PLAIN}, "textcnn": TEXTCNN},
        "seeds": list(seeds),
        "environment": environment,
        "choice": choice,
        "tagging": tagging(bench, choice, seeds),
        "affect": affect(bench, choice, seeds),
    }


def main() -> None:
    """Run what is missing and write the tables."""
    parser = Parser("EmotionNet on real pictures with keywords.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data")
    parser.add_argument("--work", type=Path, default=Path("real_keywords"), help="for the runs")
    parser.add_argument("--seeds", type=int, default=3, help="of the trainings (default 3)")
    parser.add_argument("--workers", type=int, default=2, help="trainings at a time (default 2)")
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if missing := [path for path in NEEDED.values() if not (arguments.data / path).exists()]:
        print(f"Skipped: {arguments.data} has no {', no '.join(missing)}. See --data.")
        return
    bench = Bench(arguments.data, arguments.work)
    if arguments.cell:
        part, name, seed = arguments.cell
        bench.run(part, name, int(seed))
        return
    environment = parser.environment(arguments, range(arguments.seeds), arguments.work)
    result = measure(bench, arguments, environment)
    report = RESULTS / "real_keywords.md"
    before = report.read_text(encoding="utf-8") if report.is_file() else ""
    text = markdown(result, FINDINGS + before.partition(FINDINGS)[2])
    write_json(RESULTS / "real_keywords.json", result)
    write_text(report, text)
    print(text)


if __name__ == "__main__":
    main()
