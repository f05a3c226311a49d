"""Reading pickles that hold plain data, without running anything.

A pickle is a program, and `pickle.load` runs it. The StockEmotion release ships its vocabularies
and annotation lists as pickles of dictionaries, lists, strings and numbers, and for those a small
part of the language is enough. `load_plain_pickle` first reads the program without running it and
refuses every instruction outside of that part; only then is it run, by an unpickler that cannot
import anything.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import NoReturn

# Instructions that build None, bool, int, float, str, list, tuple and dict, and the memo that
# lets a pickle name a value twice. GLOBAL, STACK_GLOBAL, REDUCE, BUILD, INST, OBJ, NEWOBJ, EXT*
# and PERSID, the ones that import or call, are left out, and so is all that is not needed.
_PLAIN_OPCODES = frozenset(
    "PROTO FRAME MARK STOP NONE NEWTRUE NEWFALSE "
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
    "EMPTY_DICT DICT SETITEM SETITEMS "
    "PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET".split()
)
_MEMO_WRITES = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))


class CorruptPickleError(ValueError):
    """The file is not one whole pickle: empty, cut off, damaged, or followed by other bytes."""


class UnsafePickleError(ValueError):
    """The file asks for more than plain data; nothing of it was run."""


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that can import nothing, should the scan ever have a hole."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"refused to import {module_name}.{global_name}")

    def persistent_load(self, pid: object) -> NoReturn:
        raise pickle.UnpicklingError(f"refused the persistent id {pid!r}")


def load_plain_pickle(path: str | Path) -> object:
    """Read a pickle that holds only dict, list, tuple, str, int, float, bool and None.

    Args:
        path: The file.

    Returns:
        The pickled value.

    Raises:
        UnsafePickleError: The pickle asks to import or call something, or holds another type.
        CorruptPickleError: The file is empty, cut off, damaged, or has bytes after its end.
        FileNotFoundError: There is no such file.
    """
    path = Path(path)
    data = path.read_bytes()
    if not data:
        raise CorruptPickleError(f"{path} is empty; fetch it again.")
    _scan(data, path)
    try:
        # Pickles of Python 2 hold byte strings; UTF-8 reads the ASCII ones as they were meant.
        return _PlainUnpickler(io.BytesIO(data), encoding="utf-8").load()
    except (pickle.UnpicklingError, ValueError, TypeError, IndexError, KeyError, EOFError) as error:
        raise _corrupt(path, error) from error


def _scan(data: bytes, path: Path) -> None:
    """Refuse every instruction that is not plain, without running any."""
    end = count = 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            count += 1
            end = (position or 0) + 1
            if opcode.name not in _PLAIN_OPCODES:
                raise UnsafePickleError(_refusal(path, opcode.name, argument, end - 1))
            # An honest pickle numbers its memo from 0; a huge number only makes the reader
            # allocate a table of that size.
            if opcode.name in _MEMO_WRITES and int(argument or 0) > count:
                raise CorruptPickleError(f"{path} is damaged: memo number {argument} is too high.")
    except (UnsafePickleError, CorruptPickleError):
        raise
    except (ValueError, IndexError, EOFError) as error:
        raise _corrupt(path, error) from error
    if end != len(data):
        raise CorruptPickleError(
            f"{path} has {len(data) - end} bytes after the end of its pickle; fetch it again."
        )


def _refusal(path: Path, name: str, argument: object, position: int) -> str:
    asked = name if argument is None else f"{name} {argument!r}"
    return (
        f"{path} is not plain data: at byte {position} it asks for {asked}, which could run code. "
        "Nothing was run. If you trust its author, ask for the data as JSON or text."
    )


def _corrupt(path: Path, error: Exception) -> CorruptPickleError:
    return CorruptPickleError(f"{path} is cut off or not a pickle ({error}); fetch it again.")
