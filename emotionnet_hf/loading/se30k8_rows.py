"""The rows of the SE30K8 release.

One pickle, a dict of stock id -> {`image_emotion`: five lists of class names, one a worker,
`image_url`, `work_ids`, `tags`, `emotion_tags`, `keys`, `re_path`}. `work_ids` are personal data
and are never read.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .normal_form import KeywordError, brief, normalize_keyword, parse_keywords
from .release import (
    Rejected,
    ReleaseError,
    ReleaseNotFoundError,
    RowError,
    find_pickles,
    inside,
    is_vocabulary,
    pair,
    read_vocabularies,
    stock_id,
)
from .safe_pickle import iterate_plain_pickle

CLASSES = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "neutral",
    "sadness",
    "surprise(negative)",
    "surprise(positive)",
)
"""The eight classes in the order of the release (section 3.3)."""

WORKERS = 5
MAJORITY = 3
SPLITS = ("train", "validation", "test", "no_majority")
# Section 5.2: 22 K train, 3 K validation, 5 K test.
_SHARES = {"test": 5 / 30, "validation": 3 / 30}


class SE30K8Row(NamedTuple):
    """One annotated image.

    Attributes:
        row: Position in the release, from 0.
        relative_path: Path in the whole of StockEmotion; empty where the release has none.
        cid: Stock id.
        keywords: In normal form; emotion keywords that the tags lack stand at the end.
        emotion_keywords: The emotion keywords among them.
        annotations: Class ids, one list a worker, each class once, in the worker's order.
        label: The most voted class, -1 where it has fewer than three votes.
        url: Where the picture came from, if known.
    """

    row: int
    relative_path: str
    cid: int
    keywords: list[str]
    emotion_keywords: list[str]
    annotations: list[list[int]]
    label: int
    url: str | None

    @property
    def votes(self) -> list[float]:
        """Soft target: votes of each class / all votes, 8 floats that sum to 1."""
        counts = Counter(index for worker in self.annotations for index in worker)
        return [counts[index] / counts.total() for index in range(len(CLASSES))]


class SE30K8Release:
    """The SE30K8 release in a folder.

    Args:
        folder: With one pickle of annotations, and `etag2idx.pkl` where the emotion keywords
            shall have the ids of StockEmotion; otherwise those that occur are numbered.
        workers: Rows that another number of workers annotated cannot be used; None takes all.

    Attributes:
        path: The annotations.
        emotions: The emotion keywords in the order of their ids, in normal form.

    Raises:
        ReleaseNotFoundError: There is no folder, or no annotations in it.
        ReleaseError: There are two pickles of annotations.
        UnsafePickleError: A pickle asks to import or call something.
        CorruptPickleError: A pickle is cut off or damaged.
    """

    def __init__(self, folder: str | Path, workers: int | None = WORKERS) -> None:
        self.folder, self.workers = Path(folder), workers
        self.path = _annotations(folder)
        self.emotions = self._emotions()
        self._known = set(self.emotions)

    def rows(self) -> Iterator[SE30K8Row | Rejected]:
        """Rows in the order of the release; each, or why it cannot be used."""
        seen: set[int] = set()
        for number, item in enumerate(iterate_plain_pickle(self.path)):
            try:
                row = self._row(number, item)
                if row.cid in seen:
                    raise RowError(f"stock id given before: {row.cid}")
                seen.add(row.cid)
            except (RowError, KeywordError) as error:
                name = item[0] if isinstance(item, (list, tuple)) and item else item
                yield Rejected(number, brief(name), f"{error} ({self.path.name})")
                continue
            yield row

    def _emotions(self) -> tuple[str, ...]:
        try:
            return tuple(map(normalize_keyword, read_vocabularies(self.folder).emotions))
        except ReleaseNotFoundError:
            found: set[str] = set()
            for item in iterate_plain_pickle(self.path):
                value = item[1] if isinstance(item, tuple) else None
                if isinstance(value, Mapping) and isinstance(value.get("emotion_tags"), list):
                    found.update(_readable(value["emotion_tags"]))
            return tuple(sorted(found))

    def _row(self, number: int, item: Any) -> SE30K8Row:
        key, value = pair(item)
        cid = stock_id(key)
        if not isinstance(value, Mapping):
            raise RowError(f"row of the wrong shape: {brief(value)}")
        annotations = _annotations_of(value.get("image_emotion"), self.workers)
        tags = parse_keywords(_list(value, "tags"))
        emotional = parse_keywords(_list(value, "emotion_tags"))
        keywords = list(dict.fromkeys([*tags, *emotional]))
        url = value.get("image_url")
        return SE30K8Row(
            row=number,
            relative_path=_path(value.get("re_path")),
            cid=cid,
            keywords=keywords,
            emotion_keywords=[name for name in keywords if name in self._known],
            annotations=annotations,
            label=majority_label(annotations),
            url=url.encode("utf-8", "replace").decode() if isinstance(url, str) and url else None,
        )


def _path(value: object) -> str:
    """Path of the picture, which the release calls of no use; empty where it is none."""
    try:
        return inside(value)
    except RowError:
        return ""


def _readable(tags: list[Any]) -> list[str]:
    """Keywords of a row that may yet be refused for one of them."""
    try:
        return parse_keywords([tag for tag in tags if isinstance(tag, str)])
    except KeywordError:
        return []


def _annotations(folder: str | Path) -> Path:
    """Find the one pickle whose values have `image_emotion`."""
    found = [path for path in find_pickles(folder) if not is_vocabulary(path) and _is_se30k8(path)]
    if not found:
        raise ReleaseNotFoundError(
            f"{folder} has no SE30K8 annotations: a pickle of stock id -> {{image_emotion: ...}}, "
            "such as mturk_annotations_240.pkl.keep of the authors' repository"
        )
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise ReleaseError(f"{folder} has the SE30K8 annotations {names}; keep one of them")
    return found[0]


def _is_se30k8(path: Path) -> bool:
    first = next(iterate_plain_pickle(path), None)
    return (
        isinstance(first, tuple) and isinstance(first[1], Mapping) and "image_emotion" in first[1]
    )


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    entry = value.get(name)
    if not isinstance(entry, (list, tuple)):
        raise RowError(f"{name} of the wrong type: {brief(entry)}, not a list")
    return list(entry)


def _annotations_of(value: object, workers: int | None) -> list[list[int]]:
    """Class ids of each worker; a class counts once a worker, however often it is given."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, (list, tuple)) for v in value):
        raise RowError(f"image_emotion of the wrong type: {brief(value)}, not lists of classes")
    if workers is not None and len(value) != workers:
        raise RowError(f"wrong number of workers: {len(value)} instead of {workers}")
    for name in (name for worker in value for name in worker):
        if name not in CLASSES:
            raise RowError(f"unknown class: {brief(name)}")
    if not any(value):
        raise RowError("no vote: no worker selected a class")
    return [list(dict.fromkeys(map(CLASSES.index, worker))) for worker in value]


def majority_label(annotations: Sequence[Sequence[int]]) -> int:
    """Single label: the most voted class when it has at least three votes (protocol of 5.2).

    Args:
        annotations: Class ids, one list a worker.

    Returns:
        The class id, -1 where no class has three votes. Of two classes with equally many votes
        the one that was met first counts, as in the published code.
    """
    votes = Counter(index for worker in annotations for index in worker)
    index, count = votes.most_common(1)[0]
    return index if count >= MAJORITY else -1


def evaluation_splits(labels: Mapping[int, int], seed: int = 0) -> dict[int, str]:
    """Split the images with a label 22 : 3 : 5, as many as the paper's 22 K, 3 K and 5 K.

    The authors' own split is not released. Ours depends on nothing but the ids, the labels' being
    there, and the seed.

    Args:
        labels: Stock id -> label, -1 for none.
        seed: Another seed gives another split.

    Returns:
        Stock id -> `train`, `validation`, `test`, or `no_majority` for those without a label.
    """
    cids = sorted(cid for cid, label in labels.items() if label >= 0)
    random.Random(seed).shuffle(cids)
    test, validation = (round(_SHARES[name] * len(cids)) for name in ("test", "validation"))
    splits = dict.fromkeys(labels, "no_majority") | dict.fromkeys(cids, "train")
    splits.update(dict.fromkeys(cids[:test], "test"))
    splits.update(dict.fromkeys(cids[test : test + validation], "validation"))
    return splits


def text_splits(cids: Sequence[int]) -> dict[int, str]:
    """Split as the published code does for the text classifier: shuffled with seed 0, 10 % test.

    Args:
        cids: Stock ids of the images with at least one keyword, in the order of the release. (The
            published code asks for a keyword of its own word list, which is not released.)

    Returns:
        Stock id -> `train` or `test`.
    """
    shuffled = list(cids)
    random.Random(0).shuffle(shuffled)
    return dict.fromkeys(shuffled, "train") | dict.fromkeys(shuffled[: len(shuffled) // 10], "test")
