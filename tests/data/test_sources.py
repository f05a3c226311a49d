import csv
import datetime
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.data.sources import Record, Rejected, SourceError
from emotionnet_hf.data.sources import read_source as open_folder


def read_source(folder):
    """The rows of the metadata, without the files that no row is about."""
    return [item for item in open_folder(folder) if item.row >= 0]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / "images" / name).write_bytes(b"not looked at")
    return tmp_path


def jsonl(folder, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return read_source(folder)


def row(name="a.png", keywords="Joy, tree", **more):
    return {"file_name": f"images/{name}", "keywords": keywords, **more}


def only_reason(folder, bad):
    """The reason why one row is rejected, the good rows around it being read."""
    first, rejected, last = jsonl(folder, row("a.png"), bad, row("c.png"))
    assert isinstance(first, Record)
    assert isinstance(last, Record)
    assert isinstance(rejected, Rejected)
    assert rejected.row == 1
    return rejected.reason


def test_jsonl(folder):
    more = {"image_id": 7, "group": "g", "source": "s", "people": 2, "faces": None, "extra": [1]}
    first, second = jsonl(folder, row(**more), "", row("b.png", ["Candy  Cane", "joy"]))
    assert first == Record(
        image_path=folder / "images/a.png",
        image_id="7",
        keywords=["joy", "tree"],
        group="g",
        source="s",
        people=2,
        faces=None,
        row=0,
    )
    assert second.image_id == "images/b.png"
    assert second.keywords == ["candy cane", "joy"]
    assert (second.group, second.source, second.people, second.row) == (None, None, None, 2)


def test_csv(folder):
    (folder / "metadata.csv").write_text(
        "\ufefffile_name,keywords,people,group,note\n"
        'images/a.png,"Joy, candy cane",2.0,g,"two\nlines"\n'
        '"images/b.png","[""joy"", ""tree""]",,,\n'
        "images/c.png,\"['joy', 'tree']\",,,\n",
        encoding="utf-8",
    )
    first, second, third = read_source(folder)
    assert (first.keywords, first.people, first.group) == (["joy", "candy cane"], 2, "g")
    assert second.keywords == third.keywords == ["joy", "tree"]
    assert (second.people, second.group) == (None, None)


@pytest.mark.parametrize("keywords", [["Joy, tree", "joy"], [["joy", "tree"], ["joy"]]])
def test_parquet(folder, keywords):
    table = {
        "file_name": ["images/a.png", "images/b.png"],
        "keywords": keywords,
        "people": [2.0, float("nan")],
    }
    pq.write_table(pa.table(table), folder / "metadata.parquet")
    first, second = read_source(folder)
    assert (first.keywords, first.people) == (["joy", "tree"], 2)
    assert (second.keywords, second.people) == (["joy"], None)


def test_a_source_can_be_read_twice(folder):
    jsonl(folder, row())
    source = open_folder(folder)
    assert list(source) == list(source)


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_source(tmp_path / "nowhere")


def test_no_metadata(folder):
    with pytest.raises(
        FileNotFoundError, match=r"metadata\.jsonl, metadata\.csv, metadata\.tsv"
    ) as caught:
        read_source(folder)
    assert isinstance(caught.value, SourceError)


def test_several_metadata_files(folder):
    jsonl(folder, row())
    (folder / "metadata.csv").write_text("file_name,keywords\n")
    with pytest.raises(SourceError, match=r"metadata\.jsonl and metadata\.csv"):
        read_source(folder)


def test_missing_column_names_those_found(folder):
    with pytest.raises(SourceError, match="lacks keywords; the columns found are: file_name, tags"):
        jsonl(folder, {"file_name": "images/a.png", "tags": "joy"})
    (folder / "metadata.jsonl").unlink()
    (folder / "metadata.csv").write_text("path,keywords\n")
    with pytest.raises(SourceError, match="lacks file_name; the columns found are: path, keywords"):
        read_source(folder)
    (folder / "metadata.csv").unlink()
    pq.write_table(pa.table({"a": [1]}), folder / "metadata.parquet")
    with pytest.raises(SourceError, match="lacks file_name, keywords; the columns found are: a"):
        read_source(folder)


def test_header_without_rows_is_a_source_without_rows(folder):
    (folder / "metadata.csv").write_text("file_name,keywords\n")
    assert list(read_source(folder)) == []


@pytest.mark.parametrize("content", ["", "\n\n", "[1]\n", "{oops\n"])
def test_jsonl_without_a_usable_line(folder, content):
    (folder / "metadata.jsonl").write_text(content)
    with pytest.raises(SourceError, match="no usable line"):
        read_source(folder)


def test_metadata_that_is_no_parquet(folder):
    (folder / "metadata.parquet").write_bytes(b"PAR1 no, not really PAR1")
    with pytest.raises(SourceError, match="not a Parquet file"):
        read_source(folder)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"file_name": "images/b.png", "keywords"', "not JSON"),
        ("[" * 100000, "not JSON"),
        ('["images/b.png"]', "not a JSON object"),
    ],
)
def test_lines_that_do_not_parse_are_rejected(folder, line, reason):
    assert only_reason(folder, line).startswith(reason)


def test_bytes_that_are_not_utf_8_cost_their_row(folder):
    good = json.dumps(row()).encode()
    (folder / "metadata.jsonl").write_bytes(
        good + b'\n{"file_name": "images/b.png", "keywords": "caf\xe9"}\n'
    )
    assert [type(item) for item in read_source(folder)] == [Record, Rejected]
    (folder / "metadata.jsonl").unlink()
    (folder / "metadata.csv").write_bytes(
        b"file_name,keywords\nimages/a.png,joy\nimages/b.png,caf\xe9\nimages/\xe9.png,joy\n"
    )
    assert [type(item) for item in read_source(folder)] == [Record, Rejected, Rejected]


def test_csv_rows_that_do_not_parse_are_rejected(folder):
    (folder / "metadata.csv").write_text(
        "file_name,keywords\n"
        "images/a.png,joy,fear\n"
        '"images/b.png"x,joy\n'
        "images/b.png\n"
        "\n"
        "images/c.png,joy\n"
    )
    *bad, good = read_source(folder)
    assert [item.reason.split(":")[0] for item in bad] == [
        "wrong number of fields",
        "not CSV",
        "wrong number of fields",
    ]
    assert (good.image_id, good.row) == ("images/c.png", 4)


@pytest.mark.parametrize("keywords", [5, {"joy": 1}, ["joy", 5], True])
def test_keywords_of_the_wrong_type_are_rejected(folder, keywords):
    assert only_reason(folder, row("b.png", keywords)).startswith("keywords of the wrong type")


def test_missing_values_are_rejected(folder):
    assert only_reason(folder, row("b.png", None)) == "no keywords"
    assert only_reason(folder, {"keywords": "joy"}) == "no file_name"
    assert only_reason(folder, {"file_name": "", "keywords": "joy"}) == "no file_name"


@pytest.mark.parametrize(
    "name", ["../a.png", "images/../../a.png", "/etc/passwd", "C:\\a.png", "\\\\host\\share\\a"]
)
def test_paths_out_of_the_folder_are_rejected(folder, name):
    bad = {"file_name": name, "keywords": "joy"}
    assert only_reason(folder, bad).startswith("file name leads out of the folder: ")


@pytest.mark.parametrize("name", ["nothing.png", "", "x" * 5000])
def test_missing_images_are_rejected(folder, name):
    bad = {"file_name": f"images/{name}", "keywords": "joy"}
    assert only_reason(folder, bad) == "no such image file"


def test_odd_file_names_are_rejected(folder):
    assert "zero byte" in only_reason(folder, {"file_name": "a\0b", "keywords": "joy"})
    assert "not text" in only_reason(folder, {"file_name": ["a"], "keywords": "joy"})
    assert "Unicode" in only_reason(folder, {"file_name": "a\ud83d", "keywords": "joy"})


def test_an_image_id_is_given_once(folder):
    reason = only_reason(folder, row("b.png", image_id="images/a.png"))
    assert reason == "image_id given before: 'images/a.png'"
    assert only_reason(folder, {"file_name": "./images//a.png", "keywords": "joy"}).startswith(
        "image_id given before"
    )


@pytest.mark.parametrize("value", ["many", -1, 1.5, True, [1], 2**31, float("inf")])
def test_counts_that_are_no_counts_are_rejected(folder, value):
    assert only_reason(folder, row("b.png", people=value)).startswith("people is not a count")


def test_a_rejected_row_does_not_take_its_image_id(folder):
    bad, good = jsonl(folder, row("nothing.png", image_id="x"), row(image_id="x"))
    assert isinstance(bad, Rejected)
    assert isinstance(good, Record)


def test_real_metadata(real_data):
    for name, count in (("bass", 583), ("emoji", 4146)):
        items = read_source(real_data / name)
        assert len(items) == count
        assert all(isinstance(item, Record) and item.keywords for item in items)


@pytest.mark.parametrize(
    "name", ["images/a.png", "./images/a.png", "images\\a.png", "x/../images//a.png"]
)
def test_every_name_of_a_file_is_that_file(folder, name):
    (found,) = jsonl(folder, {"file_name": name, "keywords": "joy"})
    assert (found.image_id, found.image_path) == ("images/a.png", folder / "images/a.png")
    (found,) = jsonl(folder, {"file_name": str(folder / "images/a.png"), "keywords": "joy"})
    assert found.image_id == "images/a.png"


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_every_format_gives_the_same_rows(folder, ending):
    """The values that programs change in silence when each format has a reader of its own."""
    names = ["file_name", "keywords", "image_id", "group", "source", "nobody"]
    values = [
        ["images/a.png", "['joy' 'storm']", "007", "None", "2020-02-01", "1"],
        ["./images/b.png", '["joy", "storm"]', "11.0", "NA", "nan", "x"],
        ["images\\c.png", "joy; storm", "1e5", "1.0", "true", ""],
    ]
    cells = [dict(zip(names, row, strict=True)) for row in values]
    path = folder / f"metadata{ending}"
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(cells), path)
    elif ending in (".json", ".jsonl"):
        text = json.dumps(cells) if ending == ".json" else "\n".join(map(json.dumps, cells))
        path.write_text(text)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter="," if ending == ".csv" else "\t").writerows(
                [names, *values]
            )
    found = read_source(folder)
    assert [(r.image_id, r.group, r.source) for r in found] == [
        ("007", "None", "2020-02-01"),
        ("11", "NA", "nan"),
        ("1e5", "1", "true"),
    ]
    assert all(record.keywords == ["joy", "storm"] for record in found)
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert read_source(folder) == found


def test_typed_values_of_parquet(folder):
    table = {
        "file_name": ["images/a.png", "images/b.png"],
        "keywords": [["joy"], ["joy"]],
        "image_id": [11.0, None],
        "source": [datetime.date(2020, 2, 1), None],
    }
    pq.write_table(pa.table(table), folder / "metadata.parquet")
    first, second = read_source(folder)
    assert (first.image_id, first.source) == ("11", "2020-02-01")
    assert (second.image_id, second.source) == ("images/b.png", None)


def test_a_column_named_twice_is_refused_where_it_is_needed(folder):
    (folder / "metadata.csv").write_text("file_name,keywords,x,x\nimages/a.png,joy,1,2\n")
    assert len(read_source(folder)) == 1
    (folder / "metadata.csv").write_text("file_name,keywords,keywords\nimages/a.png,joy,fear\n")
    with pytest.raises(SourceError, match="has the column keywords twice"):
        read_source(folder)


def test_parquet_text_that_is_not_utf_8_costs_its_row(folder):
    names = pa.array([b"images/a.png", b"images/\xf1.png", b"images/c.png"])
    strings = pa.StringArray.from_buffers(3, *names.buffers()[1:])
    pq.write_table(
        pa.table({"file_name": strings, "keywords": ["joy"] * 3}), folder / "metadata.parquet"
    )
    first, bad, last = read_source(folder)
    assert (first.row, last.row) == (0, 2)
    assert bad.reason == r"file_name is not valid Unicode: b'images/\xf1.png'"


def test_lists_that_cannot_be_told_are_rejected(folder):
    assert only_reason(folder, row("b.png", "['joy' ... 'sky']")).startswith("a list in a notation")


def test_files_that_no_row_is_about_are_told(folder):
    (folder / "images/d.heic.svg").touch()
    (folder / "images/._a.png").touch()
    (folder / "images/mu\udcf1oz.png").touch()
    jsonl(folder, row("a.png"), row("b.png", 5))
    found = [item for item in open_folder(folder) if item.row < 0]
    assert found == [
        Rejected(-1, "images/._a.png", "passed over, ._*"),
        Rejected(-1, "images/c.png", "picture without a row in the metadata"),
        Rejected(-1, "images/d.heic.svg", "passed over, .svg"),
        Rejected(-1, r"images/mu\xf1oz.png", "picture without a row in the metadata"),
    ]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "pics.zip").write_bytes(b"PK")
    with pytest.raises(SourceError, match=r"pics\.zip is an archive: unpack it first"):
        read_source(tmp_path / "pics.zip")
    (tmp_path / "pics.txt").touch()
    with pytest.raises(SourceError, match=r"pics\.txt is a file and no folder"):
        read_source(tmp_path / "pics.txt")
