"""The training loop, on Accelerate: any number of processes, exact resumption, best model kept."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from emotionnet_hf.files import whole_folder, write_json
from emotionnet_hf.training.arguments import RunArguments
from emotionnet_hf.training.batches import EpochBatches
from emotionnet_hf.training.processes import TrainingError, all_do, first_does
from emotionnet_hf.training.run_folder import RunFolder

logger = logging.getLogger(__name__)

Batch = dict[str, torch.Tensor]


class Task(Protocol):
    """What is trained: a model, its data, its losses, its validation."""

    @property
    def model(self) -> nn.Module:
        """The model to train."""

    @property
    def train_rows(self) -> Dataset[Any]:
        """Rows of the training split; ``__getitems__`` takes a ``MicroBatch``."""

    def losses(self, model: nn.Module, batch: Batch, accelerator: Accelerator) -> Batch:
        """Return scalars; ``loss`` is the one to descend on."""

    def evaluate(self, model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """Return validation metrics, equal on all processes; empty without validation split."""

    def save(self, model: Any, folder: Path) -> None:
        """Write the model with all that belongs to it."""


def fit(task: Task, arguments: RunArguments) -> Path:
    """Train, or go on with a run that was stopped at any moment.

    Args:
        task: What is trained. The model must have been built after ``set_seed(arguments.seed)``.
        arguments: Of the run.

    Returns:
        The folder of the trained model.

    Raises:
        RecipeError: ``output_dir`` holds a run with other arguments, or batches do not divide.
        TrainingError: The loss is not finite, or another process of the run cannot go on.
    """
    # Their progress bars would tear ours, and a line a checkpoint says nothing new.
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    # Accelerate keeps one state a process; another run in it may want another precision.
    AcceleratorState._reset_state()
    accelerator = Accelerator(
        gradient_accumulation_steps=arguments.gradient_accumulation_steps,
        mixed_precision=arguments.mixed_precision,
        log_with=arguments.report_to or None,
        project_dir=arguments.output_dir,
    )
    folder = RunFolder(arguments)
    first_does(folder.check)
    if not arguments.overwrite and first_does(folder.model.is_dir):
        logger.info("%s is finished; nothing to do.", folder.path)
        return folder.model
    # Before anything is written: who follows its error's advice shall not meet a run of other
    # arguments.
    run = _Run(task, arguments, folder, accelerator)
    first_does(folder.open)
    all_do(lambda: folder.enlist(accelerator.process_index, accelerator.num_processes))
    with _trackers(accelerator, arguments):
        run.resume()
        run.train()
    first_does(folder.finish)
    return folder.model


class _Run:
    """The state of a run between its steps."""

    def __init__(
        self, task: Task, arguments: RunArguments, folder: RunFolder, accelerator: Accelerator
    ) -> None:
        self.task, self.arguments = task, arguments
        self.folder, self.accelerator = folder, accelerator
        optimizer = build_optimizer(task.model, arguments)
        self.model, self.optimizer = accelerator.prepare(task.model, optimizer)
        self.step = 0
        self.best: float | None = None
        self.steps_per_epoch = self._batches(0, 0).steps
        self.total_steps = self.steps_per_epoch * arguments.epochs

    def resume(self) -> None:
        """Load the newest checkpoint, if there is one; of any number of processes."""
        if checkpoint := first_does(self.folder.newest_checkpoint):
            self.accelerator.load_state(str(checkpoint))
            state = json.loads((checkpoint / "run.json").read_text(encoding="utf-8"))
            self.step, self.best = state["step"], state["best"]
            logger.info("resuming %s at step %d", self.folder.path, self.step)
        first_does(lambda: self.folder.forget_after(self.step))

    def train(self) -> None:
        """Run all the steps that are left."""
        shown = self.arguments.progress and self.accelerator.is_main_process
        with tqdm(
            total=self.total_steps, initial=self.step, disable=not shown, desc="training"
        ) as bar:
            while self.step < self.total_steps:
                self._epoch(bar)

    def _epoch(self, bar: tqdm[Any]) -> None:
        """Run the rest of the current epoch, and validate."""
        epoch, first_step = divmod(self.step, self.steps_per_epoch)
        window: list[Batch] = []
        self.model.train()
        for part, batch in enumerate(self._loader(epoch, first_step)):
            self._seed(part % self.arguments.gradient_accumulation_steps)
            window.append(self._micro_step(batch))
            if not self.accelerator.sync_gradients:
                continue
            self.step += 1
            bar.update()
            epoch_ends = self.step % self.steps_per_epoch == 0
            every = self.arguments.checkpoint_steps
            saves = epoch_ends or bool(every and self.step % every == 0)
            # Before a checkpoint too: what is not recorded by then, a resumed run would not know.
            if saves or self.step % self.arguments.log_steps == 0:
                self._log_losses(window, bar)
                window = []
            if epoch_ends:
                self._validate(epoch + 1)
            if saves:
                self._checkpoint()

    def _micro_step(self, batch: Batch) -> Batch:
        """Add one part of a batch to the gradients; with the last part, take the step."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.steps_per_epoch, self.arguments)
        batch = {name: value.to(self.accelerator.device) for name, value in batch.items()}
        with self.accelerator.accumulate(self.model):
            losses = self.task.losses(self.model, batch, self.accelerator)
            self.accelerator.backward(losses["loss"])
            if self.accelerator.sync_gradients and self.arguments.max_grad_norm is not None:
                self.accelerator.clip_grad_norm_(
                    self.model.parameters(), self.arguments.max_grad_norm
                )
            self.optimizer.step()
            self.optimizer.zero_grad()
        return {name: loss.detach().float() for name, loss in losses.items()}

    def _seed(self, part: int) -> None:
        """Make what is drawn at random (dropout) a function of seed, step and process.

        So the processes do not drop the same units, and a run that is resumed, by any number of
        processes, needs no generator's state.
        """
        drawn = [self.arguments.seed, self.step, part, self.accelerator.process_index]
        torch.manual_seed(int(np.random.SeedSequence(drawn).generate_state(1)[0]))

    def _loader(self, epoch: int, first_step: int) -> DataLoader[Any]:
        """Load this process's micro batches; the data set makes a whole batch at a time."""
        return DataLoader(
            self.task.train_rows,
            batch_sampler=self._batches(epoch, first_step),  # type: ignore[arg-type]
            collate_fn=_as_it_is,
            num_workers=self.arguments.num_workers,
            # Without a generator of its own a loader draws from the global one, and a resumed run
            # would see other random numbers than an uninterrupted one.
            generator=torch.Generator().manual_seed(self.arguments.seed),
        )

    def _batches(self, epoch: int, first_step: int) -> EpochBatches:
        """Return this process's micro batches of an epoch."""
        return EpochBatches(
            num_rows=len(self.task.train_rows),  # type: ignore[arg-type]
            batch_size=self.arguments.batch_size,
            seed=self.arguments.seed,
            epoch=epoch,
            first_step=first_step,
            accumulation=self.arguments.gradient_accumulation_steps,
            process=self.accelerator.process_index,
            num_processes=self.accelerator.num_processes,
        )

    def _log_losses(self, window: list[Batch], bar: tqdm[Any]) -> None:
        """Record the mean losses since the last record."""
        means = {
            name: self.accelerator.reduce(
                torch.stack([losses[name] for losses in window]).mean(), reduction="mean"
            ).item()
            for name in window[0]
        }
        if not all(math.isfinite(value) for value in means.values()):
            raise TrainingError(
                f"The loss is not finite at step {self.step} ({means}). Lower learning_rate, set "
                "max_grad_norm, or use mixed_precision bf16 instead of fp16; then --overwrite."
            )
        bar.set_postfix(loss=f"{means['loss']:.4f}")
        rate = self.optimizer.param_groups[0]["lr"]
        self._record({"train": means, "learning_rate": rate})

    def _validate(self, epoch: int) -> None:
        """Validate after an epoch and keep the model if it is the best so far."""
        self.model.eval()
        with torch.inference_mode():
            metrics = self.task.evaluate(self.model, self.accelerator)
        self.model.train()
        if metrics:
            self._record({"validation": metrics, "epoch": epoch})
        chosen = metrics.get(self.arguments.select_on or "last")
        if chosen is None or math.isnan(chosen) or self.best is None or chosen > self.best:
            self.best = chosen
            if self.accelerator.is_main_process:
                with whole_folder(self.folder.best) as folder:
                    self.task.save(self.accelerator.unwrap_model(self.model), folder)

    def _record(self, values: dict[str, Any]) -> None:
        """Write a record to the run folder and to the trackers."""
        if self.accelerator.is_main_process:
            self.folder.record({"step": self.step, **values})
        flat = {
            f"{kind}/{name}": value
            for kind, group in values.items()
            for name, value in (group.items() if isinstance(group, dict) else [("", group)])
        }
        self.accelerator.log(
            {name.rstrip("/"): value for name, value in flat.items()}, step=self.step
        )

    def _checkpoint(self) -> None:
        """Write all that an exact resumption needs, whole or not at all."""
        final = self.folder.checkpoint(self.step)
        unfinished = first_does(lambda: self.folder.unfinished_checkpoint(self.step))
        self.accelerator.save_state(str(unfinished))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            write_json(unfinished / "run.json", {"step": self.step, "best": self.best})
            os.replace(unfinished, final)
            self.folder.drop_old_checkpoints()
        self.accelerator.wait_for_everyone()


def learning_rate(step: int, steps_per_epoch: int, arguments: RunArguments) -> float:
    """Return the learning rate of an optimiser step.

    Args:
        step: From 0.
        steps_per_epoch: Optimiser steps of an epoch.
        arguments: ``lr_schedule`` and what belongs to it. ``step`` is the paper's: a factor of
            ``lr_drop_factor`` at each of ``lr_drop_epochs``.

    Returns:
        The learning rate.
    """
    epoch = step / steps_per_epoch
    rate = arguments.learning_rate
    if epoch < arguments.warmup_epochs:
        return rate * min(1.0, (step + 1) / (arguments.warmup_epochs * steps_per_epoch))
    if arguments.lr_schedule == "cosine":
        done = (epoch - arguments.warmup_epochs) / (arguments.epochs - arguments.warmup_epochs)
        return rate * 0.5 * (1 + math.cos(math.pi * done))
    if arguments.lr_schedule == "step":
        drops = sum(epoch >= drop for drop in arguments.lr_drop_epochs)
        return rate * arguments.lr_drop_factor**drops
    return rate


def build_optimizer(model: nn.Module, arguments: RunArguments) -> torch.optim.Optimizer:
    """Return the optimiser of a run over the parameters that are trained."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    options: dict[str, Any] = {
        "lr": arguments.learning_rate,
        "weight_decay": arguments.weight_decay,
    }
    if arguments.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=arguments.momentum, **options)
    kinds = {
        "adamw": torch.optim.AdamW,
        "adagrad": torch.optim.Adagrad,
        "adadelta": torch.optim.Adadelta,
    }
    return kinds[arguments.optimizer](parameters, **options)


@contextmanager
def _trackers(accelerator: Accelerator, arguments: RunArguments) -> Iterator[None]:
    """Start the trackers and end them, whatever happens."""
    if arguments.report_to:
        config = {
            name: value if isinstance(value, (int, float, str, bool)) else str(value)
            for name, value in dataclasses.asdict(arguments).items()
        }
        accelerator.init_trackers("emotionnet", config=config)
    try:
        yield
    finally:
        # Not `end_training`: it also takes the processes apart, which have work left.
        for tracker in accelerator.trackers:
            tracker.finish()


def _as_it_is(batch: Any) -> Any:
    """Collate nothing: our data sets make whole batches."""
    return batch
