"""The quickstart's report: figures as PNG, and one HTML page that needs no network."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from datasets import Dataset
from matplotlib.figure import Figure
from PIL import Image

from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.evaluation import Features, nearest_neighbours
from emotionnet_hf.evaluation.clean_labels import SoftLabels, best_labels
from emotionnet_hf.files import write_text

_RIGHT, _WRONG, _QUIET = "#15803d", "#b91c1c", "#6b7280"
_NEIGHBOURS = 6

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>emotionnet_hf quickstart</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
        color: #111827; }}
h1 {{ margin-bottom: 0; }} h2 {{ margin-top: 2.5rem; }}
img {{ max-width: 100%; }} figure {{ margin: 1rem 0; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ padding: .3rem .9rem .3rem 0; text-align: left; border-bottom: 1px solid #e5e7eb; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
.quiet {{ color: #6b7280; }} .right {{ color: #15803d; }} .wrong {{ color: #b91c1c; }}
</style></head><body>
{body}
</body></html>
"""


@dataclass(frozen=True)
class Findings:
    """What the quickstart found out on the test split.

    Attributes:
        numbers: What goes into ``report.json``.
        test: The test split, N rows.
        features: EmotionNet's features of its images.
        clean: The truth, bool, (N, K).
        listed: The uploaders' emotion keywords, bool, (N, K).
        labels: TextCNN's soft labels.
    """

    numbers: Mapping[str, Any]
    test: Dataset
    features: Features
    clean: np.ndarray
    listed: np.ndarray
    labels: SoftLabels


def write_report(out: Path, findings: Findings, seconds: Mapping[str, float]) -> Path:
    """Write ``figures/*.png`` and ``report.html``.

    Args:
        out: Folder of the quickstart; the runs' ``metrics.jsonl`` are read from it.
        findings: What to show.
        seconds: Duration of each stage.

    Returns:
        The page.
    """
    figures = {
        "losses": _plot_losses(out),
        "examples": _plot_examples(findings),
        "neighbours": _plot_neighbours(findings),
    }
    (out / "figures").mkdir(exist_ok=True)
    images = {
        name: _save(figure, out / "figures" / f"{name}.png") for name, figure in figures.items()
    }
    body = "\n".join(
        [
            *_summary(findings, seconds),
            *_section("What it learnt", images["losses"], _LOSSES),
            *_section("Test pictures, tagged", images["examples"], _EXAMPLES),
            *_soft_label_section(findings),
            *_section("Nearest neighbours", images["neighbours"], _NEIGHBOUR_TEXT),
        ]
    )
    write_text(out / "report.html", _PAGE.format(body=body))
    return out / "report.html"


_LOSSES = (
    "Left: losses on training batches, a line a logged step. Right: validation, against the "
    "keywords as uploaders listed them."
)
_EXAMPLES = (
    "The five keywords EmotionNet finds most probable; green ones are true of the picture. Below "
    "each, the truth."
)
_NEIGHBOUR_TEXT = (
    "A query picture (left) and the test pictures nearest to it in EmotionNet's feature space; in "
    "a green frame those with the query's latent emotion words, at least two shared."
)


def _summary(findings: Findings, seconds: Mapping[str, float]) -> list[str]:
    """Return head and table of numbers."""
    net, text = findings.numbers["emotionnet"], findings.numbers["textcnn"]
    rows = [
        ("EmotionNet (from the picture)", net["clean"], net["listed"]),
        ("TextCNN (from non-emotion keywords)", text["clean"], text["listed"]),
        ("best constant ranking", net["chance"], None),
    ]
    cells = [
        f"<tr><td>{name}</td>{_number(clean, 'hit_at_1')}{_number(clean, 'mean_average_precision')}"
        f"{_number(listed, 'hit_at_1')}{_number(listed, 'mean_average_precision')}</tr>"
        for name, clean, listed in rows
    ]
    counts = ", ".join(f"{n:,} {split}" for split, n in findings.numbers["rows"].items())
    times = ", ".join(f"{what} {s:.0f} s" for what, s in seconds.items())
    difference = findings.numbers["reloaded"]["largest_feature_difference"]
    return [
        "<h1>EmotionNet quickstart</h1>",
        f"<p class=quiet>{counts} drawn pictures · {times}</p>",
        "<table><tr><th>test split</th><th>hit@1, truth</th><th>mAP, truth</th>"
        "<th>hit@1, as listed</th><th>mAP, as listed</th></tr>",
        *cells,
        "</table>",
        "<p>“Truth” are the clean keywords that drew the picture; “as listed” is what its noisy "
        "uploader wrote. The model was trained on the latter only. Reloaded with "
        "<code>AutoModel</code> in another process without this package, its features differ by "
        f"at most {difference:.1e}.</p>",
    ]


def _number(values: Mapping[str, float] | None, name: str) -> str:
    """Return a table cell."""
    return f"<td class=n>{values[name]:.3f}</td>" if values else "<td></td>"


def _section(title: str, image: str, text: str) -> list[str]:
    """Return a heading, a figure and its text."""
    return [
        f"<h2>{title}</h2><p>{text}</p>",
        f'<figure><img alt="{html.escape(title)}" src="data:image/png;base64,{image}"></figure>',
    ]


def _soft_label_section(findings: Findings) -> list[str]:
    """Return what the soft labels restored: numbers, and some lists."""
    numbers = findings.numbers["soft_labels"]
    names = list(emotion_vocabulary(findings.test.features))
    missing = findings.clean & ~findings.listed
    open_scores = np.where(findings.listed, -1.0, findings.labels.predicted)
    best = best_labels(open_scores, names, 5)
    rows = []
    for row in np.flatnonzero(missing.any(axis=1))[:8]:
        truth = _names(missing[row], names)
        shown = ", ".join(_coloured(name, name in truth) for name in best[row])
        cells = [", ".join(_names(findings.listed[row], names)), ", ".join(truth), shown]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return [
        "<h2>What the soft labels restored</h2>",
        f"<p>Of the true keywords that uploaders left out, {numbers['missing_restored']:.0%} are "
        "among the five that TextCNN adds first (a random order: "
        f"{numbers['missing_restored_by_chance']:.0%}). Soft labels (Eq. 1) move "
        f"{numbers['missing_mass_soft']:.0%} of the target's mass onto left-out keywords; the mass "
        f"on true keywords goes from {numbers['clean_mass_tagged']:.0%} (y / |y|) to "
        f"{numbers['clean_mass_soft']:.0%}.</p>",
        "<table><tr><th>listed</th><th>left out</th><th>TextCNN would add</th></tr>",
        *rows,
        "</table>",
    ]


def _names(row: np.ndarray, names: Sequence[str]) -> list[str]:
    """Return the names of the classes that a row has."""
    return [names[int(i)] for i in np.flatnonzero(row)]


def _coloured(name: str, right: bool) -> str:
    """Return a name in green or grey."""
    return f"<span class={'right' if right else 'quiet'}>{html.escape(name)}</span>"


def _plot_losses(out: Path) -> Figure:
    """Plot the training losses and the validation metrics of EmotionNet."""
    lines = (out / "emotionnet" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    losses, metrics = figure.subplots(1, 2)
    train = [record for record in records if "train" in record]
    for name, label in (("classification_loss", "L_cls"), ("embedding_loss", "L_embed")):
        losses.plot([r["step"] for r in train], [r["train"][name] for r in train], label=label)
    validation = [record for record in records if "validation" in record]
    for name, label in (("hit_at_1", "hit@1"), ("mean_average_precision", "mAP")):
        metrics.plot(
            [r["epoch"] for r in validation],
            [r["validation"][name] for r in validation],
            label=label,
        )
    losses.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    metrics.set(xlabel="epoch", ylabel="validation", ylim=(0, None))
    for axes in (losses, metrics):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _plot_examples(findings: Findings, columns: int = 6, rows: int = 2) -> Figure:
    """Show test pictures with their tags and the truth."""
    names = list(emotion_vocabulary(findings.test.features))
    chosen = np.linspace(0, len(findings.test) - 1, columns * rows).astype(int)
    tags = best_labels(findings.features.logits[chosen], names, 5)
    figure = Figure(figsize=(2 * columns, 3.9 * rows), layout="constrained")
    for axes, row, words in zip(figure.subplots(rows, columns).flat, chosen, tags, strict=True):
        _show(axes, findings.test[int(row)]["image"])
        truth = _names(findings.clean[row], names)
        for line, word in enumerate(words):
            colour = _RIGHT if word in truth else _WRONG
            axes.text(
                0.02, -0.11 * (line + 1), word, transform=axes.transAxes, color=colour, fontsize=11
            )
        axes.text(
            *(0.02, -0.68, "truth: " + ",\n".join(_pairs(truth))),
            transform=axes.transAxes,
            color=_QUIET,
            fontsize=8,
            va="top",
        )
    return figure


def _pairs(words: Sequence[str]) -> list[str]:
    """Join words two by two, for narrow columns."""
    return [", ".join(words[i : i + 2]) for i in range(0, len(words), 2)]


def _plot_neighbours(findings: Findings, queries: int = 5) -> Figure:
    """Show pictures with their nearest neighbours in the feature space."""
    pooled = findings.features.pooled
    chosen = np.linspace(3, len(pooled) - 4, queries).astype(int)
    near = nearest_neighbours(pooled[chosen], pooled, _NEIGHBOURS + 1)
    figure = Figure(figsize=(1.4 * (_NEIGHBOURS + 1), 1.45 * queries), layout="constrained")
    for line, query, neighbours in zip(
        figure.subplots(queries, _NEIGHBOURS + 1), chosen, near, strict=True
    ):
        others = [int(row) for row in neighbours if row != query][:_NEIGHBOURS]
        for axes, row in zip(line, [int(query), *others], strict=True):
            _show(axes, findings.test[row]["image"])
            alike = (findings.clean[row] & findings.clean[query]).sum() >= 2
            colour = "black" if row == query else _RIGHT if alike else "#d1d5db"
            for spine in axes.spines.values():
                spine.set(visible=True, color=colour, linewidth=2.5)
    return figure


def _show(axes: Any, image: Image.Image) -> None:
    """Draw a picture without ticks."""
    axes.imshow(image)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _save(figure: Figure, path: Path) -> str:
    """Save a figure as PNG and return it in base 64."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"font.family": "DejaVu Sans"}):
        figure.savefig(buffer, format="png", dpi=110)
    path.write_bytes(buffer.getvalue())
    return base64.b64encode(buffer.getvalue()).decode("ascii")
