"""`emotionnet build`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "turn a folder of images with keywords into a Hub-ready data set"
    parser = command(commands, "build", _run, text)
    parser.add_argument(
        "source", type=Path, help="folder of images with metadata.jsonl, .csv or .parquet"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder of the data set")
    parser.add_argument(
        "--emotions",
        type=Path,
        help="emotion keywords: text, JSON or etag2idx.pkl (default: the package's own list)",
    )
    parser.add_argument("--validation", type=float, help="share of the validation split")
    parser.add_argument("--test", type=float, help="share of the test split")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another split")
    parser.add_argument(
        "--min-emotion-keywords",
        type=int,
        default=1,
        help="images with fewer go to quarantine (default 1)",
    )
    parser.add_argument("--shorter-side", type=int, help="shrink images to this shorter side")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier build")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data import build_dataset
    from emotionnet_hf.keywords import Vocabulary

    shares = {
        name: getattr(arguments, name)
        for name in ("validation", "test")
        if getattr(arguments, name) is not None
    }
    report = build_dataset(
        arguments.source,
        arguments.out,
        emotions=Vocabulary.from_file(arguments.emotions) if arguments.emotions else None,
        seed=arguments.seed,
        min_emotion_keywords=arguments.min_emotion_keywords,
        shorter_side=arguments.shorter_side,
        overwrite=arguments.overwrite,
        progress=not arguments.no_progress,
        **shares,
    )
    show({**asdict(report), "out": str(report.out)}, report.summary(), arguments)
    return 0
