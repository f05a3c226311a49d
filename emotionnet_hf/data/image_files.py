"""Image files by path: a file, a folder searched deep, or a glob; and what is passed over there.

One rule for every command that walks a folder. A picture is told by its ending, of the formats
that `open_image` opens. A linked folder is followed once: what it leads to is walked at one place
only, and a link to a folder that it lies in is not followed. Hidden files and folders, and what
archivers leave, are passed over. What is passed over is told, by its ending, but for tables and
texts, which belong there.
"""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from emotionnet_hf.data.tables import TABLE_ENDINGS, bare_suffix
from emotionnet_hf.loading.images import FORMATS

# Without init() only the formats that were used so far are registered.
Image.init()

IMAGE_ENDINGS = frozenset(
    (
        *(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS),
        *(".heic", ".heif", ".hif"),
    )
)
"""Endings of pictures, in small letters; those of HEIC whether or not the extra for it is
installed: without it each such picture is an error that names the extra."""

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
# What lies beside pictures and is none: nobody is told of it.
_BESIDE = frozenset(
    (
        *TABLE_ENDINGS,
        *(".txt", ".md", ".xml", ".yaml", ".yml", ".html", ".py", ".log", ".lock"),
        *(".pkl", ".pickle", ".keep", ".npy", ".npz", ".mat", ".arrow", ".safetensors", ".bin"),
    )
)
_SYSTEM = ("thumbs.db", "desktop.ini")
_ARCHIVER = "__macosx"
_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")


class NoImagesError(FileNotFoundError):
    """A path, folder or glob that stands for no image."""


@dataclass(frozen=True)
class FoundImages:
    """What a word stands for.

    Attributes:
        paths: The images, sorted, at least one.
        passed_over: Files in the same place that are not read, by kind: `.svg`, `hidden`, ...
    """

    paths: list[str]
    passed_over: Mapping[str, int]


def find_images(word: str) -> FoundImages:
    """Return the images that a path, folder or glob stands for.

    Args:
        word: A file, which stands for itself whatever its name; a folder; or a glob. What is
            there under the very name is never taken for a glob.

    Returns:
        The images.

    Raises:
        NoImagesError: There is none; the message says what was looked for.
        OSError: A folder may not be read.
    """
    if is_archive(word):
        raise NoImagesError(f"{word} is an archive; unpack it first.")
    if os.path.isfile(word):
        return FoundImages([word], {})
    is_folder = os.path.isdir(word)
    kinds = walk_folder(word) if is_folder else _globbed(word)
    paths: list[str] = []
    passed_over: Counter[str] = Counter()
    for path, kind in kinds:
        if kind:
            passed_over[kind] += 1
        else:
            # Path drops what a folder's name may have at its end.
            paths.append(str(Path(word) / path) if is_folder else path)
    if not paths:
        what = "holds no image" if is_folder else "does not exist and matches nothing"
        told = f" (passed over: {told_passed_over(passed_over)})" if passed_over else ""
        raise NoImagesError(f"{word} {what}{told}. Give files, folders or globs of images.")
    return FoundImages(sorted(paths), dict(passed_over))


def walk_folder(folder: str | Path, start: str = "") -> Iterator[tuple[str, str]]:
    """Go through a folder and the folders in it; no file is opened.

    Args:
        folder: What paths are seen from.
        start: Where to begin, seen from there.

    Yields:
        Path with ``/`` between its parts, and why it is passed over: its ending, `hidden`, `._*`,
        `hidden folder`, `__MACOSX`, `link to nothing` or `no ending`; empty for a picture.

    Raises:
        OSError: A folder may not be read: passed over, it would lose pictures.
    """
    seen: set[tuple[int, int]] = set()
    # Links wait until all else is walked, so that a picture has the name it has without them.
    folders, links = [start], list[str]()
    while folders or links:
        place = folders.pop() if folders else links.pop(0)
        at = os.path.join(folder, place)
        status = os.stat(at)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(at) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
        for entry in inside:
            path = f"{place}/{entry.name}" if place else entry.name
            if not entry.is_dir():
                if (kind := _file_kind(entry)) is not None:
                    yield path, kind
            elif kind := _folder_kind(entry.name):
                yield f"{path}/", kind
            elif not entry.is_symlink():
                folders.append(path)
            elif not leads_up(entry.path):
                links.append(path)
        links.sort()


def _file_kind(entry: os.DirEntry[str]) -> str | None:
    kind = _name_kind(entry.name)
    return kind if kind != "" or entry.is_file() else "link to nothing"


def _name_kind(name: str) -> str | None:
    """Why a file is passed over; empty for a picture, None for what belongs beside pictures."""
    ending = Path(name).suffix.lower()
    if name.startswith("."):
        hidden = "._*" if name.startswith("._") else "hidden"
        return hidden if ending in IMAGE_ENDINGS else None
    if ending in IMAGE_ENDINGS:
        return ""
    if ending in _BESIDE or bare_suffix(Path(name)) in _BESIDE or name.lower() in _SYSTEM:
        return None
    return ending or "no ending"


def is_walked(folder: str) -> bool:
    """Tell whether `walk_folder` goes into a folder that it meets."""
    if _folder_kind(os.path.basename(folder)):
        return False
    return not (os.path.islink(folder) and leads_up(folder))


def leads_up(link: str) -> bool:
    """Tell a link to a folder that it lies in, behind which each picture would come again."""
    target = os.path.realpath(link)
    places = Path(os.path.abspath(link)).parents
    return any(Path(os.path.realpath(place)).is_relative_to(target) for place in places)


def _folder_kind(name: str) -> str:
    if name.lower() == _ARCHIVER:
        return "__MACOSX"
    return "hidden folder" if name.startswith(".") else ""


def is_image(name: str) -> bool:
    """Tell a picture by the ending of its name, in small letters or capitals."""
    return Path(name).suffix.lower() in IMAGE_ENDINGS


def is_archive(path: str | Path) -> bool:
    """Tell a file that has to be unpacked first, by its name."""
    return str(path).lower().endswith(_ARCHIVES) and os.path.isfile(path)


def told_passed_over(kinds: Mapping[str, int]) -> str:
    """Kinds of files with their counts in one line, the most frequent first.

    >>> told_passed_over({".svg": 1, ".mp4": 12})
    '12 .mp4, 1 .svg'
    """
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {kind}" for kind, count in ordered)


def writable_name(path: str) -> str:
    r"""Give a path that is not UTF-8 a name that can be written: its odd bytes as ``\xf1``.

    Args:
        path: As the system gives it.

    Returns:
        The path itself where it is UTF-8.
    """
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def named_file(root: Path, name: str) -> Path:
    """Find the file of a `writable_name`.

    Args:
        root: What the name is seen from.
        name: The name.

    Returns:
        The path, there or not.
    """
    path = root / name
    if "\\x" not in name or path.exists():
        return path
    odd = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), name.encode())
    return root / os.fsdecode(odd)


def glob_root(word: str) -> Path:
    """Find the last folder of a path or glob that is there under its very name."""
    path = Path(word)
    while glob.has_magic(str(path)) and not path.exists():
        path = path.parent
    return path


def _globbed(word: str) -> Iterator[tuple[str, str]]:
    root = glob_root(word)
    # Brackets in the name of a folder that is there are no pattern.
    pattern = os.path.join(glob.escape(str(root)), Path(word).relative_to(root))
    for path in glob.iglob(pattern, recursive=True):
        kind = _name_kind(os.path.basename(path))
        if kind is not None and os.path.isfile(path):
            yield path, kind
