"""The ``emotionnet`` command: each subcommand is one call of the library."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf import __version__

EXIT_FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Its words; those of the process where None.

    Returns:
        0 when all went well, 1 when something failed; argparse exits with 2 on bad usage.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "datasets", "gensim", "fsspec"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python would complain at its exit otherwise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    # The one place where an error becomes a line: --debug shows where it came from.
    except Exception as error:
        if arguments.debug:
            raise
        line = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"emotionnet: {line}\n")
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
    _add_quickstart(commands)
    _add_build(commands)
    _add_tag(commands)
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    """Add a subcommand with what all of them have."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--no-progress", action="store_true", help="hide progress bars")
    return parser


def _add_quickstart(commands: Any) -> None:
    text = "draw a sample, train on it, reload, tag, report: minutes, offline"
    parser = _command(commands, "quickstart", _quickstart, text)
    parser.add_argument("--out", required=True, type=Path, help="folder for everything")
    parser.add_argument("--num-images", type=_count, default=3000, help="pictures (default 3000)")
    parser.add_argument("--epochs", type=_count, default=20, help="of EmotionNet (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="of everything (default 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier quickstart")


def _quickstart(arguments: argparse.Namespace) -> int:
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
    _show(report, text, arguments)
    return 0


def _add_build(commands: Any) -> None:
    text = "turn a folder of images with keywords into a Hub-ready data set"
    parser = _command(commands, "build", _build, text)
    parser.add_argument(
        "source", type=Path, help="folder of images with metadata.jsonl, .csv or .parquet"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder of the data set")
    parser.add_argument(
        "--emotions",
        type=Path,
        help="emotion keywords: text, JSON or etag2idx.pkl (default: the package's own list)",
    )
    parser.add_argument("--validation", type=float, help="share of the validation split")
    parser.add_argument("--test", type=float, help="share of the test split")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another split")
    parser.add_argument(
        "--min-emotion-keywords",
        type=int,
        default=1,
        help="images with fewer go to quarantine (default 1)",
    )
    parser.add_argument("--shorter-side", type=int, help="shrink images to this shorter side")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier build")


def _build(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data import build_dataset
    from emotionnet_hf.keywords import Vocabulary

    shares = {
        name: getattr(arguments, name)
        for name in ("validation", "test")
        if getattr(arguments, name) is not None
    }
    report = build_dataset(
        arguments.source,
        arguments.out,
        emotions=Vocabulary.from_file(arguments.emotions) if arguments.emotions else None,
        seed=arguments.seed,
        min_emotion_keywords=arguments.min_emotion_keywords,
        shorter_side=arguments.shorter_side,
        overwrite=arguments.overwrite,
        progress=not arguments.no_progress,
        **shares,
    )
    _show({**asdict(report), "out": str(report.out)}, report.summary(), arguments)
    return 0


def _add_tag(commands: Any) -> None:
    parser = _command(commands, "tag", _tag, "tag images with emotion keywords")
    parser.add_argument("images", nargs="+", help="files, folders, globs or URLs")
    parser.add_argument("--model", required=True, help="model folder, or repository on the Hub")
    parser.add_argument(
        "--candidates",
        type=_words,
        help="comma-separated words to rank instead of the model's own keywords",
    )
    parser.add_argument("--top-k", type=_count, default=5, help="tags an image (default 5)")
    parser.add_argument("--batch-size", type=_count, default=16, help="images at a time")


def _count(text: str) -> int:
    """Read a number of at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _words(text: str) -> list[str]:
    """Read comma-separated words, at least one."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise argparse.ArgumentTypeError("no word is given")
    return words


def _tag(arguments: argparse.Namespace) -> int:
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
            sys.stderr.write(f"emotionnet: {result.image}: {result.error}\n")
        words = ", ".join(f"{tag['label']} {tag['score']:.3f}" for tag in result.tags)
        if arguments.json or not result.error:
            _show(asdict(result), f"{result.image}: {words}", arguments)
    return EXIT_FAILED if failed else 0


def _show(value: Any, text: str, arguments: argparse.Namespace) -> None:
    """Print the result: JSON, a line an object, or text for people."""
    sys.stdout.write((json.dumps(value) if arguments.json else text) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
