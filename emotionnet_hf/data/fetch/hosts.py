"""Who may be asked when: the manners of a run, without a network and with the time passed in.

Each host has a queue of its own and a limit of requests at a time. A host that says it is busy
(429, 503), or that cannot be reached several times in a row, is left alone altogether for as long
as it asks, or for longer each time; after `SETBACKS` such rests in a row it is given up for this
run, and at once where its name does not resolve (`names`). Whoever is ready is asked, so no host
waits for another.

A redirect to another host, and a second try, are jobs in the queue of the host concerned: nothing
that runs ever waits for a host. Rows are read only when they can be asked for. So memory is bound:
`AHEAD` unfinished jobs a host, `HOSTS` hosts.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from emotionnet_hf.data.fetch.download import Answer, Failure
from emotionnet_hf.data.fetch.settings import FetchSettings
from emotionnet_hf.data.fetch.url_list import Wanted, host_of
from emotionnet_hf.data.fetch.worklist import Worklist

AHEAD = 64
"""Rows of a host that may wait, for a second try or elsewhere after a redirect."""

HOSTS = 4096
"""Hosts that are remembered at a time."""

SETBACKS = 8
"""Rests in a row after which a host is given up."""


@dataclass(eq=False, slots=True)
class Job:
    """One picture on its way.

    Attributes:
        wanted: The row of the list.
        known: The journal knows its file name.
        url: Where to ask: the row's URL, or where redirects led.
        origin: The host whose row it is.
        host: Whom to ask.
        attempts: Answers so far, redirects not counted.
        visited: URLs that led to this one.
    """

    wanted: Wanted
    known: bool
    url: str
    origin: Host
    host: Host
    attempts: int = 0
    visited: list[str] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Host:
    """One host.

    Attributes:
        name: Its name.
        rows: Its rows that were not begun; None where only redirects lead to it.
        left: Their number.
        running: Requests under way.
        unfinished: Jobs of its rows that were begun.
        waiting: Jobs to be asked of it, each from a time on.
        rest_until: When it may be asked again at all.
        next_start: When the pause after the last start is over.
        unreachable: Times in a row that nothing answered.
        setbacks: Rests in a row.
        given_up: Why it is no longer asked, for each row that is left; None while it is asked.
        listed: When it is due in the agenda.
    """

    name: str
    rows: Iterator[tuple[Wanted, bool]] | None = None
    left: int = 0
    running: int = 0
    unfinished: int = 0
    waiting: list[tuple[float, int, Job]] = field(default_factory=list)
    rest_until: float = -math.inf
    next_start: float = -math.inf
    unreachable: int = 0
    setbacks: int = 0
    given_up: Failure | None = None
    listed: float = math.inf

    def due(self, limit: int) -> float:
        """Say from when on a job of this host can start; infinity where none can.

        Args:
            limit: Requests at a time.
        """
        if self.running >= limit:
            return math.inf
        at = self.waiting[0][0] if self.waiting else math.inf
        if self.left and self.unfinished < AHEAD + limit:
            at = -math.inf
        if at == math.inf:
            return at
        # With a host that was given up there is nothing to wait for.
        return -math.inf if self.given_up else max(at, self.rest_until, self.next_start)

    @property
    def idle(self) -> bool:
        """Nothing to do, and nothing under way."""
        return not (self.running or self.unfinished or self.waiting or self.left)

    @property
    def ending(self) -> bool:
        """Less is to come than is under way: connections are no longer worth keeping.

        Of a host that only redirects lead to, nobody knows what is to come.
        """
        return self.rows is not None and self.left + len(self.waiting) < self.running


class Schedule:
    """The jobs of a run.

    Args:
        worklist: Where the rows come from.
        settings: The limits.
        chance: Draws the jitter of second tries.
    """

    def __init__(
        self, worklist: Worklist, settings: FetchSettings, chance: random.Random | None = None
    ) -> None:
        self._worklist, self._settings = worklist, settings
        self._chance = chance or random.Random()
        self._hosts: dict[str, Host] = {}
        self._names = worklist.hosts()
        self._left = worklist.counts["open"]
        self._count = itertools.count()
        self._agenda: list[tuple[float, int, Host]] = []

    @property
    def finished(self) -> bool:
        """Every row was finished."""
        return self._left == 0

    def take(self, now: float) -> Job | None:
        """Start a job, if any may start.

        Args:
            now: The time.

        Returns:
            The job, counted as running at its host until `release`.
        """
        while True:
            host = self._ready(now)
            if host is not None:
                job = self._job(host, now)
                host.running += 1
                host.next_start = now + self._settings.host_delay
                self._list(host, now)
                return job
            if len(self._hosts) >= HOSTS or not self._open_host(now):
                return None

    def next_time(self) -> float:
        """Say when a job may start that may not start now; infinity where only answers help."""
        while self._agenda and self._agenda[0][0] != self._agenda[0][2].listed:
            heapq.heappop(self._agenda)
        return self._agenda[0][0] if self._agenda else math.inf

    def release(self, job: Job, answer: Answer | None, now: float) -> None:
        """Take note that the host of a job has answered, or has not been asked.

        Args:
            job: The job.
            answer: The answer; None where the host was not asked.
            now: The time.
        """
        host = job.host
        host.running -= 1
        if isinstance(answer, Failure) and answer.blame == "busy":
            self._set_back(host, answer, now)
        elif isinstance(answer, Failure) and answer.blame == "host":
            host.unreachable += 1
            if host.unreachable >= self._settings.per_host:
                self._set_back(host, answer, now)
        elif isinstance(answer, Failure) and answer.blame == "name":
            host.given_up = answer
        elif answer is not None:
            host.unreachable = host.setbacks = 0
        self._list(host, now)

    def again(self, job: Job, now: float) -> None:
        """Queue a job for another try, after a pause that doubles each time.

        Args:
            job: The job.
            now: The time.
        """
        doubled = 2.0 ** min(job.attempts - 1, 60)  # beyond, no pause is that long
        pause = self._settings.backoff * doubled * self._chance.uniform(0.5, 1.5)
        self._queue(job, now + min(pause, self._settings.max_rest), now)

    def follow(self, job: Job, url: str, now: float) -> None:
        """Queue a job at the host that a redirect leads to.

        Args:
            job: The job.
            url: Where it leads.
            now: The time.
        """
        job.visited.append(job.url)
        job.url = url
        job.host = Host(host_of(url))
        self._queue(job, now, now)

    def finish(self, job: Job, now: float) -> None:
        """Take note that a job has come to its end, good or bad.

        Args:
            job: The job.
            now: The time.
        """
        self._left -= 1
        job.origin.unfinished -= 1
        self._list(job.origin, now)
        self._list(job.host, now)

    def _ready(self, now: float) -> Host | None:
        """Take the host off the agenda that is due longest."""
        while self.next_time() <= now:
            host = heapq.heappop(self._agenda)[2]
            host.listed = math.inf
            if host.due(self._settings.per_host) <= now:
                return host
            self._list(host, now)
        return None

    def _job(self, host: Host, now: float) -> Job:
        # Begun jobs first: what is waiting is what memory holds.
        if host.waiting and (host.waiting[0][0] <= now or host.given_up):
            return heapq.heappop(host.waiting)[2]
        if host.rows is None:  # it was due, so one of the two is there
            raise RuntimeError(f"nothing to ask of {host.name}")
        wanted, known = next(host.rows)
        host.left -= 1
        host.unfinished += 1
        return Job(wanted, known, wanted.url, origin=host, host=host)

    def _open_host(self, now: float) -> bool:
        name, rows = next(self._names, ("", 0))
        if not rows:
            return False
        host = self._hosts.setdefault(name, Host(name))
        host.rows, host.left = self._worklist.rows_of(name), rows
        self._list(host, now)
        return True

    def _queue(self, job: Job, at: float, now: float) -> None:
        # While the job was elsewhere, its host may have been forgotten and met again.
        job.host = self._hosts.setdefault(job.host.name, job.host)
        heapq.heappush(job.host.waiting, (at, next(self._count), job))
        self._list(job.host, now)

    def _set_back(self, host: Host, answer: Failure, now: float) -> None:
        """Leave a host alone; answers that arrive while it rests are of the same setback."""
        settings = self._settings
        if now >= host.rest_until:
            host.setbacks += 1
            if host.setbacks > SETBACKS:
                host.given_up = Failure(f"host given up: {answer.reason}", retry=True)
        rest = answer.retry_after
        if rest is None:
            rest = settings.backoff * 2.0**host.setbacks
        host.rest_until = max(host.rest_until, now + min(rest, settings.max_rest))

    def _list(self, host: Host, now: float) -> None:
        """Put a host on the agenda for when it is due, or forget it."""
        if self._hosts.get(host.name) is not host:
            return
        due = host.due(self._settings.per_host)
        if host.idle:
            # How long it wants to be left alone is remembered to the end.
            due = max(host.rest_until, host.next_start)
            if due <= now:
                host.listed = math.inf
                del self._hosts[host.name]
                return
        due = max(due, now)  # at equal times, first come first served
        if due < host.listed:
            host.listed = due
            heapq.heappush(self._agenda, (due, next(self._count), host))
