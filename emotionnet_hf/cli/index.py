"""`emotionnet index`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, count, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "index the pictures of a data set, to be searched by pictures and by words"
    parser = command(commands, "index", _run, text)
    parser.add_argument(
        "dataset",
        help="data set that `emotionnet build` wrote, Parquet, what save_to_disk wrote, or a "
        "folder of images",
    )
    parser.add_argument(
        "--model", required=True, help="model folder, repository on the Hub, or timm:NAME"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the index")
    parser.add_argument(
        "--features", type=Path, help="what `emotionnet embed` wrote of the same data set and model"
    )
    parser.add_argument(
        "--label", help="column of labels (default: label, labels or emotion_keywords)"
    )
    parser.add_argument("--factory", help="faiss factory string (default: chosen by measurement)")
    parser.add_argument(
        "--recall",
        type=float,
        default=0.99,
        help="share of the ten nearest that must be found above 50,000 rows, where search is not "
        "exact (default 0.99)",
    )
    parser.add_argument("--batch-size", type=count, help="images at a time, per thread")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier index")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.evaluation.retrieval import build_index

    facts = build_index(
        arguments.dataset,
        arguments.model,
        arguments.out,
        features=arguments.features,
        label=arguments.label,
        factory=arguments.factory,
        recall=arguments.recall,
        batch_size=arguments.batch_size,
        overwrite=arguments.overwrite,
        progress=not arguments.no_progress,
    )
    spaces = ", ".join(
        f"{name} ({space['factory']}, recall@10 {space['recall_at_10']:.3f})"
        for name, space in facts["spaces"].items()
    )
    lines = [f"{facts['rows']:,} images indexed in {arguments.out}: {spaces}"]
    lines += [f"{reason}: {count:,}" for reason, count in facts["notes"].items()]
    lines += [f"in quarantine, {reason}: {n:,}" for reason, n in facts["quarantined"].items()]
    show(facts, "\n".join(lines), arguments)
    return 0
