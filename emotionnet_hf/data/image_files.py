"""Image files by path: a file, a folder searched deep, or a glob."""

from __future__ import annotations

import glob
from pathlib import Path

from PIL import Image

from emotionnet_hf.loading.images import FORMATS

# Without init() only the formats that were used so far are registered.
Image.init()
_SUFFIXES = frozenset(
    suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS
)


class NoImagesError(FileNotFoundError):
    """A path, folder or glob that stands for no image."""


def find_images(word: str) -> list[str]:
    """Return the images that a path, folder or glob stands for, sorted.

    Args:
        word: A file, which stands for itself whatever its name; a folder; or a glob.

    Returns:
        Paths, at least one.

    Raises:
        NoImagesError: There is none; the message says what was looked for.
    """
    path = Path(word)
    if path.is_file():
        return [word]
    inside = path.rglob("*") if path.is_dir() else map(Path, glob.iglob(word, recursive=True))
    found = sorted(str(p) for p in inside if p.suffix.lower() in _SUFFIXES and p.is_file())
    if not found:
        what = "holds no image" if path.is_dir() else "does not exist and matches nothing"
        raise NoImagesError(f"{word} {what}. Give files, folders or globs of images.")
    return found
