"""The ``emotionnet`` command: each subcommand is one call of the library."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from emotionnet_hf import __version__
from emotionnet_hf.cli import (
    audit,
    benchmark,
    build,
    convert,
    count_people,
    dedup,
    describe,
    embed,
    evaluate,
    export,
    fetch_images,
    index,
    pseudo_label,
    push,
    quickstart,
    search,
    tag,
)
from emotionnet_hf.cli.command import EXIT_FAILED
from emotionnet_hf.console import bars, complain, one_line, speak

# In the order of the work: the help is a table of contents.
_COMMANDS = (
    quickstart,
    fetch_images,
    dedup,
    count_people,
    pseudo_label,
    build,
    describe,
    audit,
    benchmark,
    evaluate,
    tag,
    embed,
    index,
    search,
    convert,
    export,
    push,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Its words; those of the process where None.

    Returns:
        0 when all went well, 1 when something failed; argparse exits with 2 on bad usage.
    """
    arguments = _parser().parse_args(argv)
    speak()
    try:
        with bars(not arguments.no_progress):
            return int(arguments.run(arguments))
    except KeyboardInterrupt:
        complain("stopped")
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python would complain at its exit otherwise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    # The one place where an error becomes a line: --debug shows where it came from.
    except Exception as error:
        if arguments.debug:
            raise
        complain(f"emotionnet: {one_line(error)}")
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    """Return the parser; its help is the table of contents."""
    parser = argparse.ArgumentParser(
        prog="emotionnet",
        description="What an image makes people feel: data, models, tags.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=18, width=99),
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_command(commands)
    return parser
