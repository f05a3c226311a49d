"""Looking at labels by hand: a reproducible sample of a data set as one offline page.

Wei et al. 2020 (section 3.2) had 1,000 random images checked by colleagues and found about 15 % of
the weak labels wrong. The page shows the images of such a sample with their emotion keywords, each
to be marked as correct, wrong or unsure, and saves the marks as JSON; `error_rate` makes a number
of them.

An image is in the sample when its hash is among the smallest, so that the sample is the same
whatever the order and the shards, a smaller sample is the beginning of a larger one, and the first
part of a sheet is itself a random sample for whoever stops early.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import html
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from emotionnet_hf.data.built_folder import BuiltFolder, BuiltFolderError, RowPlace, open_built
from emotionnet_hf.files import whole_file
from emotionnet_hf.loading.images import ImageError, open_image
from emotionnet_hf.lock import one_run

logger = logging.getLogger(__name__)

MARKS_FORMAT = "emotionnet-audit-marks-1"
"""What a file of marks says it is."""

# A thumbnail's shorter side in pixels; the longer side of a panorama ends at four times that.
_SIDE = 256
_TEMPLATE = Path(__file__).with_name("audit.html")


@dataclass(frozen=True)
class SampledImage:
    """One image to look at.

    Attributes:
        image_id: Its id.
        place: Where its row is.
        emotions: Its emotion keywords, to be marked.
        others: Its other keywords, for context.
    """

    image_id: str
    place: RowPlace
    emotions: list[str]
    others: list[str]


@dataclass(frozen=True)
class Sample:
    """A random sample of a data set.

    Attributes:
        data_set: The data set's name.
        seed: Of the sample.
        size: How many images were asked for; a small data set has fewer.
        split: The split they are from; None for all.
        images: The images, in random order.
    """

    data_set: str
    seed: int
    size: int
    split: str | None
    images: list[SampledImage]

    @property
    def sheet(self) -> str:
        """What tells this sample from all others: a hash of the images and their keywords."""
        rows = [[image.image_id, image.emotions] for image in self.images]
        text = json.dumps([self.seed, self.size, self.split, rows])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class SheetReport:
    """What is on a sheet.

    Attributes:
        images: Images on it.
        keywords: Emotion keywords to be marked.
        unreadable: Images whose picture cannot be shown.
        num_bytes: Size of the file.
    """

    images: int
    keywords: int
    unreadable: int
    num_bytes: int


def draw_sample(
    folder: str | Path, *, size: int = 1000, seed: int = 0, split: str | None = None
) -> Sample:
    """Draw a sample; the same images come again for the same seed, whatever the shards.

    Args:
        folder: A data set, as `emotionnet build` wrote it.
        size: Number of images; all of a data set that has fewer.
        seed: Another seed gives another sample.
        split: Draw from one split only.

    Returns:
        The sample, without pictures.

    Raises:
        ValueError: `size` is below 1.
        BuiltFolderError: The folder is not a whole built data set, or has no such split or no row.
    """
    if size < 1:
        raise ValueError(f"a sample of {size} images is none; size has to be at least 1")
    built = open_built(folder)
    chosen = heapq.nsmallest(size, _ranked(built, seed, split))
    if not chosen:
        raise BuiltFolderError(f"{built.folder} has no images to draw from")
    if len(chosen) < size:
        logger.warning("%s has %d images only; the sample is all of it", built.name, len(chosen))
    images = _described(built, [place for _, _, place in chosen])
    return Sample(built.name, seed, size, split, images)


def _ranked(
    built: BuiltFolder, seed: int, split: str | None
) -> Iterator[tuple[bytes, str, RowPlace]]:
    for _, place, batch in built.batches(["image_id"], split=split):
        for i, image_id in enumerate(batch.column("image_id").to_pylist()):
            # Another `person` than that of the splits' hash (none): with the same one, the
            # smallest hashes of a seed would all be images of the test split.
            digest = hashlib.blake2b(
                f"{seed}\0{image_id}".encode(), digest_size=8, person=b"audit"
            ).digest()
            yield digest, str(image_id), RowPlace(place.file, place.row + i)


def _described(built: BuiltFolder, places: list[RowPlace]) -> list[SampledImage]:
    names = built.class_names("emotion_keywords")
    found = {}
    for place, row in built.rows(places, ["image_id", "keywords", "emotion_keywords"]):
        emotions = [names[index] for index in row["emotion_keywords"] or []]
        others = [word for word in row["keywords"] or [] if word and word not in emotions]
        found[place] = SampledImage(str(row["image_id"]), place, emotions, others)
    return [found[place] for place in places]


def write_sheet(
    folder: str | Path, sample: Sample, out: str | Path, *, progress: bool = True
) -> SheetReport:
    """Write a sample as one HTML file that works offline.

    The pictures are in it as small JPEGs (about 20 KB each), and nothing is loaded from anywhere.

    Args:
        folder: The data set that the sample was drawn from.
        sample: The sample.
        out: The HTML file; replaced if it exists.
        progress: Show a bar.

    Returns:
        What is on the sheet.

    Raises:
        BuiltFolderError: The folder is not a whole built data set.
        AnotherRunError: Another run writes `out`.
    """
    out = Path(out)
    with one_run(out):
        built = open_built(folder)
        order = {image.place: number for number, image in enumerate(sample.images)}
        before, after = _page(sample)
        unreadable = 0
        rows = built.rows(order, ["image"])
        bar = tqdm(rows, total=len(order), desc="pictures", unit="image", disable=not progress)
        with whole_file(out) as file:
            file.write(before.encode())
            for place, row in bar:
                picture, reason = _picture(row["image"])
                unreadable += reason is not None
                text = _script({"picture": picture, "reason": reason}, f"picture-{order[place]}")
                file.write(text.encode())
            file.write(after.encode())
    if unreadable:
        logger.warning("%d pictures cannot be shown; the sheet says why", unreadable)
    keywords = sum(len(image.emotions) for image in sample.images)
    return SheetReport(len(order), keywords, unreadable, out.stat().st_size)


def _page(sample: Sample) -> tuple[str, str]:
    """What stands before the pictures, and what behind them."""
    data = {
        "format": MARKS_FORMAT,
        "sheet": sample.sheet,
        "data_set": sample.data_set,
        "seed": sample.seed,
        "sample": sample.size,
        "split": sample.split,
        "images": [
            {"image_id": image.image_id, "emotions": image.emotions, "others": image.others}
            for image in sample.images
        ],
    }
    template = _TEMPLATE.read_text(encoding="utf-8")
    before, after = template.split("<!-- the sample -->\n")
    before = before.replace("{title}", html.escape(sample.data_set))
    return before + _script(data, "sample"), after


def _script(value: Any, name: str) -> str:
    """JSON inside a page: without the characters by which a stranger's text could end it."""
    text = json.dumps(value, ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


def _picture(stored: dict[str, Any] | None) -> tuple[str | None, str | None]:
    """A small JPEG in base64, or the reason why there is none."""
    try:
        image = open_image((stored or {}).get("bytes") or b"")
    except ImageError as error:
        return None, str(error)
    scale = min(1, _SIDE / min(image.size), 4 * _SIDE / max(image.size))
    if scale < 1:
        width, height = (max(1, round(length * scale)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode(), None
