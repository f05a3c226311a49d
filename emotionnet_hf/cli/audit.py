"""`emotionnet audit`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, count, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "check a sample of the labels by hand: a sheet to mark, marks to an error rate"
    parser = command(commands, "audit", _run, text)
    parser.add_argument("data", type=Path, help="data set, as `emotionnet build` wrote it")
    parser.add_argument("--sample", type=count, help="number of images (default 1000)")
    parser.add_argument("--seed", type=int, help="another seed, another sample (default 0)")
    parser.add_argument("--split", help="draw from this split only (default: all)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, help="write the sheet: an HTML file to open in a browser")
    what.add_argument(
        "--marks", type=Path, help="estimate the error rate from a sheet's marks.json"
    )


def _run(arguments: argparse.Namespace) -> int:
    return _rate(arguments) if arguments.marks else _sheet(arguments)


def _sheet(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data.audit import draw_sample, write_sheet

    sample = draw_sample(
        arguments.data,
        size=arguments.sample or 1000,
        seed=arguments.seed or 0,
        split=arguments.split,
    )
    progress = not arguments.no_progress
    report = write_sheet(arguments.data, sample, arguments.out, progress=progress)
    text = (
        f"{arguments.out}: {report.images:,} images with {report.keywords:,} emotion keywords, "
        f"{report.num_bytes / 1e6:.1f} MB\nmark them in a browser, save, then: "
        f"emotionnet audit {arguments.data} --marks marks.json"
    )
    show({**asdict(report), "out": str(arguments.out)}, text, arguments)
    return 0


def _rate(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data.audit import draw_sample
    from emotionnet_hf.data.error_rate import check_marks, error_rate, read_marks, summary

    if (arguments.sample, arguments.seed, arguments.split) != (None, None, None):
        raise ValueError("marks know their sample: leave out --sample, --seed and --split")
    marks = read_marks(arguments.marks)
    check_marks(
        marks, draw_sample(arguments.data, size=marks.sample, seed=marks.seed, split=marks.split)
    )
    result = error_rate(marks)
    show(result, summary(result), arguments)
    return 0
