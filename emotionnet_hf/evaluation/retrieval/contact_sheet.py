"""Contact sheets as in Fig. 4: a query on the left, ImageNet's neighbours above EmotionNet's."""

from __future__ import annotations

import base64
import html
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from emotionnet_hf.evaluation.retrieval.index_folder import Hit
from emotionnet_hf.evaluation.retrieval.search import Found, Searcher
from emotionnet_hf.evaluation.retrieval.words import GalleryError
from emotionnet_hf.files import whole_file, write_text
from emotionnet_hf.loading.images import ImageError, open_image

logger = logging.getLogger(__name__)

SUFFIXES = (".png", ".html")

_SIDE = 224  # pixels of a tile, cropped to a square
_WORDS = 3  # of a tile; the query has twice as many
_LETTERS = {"normal": 25, "bold": 22}  # of a line under a tile
_INK, _QUIET, _SHARED, _EMPTY = "#111827", "#6b7280", "#15803d", "#d1d5db"
_DPI, _MOST_PIXELS = 150, 2**16  # matplotlib draws no more pixels in a direction
_TILE, _CAPTION, _NAME, _GAP = 1.5, 0.44, 0.3, 0.35  # inches
_QUERY = 2 * _TILE - 0.1  # side of the query's picture; two lines of words are below it

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Nearest neighbours</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; padding: 0 1.5rem; color: #111827;
        background: #fff; max-width: 110rem; }}
h1 {{ font-size: 1.6rem; margin: 0; }} p.lead {{ color: #6b7280; margin: .2rem 0 2rem; }}
section {{ display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 1.5rem;
           padding: 1.5rem 0; border-top: 1px solid #e5e7eb; }}
figure {{ margin: 0; }} img {{ display: block; width: 100%; aspect-ratio: 1; border-radius: 8px;
        box-sizing: border-box; border: 1px solid #e5e7eb; }}
.query img {{ border: 3px solid #111827; }}
.query .words {{ display: grid; place-content: center; text-align: center; aspect-ratio: 1;
                 border: 3px solid #111827; border-radius: 8px; font-size: 1.5rem; padding: 1rem; }}
.query figcaption {{ margin-top: .5rem; }}
h2 {{ font-size: .95rem; margin: 0 0 .4rem; }} .line + .line {{ margin-top: 1rem; }}
.tiles {{ display: grid; grid-auto-flow: column; grid-auto-columns: minmax(7.5rem, 1fr);
          gap: .6rem; overflow-x: auto; padding-bottom: .4rem; }}
.tiles figcaption {{ font-size: .8rem; line-height: 1.3; margin-top: .3rem; color: #6b7280;
                     overflow-wrap: anywhere; }}
.tiles .hit img {{ border: 3px solid #15803d; }}
b {{ color: #15803d; }} .score {{ float: right; font-variant-numeric: tabular-nums; }}
@media (max-width: 45rem) {{ section {{ grid-template-columns: minmax(0, 1fr); }}
                             .query {{ max-width: 15rem; }} body {{ padding: 0 1rem; }} }}
</style></head><body>
<h1>Nearest neighbours</h1>
<p class="lead">{lead}</p>
{body}
</body></html>
"""


class SheetError(ValueError):
    """A sheet that cannot be drawn; the message says why."""


@dataclass(frozen=True)
class _Tile:
    """A neighbour: its picture, its words, those that the query has too, and its cosine."""

    picture: Image.Image
    words: Sequence[str]
    shared: Sequence[str]
    score: float


@dataclass(frozen=True)
class _Block:
    """A query and a line of neighbours for each model."""

    title: str
    words: Sequence[str]
    picture: Image.Image | None
    lines: Sequence[tuple[str, Sequence[_Tile]]]


def write_sheet(
    path: str | Path, searchers: Sequence[Searcher], found: Sequence[Sequence[Found]]
) -> None:
    """Draw what queries found, whole or not at all.

    Under a neighbour stand its emotion keywords, or what else its data set has for labels (its
    keywords, if nothing); those that the query has too are green and come first.

    Args:
        path: A file `.png`, or `.html`, which holds its pictures.
        searchers: Of one index or several over one data set, from top to bottom.
        found: For each query what each of them found.

    Raises:
        SheetError: Another suffix, or there is no query.
        GalleryError: The pictures are not where they were; a single one that is gone leaves its
            tile empty.
    """
    path = Path(path)
    check_sheet(path)
    if not found:
        raise SheetError("there is no query to draw")
    blocks = [_block(searchers, answers) for answers in found]
    if path.suffix.lower() == ".html":
        write_text(path, _html(blocks))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        _draw(blocks).savefig(file, format="png", dpi=_DPI)


def check_sheet(path: Path) -> None:
    """Refuse a file that is neither, before the search.

    Args:
        path: Of the sheet.

    Raises:
        SheetError: It ends otherwise.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SheetError(f"{path} must end in {' or '.join(SUFFIXES)}")


def _block(searchers: Sequence[Searcher], answers: Sequence[Found]) -> _Block:
    first = answers[-1]
    words = first.labels or first.keywords
    lines = [
        (_name(searcher), [_tile(searcher, hit, words) for hit in answer.hits])
        for searcher, answer in zip(searchers, answers, strict=True)
    ]
    title = Path(first.query).name if first.kind == "image" else first.query
    return _Block(title, words, _query_picture(searchers[-1], first), lines)


def _tile(searcher: Searcher, hit: Hit, words: Sequence[str]) -> _Tile:
    asked = {word.casefold() for word in words}
    # Words look for words: also among the keywords that are no labels.
    own = list(dict.fromkeys([*hit.labels, *hit.keywords] if hit.labels else hit.keywords))
    shared = [word for word in own if word.casefold() in asked]
    others = [word for word in (hit.labels or hit.keywords) if word not in shared]
    return _Tile(_picture(searcher, hit.row), others, shared, hit.score)


def _query_picture(searcher: Searcher, found: Found) -> Image.Image | None:
    if found.kind == "words":
        return None
    if found.row is not None:
        return _picture(searcher, found.row)
    return _square(open_image(Path(found.query)))


def _picture(searcher: Searcher, row: int) -> Image.Image:
    """Open the picture of a row; a grey one where this one is gone or damaged."""
    try:
        return _square(searcher.picture(row))
    except (GalleryError, ImageError) as error:
        if not searcher.has_pictures:
            raise
        logger.warning("a tile stays empty: %s", error)
        return Image.new("RGB", (_SIDE, _SIDE), _EMPTY)


def _square(picture: Image.Image) -> Image.Image:
    return ImageOps.fit(picture, (_SIDE, _SIDE))


def _name(searcher: Searcher) -> str:
    """Return a short name of the model of an index."""
    facts = searcher.index.facts
    name = Path(str(facts["model"]).removeprefix("timm:").partition("=")[0])
    # A training run calls each of its models that.
    short = name.parent.name if name.name == "model" and name.parent.name else name.name
    return f"EmotionNet ({short})" if facts["kind"] == "emotionnet" else short


# PNG


def _draw(blocks: Sequence[_Block]) -> Figure:
    columns = max(1, *(len(tiles) for block in blocks for _, tiles in block.lines))
    line = _NAME + _TILE + _CAPTION
    tall = [max(len(block.lines) * line, _NAME + _QUERY + 0.08 + 2 * 0.2) for block in blocks]
    left = 2 * _TILE + _GAP
    width = left + columns * (_TILE + 0.12) + 0.25
    height = sum(tall) + _GAP * len(blocks)
    if max(width, height) * _DPI >= _MOST_PIXELS:
        raise SheetError(
            f"{len(blocks)} queries with up to {columns} neighbours do not fit into one PNG; write "
            ".html, or ask for less at a time"
        )
    figure = Figure(figsize=(width, height), facecolor="white")
    top = height - _GAP / 2
    for block, block_height in zip(blocks, tall, strict=True):
        _draw_query(figure, block, top)
        for number, (name, tiles) in enumerate(block.lines):
            y = top - number * line
            _write(figure, left, y - 0.05, name, fontsize=10, fontweight="bold", color=_INK)
            for column, tile in enumerate(tiles):
                _draw_tile(figure, tile, left + column * (_TILE + 0.12), y - _NAME)
        top -= block_height + _GAP
    return figure


def _draw_query(figure: Figure, block: _Block, top: float) -> None:
    axes = _axes(figure, 0.2, top - _NAME, _QUERY, _QUERY, _INK, 2.5)
    if block.picture is not None:
        axes.imshow(block.picture)
    else:
        text = "\n".join(_cut([word], 18) for word in block.words[: 2 * _WORDS])
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=20, parse_math=False)
    _write(figure, 0.2, top - 0.05, "Query", fontsize=10, fontweight="bold", color=_INK)
    lines = [block.words[:_WORDS], block.words[_WORDS : 2 * _WORDS]]
    for number, words in enumerate(lines if block.picture and block.words else [[block.title]]):
        place = top - _NAME - _QUERY - 0.08 - 0.2 * number
        _write(figure, 0.2, place, _cut(words, 40), fontsize=10.5)


def _draw_tile(figure: Figure, tile: _Tile, x: float, y: float) -> None:
    colour, thick = (_SHARED, 2.5) if tile.shared else ("#d1d5db", 1.0)
    _axes(figure, x, y, _TILE, _TILE, colour, thick).imshow(tile.picture)
    lines = [(tile.shared, _SHARED, "bold"), (tile.words, _QUIET, "normal")]
    for number, (words, colour, weight) in enumerate([line for line in lines if line[0]]):
        place, text = y - _TILE - 0.06 - 0.16 * number, _cut(words, _LETTERS[weight])
        _write(figure, x, place, text, fontsize=8, color=colour, fontweight=weight)


def _axes(
    figure: Figure, x: float, y: float, width: float, height: float, colour: str, line: float
) -> Axes:
    """Place axes by their upper left corner, in inches."""
    whole_width, whole_height = figure.get_size_inches()
    axes = figure.add_axes(
        (x / whole_width, (y - height) / whole_height, width / whole_width, height / whole_height)
    )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=colour, linewidth=line)
    return axes


def _write(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    """Write a line of text from a place, in inches, downwards; a dollar sign is no formula."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, va="top", parse_math=False, **style)


def _cut(words: Sequence[str], most: int) -> str:
    """Join as many words as a line has room for, without what no font can draw."""
    words = ["".join(c if c.isprintable() else "?" for c in word) for word in words]
    text = ""
    for word in words:
        longer = f"{text}, {word}" if text else word
        if len(longer) > most - 3 * (word is not words[-1]):
            return f"{text}, …" if text else f"{word[: most - 1]}…"
        text = longer
    return text


# HTML


def _html(blocks: Sequence[_Block]) -> str:
    names = [name for name, _ in blocks[0].lines]
    order = f" From top to bottom: {', '.join(map(html.escape, names))}." if len(names) > 1 else ""
    lead = (
        "Left a query, right what is nearest to it by cosine, best first. Green: what a neighbour "
        f"shares with the query.{order}"
    )
    return _PAGE.format(lead=lead, body="\n".join(_section(block) for block in blocks))


def _section(block: _Block) -> str:
    words = html.escape(", ".join(block.words[: 2 * _WORDS]))
    if block.picture is None:
        query = f'<div class="words">{words}</div>'
    else:
        caption = words or html.escape(block.title)
        query = f"{_img(block.picture, block.title)}<figcaption>{caption}</figcaption>"
    lines = "".join(
        f'<div class="line"><h2>{html.escape(name)}</h2><div class="tiles">'
        f"{''.join(map(_html_tile, tiles))}</div></div>"
        for name, tiles in block.lines
    )
    return f'<section><figure class="query">{query}</figure><div>{lines}</div></section>'


def _html_tile(tile: _Tile) -> str:
    shared = "".join(f"<b>{html.escape(word)}</b> " for word in tile.shared)
    others = html.escape(", ".join(tile.words[:_WORDS]))
    caption = f'<span class="score">{tile.score:.2f}</span>{shared}{others}'
    kind = ' class="hit"' if tile.shared else ""
    alt = ", ".join([*tile.shared, *tile.words])
    return f"<figure{kind}>{_img(tile.picture, alt)}<figcaption>{caption}</figcaption></figure>"


def _img(picture: Image.Image, alt: str) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    source = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(alt)}" src="data:image/jpeg;base64,{source}">'
