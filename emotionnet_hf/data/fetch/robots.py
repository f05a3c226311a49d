"""What a server says that others may do with its pictures: the header X-Robots-Tag.

    X-Robots-Tag: noindex, noai
    X-Robots-Tag: otherbot: noindex, googlebot: nofollow

A name before a colon says whom the directives behind it are for, up to the next name; without one
they are for everybody. `noai` and `noimageai` ask not to train on a picture, `noindex` and
`noimageindex` not to list it; img2dataset honours the same four.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

DISALLOWED = ("noai", "noimageai", "noindex", "noimageindex")
"""Directives of a picture that is left alone."""

# `name: ` before directives. A time of day ("15:00") and the directives that have values are none.
_SCOPE = re.compile(r"\s*([a-z*][\w*.-]*)\s*:(.*)", re.DOTALL)
_VALUED = ("max-snippet", "max-image-preview", "max-video-preview", "unavailable_after")
# Of a user agent such as "emotionnet-hf/1.0 (+https://...)", the names it goes by.
_PRODUCT = re.compile(r"([a-z][\w.-]*)(?:/|\s|$)")


def refused_by(
    headers: Iterable[str], user_agent: str, disallowed: Collection[str] = DISALLOWED
) -> str:
    """Find the directive by which a server asks us to leave a picture alone.

    Args:
        headers: Values of X-Robots-Tag, one for each time it was sent.
        user_agent: What we say we are.
        disallowed: The directives that count. `none` stands for `noindex`.

    Returns:
        The directive; empty where there is none.

    >>> refused_by(["googlebot: noindex", "max-snippet: 9, NoAI"], "emotionnet-hf/1.0")
    'noai'
    """
    ours = {"*", *_PRODUCT.findall(re.sub(r"\([^)]*\)", "", user_agent.lower()))}
    for value in headers:
        meant = True
        for part in value.lower().split(","):
            scope = _SCOPE.fullmatch(part)
            if scope and scope[1] not in _VALUED:
                meant, part = scope[1] in ours, scope[2]
            directive = part.strip()
            if meant and ("noindex" if directive == "none" else directive) in disallowed:
                return directive
    return ""
