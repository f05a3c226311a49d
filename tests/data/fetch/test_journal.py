import errno
import json

import pytest

from emotionnet_hf.data.fetch.journal import Entry, Journal, read_journal

OK = Entry("a/\u00fc.jpg", "https://a.example/", "ok", bytes=7, sha256="00", shorter_side=64)
FAILED = Entry("b.jpg", "https://b.example/", "failed", "HTTP 503", retry=True, attempts=3)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "fetched.jsonl"
    with Journal(path) as journal:
        journal.add(OK)
        journal.add(FAILED)
        # At once, and not when the file is closed.
        assert list(read_journal(path)) == [OK, FAILED]
    with Journal(path) as journal:
        journal.add(FAILED)
    assert list(read_journal(path)) == [OK, FAILED, FAILED]
    assert json.loads(path.read_text("utf-8").splitlines()[1]) == {
        "file_name": "b.jpg",
        "url": "https://b.example/",
        "status": "failed",
        "reason": "HTTP 503",
        "retry": True,
        "attempts": 3,
    }


@pytest.mark.parametrize("torn", [b"{", b'{"file_name": "' + b"x" * 200_000])
def test_torn_last_line_is_dropped(tmp_path, torn):
    path = tmp_path / "fetched.jsonl"
    with Journal(path) as journal:
        journal.add(OK)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with Journal(path) as journal:
        assert path.read_bytes() == whole
        journal.add(FAILED)
    assert list(read_journal(path)) == [OK, FAILED]


def test_journal_that_is_one_torn_line(tmp_path):
    path = tmp_path / "fetched.jsonl"
    path.write_bytes(b'{"file')
    with Journal(path):
        assert path.read_bytes() == b""


def test_damaged_lines_are_counted_and_passed_over(tmp_path, caplog):
    path = tmp_path / "fetched.jsonl"
    with Journal(path) as journal:
        journal.add(OK)
    path.write_bytes(b"\0\0\0\n[]\n" + path.read_bytes() + b'{"file_name": 1}\n\xff\n')
    assert list(read_journal(path)) == [OK]
    assert "4 damaged lines" in caplog.text


def test_half_a_written_line_is_a_full_disk(tmp_path, monkeypatch):
    class Full:
        def write(self, line):
            return len(line) // 2

    with Journal(tmp_path / "fetched.jsonl") as journal:
        with monkeypatch.context() as patch:
            patch.setattr(journal, "_file", Full())
            with pytest.raises(OSError, match="No space left") as raised:
                journal.add(OK)
    assert raised.value.errno == errno.ENOSPC
