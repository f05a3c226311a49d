"""`emotionnet count-people`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emotionnet_hf.cli.command import command, count, show


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "count the people and faces in every image of a source folder or data set"
    parser = command(commands, "count-people", _run, text)
    parser.add_argument(
        "data", type=Path, help="source folder with a metadata file, or a built data set"
    )
    parser.add_argument("--out", required=True, type=Path, help="Parquet file of counts")
    parser.add_argument("--only", choices=["people", "faces"], help="count one of the two")
    parser.add_argument(
        "--people-model", help="object detector with the label person (default: RT-DETR R18, COCO)"
    )
    parser.add_argument(
        "--face-model",
        help="object detector with the label face (default: frontal faces by dlib, offline)",
    )
    for kind in ("people", "face"):
        parser.add_argument(f"--{kind}-threshold", type=float, help="least score of a box")
    parser.add_argument("--batch-size", type=count, default=8, help="images at a time (default 8)")
    parser.add_argument("--device", help="such as cuda:0 (default: a GPU where there is one)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file of counts")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.data.people_counts import PeopleCounter

    counter = PeopleCounter(
        people=None if arguments.only == "faces" else _people(arguments),
        faces=None if arguments.only == "people" else _faces(arguments),
    )
    report = counter.run(
        arguments.data,
        arguments.out,
        progress=not arguments.no_progress,
        overwrite=arguments.overwrite,
    )
    show({**asdict(report), "out": str(report.out)}, report.summary(), arguments)
    return 0


def _people(arguments: argparse.Namespace) -> Any:
    from emotionnet_hf.data.detection import PEOPLE_MODEL, ModelDetector

    return ModelDetector(
        arguments.people_model or PEOPLE_MODEL,
        "person",
        threshold=0.5 if arguments.people_threshold is None else arguments.people_threshold,
        batch_size=arguments.batch_size,
        device=arguments.device,
    )


def _faces(arguments: argparse.Namespace) -> Any:
    from emotionnet_hf.data.detection import FrontalFaces, ModelDetector

    threshold = arguments.face_threshold
    if arguments.face_model is None:
        return FrontalFaces(threshold=0.0 if threshold is None else threshold)
    return ModelDetector(
        arguments.face_model,
        "face",
        threshold=0.5 if threshold is None else threshold,
        batch_size=arguments.batch_size,
        device=arguments.device,
    )
