"""What all subcommands share: their switches, their arguments, their output."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from emotionnet_hf.console import write

EXIT_FAILED = 1


def command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    """Add a subcommand with what all of them have."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--no-progress", action="store_true", help="hide progress bars")
    return parser


def allow_dirty(parser: argparse.ArgumentParser) -> None:
    """Add the switch of commands that write a file of results; see `refuse_dirty`."""
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help="write results of code that no commit has, and mark them (default: refuse)",
    )


def refuse_dirty(results: Path | None, arguments: argparse.Namespace) -> None:
    """Refuse to write results of code that no commit has, before the work starts.

    What is only printed says so in its ``environment``.

    Raises:
        DirtyTreeError: ``results`` is a file, the code was changed and the switch is not given.
    """
    from emotionnet_hf.environment import committed_environment

    if results is not None:
        committed_environment(allow_dirty=arguments.allow_dirty)


def count(text: str) -> int:
    """Read a number of at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def words(text: str) -> list[str]:
    """Read comma-separated words, at least one."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise argparse.ArgumentTypeError("no word is given")
    return words


def show(value: Any, text: str, arguments: argparse.Namespace) -> None:
    """Print the result: JSON, a line an object, or text for people."""
    write(json.dumps(value) if arguments.json else text)
