"""`emotionnet describe`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "count what is in a built data set: numbers, figures, a page"
    parser = command(commands, "describe", _run, text)
    parser.add_argument("data", type=Path, help="data set, as `emotionnet build` wrote it")
    parser.add_argument("--out", required=True, type=Path, help="folder for what is found")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data.describe import describe_dataset

    statistics = describe_dataset(arguments.data, arguments.out, progress=not arguments.no_progress)
    page = arguments.out / "statistics.md"
    show(statistics, f"{statistics['images']:,} images described in {page}", arguments)
    return 0
