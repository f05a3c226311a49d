"""Near-duplicates between the splits of a benchmark, and pictures that cannot be opened.

A test picture with a twin in train is half known to whoever trained on it, and one whose twin has
another label cannot be right twice. All pictures are opened once, each file once, and hashed
(`emotionnet_hf.phash`); hashes of different splits that differ in at most `radius` bits are twins.
Each pair counts by its own distance: there are no groups here that grow from twin to twin. Of
pictures without structure the hash says nothing; twins of those have the very same pixels.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from emotionnet_hf.data.benchmarks.benchmark import Benchmark, BenchmarkError, crop
from emotionnet_hf.data.plan import reason_kind
from emotionnet_hf.data.writing import ordered_map
from emotionnet_hf.dedup import DEFAULT_RADIUS, check_rule
from emotionnet_hf.loading.images import ImageError, open_image
from emotionnet_hf.phash import (
    has_structure,
    hashes_from_hex,
    phash,
    phash_file,
    pixel_digest,
)

_PAIRS = (("test", "train"), ("validation", "train"), ("test", "validation"))
_EXAMPLES = 10
# Distances that are looked at in one go: 32 MB, with what it takes to compute them.
_BLOCK = 2**22


@dataclass(frozen=True)
class Twin:
    """A picture and the nearest one of another split.

    Attributes:
        image_id: Of the first row that shows the picture.
        twin_id: Of the first row that shows its twin.
        distance: Bits in which their hashes differ.
        labels: What is right for the picture, over all its rows.
        twin_labels: What is right for the twin.
    """

    image_id: str
    twin_id: str
    distance: int
    labels: tuple[str, ...]
    twin_labels: tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """What two splits share.

    Attributes:
        split: The split whose pictures are counted.
        other: The split in which they have twins.
        pictures: Of `split`.
        with_twin: Those with a twin in `other`.
        with_another_label: Those of which no twin has the same labels.
        examples: Some of them, those with another label first.
    """

    split: str
    other: str
    pictures: int
    with_twin: int
    with_another_label: int
    examples: tuple[Twin, ...]


@dataclass(frozen=True)
class NearDuplicatesReport:
    """What `checked` found.

    Attributes:
        radius: Bits.
        pictures: Pictures of each split that were hashed.
        overlaps: For each pair of splits what they share.
        unreadable: Why rows were taken out, by kind of reason.
        unreadable_examples: Some of them: id and reason.
        test_twins: For train and validation the groups that show a picture of test.
    """

    radius: int
    pictures: Mapping[str, int]
    overlaps: tuple[Overlap, ...]
    unreadable: Mapping[str, int]
    unreadable_examples: tuple[tuple[str, str], ...]
    test_twins: Mapping[str, frozenset[str]] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = asdict(self)
        twins = plain.pop("test_twins")
        return plain | {f"test_twins_in_{split}": len(groups) for split, groups in twins.items()}


class _Look(NamedTuple):
    """What came of opening a picture: its hash, and its size where boxes are cut; or a fault.

    `pixels` names the pixels of a picture without structure.
    """

    phash: str = ""
    pixels: str = ""
    size: tuple[int, int] | None = None
    fault: str | None = None


@dataclass
class _Picture:
    """A picture of a split, and what the rows that show it say."""

    image_id: str
    phash: str
    pixels: str
    groups: set[str] = field(default_factory=set)
    labels: set[int] = field(default_factory=set)


def checked(
    benchmark: Benchmark,
    *,
    radius: int = DEFAULT_RADIUS,
    threads: int | None = None,
    progress: bool = True,
) -> tuple[Benchmark, NearDuplicatesReport]:
    """Open every picture of a benchmark, take out what cannot be opened, and find twins.

    Args:
        benchmark: As a reader made it.
        radius: Hashes that differ in at most so many bits are near, 0 to 16; see
            `emotionnet_hf.dedup.near_duplicates` for what 4 finds.
        threads: Threads; None for one per core.
        progress: Show a bar.

    Returns:
        The benchmark without the rows whose picture cannot be opened or whose box lies outside of
        it, which are counted in `dropped`; and what was found.

    Raises:
        DedupError: The radius is none.
        BenchmarkError: A split has no row left.
    """
    check_rule(radius, "single")
    keys, looks = _look_at_all(benchmark, threads or os.cpu_count() or 1, progress)
    kept, pictures, unreadable = {}, {}, []
    for split, dataset in benchmark.splits.items():
        seen = [looks[key] for key in keys[split]]
        faults = [_fault(look, box) for look, box in zip(seen, dataset["box"][:], strict=True)]
        rows = [row for row, fault in enumerate(faults) if fault is None]
        ids = zip(dataset["image_id"][:], faults, strict=True)
        unreadable += [(image_id, fault) for image_id, fault in ids if fault is not None]
        if not rows:
            raise BenchmarkError(f"no picture of {split} can be used: {dict(unreadable[:3])}")
        kept[split] = dataset.select(rows)
        pictures[split] = _pictures(kept[split], [keys[split][row] for row in rows], looks)
    reasons = Counter(reason_kind(fault) for _, fault in unreadable)
    report = _report(pictures, benchmark.classes, radius, reasons, unreadable[:_EXAMPLES])
    dropped = dict(Counter(benchmark.dropped) + reasons)
    return benchmark.with_splits(kept, dropped=dropped), report


def without_twins(benchmark: Benchmark, report: NearDuplicatesReport) -> Benchmark:
    """Take out of train and validation what shows a picture of test.

    Models are selected on validation, and many are trained on it in the end.

    Args:
        benchmark: What `checked` returned.
        report: What `checked` returned beside it.

    Returns:
        The benchmark; the rows are counted in `dropped`, and test is as it was.

    Raises:
        BenchmarkError: Train or validation has no row left.
    """
    splits, dropped = dict(benchmark.splits), dict(benchmark.dropped)
    for split, gone in report.test_twins.items():
        rows = [row for row, group in enumerate(splits[split]["group"][:]) if group not in gone]
        if not rows:
            raise BenchmarkError(f"every picture of {split} has a twin in test; nothing is left")
        if lost := len(splits[split]) - len(rows):
            splits[split] = splits[split].select(rows)
            dropped[f"{split}: twin of a test picture within {report.radius} bits"] = lost
    return benchmark.with_splits(splits, dropped=dropped)


def _look_at_all(
    benchmark: Benchmark, threads: int, progress: bool
) -> tuple[dict[str, list[str]], dict[str, _Look]]:
    """Open each picture once: the keys of the rows' pictures by split, and a look by key."""
    boxed = any(box is not None for data in benchmark.splits.values() for box in data["box"][:])
    keys: dict[str, list[str]] = {split: [] for split in benchmark.splits}
    total = sum(map(len, benchmark.splits.values()))
    bar = tqdm(total=total, desc="hashing", unit="row", disable=not progress)
    looks: dict[str, _Look] = {}
    with bar, ThreadPoolExecutor(threads) as pool:
        tasks = _tasks(benchmark, keys, bar)
        for key, look in ordered_map(pool, partial(_look, boxed), tasks, 4 * threads):
            looks[key] = look
    return keys, looks


def _tasks(
    benchmark: Benchmark, keys: Mapping[str, list[str]], bar: tqdm
) -> Iterator[tuple[str, bytes | Path]]:
    """Each picture at the first row that shows it; notes the key of each row on the way."""
    seen = set()
    for split, dataset in benchmark.splits.items():
        for number, row in enumerate(dataset.select_columns(["image"])):
            image = row["image"]
            # A file is known by its path; bytes belong to one row.
            key = f"{split} {number}" if image["bytes"] else str(image["path"])
            keys[split].append(key)
            bar.update()
            if key not in seen:
                seen.add(key)
                yield key, image["bytes"] or Path(image["path"])


def _look(boxed: bool, task: tuple[str, bytes | Path]) -> tuple[str, _Look]:
    key, data = task
    try:
        if boxed:
            picture = open_image(data)
            text, size = phash(picture), picture.size
        else:
            text, size = phash_file(data), None
        structured = has_structure(hashes_from_hex([text]))[0]
        return key, _Look(text, "" if structured else pixel_digest(data), size)
    except ImageError as error:
        return key, _Look(fault=str(error))


def _fault(look: _Look, box: Sequence[float] | None) -> str | None:
    """What keeps a row from being used, in the words of `open_picture`."""
    if look.fault is not None or look.size is None or box is None:
        return look.fault
    try:
        # A picture of one bit a pixel is cut for the sake of its size.
        crop(Image.new("1", look.size), box)
    except ImageError as error:
        return f"the box lies outside of the picture: {error}"
    return None


def _pictures(dataset: Dataset, keys: Sequence[str], looks: Mapping[str, _Look]) -> list[_Picture]:
    """The pictures of a split, in the order of the rows that first show them."""
    pictures: dict[str, _Picture] = {}
    columns = (dataset[name][:] for name in ("image_id", "group", "labels"))
    for key, image_id, group, labels in zip(keys, *columns, strict=True):
        look = looks[key]
        picture = pictures.setdefault(key, _Picture(image_id, look.phash, look.pixels))
        picture.groups.add(group)
        picture.labels.update(labels)
    return list(pictures.values())


def _report(
    pictures: Mapping[str, Sequence[_Picture]],
    classes: Sequence[str],
    radius: int,
    reasons: Mapping[str, int],
    examples: Sequence[tuple[str, str]],
) -> NearDuplicatesReport:
    overlaps = []
    twins: dict[str, frozenset[str]] = {}
    for split, other in _PAIRS:
        overlap, groups = _overlap(split, other, pictures, classes, radius)
        overlaps.append(overlap)
        if split == "test":
            twins[other] = frozenset(groups)
    return NearDuplicatesReport(
        radius=radius,
        pictures={split: len(found) for split, found in pictures.items()},
        overlaps=tuple(overlaps),
        unreadable=dict(reasons),
        unreadable_examples=tuple(examples),
        test_twins=twins,
    )


def _overlap(
    split: str,
    other: str,
    pictures: Mapping[str, Sequence[_Picture]],
    classes: Sequence[str],
    radius: int,
) -> tuple[Overlap, set[str]]:
    """What two splits share, and the groups of the other one that are in it."""
    own, others = pictures[split], pictures[other]
    twins, groups, differing = [], set(), []
    for place, near, distances in _near(own, others, radius):
        picture, candidates = own[place], [others[row] for row in near]
        for candidate in candidates:
            groups |= candidate.groups
        nearest = int(distances.argmin())
        twin = candidates[nearest]
        differing.append(all(candidate.labels != picture.labels for candidate in candidates))
        names = (tuple(classes[i] for i in sorted(p.labels)) for p in (picture, twin))
        twins.append(Twin(picture.image_id, twin.image_id, int(distances[nearest]), *names))
    # Those with another label first; a sort keeps the rest in order.
    order = sorted(range(len(twins)), key=lambda row: not differing[row])
    examples = tuple(twins[row] for row in order[:_EXAMPLES])
    return Overlap(split, other, len(own), len(twins), sum(differing), examples), groups


def _hashes(pictures: Sequence[_Picture]) -> np.ndarray:
    return hashes_from_hex([picture.phash for picture in pictures])


def _near(
    pictures: Sequence[_Picture], others: Sequence[_Picture], radius: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each picture that has near ones among the others: its place, theirs, the distances."""
    hashes, theirs = _hashes(pictures), _hashes(others)
    structured = has_structure(theirs)
    step = max(1, _BLOCK // len(others))
    for start in range(0, len(hashes), step):
        distances = np.bitwise_count(hashes[start : start + step, None] ^ theirs)
        close = (distances <= radius) & structured
        for row in np.flatnonzero(close.any(axis=1)):
            if not pictures[start + row].pixels:
                near = np.flatnonzero(close[row])
                yield start + int(row), near, distances[row, near]
    equal: dict[str, list[int]] = {}
    for place, other in enumerate(others):
        equal.setdefault(other.pixels, []).append(place)
    for place, picture in enumerate(pictures):
        if picture.pixels and picture.pixels in equal:
            near = np.array(equal[picture.pixels])
            yield place, near, np.zeros(len(near), np.uint8)
