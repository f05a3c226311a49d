"""The folder of a training run: arguments, versions, metrics, checkpoints, the model."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

from accelerate import PartialState

from emotionnet_hf.environment import environment
from emotionnet_hf.files import (
    remove_unfinished,
    unfinished_name,
    whole_folder,
    write_json,
    write_text,
)
from emotionnet_hf.lock import LOCKS
from emotionnet_hf.training.arguments import RecipeError, RunArguments

# What may change between the start of a run and its resumption without changing its result.
_FREE = frozenset(
    {"overwrite", "progress", "num_workers", "keep_checkpoints", "report_to", "output_dir"}
)


class RunFolder:
    """One run on disk.

    ``arguments.json`` and ``environment.json`` say what was run, ``metrics.jsonl`` has one record
    a line, ``processes/P-of-N.json`` says where each process of the last start ran,
    ``checkpoints/step-N`` resume it, ``model`` is the result. A training that measures a test split
    adds ``results.json``.

    Args:
        arguments: Of the run; ``arguments.output_dir`` is the folder.
    """

    def __init__(self, arguments: RunArguments) -> None:
        self.path = Path(arguments.output_dir)
        self.arguments = arguments

    @property
    def model(self) -> Path:
        """Folder of the trained model."""
        return self.path / "model"

    @property
    def best(self) -> Path:
        """Folder of the best model so far."""
        return self.path / "best"

    @property
    def _stored(self) -> Path:
        return self.path / "arguments.json"

    def check(self) -> None:
        """Refuse a folder that is not for this run; nothing is written. One process calls this.

        Raises:
            RecipeError: It holds something else, or a run with other arguments that may not go.
        """
        if self._stored.is_file():
            if not self.arguments.overwrite:
                stored = json.loads(self._stored.read_text(encoding="utf-8"))
                self._check_same(stored, dataclasses.asdict(self.arguments))
        # Hidden files may be what a killed run left before it had written its arguments.
        elif self.path.is_dir() and any(p.name[0] != "." for p in self.path.iterdir()):
            raise RecipeError(
                f"{self.path} is not empty and holds no run: choose another output_dir."
            )

    def open(self) -> None:
        """Start the run, or go on with it, once all else is known to be right. One process does."""
        self.check()
        if self.arguments.overwrite and self._stored.is_file():
            self._clear(self._stored)
        write_json(self._stored, dataclasses.asdict(self.arguments))
        shutil.rmtree(self.path / "processes", ignore_errors=True)
        write_json(self.path / "environment.json", environment())

    def _clear(self, stored: Path) -> None:
        """Remove an earlier run: all but our locks, and last what says that there is a run."""
        for path in self.path.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path != stored and path.name not in LOCKS:
                path.unlink()
        stored.unlink()

    def enlist(self, process: int, num_processes: int) -> None:
        """Write which process this is. Every process calls this, after one has opened the run.

        Args:
            process: Number of this process, from 0.
            num_processes: How many there are.

        Raises:
            RecipeError: This process sees no run here, or another one.
        """
        try:
            stored = json.loads((self.path / "arguments.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RecipeError(
                f"process {process} on {socket.gethostname()} does not see what process 0 wrote to "
                f"{self.path}: choose an output_dir on a disk that all machines of the run share."
            ) from error
        self._check_same(stored, dataclasses.asdict(self.arguments))
        write_json(
            self.path / "processes" / f"{process}-of-{num_processes}.json",
            {
                "process": process,
                "num_processes": num_processes,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "device": str(PartialState().device),
                "backend": PartialState().backend,
            },
        )

    def _check_same(self, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Raise where the run that stands here had other arguments."""
        # A version that lacked an argument did what its default says.
        fields = dataclasses.fields(self.arguments)
        before = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
        before |= stored
        changed = [
            f"{name} was {before.get(name)!r} and is {wanted[name]!r}"
            for name in wanted
            if name not in _FREE and before.get(name) != wanted[name]
        ]
        if changed:
            raise RecipeError(
                f"{self.path} holds a run with other arguments ({'; '.join(changed)}). "
                "Choose another output_dir, or --overwrite to start over."
            )

    def checkpoints(self) -> list[Path]:
        """Return the finished checkpoints, oldest first."""
        found = (self.path / "checkpoints").glob("step-*")
        return sorted(found, key=lambda folder: int(folder.name.removeprefix("step-")))

    def newest_checkpoint(self) -> Path | None:
        """Return the checkpoint to resume from."""
        return next(reversed(self.checkpoints()), None)

    def checkpoint(self, step: int) -> Path:
        """Return where the checkpoint of a step stands."""
        return self.path / "checkpoints" / f"step-{step}"

    def unfinished_checkpoint(self, step: int) -> Path:
        """Remove what earlier runs left unfinished, and return where to write a checkpoint."""
        final = self.checkpoint(step)
        remove_unfinished(final.parent)
        return final.with_name(unfinished_name(final.name))

    def drop_old_checkpoints(self) -> None:
        """Keep the newest ``keep_checkpoints``."""
        for folder in self.checkpoints()[: -self.arguments.keep_checkpoints]:
            shutil.rmtree(folder, ignore_errors=True)

    def record(self, values: dict[str, Any]) -> None:
        """Append a record to ``metrics.jsonl``."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """Read ``metrics.jsonl``; a last line that a kill cut short does not count."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def forget_after(self, step: int) -> None:
        """Drop the records of steps that a resumed run will do again."""
        kept = [record for record in self.records() if record["step"] <= step]
        write_text(
            self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in kept)
        )

    def finish(self) -> None:
        """Make the best model the run's model and drop what only resuming needs."""
        with whole_folder(self.model) as folder:
            shutil.copytree(self.best, folder, dirs_exist_ok=True)
        shutil.rmtree(self.best)
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
