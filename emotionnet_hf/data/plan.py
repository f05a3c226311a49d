"""What a build is going to write: rows checked, split and dealt to shards, before any decoding.

The plan lies on disk, one JSON-lines file a shard, so that memory holds one shard at a time and a
shard needs nothing but its own file. Its fingerprint tells whether a build that was interrupted
may go on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from tqdm.auto import tqdm

from emotionnet_hf.data.additions import Additions
from emotionnet_hf.data.sources import Record, Source
from emotionnet_hf.data.splits import assign_split
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.release import Rejected, ReleaseError
from emotionnet_hf.loading.stockemotion import SUBSETS, subset_point

QUARANTINE = "quarantine.jsonl"


class BuildError(ValueError):
    """A data set that cannot be built as asked; the message says what to change."""


@dataclass(frozen=True)
class BuildSettings:
    """All that decides what a build writes; see `build_dataset` for the meanings."""

    emotions: Vocabulary
    validation: float
    test: float
    seed: int
    subsets: bool
    all_keywords: int | None
    min_emotion_keywords: int
    max_pixels: int
    rows_per_shard: int
    shorter_side: int | None

    def arguments(self) -> dict[str, Any]:
        """Everything but the vocabulary, which the data set's features hold, for JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del values["emotions"]
        return values


@dataclass(frozen=True)
class Shard:
    """One Parquet file to be: the unit of work and of resuming.

    Attributes:
        part: Its split, or which subset of the training split it completes (see `part_of`).
        index: Its number in the part, from 0.
        total: Number of shards of the part.
        rows: Rows planned; pictures that cannot be decoded are still among them.
    """

    part: str
    index: int
    total: int
    rows: int

    @property
    def name(self) -> str:
        """Name of its files, without an ending."""
        return f"{self.part}-{self.index:05d}-of-{self.total:05d}"

    @property
    def plan_name(self) -> str:
        """Name of its file in the plan, written when the total is not yet known."""
        return f"{self.part}-{self.index:05d}.jsonl"


@dataclass(frozen=True)
class Plan:
    """A plan that lies in `folder`.

    Attributes:
        folder: Where the rows of each shard are.
        fingerprint: Equal for equal settings, versions, metadata and image files.
        rows: Planned rows of each part, in order.
        rows_per_shard: Most rows a shard gets.
        people: Some row has a number of people.
        faces: Some row has a number of faces.
    """

    folder: Path
    fingerprint: str
    rows: dict[str, int]
    rows_per_shard: int
    people: bool
    faces: bool

    def shards(self) -> Iterator[Shard]:
        """Every shard, in order."""
        for part, rows in self.rows.items():
            total = math.ceil(rows / self.rows_per_shard)
            for index in range(total):
                left = rows - index * self.rows_per_shard
                yield Shard(part, index, total, min(left, self.rows_per_shard))

    def rows_of(self, shard: Shard) -> Iterator[dict[str, Any]]:
        """Rows of a shard: the schema's columns but `image` and `phash`, `row`, `file_name`."""
        with (self.folder / shard.plan_name).open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    def quarantine(self) -> Iterator[Rejected]:
        """Rows that were refused without looking at their picture."""
        with (self.folder / QUARANTINE).open(encoding="utf-8") as lines:
            for line in lines:
                yield Rejected(**json.loads(line))


def make_plan(
    source: Source,
    settings: BuildSettings,
    folder: Path,
    *,
    additions: Additions,
    versions: dict[str, str],
    progress: bool,
) -> Plan:
    """Read a source once, check its rows, and deal them to shards.

    Args:
        source: The source.
        settings: What to build.
        folder: An empty folder for the plan's files.
        additions: What is known of the images besides the source.
        versions: Library versions, for another of which a half-done build is not continued.
        progress: Show a bar.

    Returns:
        The plan.

    Raises:
        BuildError: No row, or none with an emotion keyword, or none left.
    """
    draft = _Draft(source, settings, folder, additions, versions)
    try:
        for item in tqdm(source, desc="reading metadata", unit="row", disable=not progress):
            draft.add(item)
    finally:
        draft.close()
    draft.check()
    return Plan(
        folder=folder,
        fingerprint=draft.digest.hexdigest(),
        rows={part: draft.counts[part] for part in parts(source.splits, settings.subsets)},
        rows_per_shard=settings.rows_per_shard,
        people=draft.known["people"] > 0,
        faces=draft.known["faces"] > 0,
    )


class _Draft:
    """A plan in the making."""

    def __init__(
        self,
        source: Source,
        settings: BuildSettings,
        folder: Path,
        additions: Additions,
        versions: dict[str, str],
    ) -> None:
        self.source, self.settings, self.folder = source, settings, folder
        self.additions = additions
        self.counts: Counter[str] = Counter()
        self.known: Counter[str] = Counter()
        self.stands: dict[str, str] = {}
        self.reasons: Counter[str] = Counter()
        # Keywords seen while no emotion was met, for the message; given up at the first one.
        self.foreign: Counter[str] | None = Counter()
        self.files: dict[str, IO[str]] = {"": (folder / QUARANTINE).open("w", encoding="utf-8")}
        everything = {
            "versions": versions,
            "settings": settings.arguments(),
            "emotions": settings.emotions.names,
            "source": str(source.folder.resolve()),
        }
        self.digest = hashlib.sha256(json.dumps(everything, sort_keys=True).encode())

    def add(self, item: Record | Rejected) -> None:
        """Take one row, be it for a shard or for the quarantine."""
        if isinstance(item, Record):
            item = self._accept(item) or item
        if isinstance(item, Rejected):
            self.reasons[reason_kind(item.reason)] += 1
            self._write("", asdict(item))

    def _accept(self, record: Record) -> Rejected | None:
        settings = self.settings
        emotions = settings.emotions.encode(record.keywords)
        if emotions:
            self.foreign = None
        elif self.foreign is not None:
            self.foreign.update(record.keywords)
        file_name = record.image_path.relative_to(self.source.folder).as_posix()
        if len(emotions) < settings.min_emotion_keywords:
            reason = f"fewer than {settings.min_emotion_keywords} emotion keywords: {len(emotions)}"
            return Rejected(record.row, file_name, reason)
        keeper = self.additions.duplicates.get(record.image_id, record.image_id)
        if keeper in self.stands:
            reason = f"near-duplicate: of {self.stands[keeper]}"
            return Rejected(record.row, file_name, reason)
        try:
            row = _row(record, file_name, emotions) | self.additions.columns(record)
        except ReleaseError as error:
            return Rejected(record.row, file_name, f"no pseudo-label: {error}")
        if self.additions.duplicates:
            # Of a group the first that is usable stays, be it not the one that was to stay.
            self.stands[keeper] = record.image_id
        part = part_of(record.image_id, self._split(record), settings.subsets)
        self._open_shard(part)
        self._write(part, row)
        status = record.image_path.stat()
        self.digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
        self.known.update(people=row["people"] is not None, faces=row["faces"] is not None)
        self.counts[part] += 1
        return None

    def _split(self, record: Record) -> str:
        settings = self.settings
        return record.split or assign_split(
            record.group or record.image_id,
            validation=settings.validation,
            test=settings.test,
            seed=settings.seed,
        )

    def _open_shard(self, part: str) -> None:
        index, place = divmod(self.counts[part], self.settings.rows_per_shard)
        if place == 0:
            if part in self.files:
                self.files[part].close()
            path = self.folder / Shard(part, index, 0, 0).plan_name
            self.files[part] = path.open("w", encoding="utf-8")

    def _write(self, part: str, row: dict[str, Any]) -> None:
        line = json.dumps(row) + "\n"
        self.digest.update(part.encode() + line.encode())
        self.files[part].write(line)

    def close(self) -> None:
        """Close all files."""
        for file in self.files.values():
            file.close()

    def check(self) -> None:
        """Refuse a plan that comes to nothing."""
        if not self.counts and not self.reasons:
            raise BuildError(f"{self.source.metadata} has no rows")
        if self.foreign is not None and (self.foreign or self.counts):
            raise BuildError(self._no_emotion(self.foreign))
        if not self.counts:
            raise BuildError(f"no row of {self.source.metadata} is usable: {told(self.reasons)}")

    def _no_emotion(self, foreign: Counter[str]) -> str:
        emotions = self.settings.emotions
        common = ", ".join(repr(word) for word, _ in foreign.most_common(10)) or "none"
        return (
            f"no image of {self.source.folder} has one of the {len(emotions)} emotion keywords "
            f"({', '.join(emotions.names[:10])}, ...). Its most frequent keywords are {common}. "
            "Give a vocabulary that names the emotional ones among them (emotions=)."
        )


def _row(record: Record, file_name: str, emotions: list[int]) -> dict[str, Any]:
    return {
        "row": record.row,
        "file_name": file_name,
        "image_id": record.image_id,
        "keywords": record.keywords,
        "emotion_keywords": emotions,
        "source": record.source,
        "people": record.people,
        "faces": record.faces,
        **record.columns,
    }


def parts(splits: Sequence[str], subsets: bool) -> list[str]:
    """Parts that a data set's files are dealt to, in order: what the names of the files begin with.

    Args:
        splits: The splits.
        subsets: The training split has a part for each subset of Table 5, and one for the rest.

    Returns:
        For example `train-010`, `train-025`, ..., `train-100`, `test`. The subset of 25 percent is
        the first two of these.
    """
    steps = [f"train-{percent:03d}" for percent in (*SUBSETS, 100)]
    return [p for split in splits for p in (steps if subsets and split == "train" else [split])]


def part_of(image_id: str, split: str, subsets: bool) -> str:
    """Part that an image belongs to; see `parts`.

    Args:
        image_id: Its id.
        split: Its split.
        subsets: See `parts`.

    Returns:
        The part.
    """
    if not subsets or split != "train":
        return split
    point = subset_point(image_id)
    return f"train-{next(p for p in (*SUBSETS, 100) if point < p / 100):03d}"


def split_of(part: str) -> str:
    """Split that a part belongs to; see `parts`."""
    return part.partition("-")[0]


def reason_kind(reason: str) -> str:
    """Give the part of a reason that rows share: what stands before the colon.

    Args:
        reason: Why a row is in quarantine.

    Returns:
        Its kind.

    >>> reason_kind("too large: 9000x9000 pixels")
    'too large'
    """
    return reason.partition(":")[0]


def told(reasons: Counter[str], examples: Mapping[str, str] | None = None) -> str:
    """Reasons with their counts in one line, the most frequent first.

    Args:
        reasons: Rows of each kind.
        examples: A row of a kind, where there is one.

    Returns:
        For example "truncated (3), zero bytes (1)"; with examples, which may have commas,
        "truncated (3), such as a.png; zero bytes (1)".
    """
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    such = {reason: f", such as {row:.200}" for reason, row in (examples or {}).items()}
    parts = (f"{reason} ({count}){such.get(reason, '')}" for reason, count in ordered)
    return (", " if examples is None else "; ").join(parts)
