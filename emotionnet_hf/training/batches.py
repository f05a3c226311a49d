"""Which rows make up a batch: a pure function of seed, epoch, step and process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emotionnet_hf.training.arguments import RecipeError


@dataclass(frozen=True)
class MicroBatch:
    """What one process computes at once.

    Attributes:
        epoch: From 0; augmentation depends on it.
        rows: Row numbers, int64, (M,).
    """

    epoch: int
    rows: np.ndarray


@dataclass(frozen=True)
class EpochBatches:
    """The micro batches of one process in one epoch.

    The order of an epoch depends on seed and epoch alone. Each step takes the next ``batch_size``
    rows and deals them to the processes, so that any number of processes sees the same global
    batches, and a resumed run continues where it stopped. The last, incomplete batch of an epoch
    is left out; the next epoch's order is another one.

    Attributes:
        num_rows: Rows of the training split.
        batch_size: Rows of a step over all processes and accumulation parts.
        seed: Of the run.
        epoch: From 0.
        first_step: Step of the epoch to start at.
        accumulation: Parts a step is computed in.
        process: Number of this process.
        num_processes: How many there are.
    """

    num_rows: int
    batch_size: int
    seed: int = 0
    epoch: int = 0
    first_step: int = 0
    accumulation: int = 1
    process: int = 0
    num_processes: int = 1

    def __post_init__(self) -> None:
        """Check that the rows can be dealt.

        Raises:
            RecipeError: A batch does not divide evenly, or there is less than one batch of rows.
        """
        parts = self.accumulation * self.num_processes
        if self.batch_size % parts:
            raise RecipeError(
                f"batch_size {self.batch_size} cannot be dealt to {self.num_processes} processes "
                f"x {self.accumulation} accumulation steps; choose a multiple of {parts}."
            )
        if self.num_rows < self.batch_size:
            raise RecipeError(
                f"The training split has {self.num_rows} rows, fewer than one batch of "
                f"{self.batch_size}: lower batch_size."
            )

    @property
    def steps(self) -> int:
        """Optimiser steps of a whole epoch."""
        return self.num_rows // self.batch_size

    def __len__(self) -> int:
        """Return the number of micro batches that are still to come."""
        return (self.steps - self.first_step) * self.accumulation

    def __iter__(self) -> Iterator[MicroBatch]:
        """Deal this process its micro batches."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.num_rows)
        for step in range(self.first_step, self.steps):
            batch = order[step * self.batch_size : (step + 1) * self.batch_size]
            for part in np.split(batch, self.accumulation):
                yield MicroBatch(self.epoch, np.split(part, self.num_processes)[self.process])
