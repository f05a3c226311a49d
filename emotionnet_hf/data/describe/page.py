"""Describing a built data set: `statistics.json`, its figures, and a page that shows both.

STATS_DIR/
    statistics.json        every number, the paper's beside them
    statistics.md          numbers and figures for people
    co_occurrence.parquet  every pair of emotion keywords that some image has
    *.png                  the figures
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.describe.co_occurrence import OFTEN, CoOccurrence
from emotionnet_hf.data.describe.counting import tally_dataset
from emotionnet_hf.data.describe.figures import draw_figures, short
from emotionnet_hf.data.describe.statistics import PAPER, make_statistics
from emotionnet_hf.files import whole_file, write_json, write_text
from emotionnet_hf.lock import one_run

_LISTED = 15
_CAPTIONS = {
    "keyword_frequency.png": "How often keywords are used.",
    "keywords_per_image.png": "Keywords per image and split.",
    "co_occurrence.png": "Co-occurrence of all emotion keywords in use.",
    "co_occurrence_top.png": "Co-occurrence of the most frequent emotion keywords. Blocks on the "
    "diagonal are groups of keywords that stand together.",
    "agreement.png": "What the workers chose, and how far they agree.",
}


def describe_dataset(
    folder: str | Path, out: str | Path, *, progress: bool = True
) -> dict[str, Any]:
    """Count what is in a built data set and write numbers, figures and a page.

    A StockEmotion folder gives images and keywords per split, frequencies and co-occurrence (Wei
    et al. 2020, section 3.2); one with annotations of workers, SE30K8, gives their agreement too
    (section 3.3). Only small columns are read, in one pass, and the same folder gives the same
    files.

    Args:
        folder: The data set, as `emotionnet build` wrote it.
        out: Folder for the files; files of these names in it are replaced.
        progress: Show a bar.

    Returns:
        What `statistics.json` holds.

    Raises:
        BuiltFolderError: The folder is not a whole built data set.
        AnotherRunError: Another run writes into `out`.
    """
    out = Path(out)
    with one_run(out, inside=True):
        built = open_built(folder)
        tally = tally_dataset(built, progress=progress)
        together = None
        if tally.together is not None:
            images = sum(split.images for split in tally.splits.values())
            together = CoOccurrence.of(tally.emotions, tally.together, images)
        statistics = make_statistics(built.name, tally, together)
        figures = draw_figures(tally, together, statistics)
        for name, picture in figures.items():
            with whole_file(out / name) as file:
                file.write(picture)
        if together is not None:
            _write_pairs(out / "co_occurrence.parquet", together)
        write_text(out / "statistics.md", page(statistics, list(figures)))
        write_json(out / "statistics.json", statistics)
    return statistics


def _write_pairs(path: Path, together: CoOccurrence) -> None:
    """Write every pair that stands together, with what `CoOccurrence.pair` tells of it."""
    rows, columns = np.nonzero(np.triu(together.together, 1))
    both = together.together[rows, columns]
    single = together.together.diagonal()
    names = pa.array(together.names, pa.string())
    table = {
        "a": names.take(pa.array(rows)),
        "b": names.take(pa.array(columns)),
        "images": both,
        "npmi": together.npmi[rows, columns],
        "jaccard": both / (single[rows] + single[columns] - both),
        "b_given_a": both / single[rows],
        "a_given_b": both / single[columns],
    }
    with whole_file(path) as file:
        pq.write_table(pa.table(table), file)


def page(statistics: Mapping[str, Any], figures: Sequence[str]) -> str:
    """Write the page.

    Args:
        statistics: What `make_statistics` made.
        figures: Names of the figures that lie beside it.

    Returns:
        Markdown.
    """
    parts = [f"# Statistics of {_cell(statistics['data_set'])}", _splits(statistics)]
    if "keywords" in statistics:
        parts.append(_keywords(statistics))
    parts += [
        _figure(name, figures) for name in ("keyword_frequency.png", "keywords_per_image.png")
    ]
    if "co_occurrence" in statistics:
        parts += [_co_occurrence(statistics["co_occurrence"])]
        parts += [_figure(name, figures) for name in ("co_occurrence.png", "co_occurrence_top.png")]
    if "people" in statistics or "faces" in statistics:
        parts.append(_people(statistics))
    if statistics.get("agreement", {}).get("images"):
        parts += [_agreement(statistics), _figure("agreement.png", figures)]
    parts.append(f"The paper's numbers are from {PAPER['source']}. `statistics.json` has them all.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _figure(name: str, figures: Sequence[str]) -> str:
    return f"![{_CAPTIONS[name]}]({name})\n\n*{_CAPTIONS[name]}*" if name in figures else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    align = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, align, *rows))


def _cell(text: str) -> str:
    """Make a stranger's text plain text in Markdown, and short."""
    return re.sub(r"([\\`*_\[\]()<>|~$#&!])", r"\\\1", short(text, 60))


def _number(value: float | None, form: str = ",.2f") -> str:
    return "-" if value is None else format(value, form)


def _splits(statistics: Mapping[str, Any]) -> str:
    rows = []
    for name, split in statistics["splits"].items():
        all_images = PAPER["images"] if name == "all" else PAPER["images_per_split"].get(name)
        row = [_cell(name), f"{split['images']:,}", _number(all_images, ",")]
        for column in ("keywords_per_image", "emotion_keywords_per_image"):
            part = split.get(column)
            row += [_number(part and part["mean"]), _number(part and part["median"], ",")]
            row += [_number(PAPER[column]) if name == "all" else "-"]
        rows.append(row)
    head = ["split", "images", "paper"]
    head += [
        "keywords per image",
        "median",
        "paper",
        "emotion keywords per image",
        "median",
        "paper",
    ]
    return _table(head, rows)


def _keywords(statistics: Mapping[str, Any]) -> str:
    keywords = statistics["keywords"]
    text = (
        f"{keywords['distinct']:,} different keywords, {keywords['used_once']:,} of them on one "
        "image only."
    )
    if "emotion_keywords" in statistics:
        emotions = statistics["emotion_keywords"]
        never = emotions["never_used"]
        text += (
            f" Of the {emotions['vocabulary_size']:,} emotion keywords (paper: "
            f"{PAPER['emotion_vocabulary_size']}), {len(never):,} are on no image"
        )
        more = ", ..." if len(never) > _LISTED else ""
        text += f" ({', '.join(map(_cell, never[:_LISTED]))}{more})." if never else "."
    return f"## Keywords\n\n{text}"


def _co_occurrence(numbers: Mapping[str, Any]) -> str:
    often, never = (_number(numbers[key], ".1%") for key in ("often", "never_together"))
    near = _number(numbers["testable_pairs_near_independence"], ".0%")
    text = (
        f"Of the {numbers['pairs']:,} pairs of emotion keywords in use, {often} co-occur often "
        f"(normalised pointwise mutual information, NPMI, above {OFTEN}) and {never} never stand "
        f"on one image. Of the {numbers['testable_pairs']:,} pairs of which chance alone would put "
        f"five images or more together, {near} are near independence (NPMI between -0.1 and 0.1). "
        'The paper, without a number: "only a small portion of the keywords co-occur frequently. '
        'Most of the 690 categories are independent of each other."'
    )
    strongest = [
        [f"{_cell(pair['a'])}, {_cell(pair['b'])}", f"{pair['images']:,}", f"{pair['npmi']:.2f}"]
        + [f"{pair[key]:.2f}" for key in ("jaccard", "b_given_a", "a_given_b")]
        for pair in numbers["strongest"][:_LISTED]
    ]
    head = ["a, b", "images", "NPMI", "Jaccard", "P(b given a)", "P(a given b)"]
    least = numbers["min_images_of_listed_pairs"]
    table = f"The strongest pairs on at least {least:,} images:\n\n{_table(head, strongest)}"
    return f"## Co-occurrence\n\n{text}\n\n{table if strongest else ''}".rstrip()


def _people(statistics: Mapping[str, Any]) -> str:
    rows = []
    for column, key, paper in (
        ("people", "any", "images_with_people"),
        ("faces", "any", None),
        ("faces", "one", "images_with_one_clear_face"),
    ):
        if column not in statistics:
            continue
        seen = statistics[column]
        ours = f"{seen[f'images_with_{key}']:,} ({_number(seen[f'share_with_{key}'], '.1%')})"
        share = "-" if paper is None else f"{PAPER[paper]:,} ({PAPER[paper] / PAPER['images']:.1%})"
        what = f"{key} {column if key == 'any' else 'face'}"
        rows.append([f"images with {what}", ours, f"{seen['known']:,}", share])
    head = ["", "images", "of those counted", "paper"]
    return f"## People and faces\n\n{_table(head, rows)}"


def _agreement(statistics: Mapping[str, Any]) -> str:
    agreement = statistics["agreement"]
    same, one = (
        _number(agreement[f"share_with_{key}_chosen_by_three"], ".1%")
        for key in ("the_same_classes", "a_class")
    )
    paper = f"{PAPER['se30k8_same_annotation_by_three_of_five']:.0%}"
    workers = ", ".join(f"{n} ({images:,})" for n, images in agreement["workers_per_image"].items())
    labels = statistics.get("labels", {}).get("images", {})
    alphas = agreement["krippendorff_alpha"]
    rows = [
        [_cell(name), f"{votes:,}", _number(labels.get(name), ","), _number(alphas[name], ".3f")]
        for name, votes in agreement["votes"].items()
    ]
    mean, pooled = (agreement[f"krippendorff_alpha_{key}"] for key in ("mean_of_classes", "pooled"))
    rows.append(["mean of the classes", "", "", _number(mean, ".3f")])
    rows.append(["all classes pooled", "", "", _number(pooled, ".3f")])
    return (
        f"## Agreement of the workers\n\nAt least three workers chose the same class on {one} of "
        f"the images, and the very same set of classes on {same}; the paper says that more than "
        f'{paper} "had the same annotation by at least three annotators", which can mean either. '
        f"Workers per image, with the images: {workers}.\n\n"
        + _table(["class", "votes", "labels", "alpha"], rows)
    )
