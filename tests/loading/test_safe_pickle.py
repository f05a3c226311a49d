import os
import pickle
import tracemalloc
from pathlib import Path

import pytest

from emotionnet_hf.loading.safe_pickle import (
    CorruptPickleError,
    UnsafePickleError,
    iterate_plain_pickle,
    load_plain_pickle,
)

PLAIN = {
    "names": {"joy": 0, "Trauer \u00fc": 1},
    "rows": [["a.jpg", [1, 2, 300, 70000, 2**80], (True, False, None)], (), (1,), -1.5],
}


class Attack:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol_is_read(tmp_path, protocol):
    path = write(tmp_path / "plain.pkl", pickle.dumps(PLAIN, protocol))
    assert load_plain_pickle(path) == PLAIN


def test_python_2_strings_are_text(tmp_path):
    path = write(tmp_path / "old.pkl", b"\x80\x02}q\x00U\x03joyq\x01K\x00s.")
    assert load_plain_pickle(path) == {"joy": 0}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_is_refused_and_not_made(tmp_path, protocol):
    canary = tmp_path / "ran"
    path = write(tmp_path / "evil.pkl", pickle.dumps({"joy": Attack(canary)}, protocol))
    with pytest.raises(UnsafePickleError, match=r"evil\.pkl.*Nothing was run"):
        load_plain_pickle(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nsystem\n.",  # GLOBAL
        b"cos\nsystem\n(S'true'\ntR.",  # GLOBAL, REDUCE
        b"(S'true'\nios\nsystem\n.",  # INST
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",  # STACK_GLOBAL
        b"Pabc\n.",  # PERSID
        b"\x80\x02K\x01Q.",  # BINPERSID
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02}}b.",  # BUILD
    ],
)
def test_every_way_to_run_something_is_refused(tmp_path, program):
    with pytest.raises(UnsafePickleError):
        load_plain_pickle(write(tmp_path / "evil.pkl", program))


def test_a_class_is_refused_even_without_a_call(tmp_path):
    with pytest.raises(UnsafePickleError):
        load_plain_pickle(write(tmp_path / "class.pkl", pickle.dumps([Path])))


def test_every_truncation_is_refused(tmp_path):
    whole = pickle.dumps(PLAIN)
    for length in range(len(whole)):
        with pytest.raises(CorruptPickleError, match=r"cut\.pkl"):
            load_plain_pickle(write(tmp_path / "cut.pkl", whole[:length]))


def test_bytes_after_the_end_are_refused(tmp_path):
    path = write(tmp_path / "long.pkl", pickle.dumps(PLAIN) + b"cos\nsystem\n.")
    with pytest.raises(CorruptPickleError, match="after the end"):
        load_plain_pickle(path)


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02}]K\x01s.",  # a list as a key
        b"\x80\x02h\x05.",  # a memo entry nobody wrote
        b"\x80\x02.",  # nothing on the stack
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of two thousand million entries
        b"\x80\x02X\xff\xff\xff\x7fa.",  # a string longer than the file
        b"hello, world\n",
    ],
)
def test_damaged_programs_are_refused(tmp_path, program):
    with pytest.raises((CorruptPickleError, UnsafePickleError)):
        load_plain_pickle(write(tmp_path / "bad.pkl", program))


def test_python_2_byte_strings_are_read_as_utf_8(tmp_path):
    assert load_plain_pickle(write(tmp_path / "0.pkl", b"S'caf\\xc3\\xa9'\n.")) == "caf\u00e9"
    assert load_plain_pickle(write(tmp_path / "1.pkl", b"U\x05caf\xc3\xa9.")) == "caf\u00e9"


SHARED = ["twice", [1, 300]]
ROWS = [[f"{i}.jpg", [i % 7, i], SHARED, {"n": -i}] for i in range(2500)]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_rows_come_one_by_one(tmp_path, protocol):
    path = write(tmp_path / "rows.pkl", pickle.dumps(ROWS, protocol))
    assert list(iterate_plain_pickle(path)) == ROWS
    table = {f"{i}": row for i, row in enumerate(ROWS)}
    path = write(tmp_path / "table.pkl", pickle.dumps(table, protocol))
    assert list(iterate_plain_pickle(path)) == list(table.items())


def test_lists_and_dicts_inside_are_not_taken_for_the_outermost(tmp_path):
    value = {"key2idx": {"joy": 0, "awe": 1}, "rows": [[], [[1], [2]], {}], "none": []}
    path = write(tmp_path / "nested.pkl", pickle.dumps(value))
    assert dict(iterate_plain_pickle(path)) == value
    assert list(iterate_plain_pickle(write(tmp_path / "empty.pkl", pickle.dumps([])))) == []


def test_lists_and_dicts_made_in_one_piece_come_too(tmp_path):
    rows = list(iterate_plain_pickle(write(tmp_path / "list.pkl", b"(I1\nI2\nl.")))
    pairs = list(iterate_plain_pickle(write(tmp_path / "dict.pkl", b"(S'a'\nI1\nd.")))
    assert (rows, pairs) == ([1, 2], [("a", 1)])


def test_streaming_holds_a_batch_and_not_the_list(tmp_path):
    rows = [[f"{i}.jpg", list(range(300, 400))] for i in range(10_000)]
    path = write(tmp_path / "many.pkl", pickle.dumps(rows))
    count = len(rows)
    del rows
    tracemalloc.start()
    assert sum(1 for _ in iterate_plain_pickle(path)) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # pickle writes a thousand rows at a time, of about 4 kB each; the list is 40 MB.
    assert peak < path.stat().st_size * 2 + 10e6


def test_hostile_row_is_seen_before_the_first_is_given(tmp_path):
    path = write(tmp_path / "evil.pkl", pickle.dumps([*ROWS, Attack(tmp_path / "ran")]))
    with pytest.raises(UnsafePickleError):
        next(iterate_plain_pickle(path))
    assert not (tmp_path / "ran").exists()


def test_what_is_no_list_of_rows_is_refused(tmp_path):
    with pytest.raises(CorruptPickleError, match="one str; a list or a dict"):
        list(iterate_plain_pickle(write(tmp_path / "text.pkl", pickle.dumps("rows"))))


@pytest.mark.parametrize(
    "program", [b"\x80\x02X\x01\x00\x00\x00aK\x01a.", b"\x80\x02]K\x01K\x02s."]
)
def test_items_for_what_cannot_hold_them_are_refused(tmp_path, program):
    with pytest.raises(CorruptPickleError, match="is no"):
        load_plain_pickle(write(tmp_path / "bad.pkl", program))
