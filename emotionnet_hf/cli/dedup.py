"""`emotionnet dedup`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "find near-duplicates among the images of a source folder or data set, exactly"
    parser = command(commands, "dedup", _run, text)
    parser.add_argument(
        "folder", type=Path, help="source folder with a metadata file, or a built data set"
    )
    parser.add_argument(
        "--out", required=True, type=Path, help="Parquet file that says which image stays for which"
    )
    parser.add_argument(
        "--radius",
        type=int,
        help="perceptual hashes that differ in so many of 64 bits are near (default 4)",
    )
    parser.add_argument(
        "--linkage",
        default="single",
        choices=["single", "complete", "representative"],
        help="single: near images are in one group, and so on (chains); complete: all images of a "
        "group are near one another; representative: all are near the one that stays "
        "(default single)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file of duplicates")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data.duplicates import find_duplicates
    from emotionnet_hf.dedup import DEFAULT_RADIUS

    report = find_duplicates(
        arguments.folder,
        arguments.out,
        radius=DEFAULT_RADIUS if arguments.radius is None else arguments.radius,
        linkage=arguments.linkage,
        progress=not arguments.no_progress,
        overwrite=arguments.overwrite,
    )
    show({**asdict(report), "out": str(report.out)}, report.summary(), arguments)
    return 0
