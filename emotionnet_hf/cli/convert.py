"""`emotionnet convert`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotionnet_hf.cli.command import command, show

if TYPE_CHECKING:
    import numpy as np

# Those of `convert_original.LABEL_SETS` and NUMBERED, which take seconds to import.
_LABELS = ("se30k8", "mikels", "ube", "affectnet", "emotic", "numbered")


def add_command(commands: Any) -> None:
    """Add the subcommand."""
    text = "turn a checkpoint of the paper's authors into a folder that from_pretrained opens"
    parser = command(commands, "convert", _run, text)
    parser.add_argument("checkpoint", type=Path, help="file of an image or text model")
    parser.add_argument("--out", required=True, type=Path, help="folder of the model")
    names = parser.add_mutually_exclusive_group()
    names.add_argument(
        "--vocabulary",
        type=Path,
        help="names of the classes: etag2idx.pkl for the 690 emotion keywords, or text, or JSON",
    )
    names.add_argument(
        "--labels", choices=_LABELS, help="names of the classes: a known set, or class_0, class_1"
    )
    parser.add_argument(
        "--keywords",
        type=Path,
        help="keywords of a text model (tag2idx.pkl); with --word-vectors, more for the text tower",
    )
    parser.add_argument(
        "--word-vectors",
        type=Path,
        help="give an image model its text tower: GoogleNews' vectors. Zero-shot and tags take W "
        "for one into their space, which the file does not say (see `joint_space`)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier conversion")


def _run(arguments: argparse.Namespace) -> int:
    from emotionnet_hf.keywords import Vocabulary
    from emotionnet_hf.models.convert_original import convert_checkpoint

    names, vectors, more = arguments.vocabulary, arguments.word_vectors, arguments.keywords
    result = convert_checkpoint(
        arguments.checkpoint,
        arguments.out,
        labels=Vocabulary.from_file(names) if names else arguments.labels,
        keywords=Vocabulary.from_file(more) if more else None,
        embed=partial(_embed, vectors) if vectors else None,
        overwrite=arguments.overwrite,
    )
    values = asdict(result) | {
        "out": str(result.out),
        "auxiliary": None if result.auxiliary is None else str(result.auxiliary),
    }
    show(values, result.summary(), arguments)
    return 0


def _embed(path: Path, keywords: Sequence[str]) -> np.ndarray:
    """Look keywords up in a file of word vectors, float32 (n, D), zeros for the unknown."""
    from emotionnet_hf.text import embedding_matrix, load_word_vectors

    matrix, _ = embedding_matrix(load_word_vectors(path), keywords)
    return matrix[2:]  # after padding and unknown
