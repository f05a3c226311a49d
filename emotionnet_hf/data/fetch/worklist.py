"""What is to be fetched, on disk: four million rows in the memory of a few.

The list is read once, from its beginning to its end, into a scratch SQLite file beside the
pictures. That gives what a list alone cannot: the rows of one host without those of the others, so
that a slow host with most of the rows keeps nobody waiting; rows given twice; the number of rows.
In memory are, at any time, `BATCH` rows of each host that is being asked. The scratch file is
written anew by each run (a million rows take seconds) and deleted at its end.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from emotionnet_hf.data.fetch.journal import Entry
from emotionnet_hf.data.fetch.settings import FetchError
from emotionnet_hf.data.fetch.url_list import Unusable, Wanted

BATCH = 64
"""Rows of a host that are read at a time."""

# Written anew by each run, so nothing in it is worth a flush to the disk.
_PRAGMAS = (
    "journal_mode=OFF",
    "synchronous=OFF",
    "locking_mode=EXCLUSIVE",
    "cache_size=-65536",  # KiB
)
_TABLES = """
    CREATE TABLE wanted (
        row INTEGER PRIMARY KEY, host TEXT, file_name TEXT UNIQUE, url TEXT, open INT, known INT,
        digest TEXT, columns TEXT
    );
    CREATE TABLE failed (
        row INTEGER PRIMARY KEY, file_name TEXT, url TEXT, reason TEXT, attempts INT, retry INT
    );
    CREATE TABLE earlier (
        file_name TEXT PRIMARY KEY, url TEXT, ok INT, size INT, shorter_side INT,
        reason TEXT, attempts INT, retry INT, digest TEXT, sha256 TEXT
    );
"""


@dataclass(frozen=True, slots=True)
class Failed:
    """A row of the table of failures.

    Attributes:
        row: Position in the list.
        file_name: Where the picture was to be put.
        url: The URL of the list.
        reason: Why it is not there.
        attempts: Requests that were tried.
        retry: The next run tries again.
    """

    row: int
    file_name: str
    url: str
    reason: str
    attempts: int
    retry: bool


class Worklist:
    """The rows of one run.

    Args:
        path: The scratch file; it must not exist.
        out: The folder of the pictures.
        shorter_side: Limit under which they are written.
        retry_failed: Try again what failed for good, too.

    Attributes:
        counts: `open` rows are to be fetched, `done` ones are there, `failed` ones cannot be.
    """

    def __init__(
        self, path: Path, out: Path, *, shorter_side: int | None, retry_failed: bool
    ) -> None:
        self.out, self.shorter_side, self.retry_failed = out, shorter_side, retry_failed
        self.counts: Counter[str] = Counter()
        # One thread at a time: that of the caller, or in a notebook that of the run.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in _PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_TABLES)

    def __enter__(self) -> Worklist:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def fill(self, entries: Iterable[Entry], rows: Iterable[Wanted | Unusable]) -> None:
        """Read what is wanted, and set aside what needs no fetching.

        Args:
            entries: The journal of earlier runs.
            rows: The list.

        Raises:
            FetchError: The folder's pictures were written under another limit of size.
        """
        self._db.execute("BEGIN")
        for entry in entries:
            self._remember(entry)
        for row in rows:
            if isinstance(row, Unusable):
                self.fail(Failed(row.row, row.file_name, row.url, row.reason, 0, False))
            else:
                self._add(row)
        self._db.execute("COMMIT")
        self._db.execute("CREATE INDEX by_host ON wanted (host, row) WHERE open")

    def _remember(self, entry: Entry) -> None:
        """Keep the last entry of each file name."""
        self._db.execute(
            "INSERT OR REPLACE INTO earlier VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(entry.file_name, entry.url, entry.status == "ok", entry.bytes),
                *(entry.shorter_side, entry.reason, entry.attempts, entry.retry),
                *(entry.digest, f"sha256:{entry.sha256}" if entry.shorter_side is None else ""),
            ),
        )

    def _add(self, row: Wanted) -> None:
        added = self._db.execute(
            "INSERT INTO wanted VALUES (?, ?, ?, ?, 1, 0, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(row.row, row.host, row.file_name, row.url),
                ":".join(row.digest) if row.digest else None,
                json.dumps(row.columns, default=_plain) if row.columns else None,
            ),
        )
        if not added.rowcount:
            query = "SELECT url FROM wanted WHERE file_name = ?"
            if self._one(query, row.file_name)[0] != row.url:
                reason = "file_name given before with another URL"
                self.fail(Failed(row.row, row.file_name, row.url, reason, 0, False))
            return
        query = "SELECT * FROM earlier"
        known = self._one(f"{query} WHERE file_name = ?", row.file_name)
        state = self._state(row, *known[1:]) if known else "open"
        self.counts[state] += 1
        if known:
            self._db.execute(
                "UPDATE wanted SET open = ?, known = 1 WHERE row = ?", (state == "open", row.row)
            )

    def _state(
        self,
        row: Wanted,
        url: str,
        ok: bool,
        size: int,
        side: int | None,
        reason: str,
        attempts: int,
        retry: bool,
        digest: str,
        sha256: str,
    ) -> str:
        """Say what the journal's last word on a file name means for a row."""
        told = ":".join(row.digest or ())
        # Bytes that were never compared with what the list says now are fetched to be compared.
        if url != row.url or (told not in ("", digest, sha256) if ok else told != digest):
            return "open"
        if not ok:
            if retry or self.retry_failed:
                return "open"
            self.fail(Failed(row.row, row.file_name, row.url, reason, attempts, False))
            return "given up"
        if side != self.shorter_side:
            raise FetchError(
                f"{self.out} holds pictures of shorter side {side or 'as they came'}, not "
                f"{self.shorter_side or 'as they came'}; ask for the same, or choose another folder"
            )
        try:
            return "done" if os.stat(self.out / row.file_name).st_size == size else "open"
        except OSError:  # gone, or changed into something else: fetched again
            return "open"

    def _one(self, query: str, *values: Any) -> Any:
        return self._db.execute(query, values).fetchone()

    def fail(self, failed: Failed) -> None:
        """Put a row into the table of failures.

        Args:
            failed: The row.
        """
        self.counts["failed"] += 1
        self._db.execute(
            "INSERT INTO failed VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(failed.row, failed.file_name, failed.url),
                *(failed.reason, failed.attempts, failed.retry),
            ),
        )

    def hosts(self) -> Iterator[tuple[str, int]]:
        """List each host and its number of rows to fetch, most rows first: they take longest."""
        query = "SELECT host, COUNT(*) FROM wanted WHERE open GROUP BY host ORDER BY 2 DESC"
        # Rows of this cursor lie in SQLite's sorter, out of reach of what is done in between.
        return iter(self._db.execute(query))

    def rows_of(self, host: str) -> Iterator[tuple[Wanted, bool]]:
        """Read the rows of a host that are to be fetched, in order.

        Args:
            host: The host.

        Yields:
            The row, without its other columns, and whether the journal knows its file name. Of a
            file that the journal does not know but which is there, an earlier run was killed
            before it wrote its line.
        """
        query = (
            "SELECT row, file_name, url, known, digest FROM wanted "
            f"WHERE open AND host = ? AND row > ? ORDER BY row LIMIT {BATCH}"
        )
        last = -1
        while batch := self._db.execute(query, (host, last)).fetchall():
            last = batch[-1][0]
            for row, file_name, url, known, digest in batch:
                kind, _, digits = (digest or "").partition(":")
                checked = (kind, digits) if digest else None
                yield Wanted(row, file_name, url, host, checked), bool(known)

    def described(self) -> Iterator[dict[str, Any]]:
        """Yield what the list says of the pictures that have not failed, in its order.

        Yields:
            `file_name`, `url` and the list's other columns; nothing where it has none.
        """
        query = (
            "SELECT file_name, url, columns FROM wanted WHERE columns IS NOT NULL "
            "AND row NOT IN (SELECT row FROM failed) ORDER BY row"
        )
        for file_name, url, columns in self._db.execute(query):
            yield {"file_name": file_name, "url": url, **json.loads(columns)}

    def failures(self) -> Iterator[Failed]:
        """Yield the table of failures, in the order of the list."""
        query = "SELECT row, file_name, url, reason, attempts, retry FROM failed ORDER BY row"
        for row, file_name, url, reason, attempts, retry in self._db.execute(query):
            yield Failed(row, file_name, url, reason, attempts, bool(retry))


def _plain(value: object) -> str:
    """Write a date, bytes or the like as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
