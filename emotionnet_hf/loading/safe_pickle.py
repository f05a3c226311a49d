"""Reading pickles that hold plain data, without running anything.

A pickle is a program, and `pickle.load` runs it. The StockEmotion release ships its vocabularies
and annotation lists as pickles of dictionaries, lists, strings and numbers, and for those a small
part of the language is enough. Here is a reader of that part and of nothing else: it has no
instruction that imports or calls. The whole file is checked first, so that of a file that asks for
more not even the beginning is read.

The annotations are a list of a million rows, which `pickle.load` builds in several gigabytes.
`iterate_plain_pickle` gives the rows one after the other and holds one of them.
"""

from __future__ import annotations

import codecs
import io
import pickletools
import re
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

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
_PLAIN = {ord(op.code): op for op in pickletools.opcodes if op.name in _PLAIN_OPCODES}
# Most of an annotation list is numbers: BININT1, BININT2 and BININT, passed over in one go.
_NUMBERS = re.compile(rb"(?:K.|M..|J....)*", re.DOTALL)
# What reading or building raises on a damaged program.
_DAMAGE = (ValueError, IndexError, KeyError, TypeError, AttributeError, EOFError, struct.error)


class CorruptPickleError(ValueError):
    """The file is not one whole pickle: empty, cut off, damaged, or followed by other bytes."""


class UnsafePickleError(ValueError):
    """The file asks for more than plain data; nothing of it was run."""


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
    reader = _Reader(Path(path))
    for _ in reader.run():
        pass  # nothing is handed out on the way when nothing streams
    return reader.stack[0]


def iterate_plain_pickle(path: str | Path) -> Iterator[Any]:
    """Read a pickled list or dict piece by piece, in the memory of one piece and of the file.

    Args:
        path: The file.

    Yields:
        The items of the list, or the (key, value) pairs of the dict, in order.

    Raises:
        UnsafePickleError: As `load_plain_pickle`, and before the first item.
        CorruptPickleError: Likewise; and where it is neither a list nor a dict.
        FileNotFoundError: There is no such file.
    """
    reader = _Reader(Path(path), streaming=True)
    yield from reader.run()
    value = reader.stack[0]
    if not isinstance(value, list | dict):
        kind = type(value).__name__
        raise CorruptPickleError(f"{path} holds one {kind}; a list or a dict of rows is needed.")
    # LIST and DICT, of the oldest pickles, make it in one piece.
    yield from value.items() if isinstance(value, dict) else value


def _scan(data: bytes, path: Path) -> set[int]:
    """Refuse every instruction that is not plain; the numbers of the memo that are asked for."""
    file, asked = io.BytesIO(data), set()
    while True:
        at = _NUMBERS.match(data, file.tell()).end()  # type: ignore[union-attr]
        file.seek(at + 1)
        op = _PLAIN.get(data[at])
        if op is None:
            raise UnsafePickleError(_refusal(path, data, at))
        argument = _read_argument(op, file)
        # An honest pickle numbers its memo from 0, with an instruction for each number.
        if op.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > at:
            raise CorruptPickleError(f"{path} is damaged: memo number {argument} is too high.")
        if op.name in ("GET", "BINGET", "LONG_BINGET"):
            asked.add(argument)
        if op.name == "STOP":
            break
    if left := len(data) - file.tell():
        raise CorruptPickleError(
            f"{path} has {left} bytes after the end of its pickle; fetch it again."
        )
    return asked


def _read_argument(op: pickletools.OpcodeInfo, file: io.BytesIO) -> Any:
    """Read an instruction's argument, if it has one."""
    if op.name == "STRING":
        # Pickles of Python 2 hold byte strings; UTF-8 reads the ASCII ones as they were meant.
        escaped: Any = pickletools.read_stringnl(file, decode=False)
        return codecs.escape_decode(escaped)[0].decode("utf-8")
    if op.arg is None:
        return None
    argument = op.arg.reader(file)
    if op.name in ("BINSTRING", "SHORT_BINSTRING"):
        return argument.encode("latin-1").decode("utf-8")
    return argument


def _refusal(path: Path, data: bytes, at: int) -> str:
    """Say what a pickle asks for; the byte may be no instruction at all."""
    try:
        op, argument, _ = next(pickletools.genops(data[at:]))
    except ValueError:
        asked = f"the unknown instruction {data[at : at + 1]!r}"
    else:
        asked = op.name if argument is None else f"{op.name} {argument!r}"
    return (
        f"{path} is not plain data: at byte {at} it asks for {asked}, which could run code. "
        "Nothing was run. If you trust its author, ask for the data as JSON or text."
    )


class _Reader:
    """A machine with the plain instructions.

    Args:
        path: The file.
        streaming: Hand out what is put into the outermost list or dict instead of keeping it.
    """

    def __init__(self, path: Path, streaming: bool = False) -> None:
        self.path, self.streaming = path, streaming
        self.data = path.read_bytes()
        if not self.data:
            raise CorruptPickleError(f"{path} is empty; fetch it again.")
        try:
            self.asked = _scan(self.data, path)
        except (CorruptPickleError, UnsafePickleError):
            raise
        except _DAMAGE as error:
            raise self._corrupt(error) from error
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.memoized = 0
        self.ready: list[Any] = []

    def run(self) -> Iterator[Any]:
        """Run the program; its value is then the one thing on the stack."""
        file = io.BytesIO(self.data)
        while True:
            try:
                more = self._step(file)
            except _DAMAGE as error:
                raise self._corrupt(error) from error
            if self.ready:
                yield from self.ready
                self.ready = []
            if not more:
                break
        if len(self.stack) != 1 or self.marks:
            raise self._corrupt("it ends with a value too many or too few")

    def _step(self, file: io.BytesIO) -> bool:
        """Take a run of numbers and one instruction; False at the end."""
        numbers = _NUMBERS.match(self.data, file.tell())
        if numbers and numbers.end() > numbers.start():
            self.stack += _numbers(numbers.group())
            file.seek(numbers.end())
        op = _PLAIN[file.read(1)[0]]
        argument = _read_argument(op, file)
        if op.name == "STOP":
            return False
        _ACTIONS[op.name](self, argument)
        return True

    def _corrupt(self, problem: object) -> CorruptPickleError:
        return CorruptPickleError(
            f"{self.path} is cut off or not a pickle ({problem}); fetch it again."
        )

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def group(self, make: Callable[[list[Any]], Any], _: Any) -> None:
        self.stack.append(make(self.since_mark()))

    def tuple_of(self, length: int, _: Any) -> None:
        if len(self.stack) < length:
            raise IndexError("stack underflow")
        self.stack[-length:] = [tuple(self.stack[-length:])]

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError(f"{type(target).__name__} is no list")
        if not self._handed_out(values):
            target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError(f"{type(target).__name__} is no dict")
        items = list(zip(values[::2], values[1::2], strict=True))
        if not self._handed_out(items):
            target.update(items)

    def _handed_out(self, items: list[Any]) -> bool:
        """Hand the items out if they belong to the outermost value and not into it."""
        outermost = self.streaming and len(self.stack) == 1 and not self.marks
        if outermost:
            self.ready = items
        return outermost

    def pop(self, count: int) -> list[Any]:
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def memoize(self, number: int | None) -> None:
        number = self.memoized if number is None else number
        self.memoized += 1
        if number in self.asked:  # to remember the rest would hold every row
            self.memo[number] = self.stack[-1]


def _numbers(run: bytes) -> list[int]:
    """Values of a run of BININT1, BININT2 and BININT."""
    values, at = [], 0
    while at < len(run):
        if run[at] == 77:  # M
            values.append(run[at + 1] | run[at + 2] << 8)
            at += 3
        elif run[at] == 75:  # K
            values.append(run[at + 1])
            at += 2
        else:
            values.append(int.from_bytes(run[at + 1 : at + 5], "little", signed=True))
            at += 5
    return values


def _dict(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(values[::2], values[1::2], strict=True))


_ACTIONS: dict[str, Callable[[_Reader, Any], object]] = {
    **dict.fromkeys(_PLAIN_OPCODES, _Reader.push),  # those that are a value
    **dict.fromkeys(("PROTO", "FRAME"), lambda reader, _: None),
    "MARK": _Reader.mark,
    "NEWTRUE": lambda reader, _: reader.push(True),
    "NEWFALSE": lambda reader, _: reader.push(False),
    "EMPTY_LIST": lambda reader, _: reader.push([]),
    "EMPTY_TUPLE": lambda reader, _: reader.push(()),
    "EMPTY_DICT": lambda reader, _: reader.push({}),
    "LIST": lambda reader, _: reader.group(list, _),
    "TUPLE": lambda reader, _: reader.group(tuple, _),
    "DICT": lambda reader, _: reader.group(_dict, _),
    **{f"TUPLE{n}": partial(lambda n, reader, _: reader.tuple_of(n, _), n) for n in (1, 2, 3)},
    "APPEND": lambda reader, _: reader.extend(reader.pop(1)),
    "APPENDS": lambda reader, _: reader.extend(reader.since_mark()),
    "SETITEM": lambda reader, _: reader.set_items(reader.pop(2)),
    "SETITEMS": lambda reader, _: reader.set_items(reader.since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Reader.memoize),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda reader, number: reader.push(reader.memo[number])
    ),
}
