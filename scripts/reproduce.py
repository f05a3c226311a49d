"""Reproduce the paper: train and measure what the data allow, beside the paper's numbers.

    python scripts/reproduce.py all --data-root DATA_ROOT --work runs/paper --out results/paper
    python scripts/reproduce.py table2 table6 --sample --work runs/sample --out results/sample

DATA_ROOT is described in emotionnet_hf/reproduction/data_root.py. What is missing becomes a line
that says how to get it. Stop it and start it as you like.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from emotionnet_hf.console import bars, one_line, speak, write
from emotionnet_hf.environment import committed_environment, note_work
from emotionnet_hf.lock import one_run
from emotionnet_hf.reproduction.run import reproduce
from emotionnet_hf.reproduction.sample_root import draw_data_root
from emotionnet_hf.reproduction.tables import TABLES
from emotionnet_hf.reproduction.trainings import Scale

RECIPES = Path(__file__).parent / "recipes"


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", choices=[*TABLES, "all"], metavar="TABLE")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data-root", type=Path, help="folder of the data sets")
    data.add_argument("--sample", action="store_true", help="drawn stand-ins, small recipes")
    parser.add_argument("--work", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    parser.add_argument("--scale", type=Path, help="YAML of what differs from the paper's recipes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--workers", type=int, default=1, help="models at a time (default 1)")
    parser.add_argument("--allow-dirty", action="store_true", help="measure uncommitted code")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--no-progress", action="store_true", help="hide progress bars")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run; the words are those of the process where None."""
    arguments = parse(words)
    speak("%(name)s: %(message)s")
    progress = not arguments.no_progress
    root, scale = arguments.data_root, arguments.scale
    try:
        with bars(progress), one_run(arguments.work, inside=True):
            code = committed_environment(arguments.seeds, allow_dirty=arguments.allow_dirty)
            code = note_work(arguments.work, code)
            if arguments.sample:
                root = draw_data_root(arguments.work / "data", progress=progress)
                scale = scale or RECIPES / "scale_sample.yaml"
            pages = reproduce(
                TABLES if "all" in arguments.tables else arguments.tables,
                *(root, arguments.work, arguments.out),
                recipes=RECIPES,
                scale=Scale.read(scale) if scale else Scale(),
                seeds=arguments.seeds,
                environment=code,
                workers=arguments.workers,
                progress=progress,
            )
    except (ValueError, OSError, RuntimeError) as error:
        if arguments.debug:
            raise
        sys.exit(f"reproduce: {one_line(error)}")
    write("\n".join(page.read_text(encoding="utf-8") for page in pages))


if __name__ == "__main__":
    main()
