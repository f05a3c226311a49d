import bz2
import gzip
import json
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.data.fetch.url_list import (
    Unusable,
    UrlListError,
    UrlListNotFoundError,
    Wanted,
    default_name,
    read_url_list,
    url_problem,
)
from emotionnet_hf.loading.safe_pickle import UnsafePickleError

A, B = "https://a.example/x/1.jpg", "http://b.example:81/2.png?w=9"


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_url_list(path))


def named(rows):
    assert all(isinstance(row, Wanted) for row in rows), rows
    return [(row.row, row.file_name, row.url) for row in rows]


def test_text(tmp_path):
    rows = read(tmp_path, "urls.txt", f"\ufeff# ours\n\n{A}\r\n  {B}  \n")
    assert named(rows) == [(2, default_name(A), A), (3, default_name(B), B)]
    assert [row.host for row in rows] == ["a.example", "b.example"]


@pytest.mark.parametrize(("name", "mark"), [("urls.csv", ","), ("urls.tsv", "\t")])
def test_csv_and_tsv(tmp_path, name, mark):
    lines = ["file_name,id,url", f"k/1.jpg,7,{A}", "", f",8,{B}", "a,b"]
    rows = read(tmp_path, name, "\ufeff" + "\n".join(line.replace(",", mark) for line in lines))
    assert named(rows[:2]) == [(0, "k/1.jpg", A), (2, default_name(B), B)]
    assert rows[2] == Unusable(3, "", "", "wrong number of fields: 2 under a header of 3")


def test_jsonl(tmp_path):
    lines = [json.dumps({"url": A, "file_name": "1.jpg"}), "", json.dumps({"url": B}), "{", "[1]"]
    rows = read(tmp_path, "urls.jsonl", "\n".join(lines))
    assert named(rows[:2]) == [(0, "1.jpg", A), (2, default_name(B), B)]
    assert [row.reason.partition(":")[0] for row in rows[2:]] == ["not JSON", "not a JSON object"]


def test_parquet(tmp_path):
    table = {"url": [A, B, None], "file_name": ["1.jpg", None, "3.jpg"], "other": [1, 2, 3]}
    pq.write_table(pa.table(table), tmp_path / "urls.parquet")
    rows = list(read_url_list(tmp_path / "urls.parquet"))
    assert named(rows[:2]) == [(0, "1.jpg", A), (1, default_name(B), B)]
    assert rows[2] == Unusable(2, "3.jpg", "", "no URL")


def test_release_pickles(tmp_path):
    rows = [["train/12/1.jpg", A], ("2.jpg", B), ["3.jpg", [1, 2], [3]]]
    found = read(tmp_path, "list.pkl", pickle.dumps(rows))
    assert named(found[:2]) == [(0, "train/12/1.jpg", A), (1, "2.jpg", B)]
    assert found[2].reason == "not a row of [relative_path, url]"

    # The authors' own pickles end so.
    found = read(tmp_path, "ids.pkl.keep", pickle.dumps({7: A, "8": B}))
    assert named(found) == [(0, "7.jpg", A), (1, "8.jpg", B)]

    se30k8 = {
        11: {"image_url": A, "re_path": "joy/11.jpg", "work_ids": ["w"]},
        "12": {"tags": ["sky"]},
    }
    found = read(tmp_path, "se30k8.pickle", pickle.dumps(se30k8))
    assert named(found[:1]) == [(0, "11.jpg", A)]
    assert found[1] == Unusable(1, "12.jpg", "", "no URL")


def test_hostile_pickle_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    with pytest.raises(UnsafePickleError):
        read(tmp_path, "list.pkl", pickle.dumps([["1.jpg", A], Bomb()]))
    assert not (tmp_path / "ran").exists()


def test_lists_in_memory():
    rows = list(read_url_list([A, ("n/2.jpg", B), 3, (1, 2, 3), (None, A)]))
    assert named([rows[0], rows[1], rows[4]]) == [
        (0, default_name(A), A),
        (1, "n/2.jpg", B),
        (4, default_name(A), A),
    ]
    assert rows[2].reason == rows[3].reason == "not a URL or a pair"


def test_a_generator_is_read_lazily():
    def urls():
        yield A
        raise KeyError("read too far")

    assert next(iter(read_url_list(urls()))).url == A


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://a.example/1", "not http or https: 'ftp'"),
        ("file:///etc/passwd", "not http or https: 'file'"),
        ("a.example/1.jpg", "not http or https: ''"),
        ("http:///1.jpg", "not a URL: no host"),
        ("https://", "not a URL: no host"),
        ("http://[::1/1", "not a URL: "),
        ("http://a.example:port/", "not a URL: "),
        ("http://a.example:99999/", "not a URL: "),
        ("http://me:pw@a.example/", "URL with a user name or password"),
        ("http://me@a.example/", "URL with a user name or password"),
        ("http://a.example/\r\nHost: b", "not a URL: control characters"),
        ("http://a.example/\udcff", "not a URL: "),
        ("HTTPS://A.example/b c/\u00fc.jpg", ""),
        ("http://[2606:4700::1]:80/x", ""),
    ],
)
def test_url_problem(url, problem):
    found = url_problem(url)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../a.jpg",
            "/a.jpg",
            "a/../../b.jpg",
            "C:\\a.jpg",
            "\\a.jpg",
            "a\\..\\..\\b",
            ".",
            "a\0",
        ),
        *(
            "a\nb.jpg",
            "\udcff.jpg",
            "fetched.jsonl",
            "failures.csv",
            "x/../pictures.jsonl",
            ".fetch/list",
            True,
            1.5,
            [],
        ),
    ],
)
def test_names_that_are_refused(name):
    (row,) = read_url_list([(name, A)])
    assert isinstance(row, Unusable)
    assert row.reason.startswith(("file_name ", "file name ", "no file name"))
    row.file_name.encode()


def test_packed_lists_json_and_folders_of_lists(tmp_path):
    lists = tmp_path / "lists"
    (lists / "more").mkdir(parents=True)
    (lists / "a.txt.gz").write_bytes(gzip.compress(f"{A}\n\n".encode()))
    (lists / "b.json").write_text(json.dumps([{"url": B, "file_name": "2.jpg"}]))
    (lists / "more/c.csv.bz2").write_bytes(bz2.compress(f"url;n\n{A}?3;7\n".encode()))
    (lists / ".hidden.txt").write_text("http://hidden.example/")
    for name in ("README.md", "a.csv.bak", "b.txt.swp", "c.json.lock"):
        (lists / name).write_text("no list")
    rows = list(read_url_list(lists))
    assert named(rows) == [
        (0, default_name(A), A),
        (2, "2.jpg", B),
        (3, default_name(f"{A}?3"), f"{A}?3"),
    ]
    assert rows[2].columns == {"n": "7"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(UrlListNotFoundError, match="has no list"):
        read_url_list(tmp_path / "empty")


def test_other_columns_and_digests_are_handed_on(tmp_path):
    md5, sha256 = "0123456789abcdef" * 2, "0123456789ABCDEF" * 4
    lines = [
        "url,md5,sha256,keywords",
        f'{A},{md5},,"joy, sky"',
        f"{B},,{sha256},",
        f"{A}?2,{md5},{sha256},",
    ]
    rows = read(tmp_path, "urls.csv", "\n".join([*lines, f"{B}?3,123,,", f"{B}?4,,,"]))
    assert [row.digest for row in rows[:3]] == [("md5", md5), *[("sha256", sha256.lower())] * 2]
    assert [row.columns for row in rows[:2]] == [{"keywords": "joy, sky"}, {"keywords": ""}]
    assert rows[3].reason == "md5 is not 32 hex digits: '123'"
    assert rows[4].digest is None


def test_names_that_are_kept():
    pairs = [("a/./b//c.jpg", A), (7, A), ("d\u00fc.jpg", A), ("", A), (float("nan"), A)]
    names = [row.file_name for row in read_url_list(pairs)]
    assert names == ["a/b/c.jpg", "7", "d\u00fc.jpg", default_name(A), default_name(A)]


def test_bytes_that_are_not_text_cost_their_row(tmp_path):
    rows = read(tmp_path, "urls.txt", b"http://a.example/\xff\n" + A.encode())
    assert rows[0].reason.startswith("not a URL: ")
    rows[0].url.encode()
    assert named(rows[1:]) == [(1, default_name(A), A)]


def test_default_names():
    urls = [f"https://a.example/{i % 7}/same.jpg?{i}" for i in range(5000)]
    names = {default_name(url) for url in urls}
    assert len(names) == 5000
    assert len({name.split("/")[0] for name in names}) == 256
    for url in ("https://a.example/../../%2e%2e/x%00y.exe", "https://a.example/", A + "/" * 3):
        name = default_name(url).split("/")[1]
        assert name.endswith(".jpg")
        assert name.replace("-", "").replace(".", "").isalnum()
    assert len(default_name("https://a.example/" + "long" * 500)) < 80
    for ending in (".jfif", ".JPE", ".avif"):  # the endings of all pictures, in every command
        assert default_name(f"https://a.example/x{ending}").endswith(ending.lower())


def test_list_that_cannot_be_read(tmp_path):
    with pytest.raises(UrlListNotFoundError, match=r"no file .*none\.txt"):
        read_url_list(tmp_path / "none.txt")
    with pytest.raises(UrlListError, match="lacks url; the columns found are: link, name"):
        read(tmp_path, "urls.csv", "link,name\n1,2\n")
    with pytest.raises(UrlListError, match="lacks url; the columns found are: none"):
        read(tmp_path, "empty.csv", "")
    with pytest.raises(UrlListError, match="not a Parquet file"):
        read(tmp_path, "urls.parquet", "no")
