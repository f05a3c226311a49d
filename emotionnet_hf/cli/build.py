"""`emotionnet build`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, count, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "turn images with keywords, or a release, into a Hub-ready data set"
    parser = command(commands, "build", _run, text)
    parser.add_argument(
        "source",
        type=Path,
        help="folder of images with metadata.jsonl, .csv or .parquet, or a release of "
        "StockEmotion or SE30K8",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder of the data set")
    parser.add_argument(
        "--emotions",
        type=Path,
        help="emotion keywords: text, JSON or etag2idx.pkl (default: the release's, or ours)",
    )
    parser.add_argument("--validation", type=float, help="share of the validation split")
    parser.add_argument("--test", type=float, help="share of the test split")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another split")
    parser.add_argument(
        "--subsets", action="store_true", help="with the training subsets of Table 5"
    )
    parser.add_argument(
        "--all-keywords",
        type=count,
        metavar="N",
        help="number the keywords that N images have, for the configuration all_keywords (Table 4)",
    )
    parser.add_argument("--duplicates", type=Path, help="leave out what `dedup` found twice")
    parser.add_argument("--counts", type=Path, help="people and faces from `count-people`")
    parser.add_argument("--basic8", type=Path, help="pseudo-labels from `pseudo-label`")
    parser.add_argument(
        "--min-emotion-keywords",
        type=int,
        help="images with fewer go to quarantine (default 1; 0 for SE30K8)",
    )
    parser.add_argument("--shorter-side", type=int, help="shrink images to this shorter side")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier build")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data import build_dataset
    from emotionnet_hf.keywords import Vocabulary

    report = build_dataset(
        arguments.source,
        arguments.out,
        emotions=Vocabulary.from_file(arguments.emotions) if arguments.emotions else None,
        validation=arguments.validation,
        test=arguments.test,
        seed=arguments.seed,
        subsets=arguments.subsets,
        all_keywords=arguments.all_keywords,
        duplicates=arguments.duplicates,
        counts=arguments.counts,
        basic8=arguments.basic8,
        min_emotion_keywords=arguments.min_emotion_keywords,
        shorter_side=arguments.shorter_side,
        overwrite=arguments.overwrite,
        progress=not arguments.no_progress,
    )
    show({**asdict(report), "out": str(report.out)}, report.summary(), arguments)
    return 0
