"""A keyword's one normal form.

Every keyword that enters the package passes `normalize_keyword`, so that "Candy  Cane" in a
file, in a vocabulary and in a model's tokenizer is the same "candy cane".
"""

from __future__ import annotations

import ast
import json
import re
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
# A list that some program wrote as one text: in its brackets are words with or without quotes.
_BRACKETS = {"[": "]", "{": "}", "(": ")"}
_QUOTED = r"""[uU]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_QUOTED_WORD = re.compile(_QUOTED, re.DOTALL)
_QUOTED_WORDS = re.compile(rf"\s*(?:{_QUOTED})(?:[\s,]+(?:{_QUOTED}))*[\s,]*", re.DOTALL)
_NUMPY_CALL = re.compile(r"array\((\[.*\])(?:, *dtype=[^()\[\]]*)?\)", re.DOTALL)
# No word begins so; what does is a list in a list, cut off, or in the name of its class.
_LEFT_OF_A_LIST = re.compile(r"""[\[{]\s*[bBuU]?['"]""")
_QUOTE = re.compile(r"""[bB]?['"]""")
_ENTITY = re.compile(r"&#?\w+;")
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
    """Read one image's keywords, the same way wherever they are written.

    A comma separates keywords everywhere in this package (in files, in the tokenizer), so an
    entry of a list that holds commas is several keywords too. In one text a semicolon separates as
    well, but for those of `&amp;` and its like. A list that came back from a file as its text is
    that list, see `listed`.

    Args:
        value: A list, tuple or NumPy array of strings, or one text.

    Returns:
        The keywords in normal form, in order, without empty ones and repetitions.

    Raises:
        KeywordError: The value has another type, one of its entries is not a string, or it is a
            list written in a way that cannot be told.

    >>> parse_keywords("Joy, candy  cane,, JOY")
    ['joy', 'candy cane']
    >>> parse_keywords("['fear' 'storm']") == parse_keywords('["fear", "storm"]')
    True
    """
    keywords: dict[str, None] = {}
    for entry in _entries(value):
        if not isinstance(entry, str):
            raise KeywordError(f"keywords of the wrong type: one is {shown(entry)}, not a string")
        if ("[" in entry or "{" in entry) and _LEFT_OF_A_LIST.search(entry):
            raise _untold(entry)
        for part in entry.split(","):
            normal = _normal_form(part)
            # A full-width comma has become a plain one only now.
            for word in map(_normal_form, normal.split(",")) if "," in normal else (normal,):
                keywords.setdefault(word)
    keywords.pop("", None)
    return list(keywords)


def _entries(value: object) -> list[object]:
    if isinstance(value, str):
        found = listed(value)
        return _separated(value) if found is None else found
    if not isinstance(value, list | tuple) and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return list(value)
    raise KeywordError(
        f"keywords of the wrong type: {shown(value)}; "
        "a list of strings or one comma-separated string is needed"
    )


def _separated(text: str) -> list[object]:
    return [text] if ";" not in text or _ENTITY.search(text) else list(text.split(";"))


def listed(text: str) -> list[object] | None:
    """Read a list that a program wrote into a table as one text.

    Such a text is in brackets: JSON (``["a", "b"]``), what Python prints (``['a', 'b']``, also in
    round brackets or braces), what NumPy and `Dataset.to_csv` print (``['a' 'b']``), and words
    without quotes between commas (``[a, b]``, in braces as PostgreSQL has it). Nothing is run.

    Args:
        text: One cell.

    Returns:
        The list; None where the text is none.

    Raises:
        KeywordError: It is in the brackets of a list, and what is in them cannot be told apart.

    >>> listed("['candy cane' 'joy']"), listed("[joy, candy cane]"), listed("joy, candy cane")
    (['candy cane', 'joy'], ['joy', 'candy cane'], None)
    """
    text = text.strip()
    if call := _NUMPY_CALL.fullmatch(text):
        text = call[1]
    if len(text) < 2 or _BRACKETS.get(text[0]) != text[-1]:
        return None
    if text[0] == "[":
        try:
            found = json.loads(text)
            return found if isinstance(found, list) else None
        except (ValueError, RecursionError):
            pass  # another notation, see below
    inside = text[1:-1]
    if _QUOTED_WORDS.fullmatch(inside):
        return _unquoted(_QUOTED_WORD.findall(inside), text)
    return _bare(inside, text)


def _unquoted(words: list[str], text: str) -> list[object]:
    try:
        return [ast.literal_eval(word.replace("\n", "\\n")) for word in words]
    except (ValueError, SyntaxError) as error:
        raise _untold(text) from error


def _bare(inside: str, text: str) -> list[object] | None:
    """Words without quotes; None for a text that only begins and ends as a list does."""
    if any(sign in inside for sign in "[](){}") or text[0] == "(":
        return None
    words = [word.strip() for word in inside.split(",")]
    if text[0] == "{" and len(words) < 2 and ":" not in inside:
        return None
    odd = any(_QUOTE.match(word) or word in ("...", "None", "nan") for word in words)
    # One that has spaces may be a phrase, or several words without commas between them.
    if odd or (len(words) == 1 and " " in words[0]) or (text[0] == "{" and ":" in inside):
        raise _untold(text)
    return list(filter(None, words))


def _untold(text: str) -> KeywordError:
    return KeywordError(
        f"a list in a notation that is not known: {brief(text)}; write a JSON list, or words with "
        "commas between them and without brackets"
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
