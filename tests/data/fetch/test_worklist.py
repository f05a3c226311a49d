import datetime
import tracemalloc

import pytest

from emotionnet_hf.data.fetch.journal import Entry
from emotionnet_hf.data.fetch.settings import FetchError
from emotionnet_hf.data.fetch.url_list import Unusable, Wanted
from emotionnet_hf.data.fetch.worklist import BATCH, Failed, Worklist


@pytest.fixture
def make(tmp_path):
    made = []

    def worklist(rows, entries=(), shorter_side=None, retry_failed=False):
        work = Worklist(
            tmp_path / f"list{len(made)}",
            tmp_path,
            shorter_side=shorter_side,
            retry_failed=retry_failed,
        )
        made.append(work)
        work.fill(entries, rows)
        return work

    yield worklist
    for work in made:
        work.__exit__(None, None, None)


def rows(*hosts):
    return [Wanted(i, f"{i}.jpg", f"http://{host}/{i}", host) for i, host in enumerate(hosts)]


def left(work):
    return [row.row for host, _ in work.hosts() for row, _ in work.rows_of(host)]


def test_rows_by_host_the_largest_first(make):
    work = make(rows("a", "b", "b", "c", "b", "c"))
    assert list(work.hosts()) == [("b", 3), ("c", 2), ("a", 1)]
    assert list(work.rows_of("b")) == [(row, False) for row in rows(*"abbcbc") if row.host == "b"]
    assert work.counts == {"open": 6}


def test_batches_lose_nothing(make):
    work = make(rows(*"ab" * (BATCH * 2 + 1)))
    assert [row.row for row, _ in work.rows_of("a")] == list(range(0, BATCH * 4 + 2, 2))


def test_names_given_twice(make):
    same = Wanted(2, "0.jpg", "http://a/0", "a")
    other = Wanted(3, "0.jpg", "http://a/3", "a")
    work = make([*rows("a", "a"), same, other, Unusable(4, "", "x", "no URL")])
    assert left(work) == [0, 1]
    assert list(work.failures()) == [
        Failed(3, "0.jpg", "http://a/3", "file_name given before with another URL", 0, False),
        Failed(4, "", "x", "no URL", 0, False),
    ]
    assert work.counts == {"open": 2, "failed": 2}


def test_digests_go_with_the_rows_and_other_columns_to_the_end(make, tmp_path):
    day = datetime.date(2020, 2, 1)
    more = {"keywords": ["joy", "sky"], "taken": day, "raw": b"caf\xc3\xa9", "n": None}
    some = [
        Wanted(0, "0.jpg", "http://a/0", "a", ("md5", "0f" * 16), more),
        Wanted(1, "1.jpg", "http://a/1", "a", None, {"keywords": ["fear"]}),
        Wanted(2, "2.jpg", "http://a/2", "a", ("sha256", "0f" * 32)),
    ]
    work = make(some)
    assert [row.digest for row, _ in work.rows_of("a")] == [row.digest for row in some]
    work.fail(Failed(1, "1.jpg", "http://a/1", "HTTP 404", 1, False))
    plain = {"keywords": ["joy", "sky"], "taken": "2020-02-01", "raw": "caf\u00e9", "n": None}
    assert list(work.described()) == [{"file_name": "0.jpg", "url": "http://a/0", **plain}]


def entry(i, status="ok", **more):
    return Entry(f"{i}.jpg", f"http://a/{i}", status, **more)


def test_what_the_journal_says(make, tmp_path):
    for i in (0, 1, 6):
        (tmp_path / f"{i}.jpg").write_bytes(b"12345")
    entries = [
        entry(0, bytes=5),
        entry(1, bytes=4),  # another size
        entry(2, bytes=5),  # no file
        entry(3, "failed", reason="HTTP 404", attempts=1),
        entry(4, "failed", reason="HTTP 503", attempts=3, retry=True),
        entry(5, "failed", reason="HTTP 404"),
        entry(5, "failed", reason="HTTP 503", retry=True),  # the later line counts
        Entry("6.jpg", "http://a/other", "ok", bytes=5),
    ]
    work = make(rows(*"a" * 8), entries)
    known = {row.row: known for host, _ in work.hosts() for row, known in work.rows_of(host)}
    assert known == {1: True, 2: True, 4: True, 5: True, 6: True, 7: False}
    assert [(f.row, f.reason, f.attempts) for f in work.failures()] == [(3, "HTTP 404", 1)]
    assert work.counts["done"] == 1
    assert 3 in left(make(rows(*"a" * 8), entries, retry_failed=True))


def test_pictures_of_another_size_are_not_mixed(make, tmp_path):
    entries = [entry(0, bytes=5, shorter_side=64)]
    with pytest.raises(FetchError, match="shorter side 64, not 32"):
        make(rows("a"), entries, shorter_side=32)
    with pytest.raises(FetchError, match="shorter side 64, not as they came"):
        make(rows("a"), entries)


def test_failures_in_the_order_of_the_list(make):
    work = make(rows(*"aaa"))
    for row in (2, 0):
        work.fail(Failed(row, "n", "u", "r", 1, row == 2))
    assert [(f.row, f.retry) for f in work.failures()] == [(0, False), (2, True)]


def test_memory_does_not_grow_with_the_list(make):
    def many(count):
        for i in range(count):
            yield Wanted(i, f"{i % 256:02x}/{'x' * 40}-{i}.jpg", f"http://a/{'y' * 60}{i}", "a")

    def peak(count):
        tracemalloc.start()
        try:
            work = make(many(count))
            assert sum(1 for _ in work.rows_of("a")) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(20_000) < peak(1_000) + 100_000
