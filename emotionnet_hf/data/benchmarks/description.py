"""What is in a benchmark, counted: for people as a page, for programs as a dictionary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from emotionnet_hf.data.benchmarks.benchmark import Benchmark
from emotionnet_hf.data.benchmarks.near_duplicates import NearDuplicatesReport, Overlap


@dataclass(frozen=True)
class SplitCounts:
    """What a split holds.

    Attributes:
        rows: Its rows; of EMOTIC people.
        pictures: Its groups, which show a picture each.
        classes: For each class the rows for which it is right.
    """

    rows: int
    pictures: int
    classes: Mapping[str, int]


@dataclass(frozen=True)
class Description:
    """A benchmark in numbers.

    Attributes:
        benchmark: What was counted.
        splits: Counts by split.
        near_duplicates: What `checked` found, if it was asked.
    """

    benchmark: Benchmark
    splits: Mapping[str, SplitCounts]
    near_duplicates: NearDuplicatesReport | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        benchmark, report = self.benchmark, self.near_duplicates
        return {
            "benchmark": benchmark.name,
            "task": benchmark.task,
            "metric": benchmark.metric,
            "release": benchmark.release,
            "layout": benchmark.layout,
            "splits": {
                name: {"rows": s.rows, "pictures": s.pictures, "classes": dict(s.classes)}
                for name, s in self.splits.items()
            },
            "dropped": dict(benchmark.dropped),
            "absent": {split: len(pictures) for split, pictures in benchmark.absent.items()},
            "notes": list(benchmark.notes),
            "near_duplicates": None if report is None else report.as_dict(),
        }

    def summary(self) -> str:
        """A page of Markdown."""
        benchmark = self.benchmark
        parts = [
            f"# {benchmark.name}",
            f"{benchmark.task}, {len(benchmark.classes)} classes, measured by "
            f"{benchmark.metric.replace('_', ' ')}",
            f"Release: {benchmark.release}\nLayout: {benchmark.layout}",
            self._table(),
            self._dropped(),
        ]
        parts += ["\n".join(f"- {note}" for note in benchmark.notes)]
        if self.near_duplicates is not None:
            parts.append(_twins(self.near_duplicates))
        return "\n\n".join(filter(None, parts))

    def _table(self) -> str:
        """Counts per class and split; of several labels a row, a column adds up to more."""
        names = list(self.splits)
        counts = {
            "rows": [self.splits[name].rows for name in names],
            "pictures": [self.splits[name].pictures for name in names],
            **{
                label: [self.splits[name].classes[label] for name in names]
                for label in self.benchmark.classes
            },
        }
        lines = [["", *names, "total"], ["---", *["---:"] * (len(names) + 1)]]
        lines += [
            [label, *(f"{number:,}" for number in numbers), f"{sum(numbers):,}"]
            for label, numbers in counts.items()
        ]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def _dropped(self) -> str:
        reasons = sorted(self.benchmark.dropped.items(), key=lambda item: (-item[1], item[0]))
        if not reasons:
            return "No row is left out."
        lines = [f"- {reason}: {number:,}" for reason, number in reasons]
        return "\n".join(["Rows that are left out:", *lines])


def describe(benchmark: Benchmark, report: NearDuplicatesReport | None = None) -> Description:
    """Count what is in a benchmark.

    Args:
        benchmark: The benchmark; with a report, as `checked` returned it.
        report: What `checked` found, to be told with the counts.

    Returns:
        The description.
    """
    splits = {name: _counts(split, benchmark) for name, split in benchmark.splits.items()}
    return Description(benchmark, splits, report)


def _counts(dataset: Dataset, benchmark: Benchmark) -> SplitCounts:
    # Whole columns: row by row, 280 K of AffectNet take twenty times as long.
    counts = Counter(place for labels in dataset["labels"][:] for place in labels)
    classes = {name: counts[place] for place, name in enumerate(benchmark.classes)}
    return SplitCounts(len(dataset), len(set(dataset["group"][:])), classes)


def _twins(report: NearDuplicatesReport) -> str:
    lines = [f"Near-duplicates (perceptual hashes within {report.radius} bits):"]
    for overlap in report.overlaps:
        lines += _overlap(overlap)
    lines += [f"- not usable: {image_id}: {why}" for image_id, why in report.unreadable_examples]
    return "\n".join(lines)


def _overlap(overlap: Overlap) -> list[str]:
    first = (
        f"- {overlap.with_twin:,} of {overlap.pictures:,} pictures of {overlap.split} have a twin "
        f"in {overlap.other}"
    )
    if not overlap.with_twin:
        return [first]
    return [
        f"{first}, {overlap.with_another_label:,} of them only with other labels",
        *(
            f"  - {twin.image_id} ({', '.join(twin.labels)}) and {twin.twin_id} "
            f"({', '.join(twin.twin_labels)}), {twin.distance} bits"
            for twin in overlap.examples
        ),
    ]
