"""The figures of a data set's statistics, as PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from emotionnet_hf.data.describe.co_occurrence import CoOccurrence
from emotionnet_hf.data.describe.counting import Histogram, Tally
from emotionnet_hf.data.describe.statistics import PAPER, emotion_frequency, per_image

# Okabe and Ito's colours, which people with any colour vision tell apart.
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#6b7280"
_SPLITS = {"train": _BLUE, "validation": _ORANGE, "test": _GREEN}
_TOP_BARS, _NAMED_KEYWORDS = 30, 60
_DPI = 150


def draw_figures(
    tally: Tally, together: CoOccurrence | None, statistics: Mapping[str, Any]
) -> dict[str, bytes]:
    """Draw what a data set has the columns for.

    Args:
        tally: The counts.
        together: Co-occurrence of its emotion keywords, if it has any.
        statistics: What `make_statistics` made of both.

    Returns:
        PNG bytes by file name; the same bytes for the same counts.
    """
    figures: dict[str, Figure] = {}
    if tally.keywords and tally.together is not None:
        figures["keyword_frequency.png"] = _keyword_frequency(tally)
    if per_image(tally, "emotion_keywords"):
        figures["keywords_per_image.png"] = _keywords_per_image(tally)
    if together is not None and len(together.names) > 1:
        if len(together.names) > _NAMED_KEYWORDS:
            figures["co_occurrence.png"] = _co_occurrence(together)
        figures["co_occurrence_top.png"] = _co_occurrence_top(together)
    if statistics.get("agreement", {}).get("images"):
        figures["agreement.png"] = _agreement(tally, statistics)
    return {name: _png(figure) for name, figure in figures.items()}


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()


def short(name: str, most: int = 22) -> str:
    """Cut a name to what a figure has room for.

    Args:
        name: A keyword; anything a stranger could write.
        most: Characters.

    Returns:
        The name without what no font can draw, cut with an ellipsis.
    """
    name = "".join(letter if letter.isprintable() else "?" for letter in name[: most + 1])
    return name if len(name) <= most else name[: most - 1] + "…"


def _axes(figure: Figure, place: Any, title: str, x: str, y: str) -> Axes:
    axes: Axes = figure.add_subplot(place)
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _thousands(axes: Axes, axis: str) -> None:
    getattr(axes, f"{axis}axis").set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}")
    )


def _legend_below(axes: Axes, columns: int) -> None:
    """Put the legend where no curve and no bar of any data set can cross it."""
    axes.legend(
        frameon=False,
        fontsize=9,
        ncols=columns,
        columnspacing=1,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
    )


def _name_ticks(axis_setter: Callable[..., Any], names: list[str], **style: Any) -> None:
    # A dollar sign in a keyword is no formula.
    axis_setter(range(len(names)), [short(name) for name in names], parse_math=False, **style)


def _keyword_frequency(tally: Tally) -> Figure:
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 1))
    frequency = emotion_frequency(tally)
    ranks = _axes(figure, grid[0], "Keywords by rank", "rank", "images with the keyword")
    everything = sorted(tally.keywords.values(), reverse=True)
    emotional = [count for count in frequency.values() if count]
    for counts, colour, label in (
        (everything, _GREY, f"all {len(everything):,} keywords"),
        (emotional, _RED, f"{len(emotional):,} emotion keywords"),
    ):
        if counts:
            ranks.loglog(np.arange(1, len(counts) + 1), counts, color=colour, lw=2, label=label)
    ranks.legend(frameon=False)
    ranks.grid(alpha=0.3)
    for axis in ("x", "y"):
        _thousands(ranks, axis)
    top = list(frequency.items())[:_TOP_BARS]
    title = f"The {len(top)} most frequent emotion keywords"
    bars = _axes(figure, grid[1], title, "images with the keyword", "")
    bars.barh(range(len(top)), [count for _, count in top], color=_RED)
    _name_ticks(bars.set_yticks, [name for name, _ in top], fontsize=9)
    bars.invert_yaxis()
    bars.margins(y=0.01)
    _thousands(bars, "x")
    bars.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure


def _keywords_per_image(tally: Tally) -> Figure:
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    grid = figure.add_gridspec(1, 2)
    for place, column, title in (
        (0, "emotion_keywords", "Label cardinality: emotion keywords per image"),
        (1, "keywords", "All keywords per image"),
    ):
        axes = _axes(figure, grid[place], title, "keywords of an image", "share of the split")
        histograms = per_image(tally, column)
        everything = histograms.pop("all", Histogram())
        for name, histogram in histograms.items():
            if histogram.total:
                _steps(axes, histogram, everything, name)
        paper = PAPER[f"{column}_per_image"]
        label = f"paper's mean ({paper})"
        axes.axvline(paper, color="black", ls=":", lw=1.5, label=label)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend_below(axes, 2)
    return figure


def _steps(axes: Axes, histogram: Histogram, everything: Histogram, split: str) -> None:
    """One split's histogram, on the axis that holds all but the longest lists of all splits."""
    last = everything.quantile(0.999) or 0
    width = max(1, round(last / 30))
    edges = np.arange(0, last + width + 1, width) - 0.5
    shares = [
        sum(histogram.counts[number] for number in range(start, start + width)) / histogram.total
        for start in range(0, (len(edges) - 1) * width, width)
    ]
    label = f"{split}: mean {histogram.mean:.2f}, median {histogram.quantile(0.5)}"
    colour = _SPLITS.get(split, _GREY)
    axes.stairs(shares, edges, baseline=None, color=colour, lw=1.8, label=label)
    if width > 1:
        axes.set_ylabel(f"share of the split, in steps of {width}")


def _heat_map(figure: Figure, together: CoOccurrence, title: str) -> Axes:
    axes: Axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    values = np.ma.array(
        np.clip(together.npmi, 0, None), mask=np.eye(len(together.names), dtype=bool)
    )
    top = max(0.05, math.ceil(20 * values.max()) / 20)
    # White for independent, dark for tied: one hue, read alike by all eyes and on grey paper.
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=top, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02)
    bar.set_label("NPMI (0 and below: independent, or apart)")
    return axes


def _co_occurrence(together: CoOccurrence) -> Figure:
    figure = Figure(figsize=(9, 8), layout="constrained")
    size = len(together.names)
    title = f"Co-occurrence of the {size} emotion keywords in use, clustered"
    axes = _heat_map(figure, together.ordered(), title)
    axes.set_xlabel("emotion keyword, ordered by hierarchical clustering")
    axes.set_ylabel("the same order")
    return figure


def _co_occurrence_top(together: CoOccurrence) -> Figure:
    figure = Figure(figsize=(12, 11), layout="constrained")
    top = together.most_frequent(_NAMED_KEYWORDS).ordered()
    title = f"Co-occurrence of the {len(top.names)} most frequent emotion keywords, clustered"
    axes = _heat_map(figure, top, title)
    _name_ticks(axes.set_xticks, top.names, rotation=90, fontsize=8)
    _name_ticks(axes.set_yticks, top.names, fontsize=8)
    return figure


def _agreement(tally: Tally, statistics: Mapping[str, Any]) -> Figure:
    agreement = statistics["agreement"]
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    grid = figure.add_gridspec(1, 3)
    names = tally.classes
    votes = _axes(figure, grid[0], "Votes and labels", "share", "")
    places = np.arange(len(names))
    parts = [("votes of all workers", agreement["votes"], _BLUE, -0.2)]
    if "labels" in statistics:
        parts.append(("majority labels", statistics["labels"]["images"], _ORANGE, 0.2))
    for label, counts, colour, shift in parts:
        values = np.array([counts[name] for name in names])
        votes.barh(places + shift, values / max(1, values.sum()), 0.4, color=colour, label=label)
    _name_ticks(votes.set_yticks, names)
    votes.invert_yaxis()
    votes.xaxis.set_major_formatter(PercentFormatter(1))
    _legend_below(votes, 1)
    _agreeing(_axes(figure, grid[1], "Agreement", "workers who agree, k", "images"), tally)
    _alphas(_axes(figure, grid[2], "Krippendorff's alpha", "alpha", ""), agreement)
    return figure


def _agreeing(axes: Axes, tally: Tally) -> None:
    """Share of images on which at least k workers agree, in both readings."""
    counted = tally.votes
    if counted is None:
        return
    most = int(counted.workers.max(initial=1))
    levels = np.arange(1, most + 1)
    for values, colour, mark, label in (
        (counted.votes.max(axis=1), _BLUE, "o", "on one class"),
        (counted.same, _ORANGE, "s", "on the whole set of classes"),
    ):
        shares = [(values >= level).mean() for level in levels]
        axes.plot(levels, shares, color=colour, marker=mark, lw=2, label=f"≥ k agree {label}")
    paper = PAPER["se30k8_same_annotation_by_three_of_five"]
    axes.plot([3], [paper], "k*", ms=11, ls="none", label=f"paper: more than {paper:.0%}")
    axes.set_ylabel("share of images")
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    _legend_below(axes, 1)


def _alphas(axes: Axes, agreement: Mapping[str, Any]) -> None:
    alphas = agreement["krippendorff_alpha"]
    values = [0 if alpha is None else alpha for alpha in alphas.values()]
    axes.barh(range(len(values)), values, color=_BLUE)
    names = [name if alpha is not None else f"{name} (none)" for name, alpha in alphas.items()]
    _name_ticks(axes.set_yticks, names)
    pooled = agreement["krippendorff_alpha_pooled"]
    if pooled is not None:
        axes.axvline(pooled, color=_RED, ls="--", lw=1.5, label=f"all classes pooled: {pooled:.2f}")
        _legend_below(axes, 1)
    axes.invert_yaxis()
    axes.set_xlim(min(0, *values), 1)
