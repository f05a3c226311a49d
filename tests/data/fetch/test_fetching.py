import csv
import errno
import gzip
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from emotionnet_hf.data.fetch import FetchError, UrlListError, fetch_images, storing
from emotionnet_hf.data.sources import Record, read_source
from emotionnet_hf.files import DiskFullError, explained_full_disk
from emotionnet_hf.lock import AnotherRunError, one_run


def journal(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "fetched.jsonl").read_text().splitlines()]


def failures(out: Path) -> dict[str, dict]:
    with (out / "failures.csv").open(newline="", encoding="utf-8") as file:
        return {row["url"]: row for row in csv.DictReader(file)}


def pairs(server, count, host="127.0.0.1"):
    return [(f"{i}.jpg", server.url(f"ok/{i}.jpg", host)) for i in range(count)]


def test_pictures_journal_and_report(server, fetch, tmp_path, make_picture):
    report = fetch(pairs(server, 30))
    out = tmp_path / "out"
    assert report.complete
    assert (report.wanted, report.fetched, report.earlier, report.failed) == (30, 30, 0, 0)
    for i in range(30):
        assert (out / f"{i}.jpg").read_bytes() == make_picture(i)
    assert report.num_bytes == sum(len(make_picture(i)) for i in range(30))
    lines = journal(out)
    assert sorted(line["file_name"] for line in lines) == sorted(f"{i}.jpg" for i in range(30))
    assert {line["status"] for line in lines} == {"ok"}
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [*(f"{i}.jpg" for i in range(30)), "fetched.jsonl", "failures.csv"]
    )
    assert "30 of 30 pictures are there" in report.summary()


def test_what_the_list_says_is_kept_along(server, fetch, tmp_path, make_picture):
    lines = ["url\tfile_name\tkeywords"]
    lines += [f"{server.url(f'ok/{i}.jpg')}\t{i}.jpg\tjoy, k{i}" for i in range(3)]
    lines.append(f"{server.url('404/3.jpg')}\t3.jpg\tfear")
    (tmp_path / "list.tsv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    for _ in range(2):
        fetch(tmp_path / "list.tsv.gz")
        told = (tmp_path / "out/pictures.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in told] == [
            {"file_name": f"{i}.jpg", "url": server.url(f"ok/{i}.jpg"), "keywords": f"joy, k{i}"}
            for i in range(3)
        ]
    (tmp_path / "out/pictures.jsonl").rename(tmp_path / "out/metadata.jsonl")
    rows = [row for row in read_source(tmp_path / "out") if isinstance(row, Record)]
    assert [row.keywords for row in rows] == [["joy", f"k{i}"] for i in range(3)]


def test_every_kind_of_failure_is_in_the_table(server, fetch, tmp_path):
    paths = {
        "404/a.jpg": "HTTP 404",
        "jpeg/a.jpg": "not an image",
        "empty/a.jpg": "zero bytes",
        "cut/a.jpg": "truncated",
        "longer/a.jpg": "truncated: the answer broke off",
        "circle/1": "redirects in a circle",
        "chain/9": "too many redirects: more than 5",
        "to/file:///etc/passwd": "redirect refused: not http or https: 'file'",
        "to/http://joe:secret@127.0.0.1/": "redirect refused: URL with a user name or password",
        "huge/a.jpg": "too many bytes: Content-Length 1000000000 (limit 1000000)",
        "endless/a.jpg": "too many bytes: more than the limit of 1000000",
        "bomb/a.jpg": "too many bytes: more than the limit of 1000000",
        "noise/a.jpg": "not HTTP: the answer cannot be read",
        "hangup/a.jpg": "connection lost",
        # What comes after the end of an answer is taken for the next one.
        "shorter/a.jpg": "not HTTP: the answer cannot be read",
    }
    urls = [server.url(path) for path in paths]
    report = fetch([*urls, server.url("ok/1.jpg"), "http://nowhere.invalid/a.jpg"], max_bytes=10**6)
    table = failures(tmp_path / "out")
    # In brackets stands what the parser says of it.
    reasons = [re.sub(r"(cannot be read) \(.+\)$", r"\1", table[url]["reason"]) for url in urls]
    assert reasons == list(paths.values())
    unknown = table["http://nowhere.invalid/a.jpg"]["reason"]
    assert unknown.startswith("name not resolved")
    assert (report.fetched, report.failed) == (1, len(paths) + 1)
    assert sum(report.reasons.values()) == report.failed
    assert server.sent < 20 * 10**6
    # What may pass was tried three times in all, and what may not, once.
    passing = {f"{kind}/a.jpg" for kind in "empty cut longer noise hangup shorter".split()}
    attempts = {path: table[server.url(path)]["attempts"] for path in paths}
    assert attempts == {path: "3" if path in passing else "1" for path in paths}
    assert server.seen["shorter/a.jpg"] == 3
    assert {server.seen[path] for path in paths.keys() - passing} == {1}


def test_timeouts(server, fetch, tmp_path):
    reasons = {
        "stall/a.jpg": "timed out: nothing came",
        "mute/a.jpg": "timed out: nothing came",
        "drip/a.jpg": "timed out: took too long in all",
        "reset/a.jpg": "truncated: the answer broke off",
    }
    started = time.monotonic()
    urls = [server.url(path) for path in reasons]
    fetch(urls, stall_timeout=0.3, total_timeout=0.8, retries=1)
    table = failures(tmp_path / "out")
    for path, reason in reasons.items():
        assert table[server.url(path)]["reason"] == reason
        assert table[server.url(path)]["retry"] == "True"
        assert server.seen[path] >= 2
    assert time.monotonic() - started < 4


def test_content_counts_and_not_what_it_is_called(server, fetch, tmp_path, make_picture):
    names = ["html", "png", "zipped", "flaky", "once", "cookie"]
    report = fetch([(f"{name}.jpg", server.url(f"{name}/a")) for name in names] + pairs(server, 1))
    assert report.complete, report.summary()
    assert (tmp_path / "out" / "html.jpg").read_bytes() == make_picture(3)
    assert (tmp_path / "out" / "zipped.jpg").read_bytes() == make_picture(5)
    lines = {line["file_name"]: line for line in journal(tmp_path / "out")}
    assert (lines["flaky.jpg"]["attempts"], lines["once.jpg"]["attempts"]) == (3, 2)
    assert lines["html.jpg"]["content_type"] == "text/html"
    assert not any("cookie" in headers for headers in server.headers)
    assert {headers["user-agent"] for headers in server.headers} == {"emotionnet-hf/0.1.0.dev0"}


def test_shorter_side(server, fetch, tmp_path, make_picture):
    report = fetch([("a.jpg", server.url("big/a")), *pairs(server, 1)], shorter_side=64)
    assert report.complete
    with Image.open(tmp_path / "out" / "a.jpg") as image:
        assert (image.size, image.format) == ((96, 64), "JPEG")
    assert (tmp_path / "out" / "0.jpg").read_bytes() == make_picture(0)
    with pytest.raises(FetchError, match="shorter side 64, not as they came"):
        fetch(pairs(server, 1))


def test_bad_rows_are_in_the_table(server, fetch, tmp_path):
    ok = server.url("ok/1.jpg")
    report = fetch(
        [("a.jpg", ok), ("../b.jpg", ok), ("a.jpg", ok), ("a.jpg", ok + "?2"), "ftp://a"]
    )
    with (tmp_path / "out" / "failures.csv").open(newline="") as file:
        table = [(row["row"], row["reason"]) for row in csv.DictReader(file)]
    assert table == [
        ("1", "file name leads out of the folder: ../b.jpg"),
        ("3", "file_name given before with another URL"),
        ("4", "not http or https: 'ftp'"),
    ]
    assert (report.wanted, report.fetched, report.failed) == (4, 1, 3)
    assert server.paths() == ["ok/1.jpg"]


REFUSED = [
    *("127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1"),
    *("2130706433", "0x7f000001", "0177.0.0.1", "inner.test", "mixed.test", "[64:ff9b::7f00:1]"),
    "\uff11\uff12\uff17.0.0.1",
]


def test_private_addresses_are_not_asked(server, fetch, names, tmp_path):
    names.update({"mixed.test": ["127.0.0.1", "10.0.0.1"]})
    urls = [server.url("ok/1.jpg", host) for host in REFUSED]
    report = fetch(urls, allow_private_addresses=False)
    assert report.failed == len(REFUSED)
    assert server.log == []
    reasons = {url: row["reason"] for url, row in failures(tmp_path / "out").items()}
    for host in ("127.0.0.1", "localhost", "inner.test", "mixed.test", "[::1]"):
        assert reasons[server.url("ok/1.jpg", host)].startswith("refused address: ")
    assert report.retry == 0


def test_private_address_behind_a_redirect_is_not_asked(
    server, fetch, names, monkeypatch, tmp_path
):
    # 127.0.0.1 plays a public address, 127.0.0.2 stays what it is; the server is at both.
    from emotionnet_hf.data.fetch import addresses

    real = addresses.is_public
    monkeypatch.setattr(addresses, "is_public", lambda a: a == "127.0.0.1" or real(a))
    names.update({"inner.test": "127.0.0.2"})
    targets = [server.url("ok/1.jpg", host) for host in ("127.0.0.2", "inner.test")]
    urls = [server.url(f"to/{target}", "a.test") for target in targets]
    report = fetch([*urls, server.url("ok/2.jpg")], allow_private_addresses=False)
    assert (report.fetched, report.failed) == (1, 2)
    assert report.reasons == {"refused address": 2}
    assert sorted(server.paths()) == sorted(["ok/2.jpg", *(f"to/{t}" for t in targets)])


def test_second_run_asks_for_what_may_have_passed_only(server, fetch, tmp_path):
    urls = [*pairs(server, 5), ("no.jpg", server.url("404/a")), ("x.jpg", server.url("flaky/a"))]
    first = fetch(urls, retries=0)
    assert (first.fetched, first.failed, first.retry) == (5, 2, 1)
    server.log.clear()
    second = fetch(urls, retries=1)
    assert server.paths() == ["flaky/a"] * 2
    assert (second.fetched, second.earlier, second.reasons) == (1, 5, {"HTTP 404": 1})
    server.log.clear()
    assert fetch(urls, retry_failed=True).failed == 1
    assert server.paths() == ["404/a"]


def test_lost_and_changed_files_are_fetched_again(server, fetch, tmp_path, make_picture):
    out = tmp_path / "out"
    fetch(pairs(server, 4))
    (out / "0.jpg").unlink()
    (out / "1.jpg").write_bytes(b"")
    server.log.clear()
    other = [*pairs(server, 3), ("3.jpg", server.url("ok/9.jpg"))]
    assert fetch(other).complete
    assert sorted(server.paths()) == ["ok/0.jpg", "ok/1.jpg", "ok/9.jpg"]
    assert (out / "1.jpg").read_bytes() == make_picture(1)
    assert (out / "3.jpg").read_bytes() == make_picture(9)


CHILD = """
import sys
from emotionnet_hf.data.fetch import fetch_images
fetch_images(sys.argv[1], sys.argv[2], allow_private_addresses=True, per_host=16, progress=False)
"""


def test_killed_run_goes_on_without_asking_twice(server, fetch, tmp_path, make_picture):
    out, count = tmp_path / "out", 400
    (tmp_path / "urls.jsonl").write_text(
        "".join(json.dumps({"file_name": n, "url": u}) + "\n" for n, u in pairs(server, count))
    )
    server.latency = 0.02
    child = subprocess.Popen([sys.executable, "-c", CHILD, tmp_path / "urls.jsonl", out])
    while len(server.answered) < count // 2 and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    time.sleep(0.1)
    there = {path.name for path in out.glob("*.jpg")}
    assert 0 < len(there) < count
    server.log.clear()
    report = fetch(tmp_path / "urls.jsonl")
    assert report.complete
    assert report.earlier == len(there)
    asked = [path.removeprefix("ok/") for path in server.paths()]
    assert sorted(asked) == sorted({f"{i}.jpg" for i in range(count)} - there)
    for i in range(count):
        assert (out / f"{i}.jpg").read_bytes() == make_picture(i)
    assert sorted(line["file_name"] for line in journal(out)) == sorted(
        f"{i}.jpg" for i in range(count)
    )
    assert not (out / ".fetch").exists()


def test_full_disk_is_one_error_and_the_run_goes_on_later(server, fetch, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        real, written = os.replace, []

        def replace(source, target):
            written.append(target)
            if len(written) > 5:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(source, target)

        patch.setattr(storing.os, "replace", replace)
        with pytest.raises(DiskFullError, match="free some space"):
            fetch(pairs(server, 40), concurrency=4)
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 5
    report = fetch(pairs(server, 40))
    assert (report.earlier, report.fetched) == (5, 35)


def test_full_disk_is_told_from_other_errors(tmp_path):
    with pytest.raises(DiskFullError), explained_full_disk(tmp_path):
        raise sqlite3.OperationalError("database or disk is full")
    with pytest.raises(PermissionError), explained_full_disk(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "/disk is full/a.jpg")


def test_two_runs_in_one_folder(server, fetch, tmp_path):
    with one_run(tmp_path / "out", inside=True), ThreadPoolExecutor(1) as other:
        with pytest.raises(AnotherRunError, match=f"out .process {os.getpid()} on"):
            other.submit(fetch, pairs(server, 1)).result()
    assert not (tmp_path / "out").exists()
    fetch(pairs(server, 1))
    assert not (tmp_path / "out" / ".lock").exists()


def test_nothing_to_fetch(fetch, tmp_path):
    with pytest.raises(UrlListError, match="urls is empty"):
        fetch([])
    with pytest.raises(UrlListError, match="no file"):
        fetch_images(tmp_path / "none.txt", tmp_path / "other")
    assert not (tmp_path / "other").exists()
