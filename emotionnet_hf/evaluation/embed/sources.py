"""Where pictures come from: files, folders and globs, or any data set of `datasets`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from emotionnet_hf.data.image_files import NoImagesError, find_images, glob_root, writable_name
from emotionnet_hf.evaluation.embed.data_sets import (
    open_rows,
    pick_splits,
    rows_in_memory,
    splits_of,
)
from emotionnet_hf.evaluation.embed.rows import DataSetOptions, EmbedSourceError, Item
from emotionnet_hf.loading.images import read_bytes


class Source(Protocol):
    """Pictures in an order that does not change."""

    @property
    def identity(self) -> dict[str, Any]:
        """What the pictures are, for JSON; other pictures have another identity."""

    @property
    def total(self) -> int | None:
        """Their number, if it is known before they are read."""

    @property
    def passed_over(self) -> Mapping[str, int]:
        """Files that lie there like pictures and are none that is read, by kind."""

    def stamp(self, start: int, count: int) -> str:
        """Text that is another when one of ``count`` pictures from number ``start`` has changed."""

    def items(self, start: int = 0) -> Iterator[Item]:
        """Give the pictures from number ``start`` on."""


def open_source(source: Any, options: DataSetOptions) -> Source:
    """Find pictures.

    Args:
        source: A file, a folder (searched deep) or a glob of images, or a sequence of those; a
            folder that `emotionnet build` or ``save_to_disk`` wrote, a Parquet file, a folder or
            glob of Parquet files; NAME or NAME:CONFIG of a data set on the Hub; or a ``Dataset``,
            ``IterableDataset`` or a dictionary of them.
        options: How to read a data set.

    Returns:
        The pictures. Of one folder or glob an id is the path from there, of one file its name, of
        several sources the path as it was given; of a data set see `DataSetOptions`.

    Raises:
        EmbedSourceError: There is no such thing, or it has no pictures, or the options do not fit.
    """
    if isinstance(source, list | tuple):
        if len(source) != 1:
            return _open_files([str(word) for word in source], options)
        source = source[0]
    if not isinstance(source, str | Path):
        splits = pick_splits(splits_of(source), options.split, "the data set")
        return rows_in_memory(splits, options)
    word = str(source)
    rows = open_rows(word, options)
    return _open_files([word], options) if rows is None else rows


def _open_files(words: Sequence[str], options: DataSetOptions) -> Source:
    """Find image files."""
    if options != DataSetOptions():
        raise EmbedSourceError(
            f"{', '.join(words)} stands for image files; a split, a column and streaming are for "
            "data sets. Leave them out, or give a data set."
        )
    try:
        found = [find_images(word) for word in words]
    except NoImagesError as error:
        raise EmbedSourceError(str(error)) from error
    paths = list(dict.fromkeys(path for some in found for path in some.paths))
    passed_over = sum((Counter(some.passed_over) for some in found), Counter[str]())
    root = _root(words[0]) if len(words) == 1 else None
    ids = [writable_name(_posix(path, root)) for path in paths]
    identity = {"files": [writable_name(str(Path(word).absolute())) for word in words]}
    return FilesSource(paths, ids, identity, passed_over)


@dataclass(frozen=True)
class FilesSource:
    """Image files.

    Attributes:
        paths: The files.
        ids: Of each file.
        identity: See `Source`.
        passed_over: See `Source`.
    """

    paths: Sequence[str]
    ids: Sequence[str]
    identity: dict[str, Any]
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Their number."""
        return len(self.paths)

    def stamp(self, start: int, count: int) -> str:
        """Digest of names, sizes and times."""
        some = slice(start, start + count)
        states = [_state(path) for path in self.paths[some]]
        text = json.dumps([self.ids[some], states])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def items(self, start: int = 0) -> Iterator[Item]:
        """Give the files from number ``start`` on."""
        for name, path in zip(self.ids[start:], self.paths[start:], strict=True):
            yield Item(name, partial(read_bytes, Path(path)))


def _root(word: str) -> Path:
    """Where the ids of a folder, file or glob start: the last folder without a wildcard."""
    path = glob_root(word)
    return path.parent if path.is_file() else path


def _posix(path: str, root: Path | None) -> str:
    return (Path(path) if root is None else Path(path).relative_to(root)).as_posix()


def _state(path: str) -> str:
    """Size and time of a file; empty where it is gone, which `read_bytes` reports."""
    try:
        status = Path(path).stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"
