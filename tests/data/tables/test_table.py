import datetime
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.data.tables import (
    TABLE_ENDINGS,
    TableError,
    TableNotFoundError,
    check_parquet_name,
    find_table,
    open_table,
)

ROWS = [
    {"id": "007", "word": "None"},
    {"id": "2020-02-01", "word": "NA"},
    {"id": "1e5", "word": "caf\u00e9, \u00fc"},
]


def written(tmp_path, ending, rows=ROWS):
    path = tmp_path / f"t{ending}"
    names = list(rows[0])
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ending == ".json":
        path.write_text(json.dumps(rows))
    elif ending in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        mark = "\t" if ending == ".tsv" else ","
        cells = [names, *([f'"{row[n]}"' for n in names] for row in rows)]
        path.write_text("".join(mark.join(line) + "\n" for line in cells), encoding="utf-8-sig")
    return path


def text(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, **options):
    options = options or {"wanted": None}
    return [(row.number, row.line, dict(row.cells)) for row in open_table(path, **options)]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", TABLE_ENDINGS)
def test_every_format_gives_the_same_values(tmp_path, ending, packed):
    path = written(tmp_path, ending)
    if packed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_name(f"{path.name}.gz")
    table = open_table(path, needed=["word"])
    assert table.columns[:2] == ("id", "word")
    assert [row.cells for row in table] == [{"word": row["word"]} for row in ROWS]
    table = open_table(path, wanted=None)
    assert [row.cells for row in table] == [row.cells for row in table] == ROWS
    assert [row.number for row in table] == [0, 1, 2]
    first = 2 if ending in (".csv", ".tsv") else 1
    unit = "row" if ending in (".json", ".parquet") else "line"
    assert [table.where(row) for row in table] == [
        f"{path.name}: {unit} {first + i}" for i in range(3)
    ]


def test_blank_lines_count_and_give_no_row(tmp_path):
    assert read(text(tmp_path, "a.csv", "\na\n\n1\n")) == [(1, 4, {"a": "1"})]
    assert read(text(tmp_path, "a.jsonl", '\ufeff{"a": 1}\n\n{"a": 2}')) == [
        (0, 1, {"a": 1}),
        (2, 3, {"a": 2}),
    ]


def test_a_bad_line_costs_itself(tmp_path):
    lines = ['{"a": 1}', '{"a": ', "[1]", '{"a": 2},', '{"a": 3}']
    rows = list(open_table(text(tmp_path, "a.jsonl", "\n".join(lines)), needed=["a"]))
    assert [row.problem.partition(":")[0] for row in rows] == [
        "",
        "not JSON",
        "not a JSON object",
        "not JSON",
        "",
    ]
    assert [row.line for row in rows] == [1, 2, 3, 4, 5]
    rows = list(open_table(text(tmp_path, "a.csv", "a,b\n1,2\n1\n1,2,3\n1,2,,\n")))
    assert [row.problem for row in rows] == [
        "",
        "wrong number of fields: 1 under a header of 2",
        "wrong number of fields: 3 under a header of 2",
        "",
    ]
    rows = list(open_table(text(tmp_path, "a.json", '[{"a": 1}, 2]')))
    assert [row.problem for row in rows] == ["", "not a JSON object"]


def test_json_lines_may_be_called_json(tmp_path):
    assert read(text(tmp_path, "a.json", '{"a": 1}\n{"a": 2}\n')) == [
        (0, 1, {"a": 1}),
        (1, 2, {"a": 2}),
    ]
    assert read(text(tmp_path, "a.json", '[\n {"a": 1}\n]')) == [(0, 1, {"a": 1})]
    with pytest.raises(TableError, match=r"a\.json holds \{'a'.* not a list of rows"):
        open_table(text(tmp_path, "a.json", '{\n"a": {"0": 1}}'))
    with pytest.raises(TableError, match=r"a\.json is not JSON"):
        open_table(text(tmp_path, "a.json", "[1,"))


def test_a_column_named_twice_matters_where_it_is_read(tmp_path):
    path = text(tmp_path, "a.csv", "a,b,b,,\n1,2,3,,\n")
    assert read(path, needed=["a"]) == [(0, 2, {"a": "1"})]
    for options in ({"needed": ["b"]}, {"wanted": None}):
        with pytest.raises(TableError, match=r"a\.csv has the column b twice; rename"):
            open_table(path, **options)
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["a", "b", "b"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", needed=["a"]) == [(0, 1, {"a": 1})]
    with pytest.raises(TableError, match="column b twice"):
        open_table(tmp_path / "a.parquet", needed=["b"])
    path = text(tmp_path, "a.jsonl", '{"a": 1, "b": 2, "b": 3}')
    assert read(path, needed=["a"]) == [(0, 1, {"a": 1})]
    assert [row.problem for row in open_table(path, wanted=None)] == ["column given twice: b"]


def test_a_column_that_nobody_needs_may_change_its_type(tmp_path):
    rows = [{"a": 1, "b": 1}, {"a": 2, "b": {"c": [1]}}, {"a": 3, "b": "x", "d": None}]
    path = text(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [cells for *_, cells in read(path, needed=["a"])] == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert [cells for *_, cells in read(path, needed=["a"], wanted=["d"])][2] == {"a": 3, "d": None}


def test_text_that_is_not_utf_8_costs_the_rows_that_need_it(tmp_path):
    path = text(tmp_path, "a.csv", b"a,b\n1,x\n2,caf\xe9\n")
    assert [cells for *_, cells in read(path)] == [
        {"a": "1", "b": "x"},
        {"a": "2", "b": "caf\udce9"},
    ]
    names = pa.array([b"x", b"caf\xe9", b"y"]).cast(pa.binary())
    strings = pa.StringArray.from_buffers(3, names.buffers()[1], names.buffers()[2])
    pq.write_table(pa.table({"a": [1, 2, 3], "b": strings}), tmp_path / "a.parquet")
    rows = list(open_table(tmp_path / "a.parquet", wanted=None))
    assert [row.problem for row in rows] == ["", r"b is not valid Unicode: b'caf\xe9'", ""]
    assert [row.cells for row in rows][::2] == [{"a": 1, "b": "x"}, {"a": 3, "b": "y"}]
    assert [cells for *_, cells in read(tmp_path / "a.parquet", needed=["a"])] == [
        {"a": 1},
        {"a": 2},
        {"a": 3},
    ]


def test_parquet_keeps_types(tmp_path):
    day = datetime.date(2020, 2, 1)
    pq.write_table(pa.table({"a": [day], "b": [["x", "y"]], "c": [7.0]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [(0, 1, {"a": day, "b": ["x", "y"], "c": 7.0})]


def test_tables_that_cannot_be_read(tmp_path):
    with pytest.raises(TableNotFoundError, match=r"no file .*none\.csv"):
        open_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match=r"a\.xlsx is no table by its name"):
        open_table(text(tmp_path, "a.xlsx", ""))
    with pytest.raises(TableError, match="lacks a; the columns found are: none"):
        open_table(text(tmp_path, "a.csv", ""), needed=["a"])
    with pytest.raises(TableError, match="lacks b; the columns found are: a"):
        open_table(text(tmp_path, "a.csv", "a\n1\n"), needed=["b"])
    for content in ("", "\n", "[1]\n", "{oops\n"):
        with pytest.raises(TableError, match="no usable line"):
            open_table(text(tmp_path, "a.jsonl", content))
    with pytest.raises(TableError, match=r"a\.parquet is not a Parquet file"):
        open_table(text(tmp_path, "a.parquet", b"PAR1 no, not really PAR1"))
    whole = written(tmp_path, ".jsonl").read_bytes()
    path = text(tmp_path, "a.jsonl.gz", gzip.compress(whole * 1000)[:-40])
    with pytest.raises(TableError, match=r"a\.jsonl\.gz is not a whole text file"):
        list(open_table(path))


def test_the_error_is_that_of_whoever_asks(tmp_path):
    class OursError(ValueError):
        pass

    with pytest.raises(OursError, match="lacks"):
        open_table(text(tmp_path, "a.csv", "a\n"), needed=["b"], error=OursError)


def test_names_for_a_file_that_may_come_without_a_header(tmp_path):
    for lines in ("1;x;3\n2;y;3\n", "b;c;a\nx;3;1\ny;3;2\n"):
        path = text(tmp_path, "t.csv", lines)
        table = open_table(path, needed=("a", "b"), names=("a", "b", "c"))
        assert [dict(row.cells) for row in table] == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    with pytest.raises(TableError, match="lacks a, b; the columns found are: 1, 2"):
        open_table(text(tmp_path, "t.csv", "1,2\n"), needed=("a", "b"), names=("a", "b", "c"))


def test_the_one_table_of_a_name(tmp_path):
    assert find_table(tmp_path, "metadata") is None
    path = text(tmp_path, "metadata.tsv.zst", "")
    assert find_table(tmp_path, "metadata") == path
    text(tmp_path, "metadata.json", "")
    with pytest.raises(TableError, match=r"metadata\.tsv\.zst and metadata\.json; keep one"):
        find_table(tmp_path, "metadata")


def test_parquet_is_not_written_under_another_name():
    for name in ("a.parquet", "a.pq", "features"):
        check_parquet_name(name)
    for name in ("a.csv", "a.JSON", "a.tsv.gz", "a.npy"):
        with pytest.raises(TableError, match=r"let its name end in \.parquet"):
            check_parquet_name(name)
