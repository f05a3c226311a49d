"""What must not be published: tokens, and where things lie on a disk."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

# Tokens have 34 letters and digits; a word of a vocabulary has fewer.
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{24,}")

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


def _private(folders: Sequence[Path]) -> list[str]:
    """Folders whose names say something about this machine; the root says nothing."""
    known = [Path.home(), Path.cwd(), Path(tempfile.gettempdir()), *folders]
    resolved = {str(path.resolve()) for path in known if len(path.resolve().parts) > 1}
    # In JSON a backslash is written twice.
    return sorted(resolved | {path.replace("\\", "\\\\") for path in resolved})
