"""From the marks of an audit to the weak labels' error rate (Wei et al. 2020, section 3.2)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotionnet_hf.data.audit import MARKS_FORMAT, Sample

PAPER: Mapping[str, Any] = {
    "source": "Wei et al., CVPR 2020, section 3.2",
    "error_rate": 0.15,
    "images": 1000,
}
"""The paper's "around 15%", without an interval."""

_MARKS = ("correct", "wrong", "unsure", None)
_Z95 = 1.959963984540054
_WORST = 20


class MarksError(ValueError):
    """A file that holds no marks, or the marks of another sheet."""


@dataclass(frozen=True)
class MarkedImage:
    """One image of a sheet.

    Attributes:
        image_id: Its id.
        marks: Each emotion keyword with its mark: "correct", "wrong", "unsure", or None where it
            was not looked at.
    """

    image_id: str
    marks: list[tuple[str, str | None]]

    def count(self, mark: str | None) -> int:
        """Count one mark.

        Args:
            mark: The mark.

        Returns:
            Keywords that have it.
        """
        return sum(given == mark for _, given in self.marks)

    @property
    def judged(self) -> int:
        """Keywords that are correct or wrong."""
        return self.count("correct") + self.count("wrong")


@dataclass(frozen=True)
class Marks:
    """What a person marked.

    Attributes:
        sheet: Which sheet, see `Sample.sheet`.
        data_set: Name of the data set.
        seed: Of the sample.
        sample: Images asked for.
        split: The split of the sample; None for all.
        images: The images of the sheet.
    """

    sheet: str
    data_set: str
    seed: int
    sample: int
    split: str | None
    images: list[MarkedImage]


def read_marks(path: str | Path) -> Marks:
    """Read what the sheet's Save button wrote.

    Args:
        path: The JSON file.

    Returns:
        The marks.

    Raises:
        MarksError: It is no such file, or damaged.
        FileNotFoundError: There is no file.
    """
    try:
        value = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise MarksError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("format") != MARKS_FORMAT:
        raise MarksError(f"{path} holds no marks; save them with the button of the audit's sheet")
    kinds = {"sheet": str, "data_set": str, "seed": int, "sample": int, "split": str | None}
    wrong = [name for name, kind in kinds.items() if not isinstance(value.get(name), kind)]
    if wrong:
        raise MarksError(f"{path} is damaged: {', '.join(wrong)} missing or of the wrong type")
    images = value.get("images")
    if not isinstance(images, list):
        raise MarksError(f"{path} is damaged: images is not a list")
    found = [_marked_image(path, number, image) for number, image in enumerate(images)]
    return Marks(**{name: value[name] for name in kinds}, images=found)


def _marked_image(path: str | Path, number: int, value: Any) -> MarkedImage:
    try:
        marks = [(item["keyword"], item["mark"]) for item in value["keywords"]]
        image = MarkedImage(value["image_id"], marks)
    except (TypeError, KeyError, IndexError) as error:
        raise MarksError(
            f"{path} is damaged: image {number} has no image_id or no keywords with marks"
        ) from error
    texts = [image.image_id, *(keyword for keyword, _ in marks)]
    if not all(isinstance(text, str) for text in texts):
        raise MarksError(f"{path} is damaged: a name in image {number} is not text")
    # A list cannot be looked up in a tuple by hash, but it can be compared.
    strange = [mark for _, mark in marks if not any(mark == known for known in _MARKS)]
    if strange:
        raise MarksError(
            f"{path} is damaged: the mark {strange[0]!r:.40} in image {number} is none of correct, "
            "wrong, unsure and null"
        )
    return image


def check_marks(marks: Marks, sample: Sample) -> None:
    """Refuse marks that were not made on this sample.

    Args:
        marks: The marks.
        sample: The sample drawn again, with the marks' own seed, size and split.

    Raises:
        MarksError: Images or keywords differ.
    """
    drawn = {image.image_id: image.emotions for image in sample.images}
    given = {image.image_id: [keyword for keyword, _ in image.marks] for image in marks.images}
    if marks.sheet == sample.sheet and drawn == given:
        return
    other = len(set(drawn) ^ set(given)) + sum(
        drawn[key] != given[key] for key in set(drawn) & set(given)
    )
    raise MarksError(
        f"these marks were made on {marks.data_set!r} (sample of {marks.sample}, seed "
        f"{marks.seed}, split {marks.split or 'all'}); {sample.data_set!r} gives another sheet "
        f"for that, with {other} images that differ. Give the data set that was audited, as it "
        "was then"
    )


def error_rate(marks: Marks) -> dict[str, Any]:
    """Estimate how many weak labels are wrong.

    A keyword that was marked unsure, or not at all, is in no rate; the bounds tell what the unsure
    ones could do to it. Keywords of one image tend to be wrong together, so the plain Wilson
    interval is too narrow; the second interval takes the images as what was drawn at random, and
    divides the number of keywords by the design effect.

    Args:
        marks: The marks.

    Returns:
        Plain values for JSON: counts, `error_rate` with its intervals and bounds, the same for
        images, the worst keywords, and the paper's number.

    Raises:
        MarksError: No keyword was marked as correct or wrong.
    """
    judged = [image for image in marks.images if image.judged]
    wrong = sum(image.count("wrong") for image in judged)
    total = sum(image.judged for image in judged)
    if not total:
        raise MarksError("no keyword is marked as correct or wrong: nothing to estimate from")
    unsure = sum(image.count("unsure") for image in marks.images)
    effect = design_effect([(image.count("wrong"), image.judged) for image in judged])
    return {
        "data_set": marks.data_set,
        "seed": marks.seed,
        "sample": marks.sample,
        "split": marks.split,
        "images": {"on_the_sheet": len(marks.images), "judged": len(judged)},
        "keywords": {
            "on_the_sheet": sum(len(image.marks) for image in marks.images),
            "correct": total - wrong,
            "wrong": wrong,
            "unsure": unsure,
            "not_marked": sum(image.count(None) for image in marks.images),
        },
        "error_rate": {
            "rate": _rounded(wrong / total),
            "wilson_95": _interval(wrong, total),
            "design_effect": _rounded(effect),
            "wilson_95_by_image": _interval(wrong / effect, total / effect),
            "if_unsure_are_correct": _rounded(wrong / (total + unsure)),
            "if_unsure_are_wrong": _rounded((wrong + unsure) / (total + unsure)),
        },
        "images_with_a_wrong_keyword": _per_image(marks.images),
        "worst_keywords": _worst(judged),
        "paper": dict(PAPER),
    }


def wilson_interval(wrong: float, total: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927).

    Args:
        wrong: Successes; not whole after division by a design effect.
        total: Trials, more than 0.

    Returns:
        The interval's ends, inside 0 .. 1.

    >>> tuple(round(end, 4) for end in wilson_interval(15, 100))
    (0.0931, 0.2328)
    """
    share, square = wrong / total, _Z95**2
    middle = (share + square / (2 * total)) / (1 + square / total)
    spread = share * (1 - share) / total + square / (4 * total**2)
    half = _Z95 / (1 + square / total) * math.sqrt(spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def design_effect(images: Sequence[tuple[int, int]]) -> float:
    """How many keywords count as one, because keywords of one image are not independent.

    The variance of the rate over images (the linearised variance of a ratio, Cochran 1977, section
    6.4) divided by that of as many independent keywords; not below 1. Where it cannot be estimated
    (one image, or all keywords alike), an image counts as one keyword.

    Args:
        images: Wrong and judged keywords of each image, all with at least one judged.

    Returns:
        The design effect.
    """
    count = len(images)
    wrong, total = (sum(image[i] for image in images) for i in (0, 1))
    rate = wrong / total
    if count < 2 or not 0 < rate < 1:
        return total / count
    squares = sum((bad - rate * judged) ** 2 for bad, judged in images)
    variance = count / (count - 1) * squares / total**2
    return max(1.0, variance * total / (rate * (1 - rate)))


def _per_image(images: Sequence[MarkedImage]) -> dict[str, Any]:
    """Share of images with a wrong keyword, among those of which every keyword is marked."""
    finished = [image for image in images if image.marks and not image.count(None)]
    bad = sum(image.count("wrong") > 0 for image in finished)
    return {
        "images": bad,
        "of_finished_images": len(finished),
        "rate": _rounded(bad / len(finished)) if finished else None,
        "wilson_95": _interval(bad, len(finished)) if finished else None,
    }


def _worst(images: Sequence[MarkedImage]) -> list[dict[str, Any]]:
    """Keywords by the lower end of their interval: one wrong out of one is not the worst."""
    tallies: dict[str, list[int]] = {}
    for keyword, mark in _all_marks(images):
        tally = tallies.setdefault(keyword, [0, 0])
        tally[0] += mark == "wrong"
        tally[1] += mark in ("correct", "wrong")
    rows: list[dict[str, Any]] = [
        {
            "keyword": keyword,
            "wrong": wrong,
            "judged": judged,
            "rate": _rounded(wrong / judged),
            "wilson_95": _interval(wrong, judged),
        }
        for keyword, (wrong, judged) in sorted(tallies.items())
        if wrong
    ]
    return sorted(rows, key=lambda row: -row["wilson_95"][0])[:_WORST]


def _all_marks(images: Sequence[MarkedImage]) -> Iterator[tuple[str, str | None]]:
    for image in images:
        yield from image.marks


def _interval(wrong: float, total: float) -> list[float]:
    return [_rounded(end) for end in wilson_interval(wrong, total)]


def _rounded(value: float) -> float:
    return round(float(value), 6)


def summary(result: Mapping[str, Any]) -> str:
    """Tell the result in a few lines for people.

    Args:
        result: What `error_rate` returned.

    Returns:
        The text.
    """
    keywords, rate, images = (
        result[name] for name in ("keywords", "error_rate", "images_with_a_wrong_keyword")
    )
    judged = keywords["correct"] + keywords["wrong"]
    by_image = " to ".join(f"{end:.1%}" for end in rate["wilson_95_by_image"])
    plain = " to ".join(f"{end:.1%}" for end in rate["wilson_95"])
    lines = [
        f"{rate['rate']:.1%} of the emotion keywords are wrong ({keywords['wrong']:,} of "
        f"{judged:,} on {result['images']['judged']:,} images); paper: about "
        f"{PAPER['error_rate']:.0%}",
        f"95 % interval: {by_image}, because keywords of one image tend to be wrong together; "
        f"{plain} if they did not",
        f"{keywords['unsure']:,} unsure (all correct: {rate['if_unsure_are_correct']:.1%}, all "
        f"wrong: {rate['if_unsure_are_wrong']:.1%}), {keywords['not_marked']:,} not marked",
    ]
    if images["rate"] is not None:
        lines.append(
            f"{images['rate']:.1%} of the {images['of_finished_images']:,} finished images have a "
            "wrong keyword"
        )
    if result["worst_keywords"]:
        worst = (
            f"{row['keyword']:.40} ({row['wrong']} of {row['judged']})"
            for row in result["worst_keywords"][:5]
        )
        lines.append(f"most often wrong: {', '.join(worst)}")
    return "\n".join(lines)
