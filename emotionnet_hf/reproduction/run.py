"""Running it: what is shared first, then a model at a time, each in a process of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from emotionnet_hf.environment import environment as here
from emotionnet_hf.lock import one_run
from emotionnet_hf.reproduction.data_root import DataRoot, MissingDataError
from emotionnet_hf.reproduction.figure import draw_figure
from emotionnet_hf.reproduction.measurements import Measurements
from emotionnet_hf.reproduction.pages import write_tables
from emotionnet_hf.reproduction.tables import FIGURE, TABLES, Cell
from emotionnet_hf.reproduction.trainings import Scale, Trainings

logger = logging.getLogger(__name__)

Job = tuple[Measurements, list[Cell], int]


class ReproductionError(RuntimeError):
    """Some models could not be trained or measured; the tables have the others."""


def reproduce(
    tables: Iterable[str],
    data_root: Path,
    work: Path,
    out: Path,
    *,
    recipes: Path,
    scale: Scale | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    environment: Mapping[str, Any] | None = None,
    workers: int = 1,
    progress: bool = True,
) -> list[Path]:
    """Train and measure what tables need, and write them.

    Args:
        tables: Keys of `TABLES`.
        data_root: See `data_root`.
        work: Folder for what is built, trained and measured; a killed call goes on there.
        out: Folder for the tables.
        recipes: Folder of the recipes.
        scale: What differs from them; None for nothing.
        seeds: Of the trainings.
        environment: What the tables tell of code and machine, as `committed_environment` does,
            which refuses changed code; None for `environment`, which marks it.
        workers: Models at a time, each in a process with its share of the cores.
        progress: Show progress bars.

    Returns:
        The Markdown pages, in the order of the tables.

    Raises:
        NotADirectoryError: There is no ``data_root``.
        AnotherRunError: Another run is at work in ``work``.
        RecipeError: A recipe or the scale cannot be used, or ``work`` holds something else.
        ReproductionError: Some models failed; the tables of the others are written.
    """
    if not data_root.is_dir():
        raise NotADirectoryError(f"There is no folder {data_root}; give the one of the data sets")
    told = here(seeds) if environment is None else environment
    tables = list(tables)
    chosen = [TABLES[name] for name in tables]
    trainings = Trainings(DataRoot(data_root), work, recipes, scale or Scale(), progress)
    with one_run(work, inside=True):
        trainings.check_work()
        measurements = Measurements(trainings)
        cells: dict[str, list[Cell]] = {}
        for cell in dict.fromkeys(cell for table in chosen for cell in table.cells):
            cells.setdefault(cell.model, []).append(cell)
        _prepare(trainings, seeds)
        jobs = [
            (measurements, wanted, seed)
            for seed in seeds
            for of_model in cells.values()
            if (wanted := [cell for cell in of_model if seed in cell.seeds(seeds)])
        ]
        failed = _one_by_one(jobs) if workers == 1 else _in_processes(jobs, workers)
        pages = write_tables(chosen, measurements, seeds, told, out)
        if failed:
            (_, wanted, seed), error = failed[0]
            raise ReproductionError(
                f"{len(failed)} of {len(jobs)} models failed, {wanted[0].model!r} with seed {seed} "
                f"for one ({type(error).__name__}: {error}). The tables in {out} have the others; "
                "the same command tries again"
            ) from error
        if FIGURE in tables:
            draw_figure(trainings, seeds[0], out / f"{FIGURE}.png")
    return pages


def _prepare(trainings: Trainings, seeds: Sequence[int]) -> None:
    """Make what several models share, so that no two processes make it at once."""
    shared: list[Callable[[], object]] = [
        trainings.text_model_8,
        trainings.stockemotion,
        trainings.baseline,
        *(partial(trainings.text_model, seed) for seed in seeds),
    ]
    for make in shared:
        try:
            make()
        except MissingDataError as error:
            logger.info("%s", error)
        except Exception:  # tables that do not need it shall be; the others meet it again
            logger.exception("%s cannot be made", getattr(make, "__name__", "a text model"))


def _one_by_one(jobs: Sequence[Job]) -> list[tuple[Job, Exception]]:
    """Do the jobs; those that failed, of which none stops the others."""
    failed = []
    for job in jobs:
        try:
            _measure(*job)
        except Exception as error:  # days of other trainings are worth more than its kind
            logger.exception("%s, seed %d failed", job[1][0].model, job[2])
            failed.append((job, error))
    return failed


def _in_processes(jobs: Sequence[Job], workers: int) -> list[tuple[Job, Exception]]:
    """Do the jobs, several at a time; those that failed, of which none stops the others."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    failed = []
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        running = {pool.submit(_measure, *job): job for job in jobs}
        for done in as_completed(running):
            try:
                done.result()
            except Exception as error:
                logger.exception("%s, seed %d failed", running[done][1][0].model, running[done][2])
                failed.append((running[done], error))
    return failed


def _measure(measurements: Measurements, cells: list[Cell], seed: int) -> None:
    measurements.measure(cells, seed)
