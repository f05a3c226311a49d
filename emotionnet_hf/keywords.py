"""Vocabularies: keywords in their normal form, numbered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from emotionnet_hf.files import write_json
from emotionnet_hf.loading.normal_form import KeywordError, normalize_keyword, shown
from emotionnet_hf.loading.safe_pickle import load_plain_pickle

# The names that the StockEmotion release gives to a pickle's table of names -> ids.
_RELEASE_TABLES = ("key2idx", "tag2idx")


class VocabularyError(ValueError):
    """A vocabulary is empty, has a name twice, or does not number its names 0 .. n-1."""


class Vocabulary:
    """An immutable, ordered set of names with the ids 0 .. n-1.

    Names are kept in normal form; look-ups expect that form and do not normalise again.

    Args:
        names: The names in the order of their ids.

    Raises:
        VocabularyError: No name at all, an empty one, one twice, or one with a comma.

    >>> vocabulary = Vocabulary(["Joy", "fear"])
    >>> vocabulary["fear"], vocabulary.name(0), vocabulary.encode(["fear", "tree", "joy"])
    (1, 'joy', [1, 0])
    """

    __slots__ = ("_ids", "_names")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(_checked_name(name) for name in names)
        self._ids = {name: index for index, name in enumerate(self._names)}
        if not self._names:
            raise VocabularyError("a vocabulary needs at least one name")
        if len(self._ids) < len(self._names):
            twice = sorted({name for i, name in enumerate(self._names) if self._ids[name] != i})
            raise VocabularyError(f"names given more than once: {', '.join(twice[:10])}")

    @classmethod
    def from_file(cls, path: str | Path) -> Vocabulary:
        """Read a vocabulary; the format is told by the content, not by the file's ending.

        Text (one name a line, `#` comments), JSON (a list of names, `{name: id}`, or
        `{"key2idx": {name: id}}`), or one of the StockEmotion release's pickles `etag2idx.pkl`
        and `tag2idx.pkl`, whose ids are kept. No pickle is ever run, see `safe_pickle`.

        Args:
            path: The file.

        Returns:
            The vocabulary.

        Raises:
            VocabularyError: The content is not a vocabulary.
            UnsafePickleError: The pickle holds more than plain data.
            CorruptPickleError: The pickle is cut off or damaged.
            FileNotFoundError: There is no such file.
        """
        path = Path(path)
        try:
            return cls(_read_names(path))
        except VocabularyError as error:
            raise VocabularyError(f"{path} is not a vocabulary: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the names as a JSON list, whole or not at all.

        Args:
            path: The file; replaced if it exists.

        Raises:
            OSError: The file cannot be written.
        """
        write_json(path, self._names)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of their ids."""
        return self._names

    def name(self, index: int) -> str:
        """Name of an id.

        Args:
            index: The id, 0 <= index < len(vocabulary).

        Returns:
            The name.

        Raises:
            IndexError: There is no such id.
        """
        if not 0 <= index < len(self._names):
            raise IndexError(f"no id {index} in a vocabulary of {len(self._names)} names")
        return self._names[index]

    def encode(self, keywords: Iterable[str]) -> list[int]:
        """Ids of those keywords that the vocabulary knows.

        Args:
            keywords: Keywords in normal form.

        Returns:
            The ids in the keywords' order, each once.
        """
        return list(dict.fromkeys(self._ids[key] for key in keywords if key in self._ids))

    def __getitem__(self, name: str) -> int:
        try:
            return self._ids[name]
        except KeyError:
            raise KeyError(f"{name!r} is not in the vocabulary of {len(self)} names") from None

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __eq__(self, other: object) -> bool:
        return self._names == other._names if isinstance(other, Vocabulary) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._names)

    def __repr__(self) -> str:
        more = ", ..." if len(self) > 3 else ""
        return f"Vocabulary({len(self)} names: {', '.join(self._names[:3])}{more})"


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise VocabularyError(f"the name {shown(name)} is not a string")
    try:
        normal = normalize_keyword(name)
    except KeywordError as error:
        raise VocabularyError(str(error)) from error
    if not normal:
        raise VocabularyError(f"the name {name!r} is empty")
    if "," in normal:
        raise VocabularyError(f"the name {name!r} holds a comma; write one name a line")
    return normal


def _read_names(path: Path) -> list[str]:
    """Names of a vocabulary file, in the order of their ids."""
    data = path.read_bytes()
    if data.startswith(b"\x80") or {".pkl", ".pickle"} & set(path.suffixes):
        return _names_of(load_plain_pickle(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise VocabularyError(
            f"it is neither UTF-8 text nor JSON nor a pickle ({error})"
        ) from error
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return _names_of(json.loads(text))
        except json.JSONDecodeError as error:
            raise VocabularyError(f"its JSON does not parse ({error})") from error
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _names_of(content: object) -> list[str]:
    """Names of a parsed JSON or pickle, in the order of their ids."""
    if isinstance(content, list | tuple):
        return list(content)
    if not isinstance(content, Mapping):
        raise VocabularyError(f"it holds {shown(content)}, not names")
    tables = (content.get(name) for name in _RELEASE_TABLES)
    ids = next((table for table in tables if isinstance(table, Mapping)), content)
    if not all(type(index) is int for index in ids.values()):
        raise VocabularyError("its ids are not all whole numbers")
    names = sorted(ids, key=ids.__getitem__)
    if [ids[name] for name in names] == list(range(len(names))):
        return names
    raise VocabularyError(
        f"its {len(names)} ids are not 0 .. {len(names) - 1}. A file whose ids point into another "
        "list (the release's etag2tagidx.pkl) is a mapping; use etag2idx.pkl or tag2idx.pkl"
    )
