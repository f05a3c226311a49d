"""The rows of the StockEmotion release.

Annotation lists have `train`, `val` or `test` in their file names and hold rows of
`[relative_path, [emotion ids]]` or `[relative_path, [emotion ids], [keyword ids]]`. Two more
pickles are recognised by their content, as lists of pairs or as dicts: the keywords of each image
(`path or id -> [keywords]`, names or ids) and its URL (`path or id -> URL`).

An image's `keywords` are its keyword ids where its row has them, else what the keyword table says
of it, and then those of its emotion keywords that are missing there. So a validation or test row
without a keyword table has its emotion keywords only. All are in normal form, in order, once.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .normal_form import KeywordError, brief, normalize_keyword, parse_keywords
from .release import (
    Rejected,
    ReleaseError,
    ReleaseNotFoundError,
    ReleaseVocabularies,
    RowError,
    find_pickles,
    inside,
    is_vocabulary,
    pair,
    read_vocabularies,
    stock_id,
    whole_numbers,
)
from .safe_pickle import iterate_plain_pickle

SPLITS = ("train", "validation", "test")
_SPLIT_WORDS = {"train": "train", "val": "validation", "test": "test"}


class StockEmotionRow(NamedTuple):
    """One annotated image.

    Attributes:
        row: Position in its annotation list, from 0.
        relative_path: Path of the picture in the release's folder of images.
        cid: Stock id, the number in the file name.
        keywords: In normal form.
        emotion_ids: Ids of the emotion keywords among `keywords`, in their order.
        keyword_ids: Ids of those `keywords` that the vocabulary of all keywords has.
        url: Where the picture came from, if known.
    """

    row: int
    relative_path: str
    cid: int
    keywords: list[str]
    emotion_ids: list[int]
    keyword_ids: list[int]
    url: str | None


class StockEmotionRelease:
    """The StockEmotion release in a folder.

    Args:
        folder: See `release` for its layout.

    Attributes:
        vocabularies: The release's keywords and ids.
        lists: The annotation list of each split, in the order of `SPLITS`.

    Raises:
        ReleaseNotFoundError: The folder, `etag2idx.pkl` or every annotation list is missing.
        ReleaseError: The vocabularies contradict each other, or a split has two lists.
        UnsafePickleError: A pickle asks to import or call something.
        CorruptPickleError: A pickle is cut off or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.vocabularies = read_vocabularies(folder)
        self.lists = annotation_lists(folder)
        if not self.lists:
            raise ReleaseNotFoundError(
                f"{folder} has no annotation list: a pickle with train, val or test in its name "
                "that holds rows of [path, [emotion ids], [keyword ids]]"
            )
        self._names = _Names(self.vocabularies)
        self._problems: list[Rejected] = []
        self._keywords, self._urls = _ById(), _ById()
        for path in find_pickles(folder):
            if not is_vocabulary(path) and path not in self.lists.values():
                self._read_table(path)

    def rows(self, split: str, seen: set[int]) -> Iterator[StockEmotionRow | Rejected]:
        """Rows of a split, in the order of its annotation list.

        Args:
            split: One of `lists`.
            seen: Stock ids met in earlier splits; those of this one are added.

        Yields:
            Each row, or why it cannot be used.
        """
        path = self.lists[split]
        for number, row in enumerate(iterate_plain_pickle(path)):
            try:
                annotation = self._row(number, row)
                if annotation.cid in seen:
                    raise RowError(f"stock id given before: {annotation.cid}")
                seen.add(annotation.cid)
            except (RowError, KeywordError) as error:
                name = row[0] if isinstance(row, (list, tuple)) and row else ""
                yield Rejected(number, brief(name), f"{error} ({path.name})")
                continue
            yield annotation

    def problems(self) -> list[Rejected]:
        """Rows of the keyword and URL tables that could not be used."""
        return list(self._problems)

    def _row(self, number: int, row: Any) -> StockEmotionRow:
        if not isinstance(row, (list, tuple)) or len(row) not in (2, 3):
            raise RowError(f"row of the wrong shape: {brief(row)}")
        names = self._names
        path = inside(row[0])
        cid = stock_id(path)
        listed = whole_numbers(row[1], len(names.emotions), "emotion")
        if len(row) == 3 and not self.vocabularies.tags:
            raise RowError("keyword ids without a vocabulary: the release lacks tag2idx.pkl")
        if len(row) == 3:
            ids = whole_numbers(row[2], len(self.vocabularies.tags), "keyword")
        else:
            ids = array("i", self._keywords.get(cid)).tolist()
        found = dict.fromkeys(names.keywords[i] for i in ids)
        found.update(dict.fromkeys(names.emotions[i] for i in listed))
        keywords = list(found)
        url = self._urls.get(cid).decode("utf-8")
        return StockEmotionRow(
            row=number,
            relative_path=path,
            cid=cid,
            keywords=keywords,
            emotion_ids=[names.emotion_ids[k] for k in keywords if k in names.emotion_ids],
            keyword_ids=[names.ids[k] for k in keywords if names.ids.get(k, -1) >= 0],
            url=url or None,
        )

    def _read_table(self, path: Path) -> None:
        """Take a pickle of keywords or URLs; a pickle of anything else is all problems."""
        for number, item in enumerate(iterate_plain_pickle(path)):
            try:
                key, value = pair(item)
                if isinstance(value, dict) and "image_emotion" in value:
                    raise ReleaseError(
                        f"{path} holds the annotations of SE30K8; give each release a folder of "
                        "its own"
                    )
                self._read_entry(stock_id(key), value)
            except (RowError, KeywordError) as error:
                name = item[0] if isinstance(item, (list, tuple)) and item else item
                self._problems.append(Rejected(number, brief(name), f"{error} ({path.name})"))
        for table in (self._keywords, self._urls):
            for cid in table.sort():
                reason = f"stock id given before: {cid}, the first entry counts ({path.name})"
                self._problems.append(Rejected(-1, str(cid), reason))

    def _read_entry(self, cid: int, value: object) -> None:
        if isinstance(value, str):
            if not value.startswith(("http://", "https://")):
                raise RowError(f"neither keywords nor a URL: {brief(value)}")
            self._urls.add(cid, value.encode("utf-8", "replace"))
        elif isinstance(value, (list, tuple)) and value and type(value[0]) is int:
            ids = whole_numbers(value, len(self.vocabularies.tags), "keyword")
            self._keywords.add(cid, array("i", ids).tobytes())
        elif isinstance(value, (list, tuple)):
            ids = [self._names.number(name) for name in parse_keywords(list(value))]
            self._keywords.add(cid, array("i", ids).tobytes())
        else:
            raise RowError(f"neither keywords nor a URL: {brief(value)}")


def annotation_lists(folder: str | Path) -> dict[str, Path]:
    """Annotation list of each split that has one.

    Args:
        folder: The release.

    Returns:
        Split name -> file, in the order of `SPLITS`.

    Raises:
        ReleaseNotFoundError: There is no such folder.
        ReleaseError: A split has two lists.
    """
    found: dict[str, Path] = {}
    for path in find_pickles(folder):
        words = [word for word in _SPLIT_WORDS if word in path.name.lower()]
        if is_vocabulary(path) or len(words) != 1:
            continue
        split = _SPLIT_WORDS[words[0]]
        if split in found:
            raise ReleaseError(
                f"{folder} has two annotation lists for {split}: {found[split].name} and "
                f"{path.name}; keep one of them"
            )
        found[split] = path
    return {split: found[split] for split in SPLITS if split in found}


class _Names:
    """The vocabularies in normal form, and numbers below zero for what they lack.

    Attributes:
        emotions: Emotion keywords by id.
        emotion_ids: Ids of the emotion keywords.
        keywords: Keywords by id; negative ids are keywords outside of the vocabulary.
        ids: Ids of the keywords.
    """

    def __init__(self, vocabularies: ReleaseVocabularies) -> None:
        self.emotions = [normalize_keyword(name) for name in vocabularies.emotions]
        self.emotion_ids = {name: index for index, name in enumerate(self.emotions)}
        self.ids = {normalize_keyword(name): i for i, name in enumerate(vocabularies.tags)}
        self.keywords = {index: name for name, index in self.ids.items()}
        self._unknown = 0

    def number(self, name: str) -> int:
        """Id of a keyword; one that the vocabulary lacks gets the next number below zero."""
        if name not in self.ids:
            self._unknown += 1
            self.ids[name], self.keywords[-self._unknown] = -self._unknown, name
        return self.ids[name]


class _ById:
    """Bytes by stock id, a million of them in three flat arrays: a dict would take gigabytes."""

    def __init__(self) -> None:
        self._cids, self._ends, self._bytes = array("q"), array("q"), bytearray()
        self._order = np.empty(0, np.int64)
        self._sorted = np.empty(0, np.int64)
        self._known = 0

    def add(self, cid: int, value: bytes) -> None:
        """Take an entry; of two with one id the first counts."""
        self._cids.append(cid)
        self._bytes += value
        self._ends.append(len(self._bytes))

    def sort(self) -> list[int]:
        """Make what was added findable; give the ids that were added again since the last time."""
        cids = np.array(self._cids, dtype=np.int64)
        self._order = np.argsort(cids, kind="stable")
        self._sorted = cids[self._order]
        again = self._order[1:][self._sorted[1:] == self._sorted[:-1]]
        known, self._known = self._known, len(cids)
        return np.unique(cids[again[again >= known]]).tolist()

    def get(self, cid: int) -> bytes:
        """Give the bytes of an id, none for one that is not there."""
        place = int(np.searchsorted(self._sorted, cid))
        if place == len(self._sorted) or self._sorted[place] != cid:
            return b""
        entry = int(self._order[place])
        return bytes(self._bytes[self._ends[entry - 1] if entry else 0 : self._ends[entry]])
