"""What a linear evaluation found: as JSON for cards and programs, as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from emotionnet_hf.data.benchmarks import Benchmark
from emotionnet_hf.data.plan import reason_kind, told
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments, LinearProbeError
from emotionnet_hf.evaluation.linear_probe.scoring import METRICS, Scored, difference, summarised
from emotionnet_hf.evaluation.paper_tables import known_table
from emotionnet_hf.files import write_json, write_text

_EXAMPLES = 10
_TITLES = {
    "accuracy": "accuracy",
    "macro_recall": "macro recall",
    "mean_average_precision": "mAP",
}


@dataclass(frozen=True)
class SetAside:
    """What is not evaluated.

    Attributes:
        pictures: All pictures.
        without_class: Rows of validation and test (of the first run) without a single class.
        reasons: Why pictures cannot be opened, by their number.
    """

    pictures: int
    without_class: int = 0
    reasons: Mapping[int, str] = field(default_factory=dict)

    def with_unreadable(self, reasons: Mapping[int, str]) -> SetAside:
        """Return this with pictures that cannot be opened."""
        return replace(self, reasons=dict(reasons))

    def check(self, most: float) -> None:
        """Refuse a benchmark of which too much is missing.

        Raises:
            LinearProbeError: More than the share ``most`` cannot be opened.
        """
        if len(self.reasons) > most * self.pictures:
            example = next(iter(self.reasons.values()))
            raise LinearProbeError(
                f"{len(self.reasons):,} of {self.pictures:,} pictures cannot be opened, such as "
                f"{example}. Mend them, or allow more (--max-unreadable, now {most:g})."
            )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: counts, kinds of reason, and some examples."""
        return {
            "pictures": self.pictures,
            "unreadable": len(self.reasons),
            "unreadable_reasons": dict(
                Counter(reason_kind(_without_name(r)) for r in self.reasons.values())
            ),
            "unreadable_examples": list(self.reasons.values())[:_EXAMPLES],
            "rows_without_class": self.without_class,
        }


def _without_name(reason: str) -> str:
    """`open_picture` puts the row's name before the reason."""
    return reason.partition(": ")[2] or reason


@dataclass(frozen=True)
class ModelResult:
    """The numbers of a model.

    Attributes:
        model: As it was asked for.
        kind: That of its `Encoder`, or ``chance``.
        metrics: By name: ``mean``, ``sd``, ``values``, ``interval``.
        by_class: Recall or average precision of each class, the mean over runs; None for a class
            that does not occur.
        runs: Of each run the seed, what was chosen, and what the selection saw.
        rows: Test rows of each run.
        difference: For each metric ``mean`` and ``interval`` of this model minus the first one.
        scored: The scores themselves.
    """

    model: str
    kind: str
    metrics: Mapping[str, Mapping[str, Any]]
    by_class: Mapping[str, float | None]
    runs: Sequence[Mapping[str, Any]]
    rows: Sequence[int]
    difference: Mapping[str, Mapping[str, Any]] | None
    scored: Sequence[Scored] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {
            "model": self.model,
            "kind": self.kind,
            "metrics": dict(self.metrics),
            "by_class": dict(self.by_class),
            "test_rows": list(self.rows),
            "runs": list(self.runs),
        }
        return plain | ({"difference_to_first": self.difference} if self.difference else {})


def model_result(
    model: str,
    kind: str,
    benchmark: Benchmark,
    scored: Sequence[Scored],
    runs: Sequence[Mapping[str, Any]],
    *,
    samples: int,
    first: ModelResult | None,
) -> ModelResult:
    """Turn scores into numbers.

    Args:
        model: As it was asked for.
        kind: That of its `Encoder`.
        benchmark: What it was evaluated on.
        scored: One a run.
        runs: What else is known of each run.
        samples: Of the bootstrap.
        first: The model to compare with, if any.

    Returns:
        The numbers.
    """
    names = METRICS[benchmark.task]
    by_class = np.asarray([run.by_class(names[-1]) for run in scored])
    never = np.isnan(by_class).all(axis=0)
    means = np.nanmean(np.where(never, 0.0, by_class), axis=0)
    return ModelResult(
        model=model,
        kind=kind,
        metrics={name: summarised(scored, name, samples) for name in names},
        by_class={
            label: None if never[place] else float(means[place])
            for place, label in enumerate(benchmark.classes)
        },
        runs=runs,
        rows=[len(run.part) for run in scored],
        difference=None
        if first is None
        else {name: difference(scored, first.scored, name, samples) for name in names},
        scored=scored,
    )


@dataclass(frozen=True)
class LinearProbeReport:
    """A linear evaluation.

    Attributes:
        benchmark: Its description.
        metric: What the paper reports.
        arguments: Resolved.
        set_aside: What is not evaluated.
        results: The models in the order asked for, then chance.
        environment: Versions.
        notes: What a reader of the numbers should know.
    """

    benchmark: Mapping[str, Any]
    metric: str
    arguments: LinearProbeArguments
    set_aside: SetAside
    results: tuple[ModelResult, ...]
    environment: Mapping[str, Any]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, in the form of `emotionnet_hf.hub.results`.

        ``results`` has one model alone, so that a push of that model takes no number of another
        one: the first EmotionNet, or the first model where none is one. All others are
        ``baselines``.
        """
        dataset = {
            "dataset": self.benchmark["benchmark"],
            "split": "test",
            "protocol": self.arguments.name,
        }
        ours = next((r for r in self.results if r.kind == "emotionnet"), self.results[0])
        others = [result for result in self.results if result is not ours]
        return {
            "results": [{**dataset, **ours.as_dict()}],
            "baselines": [{**dataset, **result.as_dict()} for result in others],
            "protocol": self.arguments.sentences(),
            "notes": list(self.notes),
            "benchmark": {**self.benchmark, "set_aside": self.set_aside.as_dict()},
            "settings": asdict(self.arguments),
            "environment": dict(self.environment),
        }

    def summary(self) -> str:
        """A page of Markdown: the table beside the paper's numbers, and how it was made."""
        benchmark, names = self.benchmark, list(self.results[0].metrics)
        title = f"# Linear evaluation on {benchmark['benchmark']}"
        sizes = ", ".join(f"{s} {n['rows']:,}" for s, n in benchmark["splits"].items())
        facts = f"Release: {benchmark['release']}. Rows: {sizes}. Main metric: {self.metric}."
        head = ["model", *(_TITLES[name] for name in names), "minus the first model"]
        lines = [head, ["---"] * len(head), *(self._row(result, names) for result in self.results)]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        under = (
            f"In percent: mean ± standard deviation over {len(self.results[0].runs)} run(s), and "
            "the 95 % bootstrap interval over test pictures; differences are paired."
        )
        said = [*self.arguments.sentences(), *self._left_out(), *self.notes, *benchmark["notes"]]
        known = known_table(benchmark["benchmark"])
        return "\n\n".join([title, facts, table, under, known, "\n".join(f"- {s}" for s in said)])

    def write(self, path: str | Path) -> list[Path]:
        """Write the report.

        Args:
            path: The JSON file; a Markdown file of the same name is written beside it.

        Returns:
            Both files.

        Raises:
            LinearProbeError: It is not called .json.
            OSError: The disk is full or not writable.
        """
        path = Path(path)
        if path.suffix != ".json":
            raise LinearProbeError(f"Results are JSON: {path} must end in .json.")
        page = path.with_suffix(".md")
        write_json(path, self.as_dict())
        write_text(page, self.summary() + "\n")
        return [path, page]

    def _row(self, result: ModelResult, names: Sequence[str]) -> list[str]:
        cells = [_cell(result.metrics[name]) for name in names]
        compared = (result.difference or {}).get(self.metric)
        return [result.model, *cells, _cell(compared, sign="+") if compared else ""]

    def _left_out(self) -> list[str]:
        """Say what is not evaluated, and what of the test set was seen in training."""
        said = []
        if dropped := Counter(self.benchmark["dropped"]):
            said.append(f"Rows of the benchmark that are not used: {told(dropped)}.")
        for overlap in (self.benchmark["near_duplicates"] or {"overlaps": []})["overlaps"][:1]:
            said.append(
                f"{overlap['with_twin']:,} of {overlap['pictures']:,} pictures of test had a "
                "near-duplicate in train, before any were left out (--drop-twins)."
            )
        if count := len(self.set_aside.reasons):
            said.append(
                f"{count:,} of {self.set_aside.pictures:,} pictures cannot be opened and are left "
                f"out, such as {next(iter(self.set_aside.reasons.values()))}."
            )
        if self.set_aside.without_class:
            said.append(
                f"{self.set_aside.without_class:,} rows of validation and test have no single "
                "class and are left out."
            )
        return said


def _cell(value: Mapping[str, Any], sign: str = "") -> str:
    """Mean, spread and interval in percent."""
    spread = value.get("sd")
    low, high = value["interval"]
    return (
        f"{100 * value['mean']:{sign}.2f}"
        + ("" if spread is None else f" ± {100 * spread:.2f}")
        + f" [{100 * low:{sign}.2f}, {100 * high:{sign}.2f}]"
    )
