"""The numbers of the paper's Tables 2 to 6, and some that were published since, as data.

They are in ``paper_tables.json``, in percent as printed. The previous state of the art and the
later numbers were made by protocols of their own and are context, not a ranking.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

_LATER = "published since"


@dataclass(frozen=True)
class KnownNumber:
    """A published number.

    Attributes:
        dataset: Name of the benchmark; ``EMOTIC`` where body and image are not told apart.
        method: As the table calls it.
        protocol: ``linear-probe``, ``zero-shot``, or what else is known of it.
        metric: ``accuracy`` or ``mean_average_precision``.
        value: 0 to 1.
        source: ``Table 2`` to ``Table 6`` of the paper, or ``published since``.
    """

    dataset: str
    method: str
    protocol: str
    metric: str
    value: float
    source: str


def known_numbers(dataset: str | None = None, source: str | None = None) -> list[KnownNumber]:
    """Return published numbers.

    Args:
        dataset: Of this benchmark; of all where None. Numbers for ``EMOTIC`` count for EMOTIC-B
            and EMOTIC-I.
        source: From this table only, such as ``Table 2``.

    Returns:
        The numbers, in the order of the tables.
    """
    return [
        number
        for number in _numbers()
        if (
            dataset is None
            or dataset in (number.dataset, f"{number.dataset}-B", f"{number.dataset}-I")
        )
        and source in (None, number.source)
    ]


def known_table(dataset: str) -> str:
    """Write the published numbers for a benchmark as a Markdown table.

    Args:
        dataset: The benchmark.

    Returns:
        The table, in percent, under a warning; or that there is no number.
    """
    lines = [
        f"| {n.method} | {100 * n.value:.2f} | {n.protocol} | {n.source} |"
        for n in known_numbers(dataset)
    ]
    if not lines:
        return "The paper has no number for this benchmark."
    head = ["| method | percent | protocol | from |", "| --- | --- | --- | --- |"]
    said = "Known numbers (other splits, releases and protocols may not compare):"
    return "\n".join([said, "", *head, *lines])


@lru_cache
def _numbers() -> tuple[KnownNumber, ...]:
    text = files("emotionnet_hf.evaluation").joinpath("paper_tables.json").read_text("utf-8")
    content = json.loads(text)
    found = [
        _number({**row, "dataset": dataset, "value": value}, table["protocol"], f"Table {name}")
        for name, table in content["tables"].items()
        for row in table["rows"]
        for dataset, value in row["values"].items()
    ]
    return (*found, *(_number(row, "", _LATER) for row in content["since"]))


def _number(row: dict[str, Any], protocol: str, source: str) -> KnownNumber:
    multi = row["dataset"].startswith("EMOTIC")
    return KnownNumber(
        dataset=row["dataset"],
        method=row["method"],
        protocol=row.get("protocol", protocol),
        metric="mean_average_precision" if multi else "accuracy",
        # Four digits as printed: 0.6581 and not 0.6580999.
        value=round(row["value"] / 100, 6),
        source=source,
    )
