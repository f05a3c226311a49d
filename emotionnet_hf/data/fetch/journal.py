"""The journal: one line a picture that was fetched or given up, only ever added to.

A line is written when its picture lies in its place, so what the journal says is there, is there,
however the run ended. A line that a kill cut short is dropped; its picture is found again by
looking at the file.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one picture.

    Attributes:
        file_name: Where it was to be put.
        url: The URL of the list.
        status: `ok` or `failed`.
        reason: Why it failed; `found` where an earlier run had left the file without a line;
            otherwise empty.
        retry: A failure that may go away by itself: the next run tries again.
        attempts: Requests that were answered, or not, other than by a redirect.
        bytes: Size of the file.
        sha256: Of the file, as hex digits.
        shorter_side: Limit under which it was written, None for as it came.
        content_type: What the server called it.
        final_url: Where it was, after redirects.
        digest: What the list said of the bytes that come, such as `md5:` and hex digits.
    """

    file_name: str
    url: str
    status: str
    reason: str = ""
    retry: bool = False
    attempts: int = 0
    bytes: int = 0
    sha256: str = ""
    shorter_side: int | None = None
    content_type: str = ""
    final_url: str = ""
    digest: str = ""


_NAMES = tuple(field.name for field in fields(Entry))


class Journal:
    """The journal of one folder, open for the one run that is at work there (see `one_run`).

    Args:
        path: The file; made if it is not there.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Unbuffered: a line that was written survives the death of this process.
        self._file = path.open("ab", buffering=0)
        try:
            self._drop_torn_line()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def add(self, entry: Entry) -> None:
        """Write one line.

        Args:
            entry: What became of a picture.

        Raises:
            OSError: The disk is full, or not writable.
        """
        # What is as by default goes unsaid: half of the file's size.
        values = ((name, getattr(entry, name)) for name in _NAMES)
        said = {name: value for name, value in values if value not in ("", 0, None)}
        line = json.dumps(said, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def _drop_torn_line(self) -> None:
        size = end = self.path.stat().st_size
        with self.path.open("rb") as file:
            while end:
                start = max(0, end - 65536)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                if newline >= 0:
                    end = start + newline + 1
                    break
                end = start
        if end < size:
            os.truncate(self.path, end)


def read_journal(path: Path) -> Iterator[Entry]:
    """Read the lines of a journal.

    Args:
        path: The file.

    Yields:
        Each line that can be read; a later one for the same file name is the one that counts.
    """
    damaged = 0
    with path.open("rb") as lines:
        for line in lines:
            try:
                yield Entry(**json.loads(line))
            except (ValueError, TypeError, RecursionError):
                damaged += 1
    if damaged:
        logger.warning("%s: %d damaged lines are ignored", path, damaged)
