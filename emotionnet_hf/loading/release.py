"""The files that the authors of StockEmotion and SE30K8 release: finding them, their vocabularies.

    release/
        etag2idx.pkl       the 690 emotion keywords (`key2idx`, `idx2key`)
        tag2idx.pkl        the 36,534 keywords (`tag2idx`, `idx2tag`)
        etag2tagidx.pkl    the emotion keywords' ids among the latter
        *train*.pkl ...    annotations, see `stockemotion_rows` and `se30k8_rows`
        images/            the pictures, by the path in the annotations or as ID.jpg

The pickles may lie in folders of their own, and end in `.pkl.keep` as the authors' do. Nothing in
them is ever run, see `safe_pickle`.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from .normal_form import brief, normalize_keyword
from .safe_pickle import load_plain_pickle

IMAGES = "images"

_VOCABULARIES = ("etag2idx", "tag2idx", "etag2tagidx")


class ReleaseError(ValueError):
    """A release folder that cannot be read as a whole; the message says what is needed."""


class ReleaseNotFoundError(ReleaseError, FileNotFoundError):
    """The folder, or a file of the release in it, does not exist."""


class RowError(ValueError):
    """One row of a release cannot be used; the message is the reason."""


@dataclass(frozen=True)
class Rejected:
    """One row that cannot be used.

    Attributes:
        row: Position among the rows of its file, from 0; -1 where no row is meant.
        file_name: The picture that the row names, empty where even that cannot be read.
        reason: Why, in a few words; what stands before the colon is its kind.
    """

    row: int
    file_name: str
    reason: str


@dataclass(frozen=True)
class ReleaseVocabularies:
    """The release's keywords with the release's own ids.

    Attributes:
        emotions: The emotion keywords in the order of their ids, as released.
        tags: All keywords in the order of their ids, as released; empty without `tag2idx.pkl`.
    """

    emotions: tuple[str, ...]
    tags: tuple[str, ...] = ()


def find_pickles(folder: str | Path) -> list[Path]:
    """Pickles of a release: in the folder, or in a folder in it that does not hold the images.

    Args:
        folder: The release.

    Returns:
        The files, sorted by path.

    Raises:
        ReleaseNotFoundError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReleaseNotFoundError(f"there is no folder {folder}")
    places = [folder, *(p for p in folder.iterdir() if p.is_dir() and p.name != IMAGES)]
    files = (path for place in places for path in place.iterdir())
    return sorted(p for p in files if {".pkl", ".pickle"} & set(p.suffixes) and p.is_file())


def is_vocabulary(path: Path) -> bool:
    """Tell by its name whether a pickle is one of the three vocabularies."""
    return path.name.partition(".")[0] in _VOCABULARIES


def read_vocabularies(folder: str | Path) -> ReleaseVocabularies:
    """Read the release's vocabularies and check them against each other.

    Args:
        folder: The release, with `etag2idx.pkl` at least.

    Returns:
        The vocabularies.

    Raises:
        ReleaseNotFoundError: There is no folder, or no `etag2idx.pkl` in it.
        ReleaseError: A file is given twice or is no vocabulary, its two tables disagree, or the
            vocabularies do.
        UnsafePickleError: A pickle asks to import or call something.
        CorruptPickleError: A pickle is cut off or damaged.
    """
    found: dict[str, Path] = {}
    for path in find_pickles(folder):
        name = path.name.partition(".")[0]
        if name in _VOCABULARIES:
            if name in found:
                raise ReleaseError(f"{folder} has both {found[name]} and {path}; keep one of them")
            found[name] = path
    if "etag2idx" not in found:
        raise ReleaseNotFoundError(
            f"{folder} has no etag2idx.pkl, which numbers the emotion keywords; it is in the "
            "folder Dataset_release/StockEmotion/idx2name of the authors' repository"
        )
    emotions = _names(_ids(found["etag2idx"], "key2idx", "idx2key"), found["etag2idx"])
    if "tag2idx" not in found:
        return ReleaseVocabularies(emotions)
    tag_ids = _ids(found["tag2idx"], "tag2idx", "idx2tag")
    tags = _names(tag_ids, found["tag2idx"])
    if missing := [name for name in emotions if name not in tag_ids]:
        raise ReleaseError(
            f"{found['etag2idx']} and {found['tag2idx']} are not of one release: the keywords "
            f"lack the emotion keyword {missing[0]!r} ({len(missing)} in all)"
        )
    if "etag2tagidx" in found:
        _check_links(_ids(found["etag2tagidx"], "tag2idx", "idx2tag"), emotions, tag_ids, found)
    return ReleaseVocabularies(emotions, tags)


def _ids(path: Path, forward: str, backward: str) -> dict[str, int]:
    """Table of names -> ids, after a look whether the table of ids -> names is its inverse."""
    content = load_plain_pickle(path)
    table = content.get(forward) if isinstance(content, Mapping) else None
    inverse = content.get(backward) if isinstance(content, Mapping) else None
    if not isinstance(table, dict) or not isinstance(inverse, dict):
        raise ReleaseError(f"{path} does not hold the two tables {forward} and {backward}")
    for name, index in table.items():
        if not isinstance(name, str) or type(index) is not int:
            raise ReleaseError(f"{path} numbers {name!r:.60} with {index!r:.60}, not with an int")
        if inverse.get(index) != name:
            raise ReleaseError(f"{path} contradicts itself: {forward} and {backward} at {name!r}")
    if len(inverse) != len(table):
        raise ReleaseError(f"{path} contradicts itself: {backward} has {len(inverse)} entries")
    return table


def _names(ids: Mapping[str, int], path: Path) -> tuple[str, ...]:
    names = sorted(ids, key=ids.__getitem__)
    if [ids[name] for name in names] != list(range(len(names))) or not names:
        raise ReleaseError(f"the ids in {path} are not 0 .. {len(names) - 1}")
    if len({normalize_keyword(name) for name in names}) < len(names):
        raise ReleaseError(f"{path} has two names that are one keyword in normal form")
    return tuple(names)


def _check_links(
    links: Mapping[str, int],
    emotions: Sequence[str],
    tag_ids: Mapping[str, int],
    found: Mapping[str, Path],
) -> None:
    """Compare `etag2tagidx.pkl` with the two vocabularies that it connects."""
    wrong = {name for name, index in links.items() if tag_ids.get(name) != index}
    if wrong or set(links) != set(emotions):
        odd = sorted(wrong or set(links) ^ set(emotions))[0]
        raise ReleaseError(
            f"{found['etag2tagidx']} does not fit {found['etag2idx']} and {found['tag2idx']}: "
            f"it says otherwise of {odd!r}"
        )


def stock_id(value: object) -> int:
    """Stock id (cid) of an image: a number, or the number in its file name.

    Args:
        value: An int, its digits, or a path such as `12/345.jpg`.

    Returns:
        The id.

    Raises:
        RowError: There is no number, or more than one.

    >>> stock_id("train/AdobeStock_345.jpg"), stock_id("345"), stock_id(345)
    (345, 345, 345)
    """
    if type(value) is int:
        number = value
    else:
        text = value if isinstance(value, str) else ""
        numbers = re.findall(r"\d+", PurePosixPath(text).stem, re.ASCII)
        if len(numbers) != 1 or len(numbers[0]) > 18:
            raise RowError(f"no stock id: {brief(value)} does not hold one number")
        number = int(numbers[0])
    if not 0 <= number < 10**18:
        raise RowError(f"no stock id: {brief(number)} is out of range")
    return number


def inside(name: object, folder: str | Path | None = None) -> str:
    """Bring the name of a file in a folder into the one form that all tables are compared in.

    `./a.png`, `a//b.png` and `sub/../a.png` are what they lead to. A backslash is a slash, as
    Windows writes it, unless a file of that very name is in the folder. An absolute path is good
    where it leads into the folder.

    Args:
        name: As a table has it.
        folder: What it is relative to; None where only the text decides.

    Returns:
        A path seen from the folder, with `/` between its parts.

    Raises:
        RowError: It is no text, empty, or leads out of the folder.

    >>> inside("./x/../a.png"), inside("x//a.png")
    ('a.png', 'x/a.png')
    """
    if not isinstance(name, str) or not name:
        raise RowError(f"no file name: {brief(name)}")
    if "\0" in name:
        raise RowError(f"file name holds a zero byte: {brief(name)}")
    if name != name.encode("utf-8", "replace").decode("utf-8"):
        raise RowError(f"file name is not valid Unicode: {brief(name)}")
    path = name
    if "\\" in name and not (folder is not None and os.path.isfile(os.path.join(folder, name))):
        path = name.replace("\\", "/")
    path = posixpath.normpath(path if folder is None else _seen_from(folder, path))
    if path == ".":
        raise RowError(f"no file name: {brief(name)}")
    # Both kinds of path, so that a table means the same on every system.
    if path.startswith(("/", "../")) or path == ".." or PureWindowsPath(path).drive:
        raise RowError(f"file name leads out of the folder: {brief(name)}")
    return path


def _seen_from(folder: str | Path, path: str) -> str:
    """Cut the folder off an absolute path, be it reached by a link or not."""
    if os.path.isabs(path):
        for place in (os.path.abspath(folder), os.path.realpath(folder)):
            start = os.path.join(place, "")
            if os.path.normpath(path).startswith(start):
                return os.path.normpath(path)[len(start) :].replace(os.sep, "/")
    return path


def whole_numbers(value: object, below: int, what: str) -> list[int]:
    """Check a list of ids.

    Args:
        value: The list.
        below: Ids have to be smaller.
        what: What the ids stand for, for the message.

    Returns:
        The ids, each once, in order.

    Raises:
        RowError: It is no list, holds something else, or an id outside of the vocabulary.
    """
    if not isinstance(value, (list, tuple)):
        raise RowError(f"{what} ids of the wrong type: {brief(value)}")
    for index in value:
        if type(index) is not int:
            raise RowError(f"{what} ids of the wrong type: one is {brief(index)}")
        if not 0 <= index < below:
            raise RowError(f"{what} id outside of the vocabulary: {brief(index)} of {below}")
    return list(dict.fromkeys(value))


class ImageFinder:
    """Finds the pictures of a release.

    Args:
        folder: The release.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._start = os.path.join(folder, "")  # a million paths: text is faster than Path

    def find(self, relative_path: str, cid: int) -> str:
        """Path of a picture as seen from the release folder.

        Args:
            relative_path: Path in the annotations.
            cid: Stock id: `emotionnet fetch-images` names pictures by it where no path is known.

        Returns:
            The first of `images/PATH`, `PATH` and `images/ID.jpg` that is a file.

        Raises:
            RowError: None of them is, or the path leads out of the folder.
        """
        names = [f"{IMAGES}/{cid}.jpg"]
        if relative_path:
            path = inside(relative_path)
            names = [f"{IMAGES}/{path}", path, *names]
        for name in names:
            # os.path.isfile, because Path.is_file raises on a name that is too long for the disk.
            if os.path.isfile(self._start + name):
                return name
        raise RowError("no such image file")


def pair(item: Any) -> tuple[Any, Any]:
    """Take a row of a table as (key, value), be it an item of a dict or a list of two.

    Args:
        item: The row.

    Returns:
        Key and value.

    Raises:
        RowError: It is not a pair.
    """
    if isinstance(item, (list, tuple)) and len(item) == 2:
        return item[0], item[1]
    raise RowError(f"row of the wrong shape: {brief(item)}")
