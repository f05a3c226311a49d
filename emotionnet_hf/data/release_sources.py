"""The releases of StockEmotion and SE30K8 as sources of a build."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets import Features

from emotionnet_hf.data.sources import (
    METADATA,
    Record,
    Source,
    SourceNotFoundError,
    has_metadata,
    read_source,
    unnamed_files,
)
from emotionnet_hf.data.tables import TABLE_ENDINGS
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.release import (
    IMAGES,
    ImageFinder,
    Rejected,
    ReleaseNotFoundError,
    RowError,
    find_pickles,
    stock_id,
)
from emotionnet_hf.loading.schema import se30k8_features, stockemotion_features
from emotionnet_hf.loading.se30k8_rows import SPLITS as SE30K8_SPLITS
from emotionnet_hf.loading.se30k8_rows import (
    WORKERS,
    SE30K8Release,
    SE30K8Row,
    evaluation_splits,
    text_splits,
)
from emotionnet_hf.loading.stockemotion_rows import StockEmotionRelease, annotation_lists


def open_source(folder: str | Path, *, seed: int = 0, workers: int | None = WORKERS) -> Source:
    """Open what a data set is to be built from, whatever it is.

    Args:
        folder: Images with a metadata file (see `read_source`), or a release (see
            `emotionnet_hf.loading.release`).
        seed: Of the evaluation split of SE30K8.
        workers: See `SE30K8Release`.

    Returns:
        The source.

    Raises:
        SourceError: There is no such folder, or it is neither.
        ReleaseError: The release contradicts itself.
        UnsafePickleError: A pickle asks to import or call something.
        CorruptPickleError: A pickle is cut off or damaged.
    """
    folder = Path(folder)
    if not folder.is_dir() or has_metadata(folder):
        return read_source(folder)
    if not find_pickles(folder):
        raise SourceNotFoundError(
            f"{folder} has no {METADATA}{f', {METADATA}'.join(TABLE_ENDINGS)}, and no pickle of a "
            "release; write a metadata file with the columns file_name and keywords"
        )
    if annotation_lists(folder):
        return StockEmotionSource(folder)
    try:
        return SE30K8Source(folder, seed, workers)
    except ReleaseNotFoundError as error:
        raise ReleaseNotFoundError(
            f"{folder} has pickles, but neither an annotation list of StockEmotion (train, val or "
            "test in its name) nor the annotations of SE30K8 (stock id -> {image_emotion: ...})"
        ) from error


class StockEmotionSource(Source):
    """The StockEmotion release.

    Args:
        folder: The release.
    """

    own_splits = True
    subsets = True
    split_rule = "The splits are the release's own."

    def __init__(self, folder: Path) -> None:
        self.folder = self.metadata = folder
        self.release = StockEmotionRelease(folder)
        self.splits = tuple(self.release.lists)
        self.emotions = Vocabulary(self.release.vocabularies.emotions)

    def __iter__(self) -> Iterator[Record | Rejected]:
        finder = ImageFinder(self.folder)
        seen: set[int] = set()
        yield from self.release.problems()
        told: set[int] = set()
        for split in self.splits:
            for row in self.release.rows(split, seen):
                if isinstance(row, Rejected):
                    told.update(_ids(row.file_name))
                    yield row
                    continue
                columns = {"keyword_ids": row.keyword_ids}
                yield _record(finder, row, split, columns)
        yield from unannotated(self.folder, seen | told)

    @cached_property
    def all_keywords(self) -> Vocabulary | tuple[()]:
        """All keywords, where the release numbers them."""
        tags = self.release.vocabularies.tags
        return Vocabulary(tags) if tags else ()


class SE30K8Source(Source):
    """The SE30K8 release.

    Args:
        folder: The release.
        seed: Of the evaluation split.
        workers: See `SE30K8Release`.
    """

    about = (
        "Images with the emotions that five workers saw in them, each any of eight, in the schema "
        "of SE30K8"
    )
    split_rule = (
        "The images with a majority are split 22 : 3 : 5 by a seed; the others are in "
        "`no_majority`. Another release of the annotations is split anew."
    )
    own_splits = True
    splits = SE30K8_SPLITS
    min_emotion_keywords = 0

    def __init__(self, folder: Path, seed: int = 0, workers: int | None = WORKERS) -> None:
        self.folder = self.metadata = folder
        self.release, self.seed = SE30K8Release(folder, workers), seed
        self.emotions = Vocabulary(self.release.emotions)

    def __iter__(self) -> Iterator[Record | Rejected]:
        finder = ImageFinder(self.folder)
        rows = list(self.release.rows())
        labels = {row.cid: row.label for row in rows if not isinstance(row, Rejected)}
        splits = evaluation_splits(labels, self.seed)
        for row in rows:
            if isinstance(row, Rejected):
                yield row
                continue
            columns = {"annotations": row.annotations, "votes": row.votes, "label": row.label}
            yield _record(finder, row, splits[row.cid], columns)
        told = {cid for row in rows if isinstance(row, Rejected) for cid in _ids(row.file_name)}
        yield from unannotated(self.folder, set(labels) | told)

    def text_rows(self, emotions: Vocabulary) -> dict[str, list[dict[str, Any]]]:
        """Rows of the published text split; a row needs a keyword and no picture."""
        rows = [r for r in self.release.rows() if isinstance(r, SE30K8Row) and r.keywords]
        splits = text_splits([row.cid for row in rows])
        found: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
        for row in rows:
            values = {
                "image_id": str(row.cid),
                "keywords": row.keywords,
                "emotion_keywords": emotions.encode(row.keywords),
                "source": row.url,
                "annotations": row.annotations,
                "votes": row.votes,
                "label": row.label,
            }
            found[splits[row.cid]].append(values)
        return {split: values for split, values in found.items() if values}

    def features(
        self,
        emotions: Vocabulary,
        *,
        people: bool,
        faces: bool,
        basic8: bool,
        all_keywords: Iterable[str],
    ) -> Features:
        """Columns of SE30K8."""
        more = stockemotion_features(
            emotions, people=people, faces=faces, basic8=basic8, all_keywords=all_keywords
        )
        return Features({**se30k8_features(emotions), **more})


def _record(
    finder: ImageFinder, row: Any, split: str, columns: dict[str, Any]
) -> Record | Rejected:
    """Take a row of a release, if its picture is there."""
    try:
        path = finder.find(row.relative_path, row.cid)
    except RowError as error:
        return Rejected(row.row, row.relative_path or str(row.cid), str(error))
    return Record(
        image_path=finder.folder / path,
        image_id=str(row.cid),
        keywords=row.keywords,
        group=None,
        source=row.url,
        people=None,
        faces=None,
        row=row.row,
        split=split,
        columns=columns,
    )


def _ids(file_name: str) -> list[int]:
    """Stock id in a file name, if there is one."""
    try:
        return [stock_id(file_name)]
    except RowError:
        return []


def unannotated(folder: Path, annotated: set[int]) -> Iterator[Rejected]:
    """Pictures in the release's folder of images that no row is about.

    Args:
        folder: The release.
        annotated: Stock ids of the rows, good and bad.

    Yields:
        Each such file, in the order of the paths.
    """
    if (folder / IMAGES).is_dir():
        yield from unnamed_files(folder, _About(annotated), "image without annotation", IMAGES)


class _About:
    """Paths of pictures that annotations are about, by the stock ids in their names."""

    def __init__(self, annotated: set[int]) -> None:
        self._annotated = annotated

    def __contains__(self, path: object) -> bool:
        ids = _ids(str(path).rpartition("/")[2])
        return bool(ids) and self._annotated.issuperset(ids)
