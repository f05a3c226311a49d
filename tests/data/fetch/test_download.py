import asyncio
import errno
import time
from email.utils import formatdate

import pytest

from emotionnet_hf.data.fetch import download
from emotionnet_hf.data.fetch.download import Body, Downloader, Failure, Moved, retry_after
from emotionnet_hf.data.fetch.settings import FetchSettings


@pytest.fixture
def ask(names):
    def run(*urls, last=False, **settings):
        fast = {"allow_private_addresses": True, "stall_timeout": 0.3, "connect_timeout": 0.5}

        async def main():
            async with Downloader(FetchSettings(**{**fast, **settings})) as downloader:
                return [await downloader.request(url, last=last) for url in urls]

        return asyncio.run(main())

    return run


def test_body(server, ask, make_picture):
    assert ask(server.url("html/a")) == [Body(make_picture(3), "text/html")]
    assert ask(server.url("zipped/a")) == [Body(make_picture(5), "")]


def test_redirects_are_reported_and_not_followed(server, ask):
    answers = ask(server.url("chain/3?x=1"), server.url("to/https://b.example/c d"))
    assert answers == [Moved(server.url("chain/2")), Moved("https://b.example/c%20d")]
    assert server.paths() == ["chain/3?x=1", "to/https://b.example/c%20d"]


def test_whom_a_failure_blames(server, ask):
    expected = {
        "404/a": ("HTTP 404", False, "url"),
        "flaky/a": ("HTTP 500", True, "url"),
        "always429/a": ("HTTP 429", True, "busy"),
        "mute/a": ("timed out: nothing came", True, "host"),
        "stall/a": ("timed out: nothing came", True, "url"),
        "hangup/a": ("connection lost", True, "host"),
        "reset/a": ("truncated: the answer broke off", True, "url"),
        "noise/a": ("not HTTP: the answer cannot be read", True, "url"),
    }
    answers = ask(*map(server.url, expected))
    assert [(a.reason, a.retry, a.blame) for a in answers] == list(expected.values())


def test_busy_host_says_how_long(server, ask):
    (answer,) = ask(server.url("busy/17/a"))
    assert (answer.blame, answer.retry_after) == ("busy", 17.0)


def test_hosts_that_are_not_there(server, ask, names):
    port = server.port
    nobody = ask(f"http://nobody.example:{port}/", f"http://{'x' * 70}.test:{port}/ok/1.jpg")
    assert [a.reason.partition(":")[0] for a in nobody] == ["name not resolved", "not a URL"]
    assert not any(a.retry for a in nobody)
    (closed,) = ask("http://127.0.0.1:1/")
    assert closed.reason.startswith("no connection: ")
    assert (closed.retry, closed.blame) == (True, "host")
    (plain,) = ask(f"https://127.0.0.1:{port}/")  # no TLS there, and no answer
    assert plain.retry


def test_limit_of_bytes(server, ask):
    answers = ask(server.url("big/a"), server.url("huge/a"), server.url("bomb/a"), max_bytes=1000)
    assert {a.reason.partition(":")[0] for a in answers} == {"too many bytes"}


def test_connections_are_kept_and_the_last_is_not(server, ask):
    urls = [server.url(f"ok/{i}.jpg") for i in range(5)]
    connections = []
    original = server.do_ok

    async def do_ok(writer, *args):
        connections.append(writer.get_extra_info("peername"))
        await original(writer, *args)

    server.do_ok = do_ok
    ask(*urls)
    assert len(set(connections)) == 1
    connections.clear()
    ask(*urls, last=True)
    assert len(set(connections)) == 5


def test_no_more_file_handles_end_the_run(server, ask, monkeypatch):
    def exhausted(_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(download, "open_public_socket", exhausted)
    with pytest.raises(OSError, match="lower the concurrency"):
        ask(server.url("ok/1.jpg"), allow_private_addresses=False)


def test_what_the_library_cannot_bear_costs_its_row(server, ask, monkeypatch):
    async def broken(*_):
        raise RuntimeError("the unforeseen")

    monkeypatch.setattr(Downloader, "_read", broken)
    assert ask(server.url("ok/1.jpg")) == [Failure("not understood: the unforeseen")]


def test_nothing_of_the_environment_is_sent(server, ask, monkeypatch, tmp_path):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine a.test login me password secret")
    (answer,) = ask(server.url("cookie/a", "a.test"))
    assert isinstance(answer, Body)
    assert "authorization" not in server.headers[0]


def test_retry_after():
    assert retry_after(" 30 ") == 30.0
    assert 55 < retry_after(formatdate(time.time() + 60, usegmt=True)) < 61
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0.0
    for text in (None, "", "-5", "1.5", "soon", "Mon, 99 Jan 2026 00:00:00 GMT", "\u00b2"):
        assert retry_after(text) is None
