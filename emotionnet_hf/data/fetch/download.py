"""One request: what came of asking for one URL once."""

from __future__ import annotations

import asyncio
import errno
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from functools import partial
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from emotionnet_hf.data.fetch.addresses import (
    AddressRefusedError,
    PublicResolver,
    open_public_socket,
)
from emotionnet_hf.data.fetch.heads import MAX_HEAD, MAX_HEADERS, HeadReader, HeadTooLongError
from emotionnet_hf.data.fetch.names import NameBook, NameNotResolvedError
from emotionnet_hf.data.fetch.robots import refused_by
from emotionnet_hf.data.fetch.settings import FetchSettings
from emotionnet_hf.data.tables import printable
from emotionnet_hf.loading.urls import sendable_url

# With these a body comes that is the picture: 201 from scripts that made it, 203 from proxies.
_WHOLE = (200, 201, 203)
_REDIRECTS = (301, 302, 303, 307, 308)
# With these, the same request may do better later; other codes of 400 and more are meant.
_PASSING = (408, 425, 429)
_LASTING = (501, 505)
_BUSY = (429, 503)
# A name that hangs blocks the thread that asks for it, for as long as the system's resolver waits.
_DNS_THREADS = 64
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class Body:
    """What a URL holds.

    Attributes:
        data: The bytes.
        content_type: What the server calls them.
    """

    data: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A redirect.

    Attributes:
        url: Where to.
    """

    url: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that brought nothing.

    Attributes:
        reason: Why; what stands before its colon is the kind.
        retry: The same request may do better later.
        blame: What it says of the host: nothing (`url`), that nothing answered (`host`), that it
            wants fewer requests (`busy`), or that it has no address (`name`).
        retry_after: Seconds that a busy host asks for, where it does.
    """

    reason: str
    retry: bool = False
    blame: Literal["url", "host", "busy", "name"] = "url"
    retry_after: float | None = None


Answer = Body | Moved | Failure


class Downloader:
    """Asks for URLs; an asynchronous context manager.

    Redirects are not followed but reported, so that each of them is checked and waits its turn.
    There are no cookies, no credentials, and no proxies from the environment. The caller limits the
    requests at a time. aiohttp itself asks a second time, at once, where a connection is closed
    before any answer: a kept one may have ended just then.

    Args:
        settings: Time-outs and limits.
    """

    def __init__(self, settings: FetchSettings) -> None:
        self.settings = settings

    async def __aenter__(self) -> Downloader:
        settings = self.settings
        asyncio.get_running_loop().set_default_executor(
            ThreadPoolExecutor(_DNS_THREADS, thread_name_prefix="dns")
        )
        private = settings.allow_private_addresses
        self._names = NameBook(
            aiohttp.ThreadedResolver() if private else PublicResolver(),
            timeout=settings.connect_timeout,
            pause=settings.backoff,
        )
        connector = aiohttp.TCPConnector(
            limit=0,
            use_dns_cache=False,  # the book is one
            resolver=self._names,
            socket_factory=None if private else open_public_socket,
        )
        # aiohttp has no public way to say how an answer's head is read.
        factory: Any = partial(HeadReader, loop=asyncio.get_running_loop())
        connector._factory = factory
        timeout = aiohttp.ClientTimeout(
            total=settings.total_timeout,
            connect=settings.connect_timeout,
            sock_read=settings.stall_timeout,
        )
        headers = {
            "User-Agent": settings.user_agent,
            # Named formats keep servers from turning a JPEG into what browsers like better.
            "Accept": "image/jpeg,image/png,image/*;q=0.8,*/*;q=0.5",
            "Accept-Encoding": "identity",
        }
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MAX_HEAD,
            max_field_size=MAX_HEAD,
            max_headers=MAX_HEADERS,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()
        await self._names.close()

    async def request(self, url: str, *, last: bool = False) -> Answer:
        """Ask for a URL once, character by character as it is; see `sendable_url`.

        Args:
            url: One that has no `url_problem`.
            last: Ask the host to close the connection: idle ones use up file handles.

        Returns:
            What came of it.

        Raises:
            OSError: This machine is out of file handles.
        """
        headers = {"Connection": "close"} if last else None
        answered = False
        try:
            target = _target(url)
            await self._names.look_up(target.raw_host or "")
            async with self._session.get(
                target, headers=headers, allow_redirects=False
            ) as response:
                answered = True
                return await self._read(response, url)
        # Whatever a stranger's answer does to the library costs its row and not the run.
        except Exception as error:
            failure = _explained(error)
            return replace(failure, blame="url") if answered else failure

    async def _read(self, response: aiohttp.ClientResponse, url: str) -> Answer:
        target = response.headers.get("Location", "").strip()
        if response.status in _REDIRECTS and target:
            return _moved(url, target)
        if response.status not in _WHOLE:
            return _refused(response)
        settings = self.settings
        tags = response.headers.getall("X-Robots-Tag", ())
        if said := refused_by(tags, settings.user_agent, settings.disallowed_directives):
            return Failure(f"not allowed: X-Robots-Tag {said}")
        limit = settings.max_bytes
        told = response.content_length or 0
        if told > limit:
            return Failure(f"too many bytes: Content-Length {told} (limit {limit})")
        chunks, size = [], 0
        # Counted after any decompression, of which aiohttp does a bounded piece at a time.
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                return Failure(f"too many bytes: more than the limit of {limit}")
        return Body(b"".join(chunks), printable(response.headers.get("Content-Type"))[:200])


def _target(url: str) -> URL:
    """A URL that aiohttp sends as it is: to yarl all behind the host is one path."""
    url = sendable_url(url)
    parts = urlsplit(url)
    behind = url.partition("://")[2][len(parts.netloc) :]
    path = behind if behind.startswith("/") else f"/{behind}"
    return URL.build(scheme=parts.scheme, authority=parts.netloc, path=path, encoded=True)


def _moved(url: str, target: str) -> Moved | Failure:
    """Where a redirect leads; what it says of that is kept character by character."""
    try:
        url = sendable_url(url)
        if target.startswith("//"):
            target = f"{urlsplit(url).scheme}:{target}"
        elif target.startswith("/"):
            target = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}{target}"
        elif not _SCHEME.match(target):
            path, mark, query = target.partition("?")  # urljoin would drop an empty query
            target = urljoin(url.partition("?")[0], path) + mark + query
        return Moved(sendable_url(target))
    except ValueError as error:
        return Failure(f"redirect refused: not a URL: {printable(error)}")


def _refused(response: aiohttp.ClientResponse) -> Failure:
    status = response.status
    retry = status in _PASSING or (status >= 500 and status not in _LASTING)
    if status not in _BUSY:
        return Failure(f"HTTP {status}", retry)
    return Failure(
        f"HTTP {status}", retry, "busy", retry_after(response.headers.get("Retry-After"))
    )


def retry_after(value: str | None) -> float | None:
    """Read a Retry-After header.

    Args:
        value: Seconds or a date, as HTTP has it.

    Returns:
        Seconds from now; None where nothing is said, or nothing that can be read.

    >>> retry_after("120"), retry_after("soon")
    (120.0, None)
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


# Asked in this order: some are kinds of those below them.
_FAILURES = (
    (aiohttp.ConnectionTimeoutError, Failure("timed out: no connection", True, "host")),
    (aiohttp.SocketTimeoutError, Failure("timed out: nothing came", True, "host")),
    (asyncio.TimeoutError, Failure("timed out: took too long in all", True)),
    (aiohttp.ClientPayloadError, Failure("truncated: the answer broke off", True)),
    (aiohttp.ClientConnectionError, Failure("connection lost", True, "host")),
    (HeadTooLongError, Failure(f"too long headers: more than {MAX_HEAD} bytes")),
)


def _explained(error: Exception) -> Failure:
    """Say what an exception of aiohttp means."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return _unconnected(error)
    if isinstance(error, NameNotResolvedError | AddressRefusedError):
        return _unaddressed(error)
    for exception, failure in _FAILURES:
        if isinstance(error, exception):
            return failure
    if isinstance(error, aiohttp.ClientResponseError):
        said = printable(error.message).strip().partition("\n")[0][:100]
        return Failure(f"not HTTP: the answer cannot be read ({said.rstrip(':,.')})", True)
    # UnicodeError is a ValueError, and what a host name raises that DNS cannot write.
    kind = "not a URL" if isinstance(error, ValueError) else "not understood"
    return Failure(f"{kind}: {printable(error)[:200] or type(error).__name__}")


def _unaddressed(error: NameNotResolvedError | AddressRefusedError) -> Failure:
    if isinstance(error, AddressRefusedError):
        return Failure(f"refused address: {error.strerror}")
    return Failure(f"name not resolved: {error.strerror}", not error.lasting, "name")


def _unconnected(error: aiohttp.ClientConnectorError) -> Failure:
    cause = error.os_error
    if isinstance(cause, NameNotResolvedError | AddressRefusedError):
        return _unaddressed(cause)
    if cause.errno in (errno.EMFILE, errno.ENFILE):
        raise OSError(
            cause.errno,
            "too many open files; lower the concurrency, or raise the limit (ulimit -n)",
        ) from error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Failure("certificate not trusted", False, "host")
    if isinstance(error, aiohttp.ClientSSLError):
        return Failure("no TLS connection", True, "host")
    return Failure(f"no connection: {cause.strerror}", True, "host")
