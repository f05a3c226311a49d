"""Loading script of StockEmotion (Wei et al., CVPR 2020, section 3).

    load_dataset("dataset_scripts/stockemotion", "default", data_dir=..., trust_remote_code=True)

on `datasets` before 4; on today's, `emotionnet_hf.load_dataset("stockemotion", data_dir=...)`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow.parquet as pq

# `datasets` 3 copies the files that this one names in a line of its own like these, without a
# comment behind it, and not those that only they name: hence the imports that nothing here uses.
from .images import ImageError as ImageError
from .normal_form import normalize_keyword
from .release import Rejected, ReleaseError, ReleaseNotFoundError, read_vocabularies
from .release_builder import CITATION, HOMEPAGE, ReleaseBuilder
from .safe_pickle import CorruptPickleError as CorruptPickleError
from .schema import stockemotion_features
from .se30k8_rows import CLASSES
from .stockemotion_rows import StockEmotionRelease, annotation_lists

SUBSETS = (10, 25, 50, 75)
"""Percent of the training images in the subsets of Table 5."""
BASIC8 = "basic8.parquet"


def subset_point(image_id: str) -> float:
    """Place of an image in [0, 1) that decides which subsets of Table 5 it is in.

    A subset of p percent holds the training images below p / 100, so smaller subsets lie inside
    larger ones and images never move. The paper does not say how its subsets were drawn.

    Args:
        image_id: The image's id.

    Returns:
        A number that is uniform over images.
    """
    digest = hashlib.blake2b(f"subset\0{image_id}".encode(), digest_size=8).digest()
    # 53 bits, as many as a float holds, so that the point is below 1.
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


class StockEmotionConfig(datasets.BuilderConfig):
    """Configuration of StockEmotion.

    Args:
        percent: How much of the training split.
        all_keywords: With `keyword_ids`, the "30K categories" of Table 4.
        basic8: With pseudo-labels over the classes of SE30K8 (Table 4), from `basic8.parquet`.
        release: A fingerprint of the release's files, so that changed files are read anew.
        **kwargs: Those of `datasets.BuilderConfig`.
    """

    def __init__(
        self,
        percent: int = 100,
        all_keywords: bool = False,
        basic8: bool = False,
        release: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.percent, self.all_keywords, self.basic8 = percent, all_keywords, basic8
        self.release = release


class StockEmotion(ReleaseBuilder):
    """StockEmotion from the files of its release."""

    BUILDER_CONFIG_CLASS = StockEmotionConfig
    BUILDER_CONFIGS: ClassVar[list[StockEmotionConfig]] = [
        StockEmotionConfig(name="default", description="690 emotion keywords"),
        StockEmotionConfig(
            name="all_keywords", all_keywords=True, description="all keywords as labels (Table 4)"
        ),
        StockEmotionConfig(
            name="basic8", basic8=True, description="pseudo-labels of a text classifier (Table 4)"
        ),
        *(
            StockEmotionConfig(
                name=f"subset_{percent}",
                percent=percent,
                description=f"{percent} % of the training images (Table 5)",
            )
            for percent in SUBSETS
        ),
    ]

    def _info(self) -> datasets.DatasetInfo:
        vocabularies = read_vocabularies(self.release_folder)
        tags = vocabularies.tags if self.config.all_keywords else ()
        if self.config.all_keywords and not tags:
            raise ReleaseNotFoundError(f"all_keywords needs tag2idx.pkl in {self.release_folder}")
        if self.config.basic8:
            Basic8(self.release_folder / BASIC8)  # complains now and not once it is needed
        return datasets.DatasetInfo(
            description="Stock images with their uploaders' keywords, 690 of them emotional.",
            features=stockemotion_features(
                map(normalize_keyword, vocabularies.emotions),
                all_keywords=map(normalize_keyword, tags),
                basic8=self.config.basic8,
            ),
            homepage=HOMEPAGE,
            citation=CITATION,
        )

    def _split_generators(self, _: Any) -> list[datasets.SplitGenerator]:
        found = annotation_lists(self.release_folder)
        if not found:
            raise ReleaseNotFoundError(f"{self.release_folder} has no annotation list")
        return [datasets.SplitGenerator(split, gen_kwargs={"split": split}) for split in found]

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from self.examples(split, self._rows(split))

    def _rows(self, split: str) -> Iterator[Any]:
        release = StockEmotionRelease(self.release_folder)
        basic8 = Basic8(self.release_folder / BASIC8) if self.config.basic8 else None
        seen = self._seen_before(release, split)
        for row in release.rows(split, seen):
            if isinstance(row, Rejected):
                yield row
                continue
            image_id = str(row.cid)
            if split == "train" and subset_point(image_id) >= self.config.percent / 100:
                continue
            if not row.emotion_ids:
                yield Rejected(row.row, row.relative_path, "no emotion keyword")
                continue
            columns: dict[str, Any] = {"emotion_keywords": row.emotion_ids}
            if self.config.all_keywords:
                columns["keyword_ids"] = row.keyword_ids
            if basic8 is not None:
                try:
                    columns.update(basic8.columns(image_id))
                except ReleaseError as error:
                    yield Rejected(row.row, row.relative_path, f"no pseudo-label: {error}")
                    continue
            yield row, columns
        if split == next(iter(release.lists)):  # told once
            yield from release.problems()

    def _seen_before(self, release: StockEmotionRelease, split: str) -> set[int]:
        """Stock ids of the splits before this one: an image counts where it comes first."""
        seen: set[int] = set()
        for earlier in release.lists:
            if earlier == split:
                break
            for _ in release.rows(earlier, seen):
                pass
        return seen


class Basic8:
    """Pseudo-labels over the classes of SE30K8, `emotionnet pseudo-label` writes them.

    Args:
        path: Parquet with the columns `image_id` and `scores` (8 floats).

    Raises:
        ReleaseNotFoundError: There is no such file.
        ReleaseError: It lacks a column, or holds other than 8 scores a row.
    """

    def __init__(self, path: str | Path) -> None:
        if not Path(path).is_file():
            raise ReleaseNotFoundError(
                f"there is no {path}; write it with `emotionnet pseudo-label`"
            )
        table = pq.read_table(path)
        if not {"image_id", "scores"} <= set(table.column_names):
            raise ReleaseError(f"{path} lacks image_id or scores: {table.column_names}")
        self.path = Path(path)
        self._places = {name: i for i, name in enumerate(table["image_id"].to_pylist())}
        scores = table["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        if len(scores) != len(CLASSES) * table.num_rows:
            raise ReleaseError(f"{path} does not have {len(CLASSES)} scores in every row")
        self._scores = scores.reshape(-1, len(CLASSES))

    def columns(self, image_id: str) -> dict[str, Any]:
        """Columns `basic8` and `basic8_scores` of an image.

        Args:
            image_id: Its id.

        Returns:
            The most probable class and all scores.

        Raises:
            ReleaseError: The file says nothing of this image.
        """
        if image_id not in self._places:
            raise ReleaseError(f"{self.path} has no row for the image {image_id}; write it anew")
        scores = self._scores[self._places[image_id]]
        return {"basic8": int(scores.argmax()), "basic8_scores": scores.tolist()}
