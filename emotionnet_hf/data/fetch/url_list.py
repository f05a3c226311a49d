"""Reading a list of wanted pictures: what to ask for, and where to put it.

    urls.txt                    a URL a line; blank lines and those that start with # do not count
    .csv .tsv .jsonl .parquet   a column `url`, and `file_name` where you want to name the files
    .pkl                        of the StockEmotion release: rows `[relative_path, url]`, a dict of
                                id -> url, or SE30K8's dict of id -> {`image_url`: url, ...}

A picture without a name is called `<id>.jpg` where there is an id, and otherwise after its URL:
`3f/dog-3f2a9c1d0b7e4a55.jpg`, the last part of the path and a hash, in one of 256 folders by that
hash. So a URL has the same name in every list, and no folder gets millions of files.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from emotionnet_hf.loading.safe_pickle import iterate_plain_pickle

SCRATCH = ".fetch"
"""Folder of unfinished work inside the output folder; no picture is put there."""

JOURNAL = "fetched.jsonl"
"""The journal inside the output folder."""

FAILURES = "failures.csv"
"""The table of failures inside the output folder."""

_IMAGE_ENDINGS = (*(".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"), *(".tif", ".tiff", ".avif"))
_ODD = re.compile(r"[^A-Za-z0-9_]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# What a row says: name (or None) and URL, neither of them checked; or why it cannot be read.
_Said = tuple[object, object] | str


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
    """

    row: int
    file_name: str
    url: str
    host: str


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


class _RowError(ValueError):
    """One row cannot be used; the message is the reason."""


def read_url_list(source: str | Path | Iterable[object]) -> Iterator[Wanted | Unusable]:
    """Read a list row by row; nothing is held in memory.

    Args:
        source: A file, see the top of this module; or URLs; or pairs of file name and URL.

    Returns:
        Every row that is not blank, in order.

    Raises:
        UrlListNotFoundError: There is no such file.
        UrlListError: It has no column `url`, or is not what its ending says.
        UnsafePickleError, CorruptPickleError: See `iterate_plain_pickle`.
    """
    if isinstance(source, str | Path) and not Path(source).is_file():
        raise UrlListNotFoundError(f"there is no file {source}; give one, or a list of URLs")
    return _rows(source)


def _rows(source: str | Path | Iterable[object]) -> Iterator[Wanted | Unusable]:
    for row, said in enumerate(_said(source)):
        if said == "":
            continue
        if isinstance(said, str):
            yield Unusable(row, "", "", printable(said))
            continue
        name, url = said
        try:
            yield _wanted(row, name, url)
        except _RowError as error:
            yield Unusable(row, printable(name)[:1000], printable(url)[:2000], str(error))


def _wanted(row: int, name: object, url: object) -> Wanted:
    if not isinstance(url, str) or not url.strip():
        raise _RowError("no URL")
    url = url.strip()
    if problem := url_problem(url):
        raise _RowError(problem)
    unnamed = name is None or name == "" or (isinstance(name, float) and math.isnan(name))
    return Wanted(row, default_name(url) if unnamed else _inside(name), url, host_of(url))


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
    ending = ending.lower() if ending.lower() in _IMAGE_ENDINGS else ".jpg"
    stem = _ODD.sub("-", stem).strip("-")[:48] or "image"
    return f"{digest[:2]}/{stem}-{digest}{ending}"


def _inside(name: object) -> str:
    """Refuse a path that leads out of the folder, or onto our own files."""
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise _RowError(f"file_name is not text: {printable(name)[:60]!r}")
    text = str(name)
    # As Windows reads it too, so that a list means the same on every system.
    parts = text.replace("\\", "/").split("/")
    if parts[0] == "" or parts[0][1:2] == ":" or ".." in parts:
        raise _RowError("file_name leads out of the folder")
    named = [part for part in text.split("/") if part not in ("", ".")]
    if printable(text) != text or _CONTROL.search(text) or not named:
        raise _RowError("file_name is not a name of a file")
    if named[0] in (SCRATCH, JOURNAL, FAILURES):
        raise _RowError("file_name is one of this program's own files")
    return "/".join(named)


def printable(value: object) -> str:
    """Make any value text that UTF-8 can hold.

    Args:
        value: Whatever a row holds.

    Returns:
        The text; empty for None.
    """
    text = "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def _said(source: str | Path | Iterable[object]) -> Iterator[_Said]:
    if not isinstance(source, str | Path):
        yield from map(_item, source)
        return
    path = Path(source)
    readers = {
        ".csv": lambda: _csv_rows(path, ","),
        ".tsv": lambda: _csv_rows(path, "\t"),
        ".jsonl": lambda: _jsonl_rows(path),
        ".parquet": lambda: _parquet_rows(path),
    }
    if {".pkl", ".pickle"} & set(path.suffixes):  # the release's end in .pkl.keep
        yield from map(_pickled, iterate_plain_pickle(path))
        return
    yield from readers.get(path.suffix.lower(), lambda: _text_rows(path))()


def _item(item: object) -> _Said:
    """Read an item of a list in memory: a URL, or a pair of name and URL."""
    if isinstance(item, str):
        return None, item
    return item if isinstance(item, tuple) and len(item) == 2 else "not a URL or a pair"


def _text_rows(path: Path) -> Iterator[_Said]:
    # Bytes that are not UTF-8 are carried along, so that they cost their row and not the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for line in lines:
            text = line.strip()
            yield (None, text) if text and not text.startswith("#") else ""


def _csv_rows(path: Path, delimiter: str) -> Iterator[_Said]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, strict=True, delimiter=delimiter)
        header = next(reader, [])
        _check_columns(path, header)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield f"not CSV: {error}"
                continue
            if cells and len(cells) != len(header):
                yield f"wrong number of fields: {len(cells)} under a header of {len(header)}"
                continue
            row = dict(zip(header, cells, strict=False))
            yield (row.get("file_name"), row["url"]) if cells else ""


def _jsonl_rows(path: Path) -> Iterator[_Said]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
            if not line.strip():
                yield ""
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield f"not JSON: {error}"
                continue
            yield (row.get("file_name"), row.get("url")) if isinstance(row, dict) else "no object"


def _parquet_rows(path: Path) -> Iterator[_Said]:
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_columns(path, names)
            wanted = [name for name in ("file_name", "url") if name in names]
            for batch in file.iter_batches(batch_size=4096, columns=wanted):
                yield from ((row.get("file_name"), row["url"]) for row in batch.to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise UrlListError(f"{path} is not a whole Parquet file: {error}") from error


def _pickled(item: object) -> _Said:
    """Read an item of a release pickle: a row of a list, or a key and value of a dict."""
    if isinstance(item, list | tuple) and len(item) == 2:
        key, value = item
        if isinstance(value, Mapping):
            return _named(key), value.get("image_url")
        # A relative path has an ending; an id has none.
        return _named(key), value
    return "not a row of [relative_path, url]"


def _named(key: object) -> object:
    """Give an id the name of a file; a path keeps its own."""
    bare = isinstance(key, int) or (isinstance(key, str) and not PurePosixPath(key).suffix)
    return f"{key}.jpg" if bare and key != "" else key


def _check_columns(path: Path, columns: Iterable[str]) -> None:
    if "url" not in (found := list(columns)):
        raise UrlListError(f"{path} lacks the column url; it has: {', '.join(found) or 'none'}")
