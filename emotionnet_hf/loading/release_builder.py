"""What the loading scripts of StockEmotion and SE30K8 share."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets
import imagehash

from .images import ImageError, open_image
from .release import ImageFinder, Rejected, ReleaseNotFoundError, RowError

logger = logging.getLogger(__name__)

CITATION = """\
@inproceedings{wei2020learning,
  title = {Learning Visual Emotion Representations from Web Data},
  author = {Wei, Zijun and Zhang, Jianming and Lin, Zhe and Lee, Joon-Young and
            Balasubramanian, Niranjan and Hoai, Minh and Samaras, Dimitris},
  booktitle = {CVPR},
  year = {2020}
}
"""
HOMEPAGE = "https://github.com/cvlab-stonybrook/EmotionNet_CVPR2020"


class ReleaseBuilder(datasets.GeneratorBasedBuilder):
    """Turns rows of a release folder, `data_dir`, into examples; bad rows are told and kept."""

    VERSION = datasets.Version("1.0.0")
    DEFAULT_CONFIG_NAME = "default"

    @property
    def release_folder(self) -> Path:
        """The folder given as `data_dir`.

        Raises:
            ReleaseNotFoundError: None was given.
        """
        if not self.config.data_dir:
            raise ReleaseNotFoundError(
                f"{type(self).__name__} is not on the net as one download: pass data_dir=FOLDER "
                f"with the files of its release, see {HOMEPAGE}"
            )
        return Path(self.config.data_dir)

    def examples(
        self, split: str, rows: Iterable[Any], *, pictures: bool = True
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Examples of a split.

        Args:
            split: Its name, for the report.
            rows: Pairs of a row of the release and the example's other columns, or `Rejected`.
            pictures: Add `image` and `phash`; rows without a usable picture are rejected.

        Yields:
            Stock id and example. At the end the rejected rows are logged, counted by reason, and,
            unless streaming, lie in `quarantine-SPLIT.jsonl` in the data set's cache folder.
        """
        finder = ImageFinder(self.release_folder)
        rejected: list[Rejected] = []
        for item in rows:
            if isinstance(item, Rejected):
                rejected.append(item)
                continue
            row, columns = item
            try:
                picture = self._picture(finder, row) if pictures else {}
            except (RowError, ImageError) as error:
                rejected.append(Rejected(row.row, row.relative_path or str(row.cid), str(error)))
                continue
            common = {"image_id": str(row.cid), "keywords": row.keywords, "source": row.url}
            yield str(row.cid), {**picture, **common, **columns}
        self._report(split, rejected)

    def _picture(self, finder: ImageFinder, row: Any) -> dict[str, Any]:
        path = finder.folder / finder.find(row.relative_path, row.cid)
        phash = str(imagehash.phash(open_image(path)))
        return {"image": {"path": str(path), "bytes": None}, "phash": phash}

    def _report(self, split: str, rejected: list[Rejected]) -> None:
        if not rejected:
            return
        kinds = Counter(item.reason.partition(":")[0] for item in rejected)
        told = ", ".join(f"{kind} ({count:,})" for kind, count in kinds.most_common())
        folder = getattr(self, "_output_dir", None)  # none while streaming
        place = ""
        if folder and os.path.isdir(folder):
            path = Path(folder) / f"quarantine-{split}.jsonl"
            path.write_text("".join(json.dumps(vars(r)) + "\n" for r in rejected), "utf-8")
            place = f"; they are listed in {path.name} beside the cached data"
        logger.warning("%d rows of %s were left out: %s%s", len(rejected), split, told, place)
