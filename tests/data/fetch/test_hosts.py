import math
import random
from collections import Counter
from types import SimpleNamespace

import pytest

from emotionnet_hf.data.fetch import hosts
from emotionnet_hf.data.fetch.download import Body, Failure
from emotionnet_hf.data.fetch.hosts import AHEAD, SETBACKS, Schedule
from emotionnet_hf.data.fetch.settings import FetchSettings
from emotionnet_hf.data.fetch.url_list import Wanted

OK = Body(b"", "")


class Rows:
    """A worklist in memory that counts the rows it gave."""

    def __init__(self, **counts):
        self.hosts_, self.given = counts, Counter()
        self.counts = {"open": sum(counts.values())}

    def hosts(self):
        yield from self.hosts_.items()

    def rows_of(self, host):
        for i in range(self.hosts_[host]):
            self.given[host] += 1
            yield Wanted(i, f"{host}{i}", f"http://{host}/{i}", host), False


def schedule(rows, **settings):
    return Schedule(rows, FetchSettings(**{"per_host": 2, **settings}), random.Random(0))


def take_all(plan, now):
    jobs = []
    while (job := plan.take(now)) is not None:
        jobs.append(job)
    return jobs


def names(jobs):
    return [job.wanted.file_name for job in jobs]


def end(plan, job, answer, now):
    plan.release(job, answer, now)
    plan.finish(job, now)


def test_each_host_up_to_its_limit():
    plan = schedule(Rows(a=5, b=1, c=3))
    assert sorted(names(take_all(plan, 0))) == ["a0", "a1", "b0", "c0", "c1"]
    assert plan.next_time() == math.inf


def test_limit_of_a_host_may_be_large():
    assert len(take_all(schedule(Rows(a=1000), per_host=200), 0)) == 200


def test_hosts_are_opened_only_when_needed():
    rows = Rows(a=5, b=5, c=5)
    plan = schedule(rows)
    assert names([plan.take(0), plan.take(0)]) == ["a0", "a1"]
    assert rows.given == {"a": 2}
    plan.take(0)
    assert rows.given == {"a": 2, "b": 1}


def test_everything_is_done_once_and_then_forgotten():
    rows = Rows(a=150, b=70, c=1)
    plan = schedule(rows, per_host=7)
    done = []
    for now in range(1000):
        for job in take_all(plan, now):
            done.append(job.wanted.file_name)
            end(plan, job, OK, now)
        if plan.finished:
            break
    assert len(done) == len(set(done)) == 221
    assert plan._hosts == {}


def test_rows_are_read_no_further_than_may_be_unfinished():
    rows = Rows(a=1000)
    plan = schedule(rows, backoff=100.0)
    now = 0.0
    for _ in range(200):
        for job in take_all(plan, now):
            job.attempts = 1
            plan.release(job, Failure("HTTP 500", retry=True), now)
            plan.again(job, now)
        now += 0.01
    assert rows.given["a"] == AHEAD + 2
    waiting = plan.next_time()
    assert 50 <= waiting <= 150
    assert plan.take(waiting).attempts == 1


def test_busy_host_gets_nothing_until_it_said():
    plan = schedule(Rows(a=10, b=10))
    first = next(job for job in take_all(plan, 0) if job.host.name == "a")
    first.attempts = 1
    plan.release(first, Failure("HTTP 429", True, "busy", 7.5), 1.0)
    plan.again(first, 1.0)
    assert take_all(plan, 8.4) == []
    assert plan.next_time() == 8.5
    assert take_all(plan, 8.5) == [first]  # begun jobs first; the other place is still taken


def test_rests_of_a_host_that_does_not_say_how_long_grow():
    plan = schedule(Rows(a=1000), backoff=1.0, max_rest=10.0, per_host=1)
    now, rests = 0.0, []
    for _ in range(SETBACKS):
        (job,) = take_all(plan, now)
        end(plan, job, Failure("HTTP 503", True, "busy"), now)
        rests.append(plan.next_time() - now)
        now = plan.next_time()
    assert rests == [2, 4, 8, 10, 10, 10, 10, 10]
    (job,) = take_all(plan, now)
    assert not job.host.given_up
    end(plan, job, Failure("HTTP 503", True, "busy"), now)
    (job,) = take_all(plan, now)
    assert job.host.given_up == Failure("host given up: HTTP 503", retry=True)


def test_answers_of_one_wave_are_one_setback():
    plan = schedule(Rows(a=100), per_host=20)
    jobs = take_all(plan, 0)
    for job in jobs:
        end(plan, job, Failure("HTTP 503", True, "busy"), 0.1)
    assert jobs[0].host.setbacks == 1
    assert plan.next_time() == 2.1


def test_good_answer_ends_a_row_of_setbacks():
    plan = schedule(Rows(a=1000), per_host=1, max_rest=1.0)
    for now in range(0, 100, 2):
        (job,) = take_all(plan, now)
        busy = now % 4 == 0
        end(plan, job, Failure("HTTP 429", True, "busy") if busy else OK, now)
        assert not job.host.given_up


def test_unreachable_host_rests_and_is_given_up():
    plan = schedule(Rows(a=10_000, b=1), per_host=4, max_rest=5.0)
    now, asked = 0.0, 0
    while True:
        jobs = take_all(plan, now)
        if jobs and jobs[0].host.given_up:
            break
        asked += len(jobs)
        for job in jobs:
            end(plan, job, Failure("no connection", True, "host"), now)
        now = max(now, plan.next_time())
    assert asked < 50
    assert 30 < now < 60
    # The rest of its rows is there to be failed at once.
    while not plan.finished:
        for job in jobs:
            end(plan, job, None, now)
        jobs = take_all(plan, now)


def test_a_host_without_an_address_is_given_up_at_once():
    plan = schedule(Rows(a=600, b=1), per_host=4)
    jobs = [job for job in take_all(plan, 0) if job.host.name == "a"]
    unknown = Failure("name not resolved: for ever", False, "name")
    for job in jobs:
        end(plan, job, unknown, 0)
    assert jobs[0].host.given_up == unknown
    asked = 0
    while jobs := take_all(plan, 0):
        asked += len(jobs)
        for job in jobs:
            end(plan, job, None, 0)
    assert asked == 600 - 4


def test_one_dead_url_does_not_hold_a_host():
    plan = schedule(Rows(a=100), per_host=4)
    for now in range(20):
        jobs = take_all(plan, now)
        assert len(jobs) == 4
        end(plan, jobs[0], Failure("connection lost", True, "host"), now)
        for job in jobs[1:]:
            end(plan, job, OK, now)


def test_pauses_of_second_tries_double():
    plan = schedule(Rows(a=1), backoff=1.0, max_rest=30.0)
    now = 0.0
    for attempts in range(1, 8):
        job = plan.take(now)
        job.attempts = attempts
        plan.release(job, Failure("HTTP 500", retry=True), now)
        plan.again(job, now)
        pause = plan.next_time() - now
        expected = min(2 ** (attempts - 1), 30)
        assert expected * 0.5 <= pause <= min(expected * 1.5, 30) + 1e-9
        assert plan.take(now + pause - 0.01) is None
        now = plan.next_time()


def test_delay_between_starts():
    plan = schedule(Rows(a=10), host_delay=3.0)
    job = plan.take(0)
    assert plan.take(2.9) is None
    end(plan, job, OK, 2.9)
    assert plan.next_time() == 3.0
    assert plan.take(3.0) is not None


def test_redirect_waits_its_turn_at_the_other_host():
    plan = schedule(Rows(a=5, b=5), per_host=1)
    one, two = take_all(plan, 0)
    plan.release(one, OK, 0)
    plan.follow(one, "http://b/elsewhere", 0)
    (three,) = take_all(plan, 0)
    assert three.host.name == "a"
    end(plan, two, OK, 1)
    (again,) = take_all(plan, 1)
    assert again is one
    assert (again.host.name, again.origin.name) == ("b", "a")
    assert again.visited == ["http://a/0"]


def test_rest_is_remembered_of_a_host_with_nothing_to_do():
    plan = schedule(Rows(a=2, b=1), per_host=1)
    a, b = take_all(plan, 0)
    end(plan, b, Failure("HTTP 429", False, "busy", 50.0), 0)
    plan.release(a, OK, 1)
    plan.follow(a, "http://b/x", 1)
    assert a not in take_all(plan, 49)
    assert plan.take(50) is a


def test_job_whose_host_was_forgotten_shares_the_new_ones_limit():
    plan = schedule(Rows(a=2, c=1), per_host=1)
    one = plan.take(0)
    plan.release(one, OK, 0)
    plan.follow(one, "http://x/1", 0)
    assert plan.take(0).wanted.file_name == "a1"
    assert plan.take(0) is one
    plan.release(one, OK, 0)  # x is idle now; what it sent is being checked, and is no picture
    assert "x" not in plan._hosts
    third = plan.take(0)
    plan.release(third, OK, 0)
    plan.follow(third, "http://x/2", 0)
    one.attempts = 1
    plan.again(one, 0)
    assert plan.take(5) is third
    assert plan.take(5) is None  # both are of one host x
    end(plan, third, OK, 5)
    assert plan.take(5) is one


def test_connections_are_kept_while_needed():
    plan = schedule(Rows(a=5), per_host=2)
    one, _ = take_all(plan, 0)
    kept = []
    while not plan.finished:
        kept.append(not one.host.ending)
        end(plan, one, OK, 0)
        one = plan.take(0) or one
        if one.host.running == 1 and not one.host.left:
            end(plan, one, OK, 0)
    assert kept == [True, True, False, False]


def test_number_of_hosts_in_memory_is_bound(monkeypatch):
    monkeypatch.setattr(hosts, "HOSTS", 10)
    plan = schedule(Rows(**{f"h{i}": 1 for i in range(100)}))
    jobs = take_all(plan, 0)
    assert len(jobs) == 10
    for job in jobs[:3]:
        end(plan, job, OK, 0)
    assert len(take_all(plan, 0)) == 3


@pytest.mark.parametrize("slow", [1, 3])
def test_slow_hosts_leave_the_others_their_speed(slow):
    """Requests to `s` take 100, others 1; 32 places; the list has mostly rows of `s`."""
    rows = Rows(**{f"s{i}": 500 for i in range(slow)}, **{f"f{i}": 30 for i in range(20)})
    plan = schedule(rows)
    running, finished = [], {}
    for now in range(400):
        for until, job in [r for r in running if r[0] <= now]:
            running.remove((until, job))
            end(plan, job, OK, now)
            finished[job.wanted.url] = now
        while len(running) < 32 and (job := plan.take(now)):
            running.append((now + (100 if job.host.name[0] == "s" else 1), job))
    fast = [at for url, at in finished.items() if url.startswith("http://f")]
    assert len(fast) == 600
    # 600 requests on at least 26 places, at most 2 a host at a time.
    assert max(fast) <= 30


def test_unknown_state_is_an_error():
    plan = schedule(Rows(a=1))
    with pytest.raises(RuntimeError, match="nothing to ask of a"):
        plan._job(SimpleNamespace(name="a", waiting=[], rows=None), 0)
