"""`emotionnet fetch-images`."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import EXIT_FAILED, command, count, show

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def size(text: str) -> int:
    """Read a number of bytes.

    Args:
        text: A whole number of at least 1, with K, M or G behind it where wanted.

    Returns:
        The number.

    >>> size("20M")
    20971520
    """
    number = text.rstrip("KMG")
    if not number.isdecimal() or text[len(number) :] not in _UNITS or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes, such as 20M")
    return int(number) * _UNITS[text[len(number) :]]


def seconds(text: str) -> float:
    """Read a time above 0.

    Args:
        text: A number.

    Returns:
        The number.
    """
    if not 0 < (number := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return number


def pause(text: str) -> float:
    """Read a time of at least 0.

    Args:
        text: A number.

    Returns:
        The number.
    """
    return 0.0 if float(text) == 0 else seconds(text)


def number(text: str) -> int:
    """Read a number of at least 0.

    Args:
        text: A whole number.

    Returns:
        The number.
    """
    return 0 if int(text) == 0 else count(text)


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "fetch the pictures of a URL list, politely, and resume where it was"
    parser = command(commands, "fetch-images", _run, text)
    parser.add_argument(
        "urls",
        type=Path,
        help="text, or .csv, .tsv, .jsonl, .json or .parquet with a column url (and file_name), "
        "packed or not; a StockEmotion release's .pkl; or a folder of these",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder to fill")
    parser.add_argument("--shorter-side", type=count, help="shrink to this shorter side, as 256")
    parser.add_argument(
        "--retry-failed", action="store_true", help="try again what failed for good (404, ...)"
    )
    _add_limits(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    def limit(name: str, kind: Any, default: Any, text: str) -> None:
        parser.add_argument(name, type=kind, default=default, help=f"{text} (default {default})")

    limit("--concurrency", count, 256, "requests at a time")
    limit("--per-host", count, 8, "requests at a time to one host")
    limit("--host-delay", pause, 0.0, "seconds between requests to one host")
    limit("--retries", number, 4, "further tries after a failure that may pass")
    limit("--backoff", pause, 1.0, "seconds before the second try, then doubled")
    limit("--max-rest", pause, 300.0, "most seconds that a busy host is left alone")
    limit("--connect-timeout", seconds, 10.0, "seconds to connect")
    limit("--stall-timeout", seconds, 20.0, "seconds without a byte")
    limit("--total-timeout", seconds, 120.0, "seconds for one request")
    limit("--max-bytes", size, "20M", "largest body")
    limit("--max-redirects", number, 5, "redirects in a row")
    parser.add_argument("--user-agent", help="what to say we are (default: name and version)")
    parser.add_argument(
        "--disallowed-directives",
        nargs="*",
        metavar="DIRECTIVE",
        help="take no picture whose server sends one of these in X-Robots-Tag (default: noai "
        "noimageai noindex noimageindex); without any, take all",
    )
    parser.add_argument(
        "--allow-private-addresses",
        action="store_true",
        help="ask private and loopback addresses too: only for lists of your own",
    )


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data.fetch import fetch_images

    shared = ("urls", "out", "run", "json", "debug", "no_progress")
    given = {name: value for name, value in vars(arguments).items() if name not in shared}
    # The library's own default where the command line says nothing.
    optional = ("user_agent", "disallowed_directives")
    options = {k: v for k, v in given.items() if k not in optional or v is not None}
    report = fetch_images(
        arguments.urls, arguments.out, progress=not arguments.no_progress, **options
    )
    show({**asdict(report), "out": str(report.out)}, report.summary(), arguments)
    return 0 if report.complete else EXIT_FAILED
