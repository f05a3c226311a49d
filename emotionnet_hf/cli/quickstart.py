"""`emotionnet quickstart`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, count, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "draw a sample, train on it, reload, tag, report: minutes, offline"
    parser = command(commands, "quickstart", _run, text)
    parser.add_argument("--out", required=True, type=Path, help="folder for everything")
    parser.add_argument("--num-images", type=count, default=3000, help="pictures (default 3000)")
    parser.add_argument("--epochs", type=count, default=20, help="of EmotionNet (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of everything (default 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier quickstart")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.quickstart import quickstart

    report = quickstart(
        arguments.out,
        num_images=arguments.num_images,
        epochs=arguments.epochs,
        seed=arguments.seed,
        overwrite=arguments.overwrite,
        progress=not arguments.no_progress,
    )
    net = report["emotionnet"]
    text = (
        f"EmotionNet on the test pictures, against the truth: hit@1 {net['clean']['hit_at_1']:.3f} "
        f"(best constant guess {net['chance']['hit_at_1']:.3f}), mean average precision "
        f"{net['clean']['mean_average_precision']:.3f} "
        f"({net['chance']['mean_average_precision']:.3f})\n"
        f"open {arguments.out / 'report.html'}"
    )
    show(report, text, arguments)
    return 0
