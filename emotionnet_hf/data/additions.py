"""What is known of images besides their source, from files that other commands wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emotionnet_hf.data.counts import read_counts
from emotionnet_hf.data.dropped import read_dropped
from emotionnet_hf.data.sources import Record, Source
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.stockemotion import Basic8


@dataclass(frozen=True)
class Additions:
    """Files that add to a source or take from it.

    Attributes:
        duplicates: Image id -> the id of the near-duplicate that stays in its place.
        counts: Image id -> people and faces seen; what the source says comes first.
        basic8: Pseudo-labels over the classes of SE30K8.
        all_keywords: What the column `keyword_ids` numbers (Table 4); empty for no such column.
    """

    duplicates: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
    basic8: Basic8 | None = None
    all_keywords: Vocabulary | tuple[()] = ()

    @classmethod
    def read(
        cls,
        *,
        duplicates: str | Path | None = None,
        counts: str | Path | None = None,
        basic8: str | Path | None = None,
        all_keywords: Vocabulary | tuple[()] = (),
    ) -> Additions:
        """Read the files.

        Args:
            duplicates: What `emotionnet dedup` wrote.
            counts: What `emotionnet count-people` wrote.
            basic8: What `emotionnet pseudo-label` wrote.
            all_keywords: See the attribute; `common_keywords` makes it.

        Returns:
            What is in them.

        Raises:
            ValueError: A file is not what it should be.
            FileNotFoundError: There is no such file.
        """
        return cls(
            duplicates=read_dropped(duplicates) if duplicates else {},
            counts=read_counts(counts) if counts else {},
            basic8=Basic8(basic8) if basic8 else None,
            all_keywords=all_keywords,
        )

    def columns(self, record: Record) -> dict[str, Any]:
        """Columns of an image that come from the files.

        Args:
            record: The image.

        Returns:
            `people`, `faces`, and, where there is what they are made of, `keyword_ids` and the
            pseudo-label's columns.

        Raises:
            ReleaseError: The pseudo-labels lack this image.
        """
        people, faces = self.counts.get(record.image_id, (None, None))
        columns: dict[str, Any] = {
            "people": people if record.people is None else record.people,
            "faces": faces if record.faces is None else record.faces,
        }
        if self.all_keywords:
            columns["keyword_ids"] = self.all_keywords.encode(record.keywords)
        return columns if self.basic8 is None else columns | self.basic8.columns(record.image_id)


def common_keywords(source: Source, least: int) -> Vocabulary:
    """Find the keywords that many images of a source have: the "30K categories" of Table 4.

    Args:
        source: It is read once.
        least: How many images a keyword needs.

    Returns:
        The keywords, sorted.

    Raises:
        ValueError: No keyword is that common.
    """
    counts: Counter[str] = Counter()
    for row in source:
        if isinstance(row, Record):
            counts.update(set(row.keywords))
    common = sorted(name for name, count in counts.items() if count >= least)
    if not common:
        raise ValueError(f"no keyword of {source.metadata} is on {least} images: ask for fewer")
    return Vocabulary(common)
