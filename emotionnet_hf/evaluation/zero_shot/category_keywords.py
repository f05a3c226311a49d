"""Which keywords stand for a class: EMOTIC's lists, the class's own name, or the user's file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emotionnet_hf.emotions import EMOTIC
from emotionnet_hf.loading.normal_form import KeywordError, brief, parse_keywords

Categories = dict[str, list[str]]
"""Keywords in normal form of every class, in the order of the classes."""

_FORM = 'an object {"class": ["keyword", ...]} with every class of the benchmark'


class CategoryError(ValueError):
    """Keywords that do not describe the classes of a benchmark; the message has the remedy."""


def categories_of(
    classes: Sequence[str], given: Mapping[str, Sequence[str]] | str | Path | None = None
) -> Categories:
    """Find the keywords of every class.

    Args:
        classes: Names of the benchmark's classes.
        given: Keywords of each class, or a JSON file of them. None: the lists of the published
            code for EMOTIC's 26 categories (`emotionnet_hf.emotions.EMOTIC`), and for all other
            classes the words of their names, see `name_keywords`.

    Returns:
        The keywords, without repetitions.

    Raises:
        CategoryError: A class is missing, unknown or without keywords, or the file has another
            form.
        FileNotFoundError: There is no such file.
    """
    if given is None:
        given = EMOTIC if set(classes) == set(EMOTIC) else {c: name_keywords(c) for c in classes}
        where = "the default keywords"
    elif isinstance(given, Mapping):
        where = "categories"
    else:
        given, where = _read(Path(given)), str(given)
    _check_names(classes, given, where)
    return {name: _keywords(given[name], f"{where}: {name!r}") for name in classes}


def origin(classes: Sequence[str], given: object) -> str:
    """Say in a sentence where the keywords of `categories_of` come from."""
    if given is not None:
        return "The keywords of the classes are the user's own."
    if set(classes) == set(EMOTIC):
        return "The keywords of EMOTIC's categories are those of the published code."
    return "The keywords of a class are the words of its name."


def name_keywords(name: str) -> list[str]:
    """Take the words of a class's name as its keywords.

    Slashes and brackets separate them: SE30K8's two surprises have one word in common and one
    that tells them apart.

    Args:
        name: Of the class.

    Returns:
        Keywords in normal form.

    >>> name_keywords("happy"), name_keywords("surprise(negative)")
    (['happy'], ['surprise', 'negative'])
    """
    return parse_keywords([part for part in re.split(r"[/()]", name) if part.strip()])


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"No categories at {path}: the file does not exist.")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_twice)
    except ValueError as error:
        raise CategoryError(f"{path} cannot be read ({error}): give JSON, {_FORM}.") from error
    if not isinstance(content, dict):
        raise CategoryError(f"{path} holds {brief(content)}: give {_FORM}.")
    return content


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} is there more than once")
    return dict(pairs)


def _check_names(classes: Sequence[str], given: Mapping[str, Any], where: str) -> None:
    missing = [name for name in classes if name not in given]
    unknown = [str(name) for name in given if name not in set(classes)]
    if missing or unknown:
        wrong = [f"lacks {', '.join(missing)}"] if missing else []
        wrong += [f"has {', '.join(unknown)}, of which the benchmark knows nothing"] * bool(unknown)
        raise CategoryError(
            f"{where} {' and '.join(wrong)}: it must be {_FORM}, and these are "
            f"{', '.join(classes)}."
        )


def _keywords(value: Any, where: str) -> list[str]:
    """Bring the keywords of one class into normal form."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise CategoryError(
            f'{where} has {brief(value)} and no list of keywords: write ["peace", "calm"].'
        )
    try:
        keywords = parse_keywords(list(value))
    except KeywordError as error:
        raise CategoryError(f"{where} has {error}.") from error
    if not keywords:
        raise CategoryError(f"{where} has no keyword: give at least one.")
    return keywords
