"""Files of word2vec's and GloVe's formats, read to their end.

gensim's own reader stops after the number of words that the first line says, and takes a key with a
space for a shorter key with another vector. Here what does not add up is refused.
"""

from __future__ import annotations

import gzip
import io
import logging
import re
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

logger = logging.getLogger(__name__)

LARGEST = 1e6
"""Largest number in a word vector; released ones stay below 100, misread bytes reach 1e38."""

_LONGEST_KEY = 2**12
_LONGEST_LINE = 2**22
_SPACES = re.compile(rb"[ \t]+")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
# What a fixed-point or scientific number of a vector looks like, and "web 2.0" does not.
_NUMBER = re.compile(
    rb"[-+]?\d*\.\d{3,}(e[-+]?\d+)?|[-+]?\d+(\.\d*)?e[-+]?\d+|[-+]?(nan|inf)", re.I
)
# How the rest of a key with a space looks, where a vector's first number should be.
_REST_OF_A_KEY = re.compile(rb"[!-~]{1,60} ")


class WordVectorError(ValueError):
    """A file of word vectors that cannot be used; the message names it and the remedy."""


def open_file(path: Path) -> IO[bytes]:
    """Open a file that may be compressed with gzip, whatever its name says.

    Args:
        path: The file.

    Returns:
        A buffered stream of its plain bytes.

    Raises:
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return io.BufferedReader(gzip.GzipFile(path)) if zipped else path.open("rb")


def read_word2vec(path: Path, *, binary: bool, limit: int | None) -> tuple[list[str], np.ndarray]:
    """Read word2vec's binary or text format, or GloVe's text, which has no first line of sizes.

    A word that comes twice counts once, as it is first. Keys may hold spaces in text, where the
    numbers are counted from the end of the line; in binary nobody can tell them from other keys.

    Args:
        path: The file, also compressed with gzip.
        binary: Whether it is of the binary format.
        limit: Read only the first so many words, and do not look at what follows.

    Returns:
        The words, and their vectors, float32 (N, D).

    Raises:
        WordVectorError: The file is not what its first line says, or its numbers are none that
            word vectors have.
        OSError: It cannot be read, or its compression is broken (EOFError, zlib.error too).
    """
    with open_file(path) as file:
        rows = (_read_binary if binary else _read_text)(file, limit)
    if rows.skipped:
        logger.warning(
            "%s: %d words come again or are empty; the first of each counts", path, rows.skipped
        )
    return rows.words, rows.vectors()


def check_values(words: list[str], vectors: np.ndarray) -> None:
    """Refuse numbers that no word vector has.

    Args:
        words: The words.
        vectors: Float, (N, D).

    Raises:
        WordVectorError: A number is NaN, infinite, or above `LARGEST`.
    """
    # One row's largest at a time, without a copy of a big array; NaN stays NaN.
    largest = np.maximum(vectors.max(axis=1, initial=0), -vectors.min(axis=1, initial=0))
    wrong = np.flatnonzero(~(largest <= LARGEST))
    if len(wrong):
        some = ", ".join(repr(words[i]) for i in wrong[:3])
        raise WordVectorError(
            f"{len(wrong)} vectors hold NaN, infinity or numbers above {LARGEST:g} ({some}): the "
            "file is damaged, or its keys hold spaces; copy it again, or write them with "
            "underscores."
        )


class _Rows:
    """Words and vectors as they come, without trust in what a file says of its size."""

    def __init__(self, dim: int) -> None:
        self.words: list[str] = []
        self.dim = dim
        self.skipped = 0
        self._seen: set[str] = set()
        self._numbers = bytearray()

    def add(self, word: str, numbers: bytes) -> None:
        """Keep a word, unless it is empty or there already."""
        if not word or word in self._seen:
            self.skipped += 1
            return
        self._seen.add(word)
        self.words.append(word)
        self._numbers += numbers

    def vectors(self) -> np.ndarray:
        """Return the vectors, float32 (N, D), without a copy."""
        vectors = np.frombuffer(self._numbers, dtype="<f4").reshape(-1, self.dim)
        if not self.words:
            raise WordVectorError("it holds no word. Copy it again.")
        check_values(self.words, vectors)
        return vectors


def _sizes(line: bytes) -> tuple[int, int] | None:
    """Count of words and size of vectors, where a line says them and nothing else."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 20 for field in fields):
        return None
    count, dim = map(int, fields)
    if not (count and dim) or dim > _LONGEST_LINE // 2:
        raise WordVectorError(
            f"its first line says {count} words of {dim} numbers, which cannot be: it is truncated "
            "or damaged; copy it again."
        )
    return count, dim


def _read_binary(file: IO[bytes], limit: int | None) -> _Rows:
    sizes = _sizes(file.readline(_LONGEST_KEY))
    if sizes is None:
        raise WordVectorError(
            "its first line should say how many words and numbers follow. It is truncated, or not "
            "of word2vec's binary format (fastText's .bin is another one): convert it with gensim, "
            "or end the name of a text file in .txt."
        )
    count, dim = sizes
    rows = _Rows(dim)
    for number in range(count if limit is None else min(limit, count)):
        word = _until_space(file)
        numbers = file.read(4 * dim)
        if word is None or len(numbers) < 4 * dim:
            raise WordVectorError(_too_short(count, number))
        # The original tool ends each vector with a line feed, gensim does not.
        word = word.lstrip(b"\n")
        if not word or _CONTROL.search(word) or _holds_a_key(numbers):
            raise WordVectorError(_misread(number, word))
        rows.add(_decoded(word, number), numbers)
    if limit is None or limit >= count:
        _check_end(file, count)
    return rows


def _holds_a_key(numbers: bytes) -> bool:
    """Whether a vector begins with text, and has numbers that none has when read in its place."""
    if not _REST_OF_A_KEY.match(numbers):
        return False
    sizes = np.abs(np.frombuffer(numbers, dtype="<f4"))
    return bool(((sizes > 0) & ~((sizes > 1e-12) & (sizes < 1e4))).any())


def _until_space(file: IO[bytes]) -> bytes | None:
    """Read a key and the space behind it; None where the file ends first."""
    word = b""
    while len(word) < _LONGEST_KEY:
        buffered: bytes = file.peek(1)  # type: ignore[attr-defined]  # both of open_file's have it
        place = buffered.find(b" ")
        word += file.read(place + 1 if place >= 0 else len(buffered))
        if place >= 0 or not buffered:
            return word[:-1] if place >= 0 else None
    return word  # no key is that long: it will not decode, or the next vector will not be there


def _read_text(file: IO[bytes], limit: int | None) -> _Rows:
    first = file.readline(_LONGEST_LINE).removeprefix(b"\xef\xbb\xbf")
    sizes, number = _sizes(first), 0
    if sizes is None:  # GloVe
        count, dim, lines = None, _numbers_in(first), [first]
    else:
        (count, dim), lines = sizes, []
    rows, line = _Rows(dim), first
    for line in _chained(lines, file):
        if number == limit:
            return rows
        if not line.strip():
            continue
        number += 1
        if count is not None and number > count:
            raise WordVectorError(
                f"its first line says {count} words, and more lines follow. Correct the line, or "
                "copy the file again."
            )
        rows.add(*_parsed(line, dim, number))
    if count is not None and number < count:
        raise WordVectorError(_too_short(count, number))
    if not line.endswith(b"\n"):
        logger.warning("the last line of the word vectors has no end; is the file truncated?")
    return rows


def _chained(lines: Iterable[bytes], file: IO[bytes]) -> Iterable[bytes]:
    yield from lines
    while line := file.readline(_LONGEST_LINE):
        yield line


def _numbers_in(line: bytes) -> int:
    """Size of the vectors of a file whose first line is a word with its vector."""
    fields = line.split()
    dim = 0
    while dim < len(fields) - 1 and _as_float(fields[-1 - dim]) is not None:
        dim += 1
    if dim < 2:
        raise WordVectorError(
            "its first line is neither count and size (word2vec) nor a word with its numbers "
            "(GloVe). It is truncated, or its suffix is wrong; copy it again."
        )
    return dim


def _as_float(field: bytes) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _parsed(line: bytes, dim: int, number: int) -> tuple[str, bytes]:
    """Take a line apart; a key may hold spaces, the numbers are the last ones."""
    word, *fields = _SPACES.sub(b" ", line.rstrip()).rsplit(b" ", dim)
    key = word.strip()
    try:
        numbers = array("f", map(float, fields))
    except ValueError:
        numbers = array("f")
    _, space, last = key.rpartition(b" ")
    if len(numbers) != dim or (space and _NUMBER.fullmatch(last)):
        raise WordVectorError(
            f"word {number} ({key[:40].decode(errors='replace')!r}) has not {dim} numbers as the "
            "first line says or has. The file is truncated or damaged; copy it again."
        )
    return _decoded(key, number), numbers.tobytes()


def _decoded(word: bytes, number: int) -> str:
    """Decode a key; the original tool cuts long ones within a letter."""
    try:
        return word.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return word.decode(errors="replace")
        raise WordVectorError(_misread(number, word)) from None


def _misread(number: int, word: bytes) -> str:
    return (
        f"behind word {number} stands {word[:40]!r}, which is no UTF-8 key. Keys hold spaces "
        "(write them with underscores, or as text), or the file is truncated, damaged or of "
        "another format; copy it again or fix its suffix."
    )


def _too_short(count: int, number: int) -> str:
    return (
        f"its first line says {count} words, and {number} are there. The file is truncated, or the "
        "line is wrong; copy it again, or correct the line."
    )


def _check_end(file: IO[bytes], count: int) -> None:
    if file.read(2**16).strip(b"\r\n"):
        raise WordVectorError(
            f"it does not end where the last of the {count} words of its first line ends. The line "
            "is wrong, or keys hold spaces: write them with underscores, or as text."
        )
