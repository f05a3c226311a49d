"""Tables for people and for programs: JSON and Markdown, the paper's numbers beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emotionnet_hf.evaluation.paper_tables import known_numbers
from emotionnet_hf.files import write_json, write_text
from emotionnet_hf.reproduction.measurements import Measurements
from emotionnet_hf.reproduction.tables import BASELINE, Cell, Table
from emotionnet_hf.reproduction.trainings import UNTRAINED


def collect(
    table: Table,
    measurements: Measurements,
    seeds: Sequence[int],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """Put together what was measured for a table.

    Args:
        table: Which.
        measurements: Where its cells are.
        seeds: Of the trainings.
        environment: Where they were made, as `committed_environment` tells.

    Returns:
        Plain values for JSON: ``cells``, each with the paper's number (a share of 1, None where
        the paper has none), over how many seeds ours was ``asked`` for, and ours or why it is
        ``missing``.
    """
    scale = measurements.trainings.scale
    return {
        "table": table.name,
        "title": table.title,
        "scale": scale.name,
        "changes": {section: dict(values) for section, values in scale.changes.items()},
        "baseline": scale.baseline,
        "seeds": list(seeds),
        "about_the_data": measurements.trainings.root.about,
        "environment": dict(environment),
        "cells": [_cell(table, cell, measurements, seeds) for cell in table.cells],
    }


def _cell(
    table: Table, cell: Cell, measurements: Measurements, seeds: Sequence[int]
) -> dict[str, Any]:
    asked = cell.seeds(seeds)
    found = [measurements.read(cell, seed) or {"missing": "not run yet"} for seed in asked]
    values = [run["metrics"][cell.metric] for run in found if "metrics" in run]
    told = {
        "row": cell.row,
        "column": cell.column,
        "model": cell.model,
        "measure": cell.measure,
        "metric": cell.metric,
        "paper": _of_the_paper(table, cell),
        "asked": len(asked),
    }
    if not values:
        return told | {"missing": found[0]["missing"]}
    return told | {
        "values": values,
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "runs": [run.get("told", {}) for run in found if "metrics" in run],
    }


def _of_the_paper(table: Table, cell: Cell) -> float | None:
    """Return the paper's number, a share of 1; None where it has none."""
    source = table.name.replace("table", "Table ")
    for known in known_numbers(cell.dataset, source):
        if known.method == cell.row:
            return known.value
    return cell.said


def markdown(result: Mapping[str, Any], table: Table) -> str:
    """Return a table as Markdown: ours over the paper's, and what is missing below."""
    cells = {(cell["row"], cell["column"]): cell for cell in result["cells"]}
    lines = [f"# {_heading(result)}", "", _introduction(result), ""]
    if result["about_the_data"]:
        lines += [f"**The data:** {result['about_the_data']}", ""]
    lines += [f"| | {' | '.join(table.columns)} |", "| --- |" + " --- |" * len(table.columns)]
    for row in table.rows:
        there = [cells.get((row, column)) for column in table.columns]
        lines.append(f"| {row} | {' | '.join(map(_ours, there))} |")
        if any(cell and cell["paper"] is not None for cell in there):
            lines.append(f"| *paper* | {' | '.join(map(_papers, there))} |")
    lines += _chance(result, table)
    reasons = dict.fromkeys(c["missing"] for c in result["cells"] if "missing" in c)
    if reasons:
        lines += ["", "Missing:", "", *(f"- {reason}" for reason in reasons)]
    return "\n".join(lines) + "\n"


def _heading(result: Mapping[str, Any]) -> str:
    name = result["table"]
    for kind in ("table", "figure", "section"):
        name = name.replace(kind, f"{kind.capitalize()} ")
    return f"{name}: {result['title']}"


def _introduction(result: Mapping[str, Any]) -> str:
    count = len(result["seeds"])
    spread = "mean ± standard deviation over the seeds" if count > 1 else "one run"
    scale = "the paper's recipes" if result["scale"] == "paper" else f"scale `{result['scale']}`"
    baseline = (
        f' "{BASELINE}" is {_baseline(result)}.'
        if any(cell["row"] == BASELINE for cell in result["cells"])
        else ""
    )
    models = {cell["row"]: cell["model"] for cell in result["cells"]}
    others = [f' "{row}" is "{model}".' for row, model in models.items() if row != model]
    return f"In percent; {spread} ({count}), {scale}.{baseline}{''.join(others)}"


def _baseline(result: Mapping[str, Any]) -> str:
    """Say what stands in the place of the paper's ImageNet ResNet-50."""
    if result["baseline"] != UNTRAINED:
        return f"`{result['baseline']}`"
    trunk = result["changes"].get("emotionnet", {})
    known = [
        f"`{name}: {Path(str(trunk[name])).name}`"
        for name in ("backbone", "backbone_weights")
        if name in trunk
    ]
    return f"EmotionNet's trunk before training ({', '.join(known) or 'as in the recipe'})"


def _ours(cell: Mapping[str, Any] | None) -> str:
    if cell is None or "missing" in cell:
        return "" if cell is None else "missing"
    spread = "" if cell["sd"] is None else f" ± {100 * cell['sd']:.2f}"
    count = len(cell["values"])
    part = f" ({count} of {cell['asked']})" if count < cell["asked"] else ""
    return f"{100 * cell['mean']:.2f}{spread}{part}"


def _papers(cell: Mapping[str, Any] | None) -> str:
    return "" if cell is None or cell["paper"] is None else f"*{100 * cell['paper']:.2f}*"


def _chance(result: Mapping[str, Any], table: Table) -> list[str]:
    """Return the row of what is reached without looking at the pictures, where that is known."""
    known: dict[str, list[float]] = {}
    for cell in result["cells"]:
        # A seed may split a benchmark anew, which has another chance then.
        chances = [run["chance"] for run in cell.get("runs", ()) if "chance" in run]
        known.setdefault(cell["column"], []).extend(c[cell["metric"]] for c in chances)
    told = [f"{100 * np.mean(known[c]):.2f}" if known.get(c) else "" for c in table.columns]
    return [f"| chance | {' | '.join(told)} |"] if any(told) else []


def write_tables(
    tables: Sequence[Table],
    measurements: Measurements,
    seeds: Sequence[int],
    environment: Mapping[str, Any],
    out: Path,
) -> list[Path]:
    """Write ``NAME.json`` and ``NAME.md`` of each table.

    Args:
        tables: Which.
        measurements: Where their cells are.
        seeds: Of the trainings.
        environment: Where they were made.
        out: The folder.

    Returns:
        The Markdown files.
    """
    pages = []
    for table in tables:
        result = collect(table, measurements, seeds, environment)
        write_json(out / f"{table.name}.json", result)
        pages.append(out / f"{table.name}.md")
        write_text(pages[-1], markdown(result, table))
    return pages
