"""Reading a list of wanted pictures: what to ask for, and where to put it.

    urls.txt        a URL a line; blank lines and those that start with # do not count
    urls.csv ...    any table (see `emotionnet_hf.data.tables`) with a column `url`; `file_name`
                    where you want to name the files, `sha256` or `md5` where what comes is to be
                    checked; other columns are kept along
    .pkl            of the StockEmotion release: rows `[relative_path, url]`, a dict of
                    id -> url, or SE30K8's dict of id -> {`image_url`: url, ...}
    a folder        all lists in it and in its folders, in the order of their names

All but pickles may be packed: `urls.txt.gz`. A picture without a name is called `<id>.jpg` where
there is an id, and otherwise after its URL: `3f/dog-3f2a9c1d0b7e4a55.jpg`, the last part of the
path and a hash, in one of 256 folders by that hash. So a URL has the same name in every list, and
no folder gets millions of files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from emotionnet_hf.data.image_files import IMAGE_ENDINGS
from emotionnet_hf.data.tables import (
    TABLE_ENDINGS,
    CellError,
    bare_suffix,
    is_missing,
    open_table,
    printable,
    read_lines,
    text_cell,
)
from emotionnet_hf.loading.release import RowError, inside
from emotionnet_hf.loading.safe_pickle import iterate_plain_pickle

SCRATCH = ".fetch"
"""Folder of unfinished work inside the output folder; no picture is put there."""

JOURNAL = "fetched.jsonl"
"""The journal inside the output folder."""

FAILURES = "failures.csv"
"""The table of failures inside the output folder."""

PICTURES = "pictures.jsonl"
"""What the list says of the pictures that are there, where it has other columns."""

_DIGESTS = {"sha256": 64, "md5": 32}  # hex digits; the first that is given counts
_OWN_COLUMNS = ("url", "file_name", *_DIGESTS)
_PICKLES = (".pkl", ".pickle")  # anywhere in a name: those of the release end in .pkl.keep

_ODD = re.compile(r"[^A-Za-z0-9_]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# What a row says by column, nothing of it checked; or why it cannot be read; empty for a blank one.
_Said = Mapping[str, Any] | str


class UrlListError(ValueError):
    """A list that cannot be read at all."""


class UrlListNotFoundError(UrlListError, FileNotFoundError):
    """There is no such list."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One picture to fetch.

    Attributes:
        row: Position in the list, from 0; lines of a text count from 0 too, blank ones included.
        file_name: Where to put it: a posix path inside the output folder.
        url: Where it is.
        host: Whom to ask, in lower case.
        digest: Name of a hash (``sha256`` or ``md5``) and the hex digits, in small letters, that
            the bytes which come have to have; None where the list says nothing of it.
        columns: What else the list says of the picture.
    """

    row: int
    file_name: str
    url: str
    host: str
    digest: tuple[str, str] | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unusable:
    """One row that cannot be fetched.

    Attributes:
        row: As `Wanted.row`.
        file_name: As given, empty where there is none.
        url: Likewise.
        reason: Why, in a few words.
    """

    row: int
    file_name: str
    url: str
    reason: str


def read_url_list(source: str | Path | Iterable[object]) -> Iterator[Wanted | Unusable]:
    """Read a list row by row; nothing is held in memory, but for a list of .json.

    Args:
        source: A file or folder, see the top of this module; or URLs; or pairs of file name and
            URL.

    Returns:
        Every row that is not blank, in order; the rows of a folder are numbered through.

    Raises:
        UrlListNotFoundError: There is no such file, or no list in the folder.
        UrlListError: It has no column `url`, or is not what its ending says.
        UnsafePickleError, CorruptPickleError: See `iterate_plain_pickle`.
    """
    if isinstance(source, str | Path) and not os.path.exists(source):
        raise UrlListNotFoundError(f"there is no file {source}; give one, or a list of URLs")
    if isinstance(source, str | Path) and os.path.isdir(source):
        return _rows(said for path in _lists(Path(source)) for said in _said(path))
    return _rows(_said(source))


def _rows(said: Iterable[_Said]) -> Iterator[Wanted | Unusable]:
    for number, row in zip(count(), said, strict=False):
        if row == "":
            continue
        if isinstance(row, str):
            yield Unusable(number, "", "", printable(row))
            continue
        try:
            yield _wanted(number, row)
        except (RowError, CellError) as error:
            name, url = printable(row.get("file_name")), printable(row.get("url"))
            yield Unusable(number, name[:1000], url[:2000], str(error))


def _wanted(number: int, row: Mapping[str, Any]) -> Wanted:
    url, name = row.get("url"), row.get("file_name")
    if not isinstance(url, str) or not url.strip():
        raise RowError("no URL")
    url = url.strip()
    if problem := url_problem(url):
        raise RowError(problem)
    return Wanted(
        number,
        default_name(url) if is_missing(name) else _checked_name(name),
        url,
        host_of(url),
        _digest(row),
        {
            column: None if value != value else value  # JSON has no NaN
            for column, value in row.items()
            if column not in _OWN_COLUMNS
        },
    )


def _digest(row: Mapping[str, Any]) -> tuple[str, str] | None:
    for kind, length in _DIGESTS.items():
        if digits := text_cell(row.get(kind), kind).strip().lower():
            if not re.fullmatch(f"[0-9a-f]{{{length}}}", digits):
                raise RowError(f"{kind} is not {length} hex digits: {digits[:80]!r}")
            return kind, digits
    return None


def host_of(url: str) -> str:
    """Name the host of a URL that has no `url_problem`.

    Args:
        url: The URL.

    Returns:
        The host in lower case, without the port.
    """
    return urlsplit(url).hostname or ""


def url_problem(url: str) -> str:
    """Say why a URL is not asked for.

    Args:
        url: From the list, or where a redirect leads.

    Returns:
        The reason; empty where there is none.

    >>> url_problem("ftp://a.example/b.jpg")
    "not http or https: 'ftp'"
    """
    try:
        url.encode("utf-8")
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError as error:
        return f"not a URL: {printable(error)}"
    if parts.scheme not in ("http", "https"):
        return f"not http or https: {parts.scheme!r}"
    if not host:
        return "not a URL: no host"
    if "@" in parts.netloc:
        return "URL with a user name or password"
    # Asked of the text itself, because urlsplit drops some of them.
    return "not a URL: control characters" if _CONTROL.search(url) else ""


def default_name(url: str) -> str:
    """Name a picture after its URL.

    Args:
        url: The URL.

    Returns:
        Folder and name, the same for the same URL and, by 64 bits of hash, for no other.

    >>> default_name("https://a.example/pets/My%20dog.JPG?w=9")
    'c7/My-dog-c719c15d7e4e3c79.jpg'
    """
    digest = blake2b(url.encode("utf-8"), digest_size=8).hexdigest()
    last = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    stem, ending = os.path.splitext(unquote(last, errors="replace"))
    ending = ending.lower() if ending.lower() in IMAGE_ENDINGS else ".jpg"
    stem = _ODD.sub("-", stem).strip("-")[:48] or "image"
    return f"{digest[:2]}/{stem}-{digest}{ending}"


def _checked_name(name: object) -> str:
    """Refuse a path that leads out of the folder, or onto our own files."""
    path = inside(text_cell(name, "file_name"))
    if _CONTROL.search(path):
        raise RowError("file name is not a name of a file")
    if path.split("/")[0] in (SCRATCH, JOURNAL, FAILURES, PICTURES):
        raise RowError("file name is one of this program's own files")
    return path


def _lists(folder: Path) -> list[Path]:
    """Lists in a folder, however deep, sorted; hidden ones do not count."""
    texts = (*TABLE_ENDINGS, ".txt")
    found = sorted(
        path
        for path in folder.rglob("*")
        if (bare_suffix(path) in texts or _is_pickle(path))
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise UrlListNotFoundError(
            f"{folder} has no list; their names end in {', '.join((*texts, *_PICKLES))}"
        )
    return found


def _is_pickle(path: Path) -> bool:
    return not set(_PICKLES).isdisjoint(path.suffixes)


def _said(source: str | Path | Iterable[object]) -> Iterator[_Said]:
    if not isinstance(source, str | Path):
        yield from map(_item, source)
        return
    path = Path(source)
    if _is_pickle(path):
        yield from map(_pickled, iterate_plain_pickle(path))
    elif bare_suffix(path) in TABLE_ENDINGS:
        yield from _table_rows(path)
    else:
        for line in read_lines(path, UrlListError, newline=None):
            text = line.strip()
            yield {"url": text} if text and not text.startswith("#") else ""


def _table_rows(path: Path) -> Iterator[_Said]:
    number = 0
    for row in open_table(path, needed=("url",), wanted=None, error=UrlListError):
        yield from [""] * (row.number - number)  # blank lines
        yield row.problem or row.cells
        number = row.number + 1


def _item(item: object) -> _Said:
    """Read an item of a list in memory: a URL, or a pair of name and URL."""
    if isinstance(item, str):
        return {"url": item}
    if isinstance(item, tuple) and len(item) == 2:
        return {"file_name": item[0], "url": item[1]}
    return "not a URL or a pair"


def _pickled(item: object) -> _Said:
    """Read an item of a release pickle: a row of a list, or a key and value of a dict."""
    if isinstance(item, list | tuple) and len(item) == 2:
        key, value = item
        # A relative path has an ending; an id has none.
        return {
            "file_name": _named(key),
            "url": value.get("image_url") if isinstance(value, Mapping) else value,
        }
    return "not a row of [relative_path, url]"


def _named(key: object) -> object:
    """Give an id the name of a file; a path keeps its own."""
    bare = isinstance(key, int) or (isinstance(key, str) and not PurePosixPath(key).suffix)
    return f"{key}.jpg" if bare and key != "" else key
