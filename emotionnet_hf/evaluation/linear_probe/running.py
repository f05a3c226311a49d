"""A linear evaluation from pictures to a report, for one or several models."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from emotionnet_hf.data.benchmarks import SPLITS, Benchmark, NearDuplicatesReport, describe
from emotionnet_hf.data.writing import ordered_map
from emotionnet_hf.environment import environment
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments, LinearProbeError
from emotionnet_hf.evaluation.linear_probe.features import FeatureExtractor, PictureFeatures
from emotionnet_hf.evaluation.linear_probe.probes import Fitted, Probe
from emotionnet_hf.evaluation.linear_probe.published import batch_norms
from emotionnet_hf.evaluation.linear_probe.report import (
    LinearProbeReport,
    ModelResult,
    SetAside,
    model_result,
)
from emotionnet_hf.evaluation.linear_probe.rows import Part, Parts, Pool
from emotionnet_hf.evaluation.linear_probe.scoring import Scored, absent_classes
from emotionnet_hf.loading.images import ImageError
from emotionnet_hf.models.encoders import Encoder, open_encoder

logger = logging.getLogger(__name__)

CHANCE = "chance"


@dataclass(frozen=True)
class Running:
    """How a linear evaluation is run; nothing here changes its numbers.

    Attributes:
        cache: Folder that keeps features and unfinished trainings for the next call; None: none.
        device: Where to compute; a GPU where there is one if None.
        batch_size: Pictures that pass through the trunk at a time for features.
        num_workers: Threads that open pictures.
        progress: Show bars.
    """

    cache: Path | None = None
    device: str | None = None
    batch_size: int = 32
    num_workers: int = 2
    progress: bool = True


def evaluate_linear_probe(
    benchmarks: Benchmark | Sequence[Benchmark],
    models: Sequence[str],
    arguments: LinearProbeArguments | None = None,
    *,
    running: Running | None = None,
    near_duplicates: NearDuplicatesReport | None = None,
) -> LinearProbeReport:
    """Evaluate image features by a linear layer on them (section 5.2, Tables 2 to 5).

    Args:
        benchmarks: The benchmark, or one for each seed of the arguments where its split is drawn
            (`load_for_seeds` knows).
        models: What `open_encoder` opens; the others are compared with the first. Chance (the
            prevalence of each class in train, whatever the picture) is always there.
        arguments: What to do; the defaults where None.
        running: How to do it.
        near_duplicates: What `checked` found, to be told in the report.

    Returns:
        The numbers of each model, with their spread over runs and their intervals.

    Raises:
        LinearProbeError: The arguments do not fit the benchmark, or too many pictures are
            unreadable or absent.
        EncoderError: A model cannot be opened.
    """
    wanted = [benchmarks] if isinstance(benchmarks, Benchmark) else list(benchmarks)
    if not models or len(set(models)) < len(models):
        raise LinearProbeError(f"models is {list(models)}: give at least one, each once.")
    evaluation = _Evaluation.of(wanted, arguments or LinearProbeArguments(), running or Running())
    first: ModelResult | None = None
    results: list[ModelResult] = []
    for name in models:
        results.append(evaluation.model(name, first))
        first = first or results[0]
    results.append(evaluation.chance())
    return LinearProbeReport(
        benchmark=describe(wanted[0], near_duplicates).as_dict(),
        metric=wanted[0].metric,
        arguments=evaluation.arguments,
        set_aside=evaluation.set_aside,
        results=tuple(results),
        environment=environment(evaluation.arguments.seeds),
        notes=(*evaluation.notes, *absent_classes(results[-1].by_class)),
    )


@dataclass
class _Evaluation:
    """What is the same for all models."""

    benchmark: Benchmark
    arguments: LinearProbeArguments
    running: Running
    pool: Pool
    seeds: tuple[int, ...]
    runs: list[Parts]
    set_aside: SetAside
    notes: list[str] = field(default_factory=list)
    looked: bool = False

    @classmethod
    def of(
        cls, benchmarks: list[Benchmark], asked: LinearProbeArguments, running: Running
    ) -> _Evaluation:
        benchmark = benchmarks[0]
        arguments = asked.resolved(benchmark.name, validation_drawn=benchmark.validation_drawn)
        _check(benchmarks, arguments)
        _check_present(benchmark, arguments.max_unreadable)
        drawn = len(benchmarks) > 1
        seeds, notes = arguments.seeds, []
        if not drawn and arguments.uses_lbfgs and len(seeds) > 1:
            seeds = seeds[:1]
            notes.append(
                "One run: the split is the benchmark's own, and nothing else is drawn with L-BFGS."
            )
        pool = Pool()
        parts = [pool.add(b) for b in benchmarks]
        without = 0
        if benchmark.task == "single-label":
            without = sum(int((parts[0][n].label < 0).sum()) for n in ("validation", "test"))
            parts = [{n: _with_class(n, part) for n, part in p.items()} for p in parts]
        return cls(
            *(benchmark, arguments, running, pool, seeds),
            runs=parts if drawn else parts * len(seeds),
            set_aside=SetAside(pictures=len(pool), without_class=without),
            notes=notes,
        )

    def model(self, name: str, first: ModelResult | None) -> ModelResult:
        """Evaluate one model."""
        encoder = _opened(name, self.running.device)
        extractor = FeatureExtractor(
            encoder,
            self.running.cache,
            self.running.batch_size,
            self.running.num_workers,
            self.running.progress,
        )
        probe = Probe(
            arguments=self.arguments,
            task=self.benchmark.task,
            extractor=extractor,
            pool=self.pool,
            features=self._features(extractor),
            checkpoints=extractor.folder,
            progress=self.running.progress,
        )
        fitted = [probe.run(p, seed) for seed, p in zip(self.seeds, self.runs, strict=True)]
        self._note(encoder, fitted)
        scored = [
            Scored(found.scores, parts["test"])
            for found, parts in zip(fitted, self.runs, strict=True)
        ]
        runs = [
            {"seed": seed, "choice": found.choice, "qualities": _defined(found.qualities)}
            for seed, found in zip(self.seeds, fitted, strict=True)
        ]
        return self._result(encoder.name, encoder.kind, scored, runs, first)

    def chance(self) -> ModelResult:
        """Score every test row by how common each class is in train."""
        scored = [
            Scored(np.tile(p["train"].target.mean(axis=0), (len(p["test"]), 1)), p["test"])
            for p in self.runs
        ]
        return self._result(CHANCE, CHANCE, scored, [{"seed": seed} for seed in self.seeds], None)

    def _result(
        self,
        name: str,
        kind: str,
        scored: list[Scored],
        runs: list[dict[str, object]],
        first: ModelResult | None,
    ) -> ModelResult:
        samples = self.arguments.bootstrap_samples
        return model_result(name, kind, self.benchmark, scored, runs, samples=samples, first=first)

    def _features(self, extractor: FeatureExtractor) -> PictureFeatures | None:
        """Features that do not change; pictures that cannot be opened are set aside on the way."""
        published = self.arguments.protocol == "published"
        if published and not self.looked:
            self._drop(self._unreadable(self._places(*SPLITS)))
        if published and self.arguments.bn_mode == "adapt":
            return None
        features = extractor.run(self.pool, self._places(*(SPLITS[1:] if published else SPLITS)))
        if self.looked and features.unreadable:
            raise ImageError(
                f"{next(iter(features.unreadable.values()))}: it could be opened before. Start "
                "again when the files are at rest."
            )
        self._drop(features.unreadable)
        return features

    def _places(self, *names: str) -> np.ndarray:
        return np.unique(np.concatenate([p[name].place for p in self.runs for name in names]))

    def _unreadable(self, places: np.ndarray) -> dict[int, str]:
        """Why pictures cannot be opened, by their number."""

        def look(place: int) -> tuple[int, str | None]:
            try:
                self.pool.open(place)
            except ImageError as error:
                return place, str(error)
            return place, None

        threads = self.running.num_workers
        with ThreadPoolExecutor(threads) as pool:
            looks: Iterator[tuple[int, str | None]] = ordered_map(
                pool, look, map(int, places), 4 * threads
            )
            bar = tqdm(looks, total=len(places), desc="opening", disable=not self.running.progress)
            return {place: reason for place, reason in bar if reason is not None}

    def _drop(self, unreadable: Mapping[int, str]) -> None:
        """Set rows aside whose picture cannot be opened; once, for all models."""
        if self.looked:
            return
        self.looked = True
        self.set_aside = self.set_aside.with_unreadable(unreadable)
        self.set_aside.check(self.arguments.max_unreadable)
        gone = np.asarray(sorted(self.set_aside.reasons), dtype=np.int64)
        self.runs = [
            {n: part.take(~np.isin(part.place, gone)) for n, part in parts.items()}
            for parts in self.runs
        ]
        for parts in self.runs:
            self._check_rows(parts)

    def _check_rows(self, parts: Parts) -> None:
        needed = ["train", "test"]
        needed += ["validation"] if self.arguments.select_on == "validation" else []
        for name in needed:
            if not len(parts[name]):
                raise LinearProbeError(
                    f"{self.benchmark.name} has no row for {name} that can be used."
                    + (" Select on last (SGD) instead." if name == "validation" else "")
                )

    def _note(self, encoder: Encoder, fitted: list[Fitted]) -> None:
        """Note what a reader of the numbers should know."""
        if self.arguments.bn_mode == "adapt" and not batch_norms(encoder.model):
            self.notes.append(f"{encoder.name} has no BatchNorm: adapt and frozen are the same.")
        ends = {min(self.arguments.strengths), max(self.arguments.strengths)}
        if self.arguments.uses_lbfgs and any(found.choice in ends for found in fitted):
            self.notes.append(
                f"{encoder.name}: the L2 strength that was chosen is the first or the last of "
                "those that were tried; others may be better (--strengths)."
            )


def _check(benchmarks: Sequence[Benchmark], arguments: LinearProbeArguments) -> None:
    """Raise where the arguments do not fit the benchmark."""
    if arguments.balanced and benchmarks[0].task != "single-label":
        raise LinearProbeError(f"{benchmarks[0].name} has several labels a row: no balance there.")
    if len(benchmarks) not in (1, len(arguments.seeds)):
        raise LinearProbeError(
            f"{len(benchmarks)} benchmarks for {len(arguments.seeds)} seeds: give one benchmark, "
            "or one for each seed."
        )


def _check_present(benchmark: Benchmark, most: float) -> None:
    """Raise where too much of a split that the benchmark publishes is not on disk."""
    for split, absent in benchmark.absent.items():
        if (share := benchmark.absent_share(split)) > most:
            raise LinearProbeError(
                f"The pictures of {len(absent):,} rows of {benchmark.name}'s {split} "
                f"({100 * share:.1f} %) are not on disk, such as {absent[0]}, and on the rest of "
                "it numbers would not be comparable. Get the pictures, or allow more "
                f"(--max-unreadable, now {most:g})."
            )


def _defined(qualities: Mapping[str, float]) -> dict[str, float | None]:
    """None for the epochs in which a training had diverged: JSON has no NaN."""
    return {name: None if np.isnan(value) else value for name, value in qualities.items()}


def _with_class(name: str, part: Part) -> Part:
    """Rows that can be right or wrong; training takes the others' soft targets too."""
    return part if name == "train" else part.take(part.label >= 0)


def _opened(name: str, device: str | None) -> Encoder:
    """Open a model; random weights are always the same ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return open_encoder(name, device)
