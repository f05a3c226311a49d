"""Writing files and folders so that a reader never sees half of one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


class DiskFullError(OSError):
    """No space left; what is finished is kept and the work can go on."""


@contextmanager
def explained_full_disk(kept: Path) -> Iterator[None]:
    """Say what a full disk means for work that can be resumed.

    Args:
        kept: Where what is finished lies.

    Raises:
        DiskFullError: No space left, be it a file or SQLite that says so.
    """
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        else:
            full = "disk is full" in str(error)
        if not full:
            raise
        raise DiskFullError(
            getattr(error, "errno", errno.ENOSPC),
            f"the disk is full. What is finished is kept in {kept}; free some space and start the "
            "same command again, and it goes on from there",
        ) from error


@contextmanager
def whole_file(path: Path, unfinished: Path) -> Iterator[IO[bytes]]:
    """Write a file whole or not at all.

    Args:
        path: The file.
        unfinished: Where it lies until it is whole, on the same disk.

    Yields:
        The open file.

    Raises:
        OSError: The disk is full or not writable; ``path`` is untouched.
    """
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole or not at all.

    Args:
        path: The file; an existing one is replaced.
        text: Its content, written as UTF-8.

    Raises:
        OSError: The disk is full or not writable; the old file, if any, is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, path.with_name(f".{path.name}.unfinished")) as file:
        file.write(text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file whole or not at all; see ``write_text``."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Fill a folder whole or not at all.

    Yields a sibling folder to fill. When the block ends it takes the place of ``path``; when the
    block raises it is removed, and whatever stood at ``path`` stays. A process that is killed
    between the two renames of the exchange leaves the old folder beside ``path``, as
    ``.NAME.replaced``; the next call for the same path puts it back before it does anything else.

    Args:
        path: The folder; an existing one is replaced.

    Yields:
        The folder to fill, on the same disk as ``path``.

    Raises:
        NotADirectoryError: A file stands at ``path``.
        OSError: The disk is full or not writable; the old folder, if any, is untouched.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path} is a file; remove it or choose another folder.")
    unfinished = path.with_name(f".{path.name}.unfinished")
    replaced = path.with_name(f".{path.name}.replaced")
    put_back(replaced, path)
    for left_over in (unfinished, replaced):
        shutil.rmtree(left_over, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        # A folder cannot replace a filled one in a single step: move the old one aside first.
        if path.exists():
            os.replace(path, replaced)
        os.replace(unfinished, path)
    except BaseException:
        put_back(replaced, path)
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def check_replaceable(
    out: str | Path,
    mark: str,
    *,
    overwrite: bool,
    source: str | Path | None = None,
    error: type[Exception] = FileExistsError,
) -> None:
    """Refuse to write over anything but an earlier output of the same kind, and only when asked to.

    An empty folder may always be filled. To be called before the work starts.

    Args:
        out: The folder to write.
        mark: Name of a file in it that only an output of the same kind holds.
        overwrite: Whether an earlier output may go.
        source: What the output is made from: a file or folder that ``out`` must not hold.
        error: What to raise.

    Raises:
        Exception: ``error``; something stands at ``out`` and stays.
    """
    out = Path(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise error(
            f"{out} exists; choose another folder, or overwrite it "
            "(--overwrite, in Python overwrite=True)."
        )
    if not (out / mark).is_file():
        reason = f"it has no {mark}, so it is no earlier output of this kind"
    elif source is not None and Path(source).resolve().is_relative_to(out.resolve()):
        reason = f"it holds {source}, which the new one is made from"
    else:
        return
    raise error(f"{out} is not overwritten: {reason}. Choose another folder.")


def put_back(replaced: Path, path: Path) -> None:
    """Undo the first half of an exchange of folders whose second half did not happen.

    Args:
        replaced: Where the old folder was moved.
        path: Where it belongs, if nothing is there.

    Raises:
        OSError: The disk is not writable.
    """
    if replaced.exists() and not path.exists():
        os.replace(replaced, path)
