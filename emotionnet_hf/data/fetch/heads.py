"""Heads of answers as browsers take them.

aiohttp's parser refuses an answer that gives its Content-Length twice, even where both are the
same; proxies send such answers, and RFC 9110 (8.6) lets a client take the value that is repeated.
The parser has no setting for it, so the repeated line is taken out before the parser sees it. Two
different lengths are left in, and refused.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MAX_HEAD = 256 * 2**10
"""Bytes of a head, as in Chrome. A cookie or a policy may take far more than aiohttp's 8 KiB."""

MAX_HEADERS = 2048
"""Lines of a head."""

_LENGTH = b"content-length"


class HeadTooLongError(aiohttp.ClientError):
    """A head of more than `MAX_HEAD` bytes."""


class HeadReader(ResponseHandler):
    """The connection's end that reads: it passes on all but the repeated line."""

    _in_head: bool
    _size: int
    _rest: bytes
    _status: bytes
    _length: bytes

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._begin_head()

    def set_response_params(self, **options: Any) -> None:
        """Expect an answer, for which aiohttp calls this.

        Args:
            **options: Passed on.
        """
        self._begin_head()
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the network; of a head only whole lines are passed on.

        Args:
            data: The bytes; none where aiohttp wants to go on with what it has.
        """
        if not (self._in_head and data):
            super().data_received(data)
            return
        self._size += len(data)
        data, start, kept = self._rest + data, 0, []
        while self._in_head and (end := data.find(b"\n", start) + 1):
            line, start = data[start:end], end
            if not self._is_repeated(line):
                kept.append(line)
        if self._in_head and self._size > MAX_HEAD:
            self.set_exception(HeadTooLongError(f"more than {MAX_HEAD} bytes"))
            if self.transport is not None:
                self.transport.abort()
            return
        self._rest = data[start:] if self._in_head else b""
        passed = b"".join(kept) if self._in_head else b"".join([*kept, data[start:]])
        if passed:
            super().data_received(passed)

    def _begin_head(self) -> None:
        self._in_head, self._size = True, 0
        self._rest, self._status, self._length = b"", b"", b""

    def _is_repeated(self, line: bytes) -> bool:
        """Whether a line says a length that was said before; takes note of where the head ends."""
        if not line.strip():
            # Of 1xx another head follows. Blank lines before a head are no end of it.
            interim = self._status[9:10] == b"1"
            self._in_head = interim or not self._status
            self._status, self._length = b"", b""
            return False
        self._status = self._status or line
        name, _, value = line.partition(b":")
        if name.strip().lower() != _LENGTH:
            return False
        before, self._length = self._length, value.strip()
        return bool(before) and before == self._length
