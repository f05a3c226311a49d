import asyncio
import hashlib
import io
import json
import socket
import sys
import threading
import time

import pytest

from emotionnet_hf.data.fetch.names import TRIES
from emotionnet_hf.data.fetch.storing import Store


def pairs(server, count, host="127.0.0.1"):
    return [(f"{i}.jpg", server.url(f"ok/{i}.jpg", host)) for i in range(count)]


def test_redirect_is_followed_across_hosts(server, fetch, tmp_path, make_picture):
    there = server.url("chain/2", "b.test")
    report = fetch([("a.jpg", server.url(f"to/{there}", "a.test"))], user_agent="me/1")
    assert report.complete
    assert [host for _, host, _ in server.log] == ["a.test"] + ["b.test"] * 4
    assert (tmp_path / "out" / "a.jpg").read_bytes() == make_picture(7)
    line = json.loads((tmp_path / "out" / "fetched.jsonl").read_text())
    assert line["final_url"] == server.url("ok/7.jpg", "b.test")
    assert server.headers[0]["user-agent"] == "me/1"


def test_busy_host_is_left_alone_and_others_are_not(server, fetch):
    busy = [server.url("busy/1/a", "a.test")]
    busy += [server.url(f"ok/{i}.jpg", "a.test") for i in range(20)]
    others = [server.url(f"ok/{i}.jpg", "b.test") for i in range(20)]
    server.latency = 0.02
    report = fetch([*busy, *others], per_host=2, retries=1)
    assert report.complete, report.summary()
    told = next(at for at, _, path in server.log if path == "busy/1/a")
    # What was under way when the answer came is over after its latency.
    later = [at - told for at in server.times("a.test") if at > told + 0.1]
    assert min(later) >= 1.0
    assert len(later) >= 18
    assert max(server.times("b.test")) - told < 1.0


def test_retry_after_is_capped_and_given_up(server, fetch, tmp_path):
    started = time.monotonic()
    urls = [server.url("busy/86400/a", "a.test")]
    urls += [server.url(f"always429/{i}", "b.test") for i in range(100)]
    report = fetch(urls, max_rest=0.05, per_host=2)
    assert time.monotonic() - started < 5
    assert report.fetched == 1
    assert report.reasons.keys() == {"HTTP 429", "host given up"}
    assert report.retry == 100
    assert len(server.times("b.test")) < 40


@pytest.mark.parametrize("lasting", [False, True])
def test_a_host_without_an_address_costs_moments(server, fetch, names, lasting):
    """Of 600 URLs; each of its rows fails with the reason, and the next run tries what may pass."""
    names["gone.test"] = socket.gaierror(
        *((socket.EAI_NONAME, "no such name") if lasting else (socket.EAI_AGAIN, "try again"))
    )
    gone = [server.url(f"ok/{i}.jpg", "gone.test") for i in range(100)]
    started = time.monotonic()
    report = fetch([*gone, *(server.url(f"ok/{i}.jpg") for i in range(500))], backoff=0.1)
    assert time.monotonic() - started < 20
    assert (report.fetched, report.failed) == (500, 100)
    assert report.reasons == {"name not resolved": 100}
    assert report.retry == (0 if lasting else 100)
    assert names["asked"]["gone.test"] == (1 if lasting else TRIES)


def test_a_picture_that_others_may_not_use_is_in_the_table(server, fetch, tmp_path):
    urls = [server.url("tagged/noindex"), server.url("tagged/nofollow")]
    report = fetch(urls)
    assert (report.fetched, report.failed, report.retry) == (1, 1, 0)
    table = (tmp_path / "out" / "failures.csv").read_text()
    assert "not allowed: X-Robots-Tag noindex" in table
    report = fetch(urls, disallowed_directives=[], retry_failed=True)
    assert (report.fetched, report.earlier, report.failed) == (1, 1, 0)


@pytest.mark.parametrize("shorter_side", [None, 20])
def test_digests_of_the_list_are_checked(server, fetch, tmp_path, make_picture, shorter_side):
    digest = {i: hashlib.md5(make_picture(i)).hexdigest() for i in range(3)}

    def run(**digests):
        rows = ["url,file_name,md5,note"]
        rows += [f"{server.url(f'ok/{i}.jpg')},{i}.jpg,{digests[f'_{i}']},n{i}" for i in range(3)]
        (tmp_path / "list.csv").write_text("\n".join(rows))
        server.log.clear()
        return fetch(tmp_path / "list.csv", shorter_side=shorter_side)

    report = run(_0=digest[0], _1=digest[0], _2="")
    assert (report.fetched, report.failed, report.retry) == (2, 1, 0)
    assert report.reasons == {"other bytes than the list says": 1}
    assert not (tmp_path / "out" / "1.jpg").exists()
    assert f"md5 is {digest[1]}, not {digest[0]}" in (tmp_path / "out/failures.csv").read_text()
    # Asked for again is only what the list now says something else of.
    report = run(_0=digest[0], _1=digest[0], _2="")
    assert (report.fetched, report.earlier, report.failed, server.paths()) == (0, 2, 1, [])
    report = run(_0=digest[0], _1=digest[1], _2=digest[2])
    assert (report.fetched, report.earlier, report.failed) == (2, 1, 0)
    assert sorted(server.paths()) == ["ok/1.jpg", "ok/2.jpg"]
    kept = [json.loads(line) for line in (tmp_path / "out/pictures.jsonl").open()]
    assert [(row["file_name"], row["note"]) for row in kept] == [
        (f"{i}.jpg", f"n{i}") for i in range(3)
    ]


def test_a_redirect_is_asked_for_as_it_says(server, fetch):
    server.raw["raw/1"] = (
        b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: /ok/1.jpg?sig=%2C%2f\r\n\r\n"
    )
    server.raw["raw/2"] = server.raw["raw/1"].replace(b"/ok/1.jpg?sig=%2C%2f", b"/ok/2.jpg?")
    assert fetch([server.url("raw/1"), server.url("raw/2")]).complete
    assert set(server.paths()) >= {"ok/1.jpg?sig=%2C%2f", "ok/2.jpg?"}


def test_limit_per_host_is_reached_and_held(server, fetch):
    server.latency = 0.05
    fetch(
        [server.url(f"ok/{i}.jpg", h) for i in range(24) for h in ("a.test", "b.test")], per_host=3
    )
    assert server.most == {"a.test": 3, "b.test": 3}


def test_limit_in_all_is_held(server, fetch):
    server.latency = 0.02
    urls = [server.url(f"ok/{i}.jpg", f"h{i}.test") for i in range(60)]
    most = 0
    original = server.do_ok

    async def counted(*args):
        nonlocal most
        most = max(most, sum(server.running.values()))
        await original(*args)

    server.do_ok = counted
    assert fetch(urls, concurrency=5).complete
    assert most == 5


def test_pause_between_requests_to_a_host(server, fetch):
    fetch([server.url(f"ok/{i}.jpg", "a.test") for i in range(6)], host_delay=0.1)
    times = server.times("a.test")
    # A busy machine delivers one late and the next in time: what counts is the whole.
    assert times[-1] - times[0] >= 0.4


def test_slow_host_with_most_rows_keeps_nobody_waiting(server, fetch):
    slow = [server.url(f"slow/{i}", "slow.test") for i in range(8)]
    slow += [server.url(f"slow/{i}", "slow.test") for i in range(8, 16)]
    fast = [server.url(f"ok/{i}.jpg", "fast.test") for i in range(30)]
    assert fetch([*slow, *fast], per_host=4, concurrency=8, stall_timeout=2).complete
    begun = server.log[0][0]
    assert max(server.times("fast.test")) - begun < 0.4
    assert max(server.times("slow.test")) - begun > 1.0


def test_file_without_a_line_is_checked_and_kept(server, fetch, tmp_path, make_picture):
    out = tmp_path / "out"
    fetch(pairs(server, 4))
    (out / "3.jpg").write_bytes(make_picture(3)[:-100])
    lines = (out / "fetched.jsonl").read_bytes().splitlines(keepends=True)
    # A kill in the middle of a line; the journal also lost one, and a stranger wrote into it.
    kept = [line for line in lines if b'"0.jpg"' in line]
    torn = next(line for line in lines if b'"1.jpg"' in line)
    (out / "fetched.jsonl").write_bytes(b"".join([*kept, b'{"what": 1}\n', torn[:30]]))
    server.log.clear()
    report = fetch(pairs(server, 4))
    assert server.paths() == ["ok/3.jpg"]
    assert (report.fetched, report.earlier) == (1, 3)
    assert (out / "3.jpg").read_bytes() == make_picture(3)
    server.log.clear()
    assert fetch(pairs(server, 4)).earlier == 4
    assert server.log == []


def test_name_that_the_disk_refuses_costs_its_row(server, fetch):
    urls = [("a" * 300 + ".jpg", server.url("ok/1.jpg")), ("a.jpg", server.url("ok/2.jpg"))]
    urls += [("a.jpg/b.jpg", server.url("ok/3.jpg"))]
    report = fetch(urls, concurrency=1, per_host=1)
    assert report.reasons == {"cannot be written": 2}


def test_within_a_running_loop(server, fetch):
    async def notebook():
        return fetch(pairs(server, 3))

    assert asyncio.run(notebook()).complete


def test_progress_bar_tells_failures(server, fetch, monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(sys, "stderr", text)
    fetch([*pairs(server, 3), server.url("404/a")], progress=True)
    assert "4/4" in text.getvalue()
    assert "failed=1" in text.getvalue()


def test_fault_of_our_own_ends_the_run_and_nothing_is_left_running(
    server, fetch, tmp_path, monkeypatch
):
    real = Store.put

    def put(self, data, file_name, digest):
        if file_name == "7.jpg":
            raise ZeroDivisionError("ours")
        return real(self, data, file_name, digest)

    server.latency = 0.05
    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", put)
        with pytest.raises(ZeroDivisionError, match="ours"):
            fetch(pairs(server, 100), concurrency=8)
    assert not [t for t in threading.enumerate() if t.name.startswith(("dns", "ThreadPool"))]
    assert not (tmp_path / "out" / ".fetch").exists()
    assert fetch(pairs(server, 100)).complete
