import asyncio
import errno
import time
from dataclasses import replace
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


# Each as aiohttp, or whoever parses a URL and puts it together again, would change it.
EXACT = [
    "ok/1.jpg?sig=abc%2Fdef%3D&t=1",
    "ok/2.jpg/http%3A%2F%2Fcdn.example%2Fa.jpg",
    "ok/3.jpg/a%28b%29%2C%27%40%7E.jpg",
    "ok/4.jpg?u=a%40b+c",
    "ok/5.jpg/lower%c3%a9.jpg",
    "ok/6.jpg?",
    "ok/7.jpg/../b/./c//d",
    "ok/8.jpg?a?b=[c]{d}|e\\f^g`h\"i'<j>",
    "ok/9.jpg/100%.jpg",
]


def test_a_url_is_asked_for_character_by_character(server, ask, make_picture):
    answers = ask(*map(server.url, EXACT))
    assert server.paths() == EXACT
    assert [a.data for a in answers] == [make_picture(i) for i in range(1, 10)]


def test_what_cannot_be_sent_is_escaped_once(server, ask):
    ask(server.url("ok/1.jpg?ein Bild%20 für=é#top"), server.url("ok/2.jpg", "bücher.test"))
    assert server.paths() == ["ok/1.jpg?ein%20Bild%20%20f%C3%BCr=%C3%A9", "ok/2.jpg"]
    assert server.headers[1]["host"] == f"xn--bcher-kva.test:{server.port}"


def test_a_redirect_is_followed_character_by_character(server, ask):
    server.raw = {
        f"raw/{i}": b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % target
        for i, target in enumerate(
            [
                *(b"/" + path.encode() for path in EXACT),
                *(server.url(path).encode() for path in EXACT),
                b"//a.test/%2C?",
                b"../ok/%2c.jpg",
                b"?x=%2C",
                b"c.jpg?",
                "/café.jpg".encode(),
                "/café.jpg".encode("latin-1"),
                b"/a b.jpg#top",
                b"https://bad.example:port/",
            ]
        )
    }
    answers = ask(*map(server.url, server.raw))
    exact = [Moved(server.url(path)) for path in EXACT]
    assert answers[:18] == exact + exact
    assert answers[18:25] == [
        Moved("http://a.test/%2C?"),
        Moved(server.url("ok/%2c.jpg")),
        Moved(server.url("raw/20?x=%2C")),
        Moved(server.url("raw/c.jpg?")),
        Moved(server.url("caf%C3%A9.jpg")),
        Moved(server.url("caf%E9.jpg")),
        Moved(server.url("a%20b.jpg")),
    ]
    assert answers[25] == Moved("https://bad.example:port/")  # refused by `url_problem`


def whole(body, *lines, status=b"200"):
    return b"\r\n".join([b"HTTP/1.1 " + status + b" X", *lines, b"", body])


def test_answers_that_browsers_read(server, ask, make_picture):
    body = make_picture()
    length = b"Content-Length: %d" % len(body)
    server.raw = {
        "raw/long": whole(body, length, b"X-Big: " + b"y" * 200_000),
        "raw/many": whole(body, length, *[b"Set-Cookie: a=b"] * 1000),
        "raw/twice": whole(body, length, b"X: y", length),
        "raw/201": whole(body, length, status=b"201"),
        "raw/203": whole(body, length, status=b"203"),
        "raw/hints": whole(b"", b"Link: <x>", status=b"103") + whole(body, length, length),
    }
    answers = ask(*map(server.url, server.raw))
    assert [type(a) for a in answers] == [Body] * 6, answers
    assert {a.data for a in answers} == {body}


def test_answers_that_say_two_things_are_refused_with_a_reason(server, ask, make_picture):
    body = make_picture()
    server.raw = {
        "raw/differ": whole(body, b"Content-Length: %d" % len(body), b"Content-Length: 9"),
        "raw/endless": b"HTTP/1.1 200 X\r\n" + b"X: y\r\n" * 50_000,
        "raw/206": whole(body, b"Content-Length: %d" % len(body), status=b"206"),
    }
    differ, endless, partial = ask(*map(server.url, server.raw))
    assert differ.reason.startswith("not HTTP: the answer cannot be read (")
    assert "Content-Length" in differ.reason
    assert endless.reason in (
        "too long headers: more than 262144 bytes",
        "not HTTP: the answer cannot be read (Too many headers received)",
    )
    assert partial.reason == "HTTP 206"


def test_robots_tags_are_honoured_unless_they_are_not_to_be(server, ask):
    tagged = server.url("tagged/nofollow,%20noai")
    refused = Failure("not allowed: X-Robots-Tag noai")
    assert ask(tagged, server.url("tagged/otherbot:%20noai"))[0] == refused
    assert isinstance(ask(server.url("tagged/otherbot:%20noai"))[0], Body)
    assert ask(server.url("tagged/me:%20noai"), user_agent="me/1") == [refused]
    assert isinstance(ask(tagged, disallowed_directives=("noindex",))[0], Body)
    assert isinstance(ask(tagged, disallowed_directives=())[0], Body)


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
    answers = list(ask(*map(server.url, expected)))
    said = answers[-1].reason
    answers[-1] = replace(answers[-1], reason=said.partition(" (")[0])
    assert said.partition(" (")[2]  # what the parser says of it
    assert [(a.reason, a.retry, a.blame) for a in answers] == list(expected.values())


def test_busy_host_says_how_long(server, ask):
    (answer,) = ask(server.url("busy/17/a"))
    assert (answer.blame, answer.retry_after) == ("busy", 17.0)


def test_hosts_that_are_not_there(server, ask, names):
    port = server.port
    nobody = ask(f"http://nobody.example:{port}/", f"http://{'x' * 70}.test:{port}/ok/1.jpg")
    assert [a.reason.partition(":")[0] for a in nobody] == ["name not resolved", "not a URL"]
    assert [a.blame for a in nobody] == ["name", "url"]
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
