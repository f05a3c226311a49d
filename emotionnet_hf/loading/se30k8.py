"""Loading script of SE30K8 (Wei et al., CVPR 2020, section 3.3).

    load_dataset("dataset_scripts/se30k8", "default", data_dir=..., trust_remote_code=True)

on `datasets` before 4; on today's, `emotionnet_hf.load_dataset("se30k8", data_dir=...)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import datasets

# `datasets` 3 copies the files that this one names in a line of its own like these, without a
# comment behind it, and not those that only they name: hence the imports that nothing here uses.
from .images import ImageError as ImageError
from .normal_form import KeywordError as KeywordError
from .release import Rejected
from .release_builder import CITATION, HOMEPAGE, ReleaseBuilder
from .safe_pickle import CorruptPickleError as CorruptPickleError
from .schema import se30k8_features
from .se30k8_rows import (
    SPLITS,
    WORKERS,
    SE30K8Release,
    SE30K8Row,
    evaluation_splits,
    text_splits,
)


class SE30K8Config(datasets.BuilderConfig):
    """Configuration of SE30K8.

    Args:
        text: The split of the text classifier, without pictures.
        seed: Of the evaluation split.
        workers: Rows that another number of workers annotated are left out; None takes all.
        release: A fingerprint of the release's files, so that changed files are read anew.
        **kwargs: Those of `datasets.BuilderConfig`.
    """

    def __init__(
        self,
        text: bool = False,
        seed: int = 0,
        workers: int | None = WORKERS,
        release: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.text, self.seed, self.workers, self.release = text, seed, workers, release


class SE30K8(ReleaseBuilder):
    """SE30K8 from the pickle of its release."""

    BUILDER_CONFIG_CLASS = SE30K8Config
    BUILDER_CONFIGS: ClassVar[list[SE30K8Config]] = [
        SE30K8Config(name="default", description="the evaluation split, 22 : 3 : 5"),
        SE30K8Config(name="text", text=True, description="keywords only, seed 0, 10 % test"),
    ]

    def _info(self) -> datasets.DatasetInfo:
        emotions = SE30K8Release(self.release_folder, self.config.workers).emotions
        return datasets.DatasetInfo(
            description="Stock images, each annotated by five workers with eight emotions.",
            features=se30k8_features(emotions, pictures=not self.config.text),
            homepage=HOMEPAGE,
            citation=CITATION,
        )

    def _split_generators(self, _: Any) -> list[datasets.SplitGenerator]:
        found = set(self._splits(self._good_rows()).values())
        return [datasets.SplitGenerator(s, gen_kwargs={"split": s}) for s in SPLITS if s in found]

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from self.examples(split, self._rows(split), pictures=not self.config.text)

    def _good_rows(self) -> list[SE30K8Row]:
        release = SE30K8Release(self.release_folder, self.config.workers)
        return [row for row in release.rows() if isinstance(row, SE30K8Row)]

    def _splits(self, rows: list[SE30K8Row]) -> dict[int, str]:
        if self.config.text:
            return text_splits([row.cid for row in rows if row.keywords])
        return evaluation_splits({row.cid: row.label for row in rows}, self.config.seed)

    def _rows(self, split: str) -> Iterator[Any]:
        release = SE30K8Release(self.release_folder, self.config.workers)
        emotion_ids = {name: index for index, name in enumerate(release.emotions)}
        rows = self._good_rows()
        splits = self._splits(rows)
        for row in rows:
            if splits.get(row.cid) == split:
                yield (
                    row,
                    {
                        "emotion_keywords": [emotion_ids[name] for name in row.emotion_keywords],
                        "annotations": row.annotations,
                        "votes": row.votes,
                        "label": row.label,
                    },
                )
        if split == "train":  # told once
            yield from (row for row in release.rows() if isinstance(row, Rejected))
            if self.config.text:
                reason = "no keyword"
                yield from (Rejected(r.row, str(r.cid), reason) for r in rows if not r.keywords)
