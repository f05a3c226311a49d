"""What a training script does, started alone or by a launcher in several processes."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TypeVar

from accelerate import PartialState

from emotionnet_hf.console import bars, complain, one_line, speak
from emotionnet_hf.data.schema import SchemaError
from emotionnet_hf.lock import AnotherRunError
from emotionnet_hf.models import CheckpointError
from emotionnet_hf.models.backbones import BackboneWeightsError
from emotionnet_hf.text import WordVectorError
from emotionnet_hf.training.arguments import RecipeError, RunArguments
from emotionnet_hf.training.processes import (
    TrainingError,
    is_news,
    is_one_of_several,
    join_processes,
    leave,
)
from emotionnet_hf.training.recipes import parse_recipe

Arguments = TypeVar("Arguments", bound=RunArguments)

_EXPECTED = (
    *(RecipeError, TrainingError, SchemaError, WordVectorError, AnotherRunError),
    *(BackboneWeightsError, CheckpointError),
    OSError,  # a place that is not there, cannot be written, or is full
)


def run_script(
    train: Callable[[Arguments], Path], kind: type[Arguments], argv: Sequence[str]
) -> None:
    """Train by a command line. What cannot be done ends every process, and is one line in all.

    Args:
        train: The training.
        kind: Its arguments.
        argv: Program, recipe and arguments.

    Raises:
        SystemExit: It cannot be done; the status is 1, or 2 of bad usage. Or help was asked for.
    """
    speak("%(name)s: %(message)s")
    try:
        join_processes()
        arguments = _parsed(kind, argv[1:])
        with bars(arguments.progress):
            train(arguments)
    except _EXPECTED as error:
        if is_news(error):
            complain(f"{Path(argv[0]).stem}: {one_line(error)}")
        leave()
    except Exception as error:
        if not is_one_of_several():
            raise
        if is_news(error):
            traceback.print_exc()
        leave()
    if is_one_of_several():
        PartialState().wait_for_everyone()
        PartialState().destroy_process_group()


def _parsed(kind: type[Arguments], words: Sequence[str]) -> Arguments:
    """Parse a command line; usage and help are told by one process of a run."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            return parse_recipe(kind, words)
    except SystemExit as ending:
        if is_news(RecipeError(out.getvalue() + err.getvalue())):
            sys.stdout.write(out.getvalue())
            sys.stderr.write(err.getvalue())
        leave(int(ending.code or 0))
