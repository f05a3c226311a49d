"""What a value of a table means: text, an id, a count, or nothing."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from typing import Any

import pyarrow as pa

from emotionnet_hf.loading.normal_form import brief

# A spreadsheet, or pandas, makes 11.0 of the id 11 when a cell of its column is empty.
_WHOLE = re.compile(r"(\d+)\.0+")


class CellError(ValueError):
    """A value that is not what its column is for; the message is the reason, for a quarantine."""


def is_missing(value: object) -> bool:
    """Tell a cell with nothing in it: null, an empty text, or not a number.

    A text such as `None`, `NA` or `nan` is a value like any other.

    Args:
        value: The cell.

    Returns:
        Whether nothing is in it.
    """
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def text_cell(value: object, name: str) -> str:
    """Read text as it is written.

    Args:
        value: The cell: text, UTF-8 as bytes, a whole number, or a date (as ISO 8601 writes it).
        name: Of the column, for the message.

    Returns:
        The text; empty where there is nothing.

    Raises:
        CellError: It is something else, or not valid Unicode.
    """
    if is_missing(value):
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bool) or not isinstance(value, str | int | decimal.Decimal):
        raise CellError(f"{name} is not text: {brief(value)}")
    text = str(value)
    if printable(text) != text:
        raise CellError(f"{name} is not valid Unicode: {brief(text)}")
    return text


def id_cell(value: object, name: str) -> str:
    """Read an id: text, but for the one change that programs make to whole numbers.

    `11.0` is 11, as a number and as text: spreadsheets and pandas write it so when a cell of the
    column is empty. `007` stays `007`.

    Args:
        value: The cell.
        name: Of the column, for the message.

    Returns:
        The id; empty where there is none.

    Raises:
        CellError: It is neither text nor a whole number.

    >>> id_cell("11.0", "image_id"), id_cell(11.0, "image_id"), id_cell("007", "image_id")
    ('11', '11', '007')
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = text_cell(value, name)
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def count_cell(value: object, name: str) -> int | None:
    """Read a count.

    Args:
        value: The cell: a number or its digits, be it 2 or, as spreadsheets write it, 2.0.
        name: Of the column, for the message.

    Returns:
        The count; None where there is nothing.

    Raises:
        CellError: It is no whole number of at least 0 and below 2**31.
    """
    if is_missing(value):
        return None
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            if number.is_integer() and 0 <= number < 2**31:
                return int(number)
    except (ValueError, OverflowError):
        pass  # reported below with all other values that are no counts
    raise CellError(f"{name} is not a count: {brief(value)}")


def cell_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Take the cells of an Arrow column as Python has them; see `cell_value`."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [cell_value(cell) for cell in column]


def cell_value(cell: pa.Scalar) -> Any:
    """Take a cell of an Arrow column as Python has it.

    Args:
        cell: Of a column whose text need not be UTF-8, as a file may have it.

    Returns:
        The value; bytes that are not UTF-8 are carried along in it as in a CSV file, so that they
        cost their row.
    """
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        if isinstance(cell, pa.ListScalar):
            return [cell_value(one) for one in cell.values]
        return cell.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")


def printable(value: object) -> str:
    """Make any value text that UTF-8 can hold.

    Args:
        value: Whatever a row holds.

    Returns:
        The text, with ? for what is no Unicode; empty for None.
    """
    text = "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode("utf-8")
