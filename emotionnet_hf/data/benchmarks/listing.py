"""What lies in the folder of a benchmark: its pictures and subfolders, without the junk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.data.benchmarks.dropped import NOT_UTF8, Dropped
from emotionnet_hf.data.image_files import is_walked, walk_folder, writable_name
from emotionnet_hf.loading.release import RowError, inside

_SHOWN = 10


class BenchmarkNotFoundError(BenchmarkError, FileNotFoundError):
    """There is no folder of the benchmark; the message says where the benchmark comes from."""


def check_folder(folder: Path, name: str, origin: str) -> Path:
    """Refuse a folder that is not there.

    Args:
        folder: Of the benchmark.
        name: Of the benchmark.
        origin: Who gives it out, as a sentence.

    Returns:
        The folder as an absolute path, so that rows still find their pictures from elsewhere.

    Raises:
        BenchmarkNotFoundError: It is no folder.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise BenchmarkNotFoundError(f"{folder} {problem}, and {name} was to be there. {origin}")
    return folder.absolute()


def found_in(folder: Path) -> list[str]:
    """Name what is in a folder, for people: the first ten names and how many more there are."""
    names = [f"{p.name}/" if p.is_dir() else p.name for p in sorted(folder.iterdir())]
    more = len(names) - _SHOWN
    return names[:_SHOWN] + ([f"and {more:,} more"] if more > 0 else [])


def files(folder: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """Files of a folder that are not hidden, but not of the folders in it.

    Args:
        folder: It need not exist.
        wanted: Tells of a file name in small letters whether it is one.

    Returns:
        The files, sorted.
    """
    if not folder.is_dir():
        return []
    paths = (p for p in folder.iterdir() if p.name[0] != "." and wanted(p.name.lower()))
    return sorted(path for path in paths if path.is_file())


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without what `pictures_below` passes over."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return sorted(name for name in names if is_walked(os.path.join(folder, name)))


def pictures_below(folder: Path, start: str = "", dropped: Dropped | None = None) -> list[str]:
    """Find the pictures in a folder and in the folders in it, see `walk_folder`.

    Args:
        folder: Of the benchmark.
        start: Where to begin, seen from `folder`.
        dropped: Where to count what is passed over, and names that are not UTF-8, which no data
            set can hold.

    Returns:
        Paths seen from `folder`, with ``/`` between their parts, sorted.
    """
    found: list[str] = []
    if not (folder / start).is_dir():
        return found
    for path, kind in walk_folder(folder, start):
        if not kind and writable_name(path) == path:
            found.append(path)
        elif dropped is not None:
            dropped.add(f"passed over, {kind}" if kind else NOT_UTF8, writable_name(path))
    return sorted(found)


class Pictures:
    """The pictures of a benchmark, to be found by what its lists call them.

    Args:
        folder: Of the benchmark.
        start: Where names begin, seen from the folder.
        dropped: See `pictures_below`.
    """

    def __init__(self, folder: Path, start: str = "", dropped: Dropped | None = None) -> None:
        self._folder, self._start = folder, start
        self._paths = set(pictures_below(folder, start, dropped))

    def find(self, name: str) -> tuple[str, bool]:
        """Say which file a name means, see `inside`, and whether it is there.

        Args:
            name: As a list has it.

        Returns:
            The path seen from the folder of the benchmark, or the name where it leads out of it.
        """
        try:
            path = inside(name.strip(), self._folder / self._start)
        except RowError:
            return name, False
        path = f"{self._start}/{path}" if self._start else path
        # Lists may name a linked folder by either of its names, and it is walked once.
        return path, path in self._paths or os.path.isfile(self._folder / path)
