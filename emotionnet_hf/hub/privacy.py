"""What must not be published: tokens, and where things lie on a disk."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

# Tokens have 34 letters and digits; a word of a vocabulary has fewer.
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{24,}")

# What stands around a path in prose, in code and in a command line. A colon ends a word before a
# path, but not in `https://x` and not in `C:\\x`.
_BETWEEN = re.compile(r"[\s\"'`()\[\]{}=,;|]+|:(?=/(?!/)|[A-Za-z]:[\\/])")
_AROUND_LEFT, _AROUND_RIGHT = ":*", ":*.!?"

# Where transformers notes the folder that something was loaded from.
_ORIGINS = frozenset({"_name_or_path", "name_or_path"})


class PrivateTextError(ValueError):
    """A file that would publish a token or a path of this machine."""


def is_local_path(text: str) -> bool:
    r"""Whether a text is an absolute path, on whatever system, or a ``file:`` URL.

    Args:
        text: Any text.

    Returns:
        True for ``/data/x``, ``C:\x``, ``~/x`` and ``file:///x``.

    Example:
        >>> is_local_path("/home/me/set"), is_local_path("me/set")
        (True, False)
    """
    if text.startswith(("file:", "~/")):
        return True
    # A lone slash separates words and leads nowhere.
    return any(
        path.is_absolute() and len(path.parts) > 1
        for path in (PurePosixPath(text), PureWindowsPath(text))
    )


def local_paths(text: str) -> list[str]:
    """Find the paths in a text, whatever stands around them.

    Args:
        text: Any text, such as ``cannot open '/data/x.png': gone`` or ``--data=/data/x``.

    Returns:
        Those for which ``is_local_path`` holds, in order.
    """
    if not any(sign in text for sign in ("/", "\\", "file:")):
        return []
    words = (w.lstrip(_AROUND_LEFT).rstrip(_AROUND_RIGHT) for w in _BETWEEN.split(text))
    return [word for word in words if word and is_local_path(word)]


def name_only(text: str) -> str:
    """Return the last part of a path; any other text as it is.

    Args:
        text: Any text.

    Returns:
        The text, with nothing of where it lies.

    Example:
        >>> name_only("/home/me/runs/emotionnet"), name_only("alice/emotionnet")
        ('emotionnet', 'alice/emotionnet')
    """
    if not is_local_path(text):
        return text
    return PureWindowsPath(text).name if "\\" in text else PurePosixPath(text).name


def public_value(value: Any) -> Any:
    """Put names in the place of all paths of a JSON value, however deep they lie.

    Args:
        value: Text, number, list, dictionary, None.

    Returns:
        The same without folders.

    Example:
        >>> public_value(["--data=/mnt/nfs/words", 3])
        ['--data=words', 3]
    """
    if isinstance(value, dict):
        return {public_value(key): public_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [public_value(inner) for inner in value]
    if not isinstance(value, str) or is_local_path(value):
        return name_only(value) if isinstance(value, str) else value
    parts = re.split(f"({_BETWEEN.pattern})", value)
    # Words and what lies between them take turns.
    return "".join(_named(part) if i % 2 == 0 else part for i, part in enumerate(parts))


def _named(word: str) -> str:
    """A word with the name in the place of its path, if it has one."""
    return next((word.replace(path, name_only(path)) for path in local_paths(word)), word)


def publishable_json(content: str) -> str:
    """Take the paths out of where a configuration was loaded from.

    Args:
        content: Of a JSON file.

    Returns:
        The same text where there is none, so that unchanged files stay unchanged.
    """
    value = json.loads(content)
    cleaned = _without_origins(value)
    if cleaned == value:
        return content
    return json.dumps(cleaned, indent=2, ensure_ascii=False) + "\n"


def _without_origins(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: name_only(inner)
            if key in _ORIGINS and isinstance(inner, str)
            else _without_origins(inner)
            for key, inner in value.items()
        }
    return [_without_origins(inner) for inner in value] if isinstance(value, list) else value


def check_publishable(name: str, text: str, folders: Sequence[Path] = ()) -> None:
    """Refuse a text with a token, or with a folder of this machine.

    Args:
        name: Of the file, for the message.
        text: Its content.
        folders: Whose paths are private, besides the user's folder, the working folder and the
            folder for temporary files.

    Raises:
        PrivateTextError: It has one.
    """
    if _TOKEN.search(text):
        raise PrivateTextError(
            f"{name} holds what looks like a token of the Hub: take it out, and revoke the token "
            "if the file was ever shared."
        )
    for folder in _private(folders):
        if match := re.search(rf"{re.escape(folder)}(?![\w.-])[^\s\"']*", text):
            raise PrivateTextError(
                f"{name} holds a path of this machine ({match[0]!r}): replace it by a name that "
                "means something to others."
            )


def check_paths(name: str, value: Any) -> None:
    """Refuse a text, or a JSON value, that has a path of any machine.

    Args:
        name: Of the file, for the message.
        value: The text, or what the file holds.

    Raises:
        PrivateTextError: It has one.
    """
    for text in _texts(value):
        if found := [text] if is_local_path(text) else local_paths(text):
            raise PrivateTextError(
                f"{name} holds a path of a machine ({found[0]!r}): replace it by a name that "
                "means something to others."
            )


def _texts(value: Any) -> Iterator[str]:
    """All texts of a JSON value, names of entries too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        for part in inner:
            yield from _texts(part)


def _private(folders: Sequence[Path]) -> list[str]:
    """Folders whose names say something about this machine; the root says nothing."""
    known = [Path.home(), Path.cwd(), Path(tempfile.gettempdir()), *folders]
    resolved = {str(path.resolve()) for path in known if len(path.resolve().parts) > 1}
    # In JSON a backslash is written twice.
    return sorted(resolved | {path.replace("\\", "\\\\") for path in resolved})
