"""`emotionnet pseudo-label`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "label images by their keywords with the classes of SE30K8 (Table 4)"
    parser = command(commands, "pseudo-label", _run, text)
    parser.add_argument("source", type=Path, help="folder with metadata, release, or built folder")
    parser.add_argument("--model", required=True, help="TextCNN of the eight classes")
    parser.add_argument("--out", required=True, type=Path, help="Parquet file, for build --basic8")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.training.pseudo_labels import write_pseudo_labels

    report = write_pseudo_labels(
        arguments.source, arguments.model, arguments.out, progress=not arguments.no_progress
    )
    show({**asdict(report), "out": str(report.out)}, report.summary(), arguments)
    return 0
