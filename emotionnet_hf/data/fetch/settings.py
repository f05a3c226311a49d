"""How to fetch: limits, time-outs, manners."""

from __future__ import annotations

from dataclasses import dataclass

from emotionnet_hf import __version__
from emotionnet_hf.data.fetch.robots import DISALLOWED
from emotionnet_hf.loading.images import MAX_PIXELS

USER_AGENT = f"emotionnet-hf/{__version__}"
"""What we say we are, unless told otherwise."""


class FetchError(ValueError):
    """Pictures that cannot be fetched as asked; the message says what to change."""


@dataclass(frozen=True)
class FetchSettings:
    """All that decides how pictures are fetched; see `fetch_images` for the meanings.

    Raises:
        FetchError: A value is out of range.
    """

    concurrency: int = 256
    per_host: int = 8
    host_delay: float = 0.0
    retries: int = 4
    backoff: float = 1.0
    max_rest: float = 300.0
    connect_timeout: float = 10.0
    stall_timeout: float = 20.0
    total_timeout: float = 120.0
    max_bytes: int = 20 * 2**20
    max_pixels: int = MAX_PIXELS
    max_redirects: int = 5
    shorter_side: int | None = None
    allow_private_addresses: bool = False
    user_agent: str = USER_AGENT
    disallowed_directives: tuple[str, ...] = DISALLOWED

    def __post_init__(self) -> None:
        counts = ("concurrency", "per_host", "max_bytes", "max_pixels", "shorter_side")
        for name in counts:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise FetchError(f"{name}={value} has to be at least 1")
        for name in ("host_delay", "retries", "backoff", "max_rest", "max_redirects"):
            if getattr(self, name) < 0:
                raise FetchError(f"{name}={getattr(self, name)} must not be below 0")
        # To aiohttp, 0 would mean to wait for ever.
        for name in ("connect_timeout", "stall_timeout", "total_timeout"):
            if not getattr(self, name) > 0:
                raise FetchError(f"{name}={getattr(self, name)} has to be above 0")
        if not (self.user_agent.isascii() and self.user_agent.isprintable() and self.user_agent):
            raise FetchError(f"user_agent={self.user_agent!r} has to be one line of ASCII text")
