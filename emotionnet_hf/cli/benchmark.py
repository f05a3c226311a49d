"""`emotionnet benchmark`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "read a public benchmark: classes, splits, faults, near-duplicates"
    parser = command(commands, "benchmark", _run, text)
    parser.add_argument("name", help="DeepEmotion, UBE, AffectNet, EMOTIC-B, EMOTIC-I, ...")
    parser.add_argument("folder", type=Path, help="where the benchmark lies, in any layout")
    parser.add_argument(
        "--seed", type=int, default=0, help="for splits that are not published (default 0)"
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="count only; open no pictures and look for no near-duplicates",
    )


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data.benchmarks import checked, describe, load_benchmark

    benchmark, report = load_benchmark(arguments.name, arguments.folder, seed=arguments.seed), None
    if not arguments.no_check:
        benchmark, report = checked(benchmark, progress=not arguments.no_progress)
    description = describe(benchmark, report)
    show(description.as_dict(), description.summary(), arguments)
    return 0
