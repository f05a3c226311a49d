"""Why do EmotionNet's features of emoji say less of BASS' ratings than ImageNet's?

    python -m benchmarks.bass_forgetting    # after benchmarks/real_keywords.py, on its runs

Takes the trunks of the learning rates that were tried apart: the trained weights with the BatchNorm
statistics of ImageNet, ImageNet's weights with the statistics of training, and the way between the
two in steps. Scored as there: cross-validated R2 of ridge regression on the ratings of BASS.

Writes benchmarks/results/bass_forgetting.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from transformers import AutoImageProcessor

from benchmarks import real_keywords as real
from benchmarks.measuring import Parser
from emotionnet_hf.files import write_json
from emotionnet_hf.models import EmotionNetForPreTraining
from emotionnet_hf.models.backbones import load_backbone

State = dict[str, torch.Tensor]
RUNS = ("labelled, 1e-3", "labelled, 1e-4")
SHARES = (0.25, 0.5, 0.75)


def is_statistic(name: str) -> bool:
    """Return whether a tensor is a running statistic of BatchNorm."""
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def mixed(before: State, after: State, weights: float, statistics: float) -> State:
    """Go a share of the way from one trunk to another, for weights and statistics apart."""
    shares = {name: statistics if is_statistic(name) else weights for name in before}
    return {
        name: torch.lerp(value.double(), after[name].double(), shares[name]).to(value.dtype)
        for name, value in before.items()
    }


def main() -> None:
    """Take the trunks apart and write the scores."""
    parser = Parser("Why EmotionNet of emoji loses on BASS.")
    parser.add_argument("--data", type=Path, default=real.DATA, help="folder of the real data")
    parser.add_argument("--work", type=Path, default=Path("real_keywords"), help="of the runs")
    arguments = parser.parse_args()
    if not (arguments.work / "choose-runs").is_dir():
        print(f"Skipped: {arguments.work} has no runs; run benchmarks/real_keywords.py first.")
        return
    seeds = sorted({0, *real.FOLD_SEEDS})
    environment = parser.environment(arguments, seeds, arguments.work)
    bench = real.Bench(arguments.data, arguments.work)
    lines = (bench.paths["bass"] / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rated = {row["file_name"]: row for row in map(json.loads, lines)}
    names = bench.bass()["image_id"]
    y = np.array([real.ratings(rated[name]) for name in names])
    groups = np.array([Path(name).stem.rstrip("0123456789") for name in names])
    result: dict[str, dict[str, dict[str, float]]] = {}
    for run in RUNS:
        folder = arguments.work / "choose-runs" / f"{run}-0" / "run" / "model"
        model = EmotionNetForPreTraining.from_pretrained(folder)
        processor = AutoImageProcessor.from_pretrained(folder)
        trunk = model.emotionnet.backbone
        after = {name: value.clone() for name, value in trunk.state_dict().items()}
        load_backbone(trunk, real.BACKBONE, str(bench.paths["trunk"]))
        before = {name: value.clone() for name, value in trunk.state_dict().items()}
        ways = {
            "ImageNet": (0.0, 0.0),
            "trained weights, ImageNet's statistics": (1.0, 0.0),
            "ImageNet's weights, trained statistics": (0.0, 1.0),
            **{f"{share:.0%} of the way": (share, share) for share in SHARES},
            "trained": (1.0, 1.0),
        }
        for name, shares in ways.items():
            trunk.load_state_dict(mixed(before, after, *shares))
            pooled = real.features(model, processor, bench.bass()).pooled
            folds = [real.cross_validated_r2(pooled, y, groups, s) for s in real.FOLD_SEEDS]
            scores = dict(zip(real.RATINGS, np.mean(folds, axis=0).tolist(), strict=True))
            result.setdefault(run, {})[name] = scores
            print(run, name, {k: round(v, 3) for k, v in scores.items()}, flush=True)
    found = {"what": __doc__, "environment": environment, "runs": result}
    write_json(real.RESULTS / "bass_forgetting.json", found)


if __name__ == "__main__":
    main()
