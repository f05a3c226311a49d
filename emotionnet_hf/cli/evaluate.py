"""`emotionnet evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from emotionnet_hf.cli.command import allow_dirty, command, count, refuse_dirty, show

if TYPE_CHECKING:
    from emotionnet_hf.evaluation.zero_shot import ZeroShotReport

Number = TypeVar("Number", int, float)


def add_command(commands: Any) -> None:
    """Add the subcommand with its two kinds."""
    text = "measure a model on a public emotion benchmark, beside the paper's numbers"
    evaluate = commands.add_parser("evaluate", help=text, description=text)
    kinds = evaluate.add_subparsers(title="what", required=True, metavar="linear-probe|zero-shot")
    probe = command(kinds, "linear-probe", _run_probe, "train a linear layer on frozen features")
    _add_benchmark(probe)
    _add_models(probe)
    _add_protocol(probe)
    _add_sgd(probe)
    _add_running(probe)
    text = "score classes by the cosine of picture and keywords, without training on the benchmark"
    zero_shot = command(kinds, "zero-shot", _run_zero_shot, text)
    _add_benchmark(zero_shot)
    _add_zero_shot(zero_shot)


def _add_benchmark(parser: argparse.ArgumentParser) -> None:
    """Add what both have."""
    parser.add_argument(
        "--benchmark", required=True, help="DeepEmotion, UBE, AffectNet, EMOTIC-B, EMOTIC-I, ..."
    )
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="where the benchmark lies, in any layout"
    )
    parser.add_argument(
        "--out",
        type=_json_file,
        metavar="FILE.json",
        help="write the results, and a Markdown file beside it",
    )
    allow_dirty(parser)
    parser.add_argument("--device", help="where to compute (default: a GPU where there is one)")
    parser.add_argument("--batch-size", type=count, default=32, help="images at a time")


def _add_models(parser: argparse.ArgumentParser) -> None:
    """Add what is compared, and how clean the data are."""
    parser.add_argument(
        "--model",
        required=True,
        action="append",
        dest="models",
        help="folder or repository of an EmotionNet or any image model of transformers, timm:NAME, "
        "timm:NAME=FILE.safetensors, or timm:NAME=none; several are compared with the first",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="open no pictures beforehand, and look for no near-duplicates between splits",
    )
    parser.add_argument(
        "--drop-twins",
        action="store_true",
        help="leave out of train and validation what shows a picture of test",
    )


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    """Add the protocol; what is not given is `LinearProbeArguments`' business."""
    parser.add_argument(
        "--protocol",
        choices=("fast", "published"),
        help="fast (default): features are computed once; published: augmented pictures and SGD",
    )
    parser.add_argument(
        "--seeds",
        type=_whole_numbers,
        help="one run each, e.g. 0,1,2 (default): draws what the benchmark leaves open and what "
        "SGD draws",
    )
    parser.add_argument(
        "--select-on",
        choices=("validation", "test", "last"),
        help="where epoch or L2 strength are chosen (default validation); test, as in the "
        "published code, makes the numbers too good",
    )
    parser.add_argument(
        "--bn-mode",
        choices=("frozen", "adapt"),
        help="frozen (default), or adapt: BatchNorm follows the data, as in the published code",
    )
    parser.add_argument(
        "--refit",
        action=argparse.BooleanOptionalAction,
        help="train on validation too, once all is chosen (default: where the paper does)",
    )
    parser.add_argument(
        "--balanced",
        action=argparse.BooleanOptionalAction,
        help="let classes count alike (default: for AffectNet)",
    )
    parser.add_argument(
        "--strengths",
        type=_numbers,
        help="L2 strengths to choose from, e.g. 0.001,0.01,0.1",
    )


def _add_sgd(parser: argparse.ArgumentParser) -> None:
    """Add the settings of SGD."""
    parser.add_argument("--solver", choices=("lbfgs", "sgd"), help="of the fast protocol")
    parser.add_argument("--epochs", type=count, help="of SGD (default 40; AffectNet 10)")
    parser.add_argument("--train-batch-size", type=count, help="of SGD (default 24)")
    parser.add_argument("--learning-rate", type=float, help="of SGD (default 0.001)")
    parser.add_argument("--weight-decay", type=float, help="of SGD (default 0.00001)")


def _add_running(parser: argparse.ArgumentParser) -> None:
    """Add what does not change the numbers."""
    parser.add_argument(
        "--cache", type=Path, help="folder that keeps features and unfinished trainings"
    )
    parser.add_argument("--max-unreadable", type=float, help="largest share (default 0.05)")
    parser.add_argument("--num-workers", type=count, default=2, help="threads that open images")


def _add_zero_shot(parser: argparse.ArgumentParser) -> None:
    """Add what is scored; what is not given is `ZeroShotArguments`' business."""
    parser.add_argument("--model", required=True, help="folder or repository of an EmotionNet")
    parser.add_argument(
        "--text-model", help="folder or repository of a TextCNN, in the paper that of SE30K8"
    )
    parser.add_argument(
        "--space",
        choices=("text_model", "word_vectors"),
        help="where pictures meet keywords (default: text_model where one is given)",
    )
    parser.add_argument(
        "--representation",
        choices=("category", "keywords", "logits"),
        help="of a class in the text model (default category)",
    )
    parser.add_argument(
        "--pooling",
        choices=("mean", "max", "centroid"),
        help="where each keyword has a vector (default mean)",
    )
    parser.add_argument(
        "--uncovered",
        choices=("refuse", "chance"),
        default="refuse",
        help="a class of whose keywords none is known (default refuse)",
    )
    parser.add_argument("--split", default="test", help="which split (default test)")
    parser.add_argument(
        "--seed", type=int, default=0, help="for splits that are not published (default 0)"
    )
    parser.add_argument(
        "--categories",
        type=Path,
        metavar="FILE.json",
        help="keywords of each class (default: the published lists, or the names of the classes)",
    )


def _run_probe(arguments: argparse.Namespace) -> int:

    from emotionnet_hf.evaluation.linear_probe import (
        LinearProbeArguments,
        Running,
        evaluate_linear_probe,
        load_for_seeds,
    )

    refuse_dirty(arguments.out, arguments)
    names = (
        *("protocol", "seeds", "select_on", "bn_mode", "refit", "balanced", "strengths"),
        *("solver", "epochs", "learning_rate", "weight_decay", "max_unreadable"),
    )
    given = {name: getattr(arguments, name) for name in names}
    given["batch_size"] = arguments.train_batch_size
    probe = LinearProbeArguments(**{n: value for n, value in given.items() if value is not None})
    benchmarks, twins = load_for_seeds(
        *(arguments.benchmark, arguments.data_dir, probe.seeds),
        check=not arguments.no_check,
        drop_twins=arguments.drop_twins,
        progress=not arguments.no_progress,
    )
    running = Running(
        cache=arguments.cache,
        device=arguments.device,
        batch_size=arguments.batch_size,
        num_workers=arguments.num_workers,
        progress=not arguments.no_progress,
    )
    report = evaluate_linear_probe(
        benchmarks, arguments.models, probe, running=running, near_duplicates=twins
    )
    text = report.summary()
    if arguments.out is not None:
        text += "\n\nWritten: " + ", ".join(map(str, report.write(arguments.out)))
    show(report.as_dict(), text, arguments)
    return 0


def _run_zero_shot(arguments: argparse.Namespace) -> int:

    from emotionnet_hf.data.benchmarks import load_benchmark
    from emotionnet_hf.evaluation.zero_shot import evaluate_zero_shot
    from emotionnet_hf.files import write_json, write_text

    refuse_dirty(arguments.out, arguments)
    names = (
        *("text_model", "space", "representation", "pooling"),
        *("uncovered", "split", "batch_size"),
    )
    report = evaluate_zero_shot(
        load_benchmark(arguments.benchmark, arguments.data_dir, seed=arguments.seed),
        arguments.model,
        categories=arguments.categories,
        device=arguments.device,
        progress=not arguments.no_progress,
        **{name: getattr(arguments, name) for name in names},
    )
    text = _page(report)
    if arguments.out is not None:
        write_json(arguments.out, report.as_dict())
        write_text(arguments.out.with_suffix(".md"), text + "\n")
        text += f"\n\nWritten: {arguments.out}, {arguments.out.with_suffix('.md')}"
    show(report.as_dict(), text, arguments)
    return 0


def _page(report: ZeroShotReport) -> str:
    """A page of Markdown about a zero-shot evaluation."""
    from emotionnet_hf.evaluation.paper_tables import known_table

    lines = ["| metric | percent | 95 % interval | chance |", "| --- | --- | --- | --- |"]
    for name, found in report.metrics.items():
        low, high = (100 * value for value in found["interval"])
        chance = ", ".join(f"{100 * v:.2f} ({what})" for what, v in report.chance[name].items())
        mean = 100 * found["mean"]
        lines.append(
            f"| {name.replace('_', ' ')} | {mean:.2f} | {low:.2f} to {high:.2f} | {chance} |"
        )
    counts = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in report.counts.items())
    return "\n\n".join(
        [
            f"# Zero-shot recognition on {report.dataset} ({report.split})",
            f"Model: {report.settings['model']}. Release: {report.release}. {counts}.",
            "\n".join(lines),
            known_table(report.dataset),
            "\n".join(f"- {note}" for note in report.notes),
        ]
    )


def _json_file(text: str) -> Path:
    """Read the name of a JSON file; a Markdown file takes the same name beside it."""
    if not text.endswith(".json"):
        raise argparse.ArgumentTypeError(f"{text} does not end in .json")
    return Path(text)


def _whole_numbers(text: str) -> tuple[int, ...]:
    """Read comma-separated whole numbers."""
    return _each(text, int, "whole numbers")


def _numbers(text: str) -> tuple[float, ...]:
    """Read comma-separated numbers."""
    return _each(text, float, "numbers")


def _each(text: str, kind: Callable[[str], Number], name: str) -> tuple[Number, ...]:
    try:
        return tuple(kind(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {name} with commas between") from None
