"""The quickstart's report: figures as PNG, and one HTML page that needs no network."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.evaluation import Features, nearest_neighbours
from emotionnet_hf.evaluation.clean_labels import SoftLabels, best_labels
from emotionnet_hf.files import write_text

_RIGHT, _WRONG, _QUIET = "#15803d", "#b91c1c", "#6b7280"
_EXAMPLES, _TAGS = 12, 5
_QUERIES, _NEIGHBOURS = 5, 6
_LISTS = 8

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>emotionnet_hf quickstart</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
        color: #111827; background: #fff; }}
h1 {{ margin-bottom: 0; line-height: 1.2; }} h2 {{ margin: 2.5rem 0 .5rem; line-height: 1.2; }}
img {{ display: block; width: 100%; }} figure {{ margin: 0; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top;
          border-bottom: 1px solid #e5e7eb; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
.curves {{ display: grid; gap: 1rem;
           grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }}
.cards {{ display: grid; gap: 1.5rem 1rem;
          grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }}
.cards img, .near img {{ aspect-ratio: 1; object-fit: cover; border-radius: 6px; }}
.cards ul {{ list-style: none; margin: .4rem 0; padding: 0; line-height: 1.35; }}
.cards p {{ margin: 0; font-size: .85rem; line-height: 1.35; }}
.near {{ display: grid; gap: .4rem; margin-bottom: .4rem;
         grid-template-columns: repeat({columns}, minmax(0, 1fr)); }}
.near img {{ box-sizing: border-box; border: 3px solid #d1d5db; }}
.near img.query {{ border-color: #111827; }} .near img.right {{ border-color: #15803d; }}
.quiet {{ color: #6b7280; }} .right {{ color: #15803d; }} .wrong {{ color: #b91c1c; }}
li.right::before {{ content: "\\2713\\00a0"; }} li.wrong::before {{ content: "\\2717\\00a0"; }}
@media (max-width: 30rem) {{ body {{ margin: 1rem auto; }} table {{ font-size: .85rem; }}
                             th, td {{ padding-right: .6rem; }} }}
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

    @property
    def names(self) -> list[str]:
        """Names of the K emotion keywords."""
        return list(emotion_vocabulary(self.test.features))

    def picture(self, row: int) -> Image.Image:
        """Return the picture of a row."""
        return self.test[int(row)]["image"].convert("RGB")

    def truth(self, row: int) -> list[str]:
        """Return the clean keywords of a row."""
        return _chosen(self.clean[row], self.names)


def write_report(out: Path, findings: Findings, seconds: Mapping[str, float]) -> Path:
    """Write ``figures/*.png`` and ``report.html``.

    Args:
        out: Folder of the quickstart; the runs' ``metrics.jsonl`` are read from it.
        findings: What to show.
        seconds: Duration of each stage.

    Returns:
        The page.
    """
    examples = _spread(len(findings.test), _EXAMPLES)
    tags = best_labels(findings.features.logits[examples], findings.names, _TAGS)
    tagged = dict(zip(examples.tolist(), tags, strict=True))
    near = _neighbours(findings.features.pooled)
    losses, validation = _plot_curves(out / "emotionnet" / "metrics.jsonl")
    figures = {
        "losses": losses,
        "validation": validation,
        "examples": _plot_examples(findings, tagged),
        "neighbours": _plot_neighbours(findings, near),
    }
    (out / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(out / "figures" / f"{name}.png", dpi=110)
    body = [
        *_summary(findings, seconds),
        *_curve_section(out / "figures"),
        *_example_section(findings, tagged),
        *_soft_label_section(findings),
        *_neighbour_section(findings, near),
    ]
    page = _PAGE.format(body="\n".join(body), columns=_NEIGHBOURS + 1)
    write_text(out / "report.html", page)
    return out / "report.html"


def _spread(count: int, wanted: int) -> np.ndarray:
    """Return up to ``wanted`` row numbers out of ``count``, evenly spread."""
    return np.linspace(0, count - 1, min(count, wanted)).astype(int)


def _neighbours(pooled: np.ndarray) -> dict[int, list[int]]:
    """Return some rows and, for each, the nearest other ones."""
    queries = _spread(len(pooled), _QUERIES)
    near = nearest_neighbours(pooled[queries], pooled, _NEIGHBOURS + 1)
    return {
        int(query): [int(row) for row in rows if row != query][:_NEIGHBOURS]
        for query, rows in zip(queries, near, strict=True)
    }


def _chosen(row: np.ndarray, names: Sequence[str]) -> list[str]:
    """Return the names of the classes that a row has."""
    return [names[int(i)] for i in np.flatnonzero(row)]


def _alike(findings: Findings, row: int, query: int) -> bool:
    """Tell whether two pictures share at least two true keywords."""
    return bool((findings.clean[row] & findings.clean[query]).sum() >= 2)


# The page


def _summary(findings: Findings, seconds: Mapping[str, float]) -> list[str]:
    """Return head and table of numbers."""
    net, text = findings.numbers["emotionnet"], findings.numbers["textcnn"]
    rows = [
        ("EmotionNet (from the picture)", net["clean"], net["listed"]),
        ("TextCNN (from non-emotion keywords)", text["clean"], text["listed"]),
        ("best constant ranking", net["chance"], {}),
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
        f"<p class=quiet>{html.escape(counts)} drawn pictures · {html.escape(times)}</p>",
        "<div class=scroll><table><tr><th>test split</th><th class=n>hit@1,<br>truth</th>"
        "<th class=n>mAP,<br>truth</th><th class=n>hit@1,<br>as listed</th>"
        "<th class=n>mAP,<br>as listed</th></tr>",
        *cells,
        "</table></div>",
        "<p>“Truth” are the clean keywords that drew the picture; “as listed” is what its noisy "
        "uploader wrote. The model was trained on the latter only. Reloaded with "
        "<code>AutoModel</code> in another process without this package, its features differ by "
        f"at most {difference:.1e}.</p>",
    ]


def _number(values: Mapping[str, float], name: str) -> str:
    """Return a table cell, empty where there is no such number."""
    value = values.get(name, math.nan)
    return "<td></td>" if math.isnan(value) else f"<td class=n>{value:.3f}</td>"


def _curve_section(figures: Path) -> list[str]:
    """Return the curves of the training."""
    return [
        "<h2>What it learnt</h2>",
        "<p>Losses on training batches, and metrics on the validation split against the keywords "
        "as uploaders listed them.</p>",
        "<div class=curves>",
        *(
            f"<figure>{_img((figures / f'{name}.png').read_bytes(), 'png', alt)}</figure>"
            for name, alt in (("losses", "training losses"), ("validation", "validation metrics"))
        ),
        "</div>",
    ]


def _example_section(findings: Findings, tagged: Mapping[int, list[str]]) -> list[str]:
    """Return test pictures with their tags and the truth."""
    cards = []
    for row, words in tagged.items():
        truth = findings.truth(row)
        items = "".join(_coloured("li", word, word in truth, "wrong") for word in words)
        text = html.escape(", ".join(truth))
        image = _picture(findings, row, f"test picture {row}")
        cards.append(f"<figure>{image}<ul>{items}</ul><p class=quiet>truth: {text}</p></figure>")
    return [
        "<h2>Test pictures, tagged</h2>",
        f"<p>The {_TAGS} keywords EmotionNet finds most probable; ticked ones are true of the "
        "picture. Below them, the truth.</p>",
        "<div class=cards>",
        *cards,
        "</div>",
    ]


def _soft_label_section(findings: Findings) -> list[str]:
    """Return what the soft labels restored: numbers, and some lists."""
    numbers, names = findings.numbers["soft_labels"], findings.names
    missing = findings.clean & ~findings.listed
    title = "<h2>What the soft labels restored</h2>"
    if not missing.any():
        return [title, "<p>Nothing: the uploaders of these pictures left no keyword out.</p>"]
    open_scores = np.where(findings.listed, -1.0, findings.labels.predicted)
    rows = []
    for row in np.flatnonzero(missing.any(axis=1))[:_LISTS]:
        listed, left_out = (_chosen(lists[row], names) for lists in (findings.listed, missing))
        (best,) = best_labels(open_scores[row][None], names, min(5, len(names) - len(listed)))
        added = ", ".join(_coloured("span", name, name in left_out, "quiet") for name in best)
        cells = [*(html.escape(", ".join(words)) for words in (listed, left_out)), added]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return [
        title,
        f"<p>Of the true keywords that uploaders left out, {numbers['missing_restored']:.0%} are "
        "among the five that TextCNN adds first (a random order: "
        f"{numbers['missing_restored_by_chance']:.0%}). The price: true keywords have "
        f"{numbers['clean_mass_tagged']:.0%} of the target's mass in the lists (y / |y|) and "
        f"{numbers['clean_mass_soft']:.0%} in the soft labels (Eq. 1), "
        f"{numbers['missing_mass_soft']:.0%} of it on left-out ones: they {_lost(numbers)}.</p>",
        "<div class=scroll><table><tr><th>listed</th><th>left out</th>"
        "<th>TextCNN would add</th></tr>",
        *rows,
        "</table></div>",
    ]


def _lost(numbers: Mapping[str, float]) -> str:
    """Return what soft labels take from true keywords, or give them."""
    lost = numbers["clean_mass_lost"]
    return f"lose {lost:.0%} to false ones" if lost > 0 else f"gain {-lost:.0%} from false ones"


def _neighbour_section(findings: Findings, near: Mapping[int, list[int]]) -> list[str]:
    """Return pictures with their nearest neighbours in the feature space."""
    lines = []
    for query, others in near.items():
        images = [_picture(findings, query, f"query {query}", "query")]
        for row in others:
            kind = "right" if _alike(findings, row, query) else ""
            images.append(_picture(findings, row, f"test picture {row}", kind))
        lines.append(f"<div class=near>{''.join(images)}</div>")
    return [
        "<h2>Nearest neighbours</h2>",
        "<p>A query picture (left) and the test pictures nearest to it in EmotionNet's feature "
        "space; in a green frame those that share at least two true keywords with the query.</p>",
        *lines,
    ]


def _coloured(element: str, name: str, right: bool, otherwise: str) -> str:
    """Return a name, marked where it is right."""
    return f"<{element} class={'right' if right else otherwise}>{html.escape(name)}</{element}>"


def _picture(findings: Findings, row: int, alt: str, kind: str = "") -> str:
    """Return the picture of a row; JPEG, because the grain of the drawn ones makes PNG large."""
    file = io.BytesIO()
    findings.picture(row).save(file, "JPEG", quality=85)
    return _img(file.getvalue(), "jpeg", alt, kind)


def _img(data: bytes, format: str, alt: str, kind: str = "") -> str:
    """Return an image with its bytes inside."""
    source = f"data:image/{format};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<img class="{kind}" alt="{html.escape(alt)}" src="{source}">'


# The figures


def _plot_curves(metrics: Path) -> tuple[Figure, Figure]:
    """Plot the training losses and the validation metrics of a run."""
    records = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    names = {"classification_loss": "L_cls", "embedding_loss": "L_embed"}
    losses = _plot_lines(records, "train", "step", names, "training loss")
    names = {"hit_at_1": "hit@1", "mean_average_precision": "mAP"}
    return losses, _plot_lines(records, "validation", "epoch", names, "validation")


def _plot_lines(
    records: Iterable[Mapping[str, Any]], kind: str, x: str, names: Mapping[str, str], label: str
) -> Figure:
    """Plot some values of the records of a kind."""
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    records = [record for record in records if kind in record]
    for name, text in names.items():
        points = [(record[x], record[kind][name]) for record in records if name in record[kind]]
        if points:
            # A line of one point would not be seen.
            axes.plot(*zip(*points, strict=True), label=text, marker="." * (len(points) < 30))
    axes.set(xlabel=x, ylabel=label, ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False)
    return figure


def _plot_examples(findings: Findings, tagged: Mapping[int, list[str]], columns: int = 6) -> Figure:
    """Show test pictures with their tags and the truth."""
    lines = max(1, math.ceil(len(tagged) / columns))
    figure = Figure(figsize=(2 * columns, 4.1 * lines), layout="constrained")
    # Under each line of pictures a line of places for words.
    grid = figure.subplots(2 * lines, columns, squeeze=False, height_ratios=[1, 1] * lines)
    for axes in grid.flat:
        axes.set_axis_off()
    for place, (row, words) in enumerate(tagged.items()):
        picture, text = grid[2 * (place // columns) : 2 * (place // columns) + 2, place % columns]
        picture.imshow(findings.picture(row))
        truth = findings.truth(row)
        for line, word in enumerate(words):
            colour = _RIGHT if word in truth else _WRONG
            _write(text, 1 - 0.12 * line, word, color=colour, fontsize=11)
        _write(text, 0.36, "truth: " + ",\n".join(_pairs(truth)), color=_QUIET, fontsize=8)
    return figure


def _write(axes: Any, height: float, text: str, **style: Any) -> None:
    """Write text from a height downwards; a dollar sign in it is only a dollar sign."""
    axes.text(0.02, height, text, va="top", transform=axes.transAxes, parse_math=False, **style)


def _pairs(words: Sequence[str]) -> list[str]:
    """Join words two by two, for narrow columns."""
    return [", ".join(words[i : i + 2]) for i in range(0, len(words), 2)]


def _plot_neighbours(findings: Findings, near: Mapping[int, list[int]]) -> Figure:
    """Show pictures with their nearest neighbours in the feature space."""
    columns, lines = _NEIGHBOURS + 1, max(1, len(near))
    figure = Figure(figsize=(1.4 * columns, 1.45 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for line, (query, others) in zip(grid, near.items(), strict=False):
        for axes, row in zip(line, [query, *others], strict=False):
            axes.imshow(findings.picture(row))
            colour = _RIGHT if _alike(findings, row, query) else "#d1d5db"
            axes.spines[:].set(
                visible=True, color="black" if row == query else colour, linewidth=2.5
            )
    return figure
