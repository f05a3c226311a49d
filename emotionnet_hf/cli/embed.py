"""`emotionnet embed`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, count, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "write the features of many images to a Parquet file, resumable"
    parser = command(commands, "embed", _run, text)
    parser.add_argument(
        "source",
        nargs="+",
        help="files, folders or globs of images; or one data set: a folder that `emotionnet build` "
        "wrote, Parquet, or NAME[:CONFIG] on the Hub",
    )
    parser.add_argument(
        "--model",
        required=True,
        help="model folder, repository on the Hub, timm:NAME, or timm:NAME=FILE.safetensors",
    )
    parser.add_argument("--out", required=True, type=Path, help="the Parquet file to write")
    parser.add_argument("--joint", action="store_true", help="write the joint space too")
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=["fp32", "bf16", "int8"],
        help="bf16 (where the hardware has it) and int8 are faster; what they change in the "
        "features is measured and printed (default fp32)",
    )
    parser.add_argument(
        "--runtime",
        default="torch",
        choices=["torch", "openvino"],
        help="openvino is faster on a CPU, and an extra (default torch)",
    )
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=["float32", "float16"],
        help="what the features are stored in (default float32)",
    )
    _add_data_set(parser)
    parser.add_argument("--batch-size", type=count, help="images a thread runs at a time")
    parser.add_argument("--threads", type=count, help="threads (default one per core)")
    parser.add_argument("--device", help="such as cpu or cuda (default a GPU where there is one)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the file, or an unfinished one of others"
    )


def _add_data_set(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data sets")
    group.add_argument("--split", help="one split, such as test or train[:1000] (default all)")
    group.add_argument(
        "--id-column", help="column of the ids (default image_id, or else split and row)"
    )
    group.add_argument("--image-column", help="column of the images (default image)")
    group.add_argument(
        "--streaming", action="store_true", help="read from the Hub without a copy on disk"
    )


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.evaluation.embed import embed

    report = embed(
        arguments.source,
        arguments.model,
        arguments.out,
        split=arguments.split,
        id_column=arguments.id_column,
        image_column=arguments.image_column,
        streaming=arguments.streaming,
        joint=arguments.joint,
        precision=arguments.precision,
        runtime=arguments.runtime,
        dtype=arguments.dtype,
        batch_size=arguments.batch_size,
        num_threads=arguments.threads,
        device=arguments.device,
        progress=not arguments.no_progress,
        overwrite=arguments.overwrite,
    )
    show({**asdict(report), "out": str(report.out)}, report.summary(), arguments)
    return 0
