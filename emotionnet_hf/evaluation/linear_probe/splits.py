"""A benchmark as each seed draws it, checked and ready to be evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emotionnet_hf.data.benchmarks import (
    Benchmark,
    NearDuplicatesReport,
    checked,
    load_benchmark,
    without_twins,
)


def load_for_seeds(
    name: str,
    folder: str | Path,
    seeds: Sequence[int],
    *,
    check: bool = True,
    drop_twins: bool = False,
    progress: bool = True,
) -> tuple[list[Benchmark], NearDuplicatesReport | None]:
    """Read a benchmark once for each seed, or once for all where its splits are its own.

    Args:
        name: Of the benchmark.
        folder: Where it lies.
        seeds: At least one.
        check: Open all pictures and look for near-duplicates between the splits of the first
            seed. What is unreadable stays: the evaluation sets it aside, or refuses too much.
        drop_twins: Leave out of train and validation what shows a picture of test, for every seed.
        progress: Show bars.

    Returns:
        One benchmark, or one a seed; and what the check of the first one found.

    Raises:
        BenchmarkError: There is no benchmark of that name, or its files cannot be used.
    """
    benchmarks = [load_benchmark(name, folder, seed=seed) for seed in seeds]
    if all(_ids(other) == _ids(benchmarks[0]) for other in benchmarks[1:]):
        benchmarks = benchmarks[:1]
    first: NearDuplicatesReport | None = None
    for place, benchmark in enumerate(benchmarks):
        if drop_twins or (check and place == 0):
            _, report = checked(benchmark, progress=progress)
            if drop_twins:
                benchmarks[place] = without_twins(benchmark, report)
            first = first or report
    return benchmarks, first


def _ids(benchmark: Benchmark) -> dict[str, list[str]]:
    return {name: split["image_id"][:] for name, split in benchmark.splits.items()}
