"""A keyword's one normal form.

Every keyword that enters the package passes `normalize_keyword`, so that "Candy  Cane" in a
file, in a vocabulary and in a model's tokenizer is the same "candy cane".
"""

from __future__ import annotations

import reprlib
import unicodedata
from functools import lru_cache

# Control characters separate words as white space does; characters without width say nothing.
_INVISIBLE: dict[int, str | None] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " "),
    **dict.fromkeys([0xAD, 0x200B, 0xFEFF]),
}
# At the edge of a keyword these are left-overs of a list's syntax and never part of a word.
_EDGES = ' ",;\u201c\u201d\u201e\u00ab\u00bb'
_MAX_SHOWN = 60
_SINGLE_QUOTES = ("''", "\u2018\u2019")


class KeywordError(ValueError):
    """A value that should be a list of keywords is something else."""


def normalize_keyword(text: str) -> str:
    """Bring a keyword to its normal form.

    Unicode NFKC, lower case, any white space as one space, no quotes around it. Lower case and
    not case folding, because that is what the fast tokenizers' `Lowercase` does. A phrase stays a
    phrase. Applying the function twice changes nothing.

    Args:
        text: One keyword or phrase, as the uploader wrote it.

    Returns:
        The normal form; empty when nothing is left.

    Raises:
        KeywordError: The text is not valid Unicode (an unpaired surrogate).

    >>> normalize_keyword("  Candy  Cane ")
    'candy cane'
    >>> normalize_keyword('"St. John\u2019s wort"')
    'st. john\u2019s wort'
    """
    if not text.isascii():
        text = _normalize_unicode(text)
    text = " ".join(text.lower().translate(_INVISIBLE).split())
    while True:
        stripped = text.strip(_EDGES)
        if len(stripped) > 1 and stripped[0] + stripped[-1] in _SINGLE_QUOTES:
            stripped = stripped[1:-1]
        if stripped == text:
            return text
        text = stripped


def _normalize_unicode(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise KeywordError(f"not valid Unicode, half of a surrogate pair: {text!a:.60}")
    # Removed before composing, so that what they kept apart is composed in this pass already.
    text = text.translate(_INVISIBLE)
    # Letter by letter, as the fast tokenizers do: str.lower gives the last sigma of a word a form
    # of its own. Lower case can undo the composition, hence composed twice.
    lower = "".join(map(str.lower, unicodedata.normalize("NFKC", text)))
    return unicodedata.normalize("NFKC", lower)


# A million images share a few ten thousand keywords.
_normal_form = lru_cache(maxsize=2**16)(normalize_keyword)


def parse_keywords(value: object) -> list[str]:
    """Read one image's keywords.

    A comma separates keywords everywhere in this package (in files, in the tokenizer), so an
    entry of a list that holds commas is several keywords too.

    Args:
        value: A list, tuple or NumPy array of strings, or one comma-separated string.

    Returns:
        The keywords in normal form, in order, without empty ones and repetitions.

    Raises:
        KeywordError: The value has another type, or one of its entries is not a string.

    >>> parse_keywords("Joy, candy  cane,, JOY")
    ['joy', 'candy cane']
    """
    keywords: dict[str, None] = {}
    for entry in _entries(value):
        if not isinstance(entry, str):
            raise KeywordError(f"keywords of the wrong type: one is {shown(entry)}, not a string")
        for part in entry.split(","):
            normal = _normal_form(part)
            # A full-width comma has become a plain one only now.
            for word in map(_normal_form, normal.split(",")) if "," in normal else (normal,):
                keywords.setdefault(word)
    keywords.pop("", None)
    return list(keywords)


def _entries(value: object) -> list[object]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple) and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return list(value)
    raise KeywordError(
        f"keywords of the wrong type: {shown(value)}; "
        "a list of strings or one comma-separated string is needed"
    )


class _Brief(reprlib.Repr):
    """Texts of values from strangers: never longer, nor longer in the making, than a line."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict = 2, 4, 4, 3

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write out numbers of thousands of digits."""
        return repr(x) if abs(x) < 10**30 else "a huge number"


_BRIEF = _Brief()


def brief(value: object) -> str:
    """Give a short, printable text of any value, for a message.

    Args:
        value: Anything, however large or deep.

    Returns:
        At most 60 characters that UTF-8 can hold.
    """
    text = value[: _MAX_SHOWN + 1] if isinstance(value, str) else _BRIEF.repr(value)
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def shown(value: object) -> str:
    """Give a short text of any value, with its type, for a message."""
    text = repr(value[:_MAX_SHOWN]) if isinstance(value, str) else value
    return f"{brief(text)} ({type(value).__name__})"
