"""`emotionnet push`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, show

_LICENSE = (
    "its licence (default: the one its README.md names, else, of a training here, that of this "
    "package); converted, exported and other weights need one"
)


def add_command(commands: Any) -> None:
    """Add the subcommand with its two kinds."""
    text = "publish a model or a data set on the Hugging Face Hub, with its card"
    push = commands.add_parser("push", help=text, description=text)
    kinds = push.add_subparsers(title="what", required=True, metavar="model|dataset")
    model = command(kinds, "model", _run_model, "publish a trained model")
    model.add_argument(
        "folder", type=Path, help="folder of the model, its training run or its timm export"
    )
    _add_target(model)
    model.add_argument("--license", help=_LICENSE)
    model.add_argument(
        "--results",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="JSON files of measurements for the card",
    )
    model.add_argument(
        "--dataset",
        dest="datasets",
        nargs="+",
        default=[],
        metavar="REPO_ID",
        help="data sets on the Hub that it was trained on",
    )
    dataset = command(kinds, "dataset", _run_dataset, "publish a built data set")
    dataset.add_argument("folder", type=Path, help="folder that `emotionnet build` wrote")
    _add_target(dataset)
    dataset.add_argument("--license", help="its licence (default: the one its README.md names)")


def _add_target(parser: argparse.ArgumentParser) -> None:
    """Add what says whereto."""
    parser.add_argument("repo_id", metavar="REPO_ID", help="OWNER/NAME, made if need be")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--revision", help="branch to push to, made if need be")
    parser.add_argument(
        "--create-pr", action="store_true", help="open a pull request, change no branch"
    )


def _run_model(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.hub import push_model

    report = push_model(
        arguments.folder,
        arguments.repo_id,
        results=arguments.results,
        datasets=arguments.datasets,
        license=arguments.license,
        private=arguments.private,
        revision=arguments.revision,
        create_pr=arguments.create_pr,
        progress=not arguments.no_progress,
    )
    show(asdict(report), report.summary(), arguments)
    return 0


def _run_dataset(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.hub import push_dataset

    report = push_dataset(
        arguments.folder,
        arguments.repo_id,
        license=arguments.license,
        private=arguments.private,
        revision=arguments.revision,
        create_pr=arguments.create_pr,
        progress=not arguments.no_progress,
    )
    show(asdict(report), report.summary(), arguments)
    return 0
