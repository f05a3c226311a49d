import datetime
import decimal

import pyarrow as pa
import pytest

from emotionnet_hf.data.tables.cells import (
    CellError,
    cell_value,
    cell_values,
    count_cell,
    id_cell,
    is_missing,
    printable,
    text_cell,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("007", "007"),
        ("None", "None"),
        ("nan", "nan"),
        ("11.0", "11.0"),
        (" a ", " a "),
        (7, "7"),
        (decimal.Decimal("1.50"), "1.50"),
        (b"caf\xc3\xa9", "caf\u00e9"),
        (datetime.date(2020, 2, 1), "2020-02-01"),
        (datetime.datetime(2020, 2, 1, 3), "2020-02-01T03:00:00"),
        (None, ""),
        (float("nan"), ""),
    ],
)
def test_text_is_as_it_is_written(value, text):
    assert text_cell(value, "x") == text


@pytest.mark.parametrize("value", [True, 1.5, 2.0, ["a"], {"a": 1}])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(CellError, match="x is not text: "):
        text_cell(value, "x")


@pytest.mark.parametrize("value", ["a\udcf1", b"a\xf1", "a\ud83d"])
def test_text_that_is_not_unicode_is_refused(value):
    with pytest.raises(CellError, match="x is not valid Unicode") as caught:
        text_cell(value, "x")
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [("11.0", "11"), (11.0, "11"), (11, "11"), ("007", "007"), ("1.10", "1.10"), ("v1.0", "v1.0")],
)
def test_an_id_that_a_spreadsheet_made_a_number_is_what_it_was(value, text):
    assert id_cell(value, "image_id") == text


def test_an_id_is_no_fraction():
    with pytest.raises(CellError, match="not text"):
        id_cell(1.5, "image_id")


def test_counts():
    assert [count_cell(v, "n") for v in (2, 2.0, "2", "2.0", "", None)] == [2, 2, 2, 2, None, None]
    for value in ("many", -1, 1.5, True, [1], 2**31, float("inf")):
        with pytest.raises(CellError, match="n is not a count"):
            count_cell(value, "n")


def test_what_is_missing_and_what_is_printed():
    assert [is_missing(v) for v in (None, "", float("nan"), "nan", "NA", 0)] == [True] * 3 + [
        False
    ] * 3
    assert (printable(None), printable("a\udcf1"), printable(7)) == ("", "a?", "7")


def test_bytes_that_are_not_utf_8_are_carried_along():
    binary = pa.array([b"a", b"caf\xe9", None], pa.binary())
    texts = pa.StringArray.from_buffers(3, *binary.buffers()[1:], binary.buffers()[0])
    assert cell_values(texts) == ["a", "caf\udce9", None]
    assert cell_values(pa.ListArray.from_arrays([0, 2, 2], texts)) == [["a", "caf\udce9"], []]
    assert cell_values(pa.array([1, None])) == [1, None]
    assert cell_value(texts[1]) == "caf\udce9"
