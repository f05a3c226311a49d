"""`emotionnet search`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import EXIT_FAILED, allow_dirty, command, count, refuse_dirty, show
from emotionnet_hf.console import complain


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "search an index by pictures or by words"
    parser = command(commands, "search", _run, text)
    parser.add_argument("index", type=Path, help="folder that `emotionnet index` wrote")
    parser.add_argument(
        "queries", nargs="*", help='image files, ids of the index, or words such as "joy, sunset"'
    )
    parser.add_argument("--top-k", type=count, default=10, help="neighbours a query (default 10)")
    parser.add_argument(
        "--beside", type=Path, help="another index of the same data set, to compare with"
    )
    parser.add_argument(
        "--sheet", type=Path, help="contact sheet to draw: .png or .html; --beside on top (Fig. 4)"
    )
    parser.add_argument(
        "--pictures", type=Path, help="where the data set is now, if it has been moved"
    )
    parser.add_argument(
        "--scores",
        type=Path,
        help="file for recall@k and mean average precision of the index against its labels",
    )
    allow_dirty(parser)


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.evaluation.retrieval import ask, check_sheet, open_searcher, write_sheet

    if not arguments.queries and arguments.scores is None:
        raise ValueError("give a query, or --scores")
    refuse_dirty(arguments.scores, arguments)
    if arguments.sheet is not None:
        check_sheet(arguments.sheet)
    folders = [folder for folder in (arguments.beside, arguments.index) if folder is not None]
    searchers = [open_searcher(folder, arguments.pictures) for folder in folders]
    answers = []
    for answer in ask(searchers, arguments.queries, arguments.top_k):
        answers.append(answer)
        _show_answer(answer, folders, arguments)
    good = [answer.found for answer in answers if answer.error is None]
    if arguments.sheet is not None:
        write_sheet(arguments.sheet, searchers, good)
    if arguments.scores is not None:
        _score(searchers[-1].index, arguments)
    return EXIT_FAILED if len(good) < len(answers) else 0


def _score(index: Any, arguments: argparse.Namespace) -> None:
    from emotionnet_hf.evaluation.retrieval import score_index
    from emotionnet_hf.files import write_json

    scores = score_index(index)
    write_json(arguments.scores, scores)
    text = "\n".join(f"{name}: {value:.4f}" for name, value in scores["metrics"].items())
    show(scores, text, arguments)


def _show_answer(answer: Any, folders: list[Path], arguments: argparse.Namespace) -> None:
    if answer.error is not None:
        complain(f"emotionnet: {answer.error}")
    for word in dict.fromkeys(word for found in answer.found for word in found.unknown):
        complain(f"emotionnet: the model does not know {word!r}")
    if arguments.json:
        show(asdict(answer), "", arguments)
        return
    for folder, found in zip(folders, answer.found, strict=False):
        lines = [f"{found.query} in {folder}:"]
        lines += [
            f"  {hit.score:.3f}  {hit.id}  {', '.join(hit.labels or hit.keywords)}"
            for hit in found.hits
        ]
        show(None, "\n".join(lines), arguments)
