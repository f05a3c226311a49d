"""Fetching a list of pictures into a folder.

    out/
        3f/dog-3f2a9c1d0b7e4a55.jpg ...   the pictures, by their file names
        fetched.jsonl                     the journal: a line a picture, fetched or failed
        failures.csv                      what is not there, and why
        pictures.jsonl                    what the list says of the pictures that are there, where
                                          it has columns of its own, with `file_name`: renamed to
                                          metadata.jsonl it is what `emotionnet build` reads

Every picture is written beside its place and moved there, and then its line is written: a run can
be killed at any moment, and the same call goes on where it was. It asks for nothing that is there,
nor for what failed for good (404, no image, ...), but once more for what may have passed (a
time-out, a busy host).
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from itertools import chain
from pathlib import Path

from tqdm.auto import tqdm

from emotionnet_hf.data.fetch.journal import Journal, read_journal
from emotionnet_hf.data.fetch.robots import DISALLOWED
from emotionnet_hf.data.fetch.running import Run
from emotionnet_hf.data.fetch.settings import USER_AGENT, FetchSettings
from emotionnet_hf.data.fetch.storing import Store
from emotionnet_hf.data.fetch.url_list import (
    FAILURES,
    JOURNAL,
    PICTURES,
    SCRATCH,
    UrlListError,
    read_url_list,
)
from emotionnet_hf.data.fetch.worklist import Failed, Worklist
from emotionnet_hf.data.plan import reason_kind, told
from emotionnet_hf.files import explained_full_disk, whole_file
from emotionnet_hf.loading.images import MAX_PIXELS
from emotionnet_hf.lock import one_run


@dataclass(frozen=True)
class FetchReport:
    """What is there now.

    Attributes:
        out: The folder.
        wanted: Rows of the list, repeated ones once.
        fetched: Pictures fetched by this run.
        earlier: Pictures that were there already.
        failed: Rows of the table of failures.
        retry: Those among them that the next run tries again.
        reasons: Failures by kind of reason.
        num_bytes: Size of the pictures fetched by this run.
        seconds: What this run took.
    """

    out: Path
    wanted: int
    fetched: int
    earlier: int
    failed: int
    retry: int
    reasons: dict[str, int] = field(default_factory=dict)
    num_bytes: int = 0
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every picture is there."""
        return not self.failed

    def summary(self) -> str:
        """Two to four lines for people."""
        rate = self.fetched / self.seconds if self.seconds else 0.0
        lines = [
            f"{self.out}: {self.fetched + self.earlier:,} of {self.wanted:,} pictures are there, "
            f"{self.earlier:,} of them from earlier runs",
            f"{self.fetched:,} fetched ({self.num_bytes / 1e6:,.1f} MB) in "
            f"{self.seconds:,.1f} s, {rate:,.0f} a second",
        ]
        if self.failed:
            lines.append(f"{self.failed:,} failed: {told(Counter(self.reasons))}; see {FAILURES}")
        if self.retry:
            lines.append(f"{self.retry:,} of them may do better later: the same call tries again")
        return "\n".join(lines)


def fetch_images(
    urls: str | Path | Iterable[object],
    out: str | Path,
    *,
    shorter_side: int | None = None,
    concurrency: int = 256,
    per_host: int = 8,
    host_delay: float = 0.0,
    retries: int = 4,
    backoff: float = 1.0,
    max_rest: float = 300.0,
    connect_timeout: float = 10.0,
    stall_timeout: float = 20.0,
    total_timeout: float = 120.0,
    max_bytes: int = 20 * 2**20,
    max_pixels: int = MAX_PIXELS,
    max_redirects: int = 5,
    allow_private_addresses: bool = False,
    user_agent: str = USER_AGENT,
    disallowed_directives: Sequence[str] = DISALLOWED,
    retry_failed: bool = False,
    num_threads: int | None = None,
    progress: bool = True,
) -> FetchReport:
    """Fetch the pictures of a list; the same call again goes on where it was.

    Args:
        urls: A file (text, any table, a pickle of the StockEmotion release) or a folder of them,
            or URLs, or pairs of file name and URL; see `url_list`.
        out: The folder to fill. One run at a time.
        shorter_side: Shrink larger pictures to this shorter side, upright; see `encode_picture`.
            None keeps the bytes that came. Names stay as they are, whatever the format.
        concurrency: Requests at a time. Memory is about this times the size of a picture.
        per_host: Requests at a time to one host.
        host_delay: Seconds between the starts of two requests to one host.
        retries: Further tries after a failure that may pass: no or a lost connection, a time-out,
            408, 425, 429, most of 5xx, half a picture.
        backoff: Seconds before the second try, with jitter; doubled each time. Likewise of a busy
            host that does not say how long.
        max_rest: Most seconds that a busy host, or a picture, is left alone, whatever the host
            asks for (Retry-After).
        connect_timeout: Seconds for finding a host and connecting to it.
        stall_timeout: Seconds without a byte.
        total_timeout: Seconds for one request.
        max_bytes: Largest body, decompressed.
        max_pixels: Largest width x height.
        max_redirects: Redirects in a row.
        allow_private_addresses: Ask private, loopback and reserved addresses too.
        user_agent: What to say we are.
        disallowed_directives: A picture whose server sends one of them in X-Robots-Tag, to
            everybody or to `user_agent`, is not taken; see `robots`. Without any, all are taken.
        retry_failed: Try again what failed for good in an earlier run.
        num_threads: Threads that check and shrink; None for one per core.
        progress: Show progress bars.

    Returns:
        The counts. Rows that could not be fetched are in `failures.csv`.

    Raises:
        UrlListError: The list cannot be read, or is empty.
        FetchError: A value is out of range; or the pictures in `out` have another `shorter_side`.
        AnotherRunError: Another run is at work in `out`.
        DiskFullError: No space left; the same call goes on where it was.
        OSError: `out` is not writable, or there are too few file handles.
    """
    settings = FetchSettings(
        shorter_side=shorter_side,
        concurrency=concurrency,
        per_host=per_host,
        host_delay=host_delay,
        retries=retries,
        backoff=backoff,
        max_rest=max_rest,
        connect_timeout=connect_timeout,
        stall_timeout=stall_timeout,
        total_timeout=total_timeout,
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        max_redirects=max_redirects,
        allow_private_addresses=allow_private_addresses,
        user_agent=user_agent,
        disallowed_directives=tuple(text.lower() for text in disallowed_directives),
    )
    threads = max(1, (os.cpu_count() or 1) if num_threads is None else num_threads)
    out = Path(out)
    with explained_full_disk(out):
        return _fetch(urls, out, settings, retry_failed, threads, progress)


def _fetch(
    urls: str | Path | Iterable[object],
    out: Path,
    settings: FetchSettings,
    retry_failed: bool,
    threads: int,
    progress: bool,
) -> FetchReport:
    started = time.monotonic()
    rows = read_url_list(urls)
    with one_run(out, inside=True):
        with Journal(out / JOURNAL) as journal, _scratch(out) as scratch:
            side = settings.shorter_side
            work = Worklist(scratch / "list", out, shorter_side=side, retry_failed=retry_failed)
            with work, ThreadPoolExecutor(threads) as pool:
                bar = tqdm(rows, desc="reading the list", unit="row", disable=not progress)
                work.fill(read_journal(out / JOURNAL), bar)
                if not work.counts:
                    raise UrlListError(
                        f"{urls if isinstance(urls, str | Path) else 'urls'} is empty"
                    )
                store = Store(out, scratch, max_pixels=settings.max_pixels, shorter_side=side)
                run = Run(work, journal, store, pool, settings)
                run.to_end(progress=progress)
                reasons, retry = _write_failures(out, scratch, work)
                _write_pictures(out, scratch, work)
    return FetchReport(
        out=out,
        wanted=reasons.total() + work.counts["done"] + run.counts["fetched"] + run.counts["found"],
        fetched=run.counts["fetched"],
        earlier=work.counts["done"] + run.counts["found"],
        failed=reasons.total(),
        retry=retry,
        reasons=dict(reasons.most_common()),
        num_bytes=run.num_bytes,
        seconds=time.monotonic() - started,
    )


def _write_failures(out: Path, scratch: Path, work: Worklist) -> tuple[Counter[str], int]:
    """Write the table of failures; its rows by kind of reason, and how many may pass."""
    reasons: Counter[str] = Counter()
    retry = 0
    with whole_file(out / FAILURES, scratch) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        table = csv.writer(text)
        columns = [field.name for field in fields(Failed)]
        table.writerow(columns)
        for failed in work.failures():
            table.writerow(getattr(failed, name) for name in columns)
            reasons[reason_kind(failed.reason)] += 1
            retry += failed.retry
        text.detach()
    return reasons, retry


def _write_pictures(out: Path, scratch: Path, work: Worklist) -> None:
    """Keep along what the list says of the pictures, if it says anything."""
    rows = work.described()
    first = next(rows, None)
    if first is None:
        return
    with whole_file(out / PICTURES, scratch) as file:
        for row in chain([first], rows):
            file.write(json.dumps(row).encode() + b"\n")


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Give a fresh folder for unfinished work; what a kill left there is of no use."""
    scratch = out / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
