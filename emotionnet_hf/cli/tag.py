"""`emotionnet tag`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from emotionnet_hf.cli.command import EXIT_FAILED, command, count, show, words
from emotionnet_hf.console import complain


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    parser = command(commands, "tag", _run, "tag images with emotion keywords")
    parser.add_argument("images", nargs="+", help="files, folders, globs or URLs")
    parser.add_argument("--model", required=True, help="model folder, or repository on the Hub")
    parser.add_argument(
        "--candidates",
        type=words,
        help="comma-separated words to rank instead of the model's own keywords; words that it "
        "does not have are looked up by other forms and by a phrase's parts",
    )
    parser.add_argument("--top-k", type=count, default=5, help="tags an image (default 5)")
    parser.add_argument("--batch-size", type=count, default=16, help="images at a time")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.tagging import tag_images

    failed = 0
    for result in tag_images(
        arguments.images,
        model=arguments.model,
        candidates=arguments.candidates,
        top_k=arguments.top_k,
        batch_size=arguments.batch_size,
        progress=not arguments.no_progress,
    ):
        failed += result.error is not None
        if result.error is not None:
            complain(f"emotionnet: {result.image}: {result.error}")
        words = ", ".join(f"{tag['label']} {tag['score']:.3f}" for tag in result.tags)
        if arguments.json or not result.error:
            show(asdict(result), f"{result.image}: {words}", arguments)
    return EXIT_FAILED if failed else 0
