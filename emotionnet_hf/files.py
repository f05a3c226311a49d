"""Writing files and folders so that a reader never sees half of one."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from filelock import lock_descriptor

from emotionnet_hf.lock import one_run


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
def whole_file(path: str | Path, folder: Path | None = None) -> Iterator[IO[bytes]]:
    """Write a file whole or not at all.

    Of several processes that write the same file at a time, the last one wins, and what they have
    not finished does not meet: its name, ``.NAME.PROCESS-RANDOM.unfinished``, is nobody else's.

    Args:
        path: The file; what a killed process has left unfinished of it is removed.
        folder: Where it lies until it is whole, on the same disk: the work folder of a run, which
            removes what is left over itself (see ``remove_unfinished``); beside ``path`` if None.

    Yields:
        The open file.

    Raises:
        OSError: The disk is full or not writable; ``path`` is untouched.
    """
    path = Path(path)
    if folder is None:
        _remove_unfinished_of_the_dead(path)
    unfinished, file = _open_unfinished(path, folder or path.parent)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name != "nt":  # as long as it is locked nobody takes it for left over
                os.replace(unfinished, path)
        if os.name == "nt":  # there an open file cannot be moved, nor removed
            os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _open_unfinished(path: Path, folder: Path) -> tuple[Path, IO[bytes]]:
    """Open a file of a new name, locked so that it is known to be somebody's."""
    while True:
        unfinished = folder / unfinished_name(path.name)
        file = unfinished.open("xb")
        try:
            known = lock_descriptor(file.fileno(), blocking=False)
        except OSError:  # this disk knows no locks; then nobody takes the file for left over either
            return unfinished, file
        if known and os.fstat(file.fileno()).st_nlink:
            return unfinished, file
        file.close()  # taken for left over before it was locked


def unfinished_name(name: str) -> str:
    """Name something unfinished, in a way that nobody else does.

    Args:
        name: What it becomes.

    Returns:
        A hidden name, which `remove_unfinished` knows again.
    """
    return f".{name}.{os.getpid()}-{secrets.token_hex(4)}.unfinished"


def _remove_unfinished_of_the_dead(path: Path) -> None:
    """Remove what killed processes have left of a file; what is locked has a living writer."""
    for unfinished in _unfinished(path.parent, path.name):
        with suppress(OSError), unfinished.open("rb+") as file:
            if lock_descriptor(file.fileno(), blocking=False):
                unfinished.unlink(missing_ok=True)


def remove_unfinished(folder: Path, name: str | None = None) -> None:
    """Remove what is unfinished in a folder that no other run is at work in.

    Args:
        folder: The folder; it need not exist.
        name: Of the file or folder that it would have become; None for all.
    """
    for unfinished in _unfinished(folder, name):
        if unfinished.is_dir():
            shutil.rmtree(unfinished, ignore_errors=True)
        else:
            unfinished.unlink(missing_ok=True)


def _unfinished(folder: Path, name: str | None) -> list[Path]:
    if not folder.is_dir():
        return []
    pattern = rf"\.{'.+' if name is None else re.escape(name)}\.\d+-[0-9a-f]{{8}}\.unfinished"
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if re.fullmatch(pattern, entry.name, re.S)]


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
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file whole or not at all; see ``write_text``."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Fill a folder whole or not at all, as the only run that does.

    Yields a sibling folder to fill. When the block ends it takes the place of ``path``; when the
    block raises it is removed, and whatever stood at ``path`` stays. What a killed process has left
    is removed, see also ``move_into_place``.

    Args:
        path: The folder; an existing one is replaced.

    Yields:
        The folder to fill, on the same disk as ``path``.

    Raises:
        AnotherRunError: Another run fills it.
        NotADirectoryError: A file stands at ``path``.
        OSError: The disk is full or not writable; the old folder, if any, is untouched.
    """
    path = Path(path)
    with one_run(path):
        put_back(path)
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(f"{path} is a file; remove it or choose another folder.")
        remove_unfinished(path.parent, path.name)
        unfinished = path.with_name(unfinished_name(path.name))
        unfinished.mkdir()
        try:
            yield unfinished
            move_into_place(unfinished, path)
        except BaseException:
            put_back(path)
            shutil.rmtree(unfinished, ignore_errors=True)
            raise


def move_into_place(folder: Path, path: Path) -> None:
    """Let a folder take the place of another, whose run this is (see ``one_run``).

    A folder cannot replace a filled one in a single step. A process that is killed between the two
    leaves the old folder beside ``path``, as ``.NAME.replaced``; ``put_back`` puts it back.

    Args:
        folder: The new folder, on the same disk.
        path: Its place.

    Raises:
        OSError: The disk is not writable.
    """
    replaced = _replaced(path)
    shutil.rmtree(replaced, ignore_errors=True)
    if path.exists():
        os.replace(path, replaced)
    os.replace(folder, path)
    shutil.rmtree(replaced, ignore_errors=True)


def put_back(path: Path) -> None:
    """Undo an exchange of folders of which a killed process did one half.

    Args:
        path: Where the folder belongs that was moved away, if nothing is there.

    Raises:
        OSError: The disk is not writable.
    """
    replaced = _replaced(path)
    if not replaced.exists():
        return
    if path.exists():  # only its removal was left to do
        shutil.rmtree(replaced, ignore_errors=True)
    else:
        os.replace(replaced, path)


def _replaced(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


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
