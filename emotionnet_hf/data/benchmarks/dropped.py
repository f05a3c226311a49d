"""Rows that a reader leaves out: how many for each reason, and what to look for on disk."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from emotionnet_hf.data.plan import told
from emotionnet_hf.data.tables import printable

NO_PICTURE = "no picture on disk"
OUTSIDE = "picture outside of a class folder"
NOT_UTF8 = "file name is not UTF-8"


@dataclass
class Dropped:
    """Rows that are not used, gathered while a benchmark is read.

    Attributes:
        counts: Rows by reason.
        examples: The first row or file of a reason, where one was given.
        absent: See `Benchmark`.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, example: str = "", *, lost_from: str | None = None) -> None:
        """Count a row.

        Args:
            reason: Why it is not used.
            example: What was looked at or for.
            lost_from: Where the benchmark itself publishes splits, and the row would be good if
                its picture were there: the split.
        """
        self.counts[reason] += 1
        if example:
            self.examples.setdefault(reason, printable(example))
        if lost_from is not None:
            self.absent[lost_from].append(example)

    def told(self) -> str:
        """Reasons in one line, the most frequent first, each with its example.

        >>> dropped = Dropped()
        >>> dropped.add("no picture on disk", "v/1.jpg")
        >>> dropped.told()
        'no picture on disk (1), such as v/1.jpg'
        """
        return told(self.counts, self.examples)
