"""The asynchronous middle of a run: jobs out of the schedule, through the network, to the disk."""

from __future__ import annotations

import asyncio
import math
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tqdm.auto import tqdm

from emotionnet_hf.data.fetch.download import Body, Downloader, Failure, Moved
from emotionnet_hf.data.fetch.hosts import Job, Schedule
from emotionnet_hf.data.fetch.journal import Entry, Journal
from emotionnet_hf.data.fetch.settings import FetchSettings
from emotionnet_hf.data.fetch.storing import Store, Stored
from emotionnet_hf.data.fetch.url_list import url_problem
from emotionnet_hf.data.fetch.worklist import Failed, Worklist
from emotionnet_hf.loading.images import ImageError

# What Pillow says of half a picture: the server's length was a lie.
_HALF = ("truncated", "zero bytes")


class Run:
    """One run.

    Args:
        work: What to fetch.
        journal: Where to note what came of it.
        store: Where pictures go.
        pool: Threads that check and write them.
        settings: Limits.

    Attributes:
        counts: Pictures `fetched`, `found` in their place, and `failed`.
        num_bytes: Size of the pictures fetched.
    """

    def __init__(
        self,
        work: Worklist,
        journal: Journal,
        store: Store,
        pool: ThreadPoolExecutor,
        settings: FetchSettings,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.num_bytes = 0
        self._work, self._journal, self._store, self._pool = work, journal, store, pool
        self._settings = settings
        self._schedule = Schedule(work, settings)
        self._downloader = Downloader(settings)
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None

    def to_end(self, *, progress: bool) -> None:
        """Fetch until every row is there or has failed.

        Args:
            progress: Show a bar.

        Raises:
            OSError: The disk is full or not writable, or there are too few file handles.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self._go(progress))
            return
        # In a notebook a loop is running already; ours runs in a thread.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, self._go(progress)).result()

    async def _go(self, progress: bool) -> None:
        self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        total = self._work.counts["open"]
        self._bar = tqdm(total=total, desc="fetching", unit="picture", disable=not progress)
        with self._bar:
            async with self._downloader:
                try:
                    await self._dispatch()
                finally:
                    for task in self._tasks:
                        task.cancel()
                    await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _dispatch(self) -> None:
        """Start whatever may start, until nothing is left."""
        while not self._schedule.finished:
            self._changed.clear()
            while len(self._tasks) < self._settings.concurrency:
                job = self._schedule.take(self._loop.time())
                if job is None:
                    break
                task = self._loop.create_task(self._advance(job))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            await self._change()
            if self._broken is not None:
                raise self._broken

    async def _change(self) -> None:
        """Wait until a job has ended or, while there is room for one, may start."""
        room = len(self._tasks) < self._settings.concurrency
        until = self._schedule.next_time() if room else math.inf
        timer = None if until == math.inf else self._loop.call_at(until, self._changed.set)
        await self._changed.wait()
        if timer is not None:
            timer.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()
        if not task.cancelled() and task.exception() is not None:
            self._broken = task.exception()

    async def _advance(self, job: Job) -> None:
        """Take a job one step further: a request, or the file that is there already.

        It keeps its place among the requests at a time until its picture is written, and so bounds
        what memory holds.
        """
        outcome = await self._step(job)
        now = self._loop.time()
        if isinstance(outcome, Failure):
            tired = job.attempts > self._settings.retries or job.host.given_up
            if outcome.retry and not tired:
                self._schedule.again(job, now)
                return
            self._fail(job, outcome)
        elif outcome is not None:
            self._journal.add(outcome)
            self.counts["found" if outcome.reason else "fetched"] += 1
        else:
            return  # under way to where a redirect led
        self._bar.update()
        self._schedule.finish(job, now)

    async def _step(self, job: Job) -> Entry | Failure | None:
        """Ask once; None where the job was passed on to another host."""
        found = await self._found(job)
        if found or job.host.given_up:
            self._schedule.release(job, None, self._loop.time())
            return found or job.host.given_up
        answer = await self._downloader.request(job.url, last=job.host.ending)
        self._schedule.release(job, answer, self._loop.time())
        if isinstance(answer, Moved):
            failure = self._redirected(job, answer)
            job.attempts += failure is not None
            return failure
        job.attempts += 1
        return await self._put(job, answer) if isinstance(answer, Body) else answer

    def _redirected(self, job: Job, moved: Moved) -> Failure | None:
        url = moved.url
        if problem := url_problem(url):
            return Failure(f"redirect refused: {problem}")
        if url == job.url or url in job.visited:
            return Failure("redirects in a circle")
        if len(job.visited) >= self._settings.max_redirects:
            return Failure(f"too many redirects: more than {self._settings.max_redirects}")
        self._schedule.follow(job, url, self._loop.time())
        return None

    async def _found(self, job: Job) -> Entry | None:
        """Look for a file that a killed run left without a line; it is checked like a new one."""
        name, digest = job.wanted.file_name, job.wanted.digest
        if job.known or job.attempts or job.visited or not os.path.isfile(self._store.out / name):
            return None
        try:
            stored = await self._loop.run_in_executor(self._pool, self._store.adopt, name, digest)
        except ImageError:
            return None
        return self._entry(job, stored, found=True)

    async def _put(self, job: Job, body: Body) -> Entry | Failure:
        wanted = job.wanted
        try:
            stored = await self._loop.run_in_executor(
                self._pool, self._store.put, body.data, wanted.file_name, wanted.digest
            )
        except ImageError as error:
            reason = str(error)
            return Failure(reason, retry=reason in _HALF)
        self.num_bytes += stored.bytes
        return self._entry(job, stored, type_=body.content_type)

    def _entry(self, job: Job, stored: Stored, *, found: bool = False, type_: str = "") -> Entry:
        return Entry(
            file_name=job.wanted.file_name,
            url=job.wanted.url,
            status="ok",
            reason="found" if found else "",
            attempts=job.attempts,
            bytes=stored.bytes,
            sha256=stored.sha256,
            shorter_side=self._settings.shorter_side,
            content_type=type_,
            final_url="" if found else job.url,
            digest=":".join(job.wanted.digest or ()),
        )

    def _fail(self, job: Job, failure: Failure) -> None:
        row, name, url = job.wanted.row, job.wanted.file_name, job.wanted.url
        reason, retry, attempts = failure.reason, failure.retry, job.attempts
        digest = ":".join(job.wanted.digest or ())
        self._journal.add(
            Entry(name, url, "failed", reason, retry=retry, attempts=attempts, digest=digest)
        )
        self._work.fail(Failed(row, name, url, reason, attempts, retry))
        self.counts["failed"] += 1
        self._bar.set_postfix(failed=self.counts["failed"], refresh=False)
