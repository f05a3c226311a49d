"""What lies in the folder of a benchmark: its pictures and subfolders, without the junk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError

# Formats that `open_image` reads. AffectNet alone has five of them.
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
# What systems and archivers leave behind; names that begin with a dot are theirs too.
_JUNK = {"__macosx", "thumbs.db", "desktop.ini"}
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


def is_picture(name: str) -> bool:
    """Tell a picture by the ending of its name, in small letters or capitals."""
    return name.lower().endswith(_SUFFIXES)


def found_in(folder: Path) -> list[str]:
    """Name what is in a folder, for people: the first ten names and how many more there are."""
    names = [f"{p.name}/" if p.is_dir() else p.name for p in sorted(folder.iterdir())]
    more = len(names) - _SHOWN
    return names[:_SHOWN] + ([f"and {more:,} more"] if more > 0 else [])


def files(folder: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """Files of a folder, but not of the folders in it.

    Args:
        folder: It need not exist.
        wanted: Tells of a file name in small letters whether it is one.

    Returns:
        The files, sorted.
    """
    if not folder.is_dir():
        return []
    paths = (p for p in folder.iterdir() if not _is_junk(p.name) and wanted(p.name.lower()))
    return sorted(path for path in paths if path.is_file())


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without what `pictures_below` passes over."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    return sorted(name for name in names if _is_walked(os.path.join(folder, name)))


def pictures_below(folder: Path, start: str = "") -> list[str]:
    """Find the pictures in a folder and in the folders in it. None of them is opened.

    Args:
        folder: Of the benchmark.
        start: Where to begin, seen from `folder`.

    Returns:
        Paths seen from `folder`, with ``/`` between their parts, sorted. What is no picture by
        its ending, what is hidden, and what lies behind a link to a folder above the link, is not
        among them.

    Raises:
        BenchmarkError: A name is not Unicode, which no data set can hold.
    """
    top = os.path.join(folder, start) if start else str(folder)
    found: list[str] = []
    for place, folders, names in os.walk(top, onerror=_fail, followlinks=True):
        folders[:] = [name for name in folders if _is_walked(os.path.join(place, name))]
        relative = os.path.relpath(place, folder).replace(os.sep, "/")
        prefix = "" if relative == "." else f"{relative}/"
        found.extend(prefix + name for name in names if is_picture(name) and not _is_junk(name))
    _check_unicode(found)
    return sorted(found)


def _is_walked(folder: str) -> bool:
    return not _is_junk(os.path.basename(folder)) and not _leads_back(folder)


def _leads_back(folder: str) -> bool:
    """Tell a link to a folder that it lies in, behind which each picture would come again."""
    if not os.path.islink(folder):
        return False
    target = os.path.realpath(folder)
    places = Path(os.path.abspath(folder)).parents
    return any(Path(os.path.realpath(place)).is_relative_to(target) for place in places)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def _fail(error: OSError) -> None:
    # os.walk passes over folders that it may not read, and so would lose pictures.
    raise error


def _check_unicode(paths: list[str]) -> None:
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise BenchmarkError(f"the file name {path!a} is not Unicode; rename it") from None
