"""What the paper's tables consist of: rows, columns, and what is measured in each cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from emotionnet_hf.reproduction.trainings import (
    EIGHT,
    EMOTIONNET,
    EXTRA,
    NEITHER,
    SHARES,
    TEXT_MODEL_8,
    THIRTY_THOUSAND,
)

Measure = Literal[
    "linear-probe", "zero-shot", "zero-shot, text model", "tagging", "retrieval", "keywords"
]

BASELINE = "ResNet-50"
"""The paper's name for a trunk trained on ImageNet alone; `Scale.baseline` says what it is."""

FIGURE = "figure4"
"""The name of Fig. 4."""

_ACCURACY, _MAP = "accuracy", "mean_average_precision"
_METRICS = {
    "DeepEmotion": _ACCURACY,
    "UnBiasedEmotion": _ACCURACY,
    "AffectNet-7": _ACCURACY,
    "SE30K8": _ACCURACY,
    "EMOTIC-B": _MAP,
    "EMOTIC-I": _MAP,
}
_OTHERS = tuple(name for name in _METRICS if name != "SE30K8")


@dataclass(frozen=True)
class Cell:
    """One number of a table, before it is measured.

    Attributes:
        row: Its row, in the paper's words.
        column: Its column.
        model: Which model is measured: a key of `trainings.RECIPES`, `BASELINE`, `TEXT_MODEL_8`.
        dataset: What it is measured on.
        measure: How.
        metric: Which of the numbers it is.
        said: The paper's number, 0 to 1, where its text has it and no table.
    """

    row: str
    column: str
    model: str
    dataset: str
    measure: Measure
    metric: str
    said: float | None = None

    def seeds(self, seeds: Sequence[int]) -> Sequence[int]:
        """Take those seeds that make a difference.

        Args:
            seeds: Of the trainings.

        Returns:
            All; the first alone for what is trained or measured once, so that nobody takes equal
            numbers for a small spread.
        """
        untrained = self.model == BASELINE and self.measure == "retrieval"
        return seeds[:1] if untrained or self.model == TEXT_MODEL_8 else seeds


@dataclass(frozen=True)
class Table:
    """A table or figure of the paper.

    Attributes:
        name: As the command line has it.
        title: What it shows, in the paper's words where it has some.
        cells: Row by row.
    """

    name: str
    title: str
    cells: tuple[Cell, ...]

    @property
    def rows(self) -> list[str]:
        """Names of the rows, in order."""
        return list(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return list(dict.fromkeys(cell.column for cell in self.cells))


def _probes(rows: dict[str, str], datasets: Iterable[str]) -> tuple[Cell, ...]:
    """Cells of linear evaluation: for each row its model, on each data set."""
    return tuple(
        Cell(row, name, model, name, "linear-probe", _METRICS[name])
        for row, model in rows.items()
        for name in datasets
    )


def _zero_shot() -> Iterator[Cell]:
    # The image is taken to the text model by the distillation model, which is that of Table 3.
    rows: tuple[tuple[str, str, Measure], ...] = (
        (EMOTIONNET, EXTRA, "zero-shot, text model"),
        ("EmotionNet, by word vectors", EMOTIONNET, "zero-shot"),
    )
    for row, model, measure in rows:
        for name in ("EMOTIC-B", "EMOTIC-I"):
            yield Cell(row, name, model, name, measure, _MAP)


def _figure_4() -> Iterator[Cell]:
    for model in (BASELINE, EMOTIONNET):
        for metric, column in (("recall_at_10", "recall@10"), (_MAP, "mAP")):
            yield Cell(model, column, model, "StockEmotion", "retrieval", metric)


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "table2",
            "Linear evaluation",
            _probes({BASELINE: BASELINE, EMOTIONNET: EMOTIONNET}, _METRICS),
        ),
        Table(
            "table3",
            "Ablation: extra annotation and losses",
            _probes(
                {n: n for n in (EMOTIONNET, EXTRA, "- Soft loss", "- Embed loss", NEITHER)}, _OTHERS
            ),
        ),
        Table(
            "table4",
            "Ablation: number of categories",
            _probes(
                {**{n: n for n in (EIGHT, THIRTY_THOUSAND)}, "690 categories": NEITHER}, _OTHERS
            ),
        ),
        Table(
            "table5",
            "Ablation: share of StockEmotion",
            _probes(
                {**{n: n for n in SHARES}, "100 % of StockEmotion": NEITHER}, ("UnBiasedEmotion",)
            ),
        ),
        Table("table6", "Zero-shot recognition", tuple(_zero_shot())),
        Table(FIGURE, "Retrieval by nearest neighbours", tuple(_figure_4())),
        Table(
            "section5.1",
            "Tagging: is the best-scored keyword among the image's",
            (
                Cell(EMOTIONNET, "hit@1", EMOTIONNET, "StockEmotion", "tagging", "hit_at_1", 0.5),
                Cell(EMOTIONNET, "mAP", EMOTIONNET, "StockEmotion", "tagging", _MAP),
            ),
        ),
        Table(
            "section5.3",
            "Classes from keywords: is the right one of the two best-scored",
            (
                Cell(
                    *(TEXT_MODEL_8, "top-2 accuracy", TEXT_MODEL_8, "SE30K8"),
                    *("keywords", "top_2_accuracy", 0.9),
                ),
            ),
        ),
    )
}
"""Everything with a number, by the name that the command line takes. Table 1 is a list of words,
`emotionnet_hf.emotions.PAPER_TABLE_1`."""
