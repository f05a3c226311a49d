"""`emotionnet export`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "write a model as ONNX graphs, or as a model of timm"
    parser = command(commands, "export", _run, text)
    parser.add_argument("format", choices=("onnx", "timm"), help="what to write")
    parser.add_argument("model", help="model folder, or repository on the Hub")
    parser.add_argument("--out", required=True, type=Path, help="folder of the export")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.export import OnnxExport, TimmExport, export_onnx, export_timm

    source, out, overwrite = arguments.model, arguments.out, arguments.overwrite
    result: OnnxExport | TimmExport
    if arguments.format == "onnx":
        progress = not arguments.no_progress
        result = export_onnx(source, out, overwrite=overwrite, progress=progress)
    else:
        result = export_timm(source, out, overwrite=overwrite)
    show({**asdict(result), "out": str(result.out)}, result.summary(), arguments)
    return 0
