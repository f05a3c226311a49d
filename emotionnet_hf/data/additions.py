"""What is known of images besides their source, from files that other commands wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emotionnet_hf.data.counts import read_counts
from emotionnet_hf.data.dropped import read_dropped
from emotionnet_hf.data.sources import Record
from emotionnet_hf.loading.stockemotion import Basic8


@dataclass(frozen=True)
class Additions:
    """Files that add to a source or take from it.

    Attributes:
        duplicates: Image id -> the id of the near-duplicate that stays in its place.
        counts: Image id -> people and faces seen; what the source says comes first.
        basic8: Pseudo-labels over the classes of SE30K8.
    """

    duplicates: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
    basic8: Basic8 | None = None

    @classmethod
    def read(
        cls,
        *,
        duplicates: str | Path | None = None,
        counts: str | Path | None = None,
        basic8: str | Path | None = None,
    ) -> Additions:
        """Read the files.

        Args:
            duplicates: What `emotionnet dedup` wrote.
            counts: What `emotionnet count-people` wrote.
            basic8: What `emotionnet pseudo-label` wrote.

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
        )

    def columns(self, record: Record) -> dict[str, Any]:
        """Columns of an image that come from the files.

        Args:
            record: The image.

        Returns:
            `people`, `faces`, and the pseudo-label's columns where there are pseudo-labels.

        Raises:
            ReleaseError: The pseudo-labels lack this image.
        """
        people, faces = self.counts.get(record.image_id, (None, None))
        counts = {
            "people": people if record.people is None else record.people,
            "faces": faces if record.faces is None else record.faces,
        }
        return counts if self.basic8 is None else counts | self.basic8.columns(record.image_id)
