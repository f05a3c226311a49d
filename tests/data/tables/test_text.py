import bz2
import gzip
import lzma
from pathlib import Path

import pyarrow as pa
import pytest

from emotionnet_hf.data.tables.text import bare_suffix, read_lines, read_records

PACKERS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def records(tmp_path, content, name="a.csv", needed=()):
    return list(read_records(write(tmp_path, name, content), needed))


def test_the_ending_below_what_packed_it():
    names = ("a.csv", "A.CSV.GZ", "a.b.jsonl.zst", "a.gz", "a")
    assert [bare_suffix(Path(name)) for name in names] == [".csv", ".csv", ".jsonl", "", ""]


@pytest.mark.parametrize("ending", PACKERS)
def test_packed_files_are_unpacked_whatever_their_names_say(tmp_path, ending):
    content = "\ufeffa\ncaf\u00e9\n".encode() * 5000
    packed = PACKERS[ending](content)
    if ending == ".zst":  # a frame of a stream, as the program `zstd` writes it
        with pa.CompressedOutputStream(pa.OSFile(str(tmp_path / "s"), "wb"), "zstd") as out:
            out.write(content)
        packed = (tmp_path / "s").read_bytes()
    for name in (f"x.txt{ending}", "x.txt"):
        found = list(read_lines(write(tmp_path, name, packed)))
        assert len(found) == 10000
        assert found[:2] == ["a\n", "caf\u00e9\n"]
    assert list(read_lines(write(tmp_path, f"y.txt{ending}", b"plain\n"))) == ["plain\n"]
    with pytest.raises(ValueError, match=r"x\.txt.* is not a whole text file"):
        list(read_lines(write(tmp_path, f"x.txt{ending}", packed[: len(packed) // 2])))


def test_utf_16_and_bytes_that_are_no_text(tmp_path):
    assert list(read_lines(write(tmp_path, "a.txt", "caf\u00e9\nb".encode("utf-16")))) == [
        "caf\u00e9\n",
        "b",
    ]
    assert list(read_lines(write(tmp_path, "a.txt", b"a\nb\xe9\nc"))) == ["a\n", "b\udce9\n", "c"]
    assert list(read_lines(write(tmp_path, "a.txt", b""))) == []


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"PAR1", b"\x89PNG\r\n", b"\xd0\xcf\x11\xe0"])
def test_files_of_another_kind_are_named_as_such(tmp_path, start):
    with pytest.raises(ValueError, match=r"a\.csv is no table in text but "):
        records(tmp_path, start + b"\0" * 50)


def test_what_separates_cells_is_told_by_the_header(tmp_path):
    for sign in ",;\t":
        found = records(tmp_path, f"a{sign}b\n1{sign}2\n")
        assert [cells for _, cells in found] == [["a", "b"], ["1", "2"]]
    assert records(tmp_path, "a;b,c\n1;2\n", needed=["a"])[1] == (2, ["1", "2"])
    assert records(tmp_path, "a,b\n1,2\n", "a.tsv")[1] == (2, ["1", "2"])
    assert records(tmp_path, "sep=|\na|b\n1|2\n")[1][1] == ["1", "2"]


def test_quotes_in_tsv_are_quotes_unless_around_a_cell(tmp_path):
    content = 'a\tb\n5" screen\tx\n"open\ty\n"he said ""no"""\tz\n"a" b\t"w"\n'
    assert records(tmp_path, content, "a.tsv")[1:] == [
        (2, ['5" screen', "x"]),
        (3, ['"open', "y"]),
        (4, ['he said "no"', "z"]),
        (5, ['"a" b', "w"]),
    ]


def test_cells_of_several_lines_and_the_lines_after_them(tmp_path):
    found = records(tmp_path, 'a,b\n"1\n2",x\n\n3,"y, z"\r\n')
    assert found == [(1, ["a", "b"]), (2, ["1\n2", "x"]), (4, []), (5, ["3", "y, z"])]


def test_a_quote_that_is_never_closed_costs_its_line(tmp_path):
    lines = ["a,b", "1,x", '2,"open', *(f"{n},y" for n in range(3, 2000)), '2000,"z"']
    found = records(tmp_path, "\n".join(lines))
    assert [line for line, _ in found] == list(range(1, 2002))
    bad = [(line, cells) for line, cells in found if isinstance(cells, str)]
    assert [line for line, _ in bad] == [3]
    assert "not closed" in bad[0][1]
    assert found[-1] == (2001, ["2000", "z"])


def test_cells_longer_than_the_limit_of_the_csv_module(tmp_path):
    assert records(tmp_path, "a,b\n1," + "x" * 200_000 + "\n2,y\n")[2] == (3, ["2", "y"])
