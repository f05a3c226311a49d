"""URLs as people write them, and as a request line can hold them.

The file travels with every checkpoint, under the name `models/pipeline_urls.py` (a link).
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_UNSENDABLE = re.compile(r"[^\x21-\x7e]+")


def sendable_url(url: str) -> str:
    """Write a URL so that it can be sent, and change nothing else in it.

    What is escaped stays so, and what is not stays as it is: a server that signs its URLs compares
    them character by character. Spaces and letters beyond ASCII become UTF-8 in percents, as in a
    browser's request, and in the host's name Punycode; bytes that were no UTF-8 (as surrogates)
    stay those bytes. The fragment, which is not sent, goes.

    Args:
        url: With a scheme.

    Returns:
        The URL in visible ASCII.

    Raises:
        ValueError: It is no URL, or DNS cannot write its host.

    >>> sendable_url("https://bücher.example/ein Café.jpg?sig=a%2fB%2C'#top")
    "https://xn--bcher-kva.example/ein%20Caf%C3%A9.jpg?sig=a%2fB%2C'"
    """
    url = url.strip().partition("#")[0]
    place = urlsplit(url).netloc
    if not place.isascii():
        user, at, host = place.rpartition("@")
        name, colon, port = host.partition(":")
        plain = name.encode("idna").decode("ascii")
        url = url.replace(place, f"{user}{at}{plain}{colon}{port}", 1)
    return _UNSENDABLE.sub(lambda match: quote(match[0], errors="surrogateescape"), url)
