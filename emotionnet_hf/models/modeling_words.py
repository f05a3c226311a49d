"""Words that a model has no vector for, in terms of those that it has.

This file travels with every checkpoint (``trust_remote_code``), so it imports only torch's world.
The paper and the published code look keywords up as written; here, too, what is known as written is
taken as it is. Only what is unknown is looked up in these ways, one after the other:

1. the same letters: without accents and punctuation, with a hyphen as a space or as nothing;
2. another form of the word, or of a phrase's last word, by rules for English endings (``_bases``):
   plural, -ing, -ed, -ly, -ness, -ment, -ful, -ier, -iest. First the form without the ending
   (``dogs`` by ``dog``), then one with it (``sad`` by ``sadness``), then one that has the same form
   without (``surprised`` by ``surprising``). Never by -less or un-, that turn the meaning;
3. the parts of a phrase, longest first (``happy dogs`` by ``happy`` and ``dog``), without words
   that say nothing; not where a ``not`` would get lost.

Nothing is downloaded, and every rule gives only words that the model knows.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

logger = logging.getLogger(__name__)

_SHOWN = 20

_VOWEL = re.compile(r"[aeiouy]")
_DOUBLED = re.compile(r"([^aeiou\W\d])\1$")
# A short word whose silent e was dropped ("car-ing", "lov-ed"), as in Porter's stemmer.
_SHORT = re.compile(r"[^aeiou]*[aeiouy][^aeiouwxy]$")
_ENDINGS = (
    *(("ies", "y", "ie"), ("ied", "y", "ie"), ("ying", "ie"), ("ves", "f", "fe")),
    *(("ily", "y"), ("ically", "ic"), ("iness", "y"), ("iful", "y"), ("ier", "y"), ("iest", "y")),
    *(("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("oes", "o")),
    *(("ly", "", "le"), ("ness", ""), ("ful", ""), ("ment", "")),
)
_IRREGULAR = {
    **{"men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot"},
    **{"teeth": "tooth", "geese": "goose", "mice": "mouse"},
}
# Words whose ending is none, and would leave another word.
_WHOLE = frozenset(
    "news lens goods series species pants jeans customs business witness harness evening ceiling "
    "during wicked naked priest terrier early curly comply imply reply apply belly grateful "
    "pigment figment torment segment comment garment apartment department basement".split()
)
_SILENT = frozenset(
    "a an the of and or in on at to with for by from is are was be being this that these those it "
    "its as very so my your his her our their some".split()
)
_NEGATIONS = frozenset(
    "no not non never without nothing nobody none neither nor isn't don't".split()
)


class UnknownCandidatesError(ValueError):
    """Not one of the candidates has a word vector in the model."""


@dataclass(frozen=True)
class FoundWords:
    """What a model knows of a text.

    Attributes:
        keywords: Known keywords that stand for the text, in its order.
        unknown: Keywords, or words of phrases, that nothing known stands for.
        as_written: Whether ``keywords`` are all known as the text has them.
    """

    keywords: tuple[str, ...]
    unknown: tuple[str, ...]
    as_written: bool


class KnownWords:
    """The keywords that a model knows, found under whatever form they are asked for.

    Args:
        tokenizer: The model's, a fast tokenizer in which a keyword is a token.
        vectors: The word vectors, float, (V, D): a keyword whose row is zeros is not known. None
            where all the tokenizer's keywords are.
    """

    def __init__(self, tokenizer: Any, vectors: torch.Tensor | None = None) -> None:
        self._backend = tokenizer.backend_tokenizer
        special = set(tokenizer.all_special_ids)
        ids = sorted((i, name) for name, i in tokenizer.get_vocab().items() if i not in special)
        has_vector = None if vectors is None else (vectors.detach() != 0).any(dim=1).tolist()
        # A dict for its order: of two keywords that fit, the first of the vocabulary is taken.
        self.names: dict[str, None] = {
            name: None
            for i, name in ids
            if has_vector is None or (i < len(has_vector) and has_vector[i])
        }
        self._found: dict[str, FoundWords] = {}

    def look_up(self, text: str) -> FoundWords:
        """Find what is known of a comma-separated list of keywords.

        Args:
            text: In any form that the tokenizer takes.

        Returns:
            The known keywords, and what is unknown.
        """
        if text not in self._found:
            if len(self._found) > 2**16:
                self._found.clear()
            self._found[text] = self._looked_up(text)
        return self._found[text]

    def as_known(self, text: str) -> str:
        """Return a text that the tokenizer turns into what is known of ``text``.

        A text that is known as written, or of which nothing is known, is returned as it is.
        """
        found = self.look_up(text)
        return text if found.as_written or not found.keywords else ", ".join(found.keywords)

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Turn each text as `as_known` does; words that are left out of one are told."""
        for text in dict.fromkeys(texts):
            words = self.look_up(text)
            if words.keywords and words.unknown:
                known, lost = _some(words.keywords), _some(words.unknown)
                logger.warning("%r is compared by %s; no word vector for %s", text, known, lost)
            elif words.keywords and not words.as_written:
                logger.info("%r is compared by %s", text, _some(words.keywords))
        return [self.as_known(text) for text in texts]

    def candidates(self, texts: Sequence[str]) -> list[str]:
        """Turn candidates into lists of keywords that the model knows.

        As `texts`; candidates of which nothing is known are told by a warning, too.

        Args:
            texts: Words, phrases, or comma-separated lists of them.

        Returns:
            As many texts, for the tokenizer.

        Raises:
            UnknownCandidatesError: Nothing is known of any of them; the message names them.
        """
        unknown = [text for text in dict.fromkeys(texts) if not self.look_up(text).keywords]
        if len(unknown) == len(set(texts)):
            example = f", such as {next(iter(self.names))!r}" if self.names else ""
            raise UnknownCandidatesError(
                f"The model knows none of the candidates {_some(unknown)}: it has word vectors for "
                f"{len(self.names)} keywords{example}."
            )
        if unknown:
            logger.warning("no word vector for %s: they get cosine 0", _some(unknown))
        return self.texts(texts)

    def _looked_up(self, text: str) -> FoundWords:
        normalizer, splitter = self._backend.normalizer, self._backend.pre_tokenizer
        pieces = splitter.pre_tokenize_str(normalizer.normalize_str(text) if normalizer else text)
        keywords: list[str] = []
        unknown: list[str] = []
        as_written = True
        for piece, _ in pieces:
            if piece in self.names:
                keywords.append(piece)
                continue
            found, lost = self._otherwise(piece)
            keywords += found
            unknown += lost
            as_written = as_written and not found
        return FoundWords(tuple(keywords), tuple(unknown), as_written)

    def _otherwise(self, piece: str) -> tuple[list[str], list[str]]:
        """Find one keyword that is not known as written, whole or in parts."""
        whole = self._one(piece)
        if whole is not None:
            return [whole], []
        words = _folded(piece)[0].split()
        if len(words) < 2 or not _NEGATIONS.isdisjoint([*words, *piece.split()]):
            return [], [piece]
        found, lost = self._parts(words)
        return found, (lost if found else [piece])

    def _parts(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """Take the longest known runs of words, from the left."""
        found, lost, start = [], [], 0
        while start < len(words):
            for end in range(min(len(words), start + self._longest), start, -1):
                alone = end == start + 1
                run = " ".join(words[start:end])
                known = None if alone and run in _SILENT else self._one(run)
                if known is not None:
                    found.append(known)
                    break
            else:
                end = start + 1
                lost += [words[start]] if words[start] not in _SILENT else []
            start = end
        return found, lost

    def _one(self, piece: str) -> str | None:
        """Find a keyword by its letters, or by another form of its last word."""
        if piece in self.names:
            return piece
        spellings = [piece, *_folded(piece)]
        for spelling in spellings:
            if spelling in self._by_letters:
                return self._by_letters[spelling]
        bases = list(dict.fromkeys(base for text in spellings for base in _bases(text)))
        for base in bases:
            if base in self._by_letters:
                return self._by_letters[base]
        # The word may itself be what another one is a form of.
        for base in [*spellings, *bases]:
            if base in self._by_base:
                return self._by_base[base]
        return None

    @cached_property
    def _by_letters(self) -> dict[str, str]:
        names = [(letters, name) for name in self.names for letters in (name, *_folded(name))]
        return _first_of_each(names)

    @cached_property
    def _by_base(self) -> dict[str, str]:
        return _first_of_each((base, name) for name in self.names for base in _bases(name))

    @cached_property
    def _longest(self) -> int:
        return max((len(name.split()) for name in self._by_letters), default=1)


def checked_candidates(candidates: Any, name: str = "candidates") -> list[str]:
    """Check that candidates are what they should be.

    Args:
        candidates: A list, tuple or array of words.
        name: What the caller calls them.

    Returns:
        The words.

    Raises:
        ValueError: They are one text, none at all, or not text.
    """
    try:
        listed = [] if isinstance(candidates, str) else list(candidates)
    except TypeError:  # None, a number, an array that is no list
        listed = []
    if not listed or not all(isinstance(word, str) for word in listed):
        raise ValueError(f"{name} must be a list of words, such as ['joy', 'fear'].")
    return [str(word) for word in listed]


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return f"{list(words[:_SHOWN])}{more}"


def _first_of_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, name in pairs:
        if key:
            found.setdefault(key, name)
    return found


def _folded(text: str) -> tuple[str, str]:
    """Take accents and punctuation away, the latter with a space in its place and without."""
    if text.isascii() and text.replace(" ", "").isalnum():
        return text, text
    letters = [
        c for c in unicodedata.normalize("NFKD", text.casefold()) if not 0x300 <= ord(c) < 0x370
    ]
    plain = unicodedata.normalize("NFC", "".join(letters))
    return tuple(  # type: ignore[return-value]  # two of them
        " ".join("".join(c if _is_letter(c) else instead for c in plain).split())
        for instead in (" ", "")
    )


def _is_letter(character: str) -> bool:
    return character == " " or unicodedata.category(character)[0] not in "PSZC"


def _bases(text: str) -> list[str]:
    """Return what a word, or a phrase's last word, may be a form of, likeliest first."""
    head, space, word = text.rpartition(" ")
    once = list(_without_ending(word))
    twice = [base for form in once for base in _without_ending(form)]
    found = dict.fromkeys([*once, *twice])
    return [head + space + base for base in found if base != word]


def _without_ending(word: str) -> Iterator[str]:
    """Take one English ending away; what is left has three letters, one of them a vowel."""
    if word in _IRREGULAR:
        yield _IRREGULAR[word]
    if word in _WHOLE or not word[-1:].isalpha():
        return
    for base in _candidates_without_ending(word):
        if len(base) > 2 and _VOWEL.search(base.removesuffix("e")):
            yield base


def _candidates_without_ending(word: str) -> Iterator[str]:
    for ending, *instead in _ENDINGS:
        if word.endswith(ending):
            yield from (word.removesuffix(ending) + rest for rest in instead)
    for ending in ("ing", "ed"):
        if word.endswith(ending) and not word.endswith("eed"):
            yield from _stems(word.removesuffix(ending))
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        yield word[:-1]


def _stems(stem: str) -> list[str]:
    """What stood before -ing or -ed: as it is, with its silent e, or not doubled."""
    if _DOUBLED.search(stem):
        return [stem, stem[:-1]]  # "add-ing", "stopp-ed"
    return [stem + "e", stem] if _SHORT.fullmatch(stem) else [stem, stem + "e"]
