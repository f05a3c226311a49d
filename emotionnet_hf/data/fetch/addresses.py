"""Which addresses may be asked: public ones only, so that no URL list reaches into a network.

A list of URLs, and every server it leads to, is a stranger: it could name
`http://192.168.0.1/reset`, or a name of its own that resolves to it, or answer with a redirect to
it. So what counts is the address that is connected to, of every request anew, and not how a URL is
written. Names are checked by `PublicResolver`, on whose answers alone aiohttp connects;
addresses in URLs, for which aiohttp asks no resolver, by `open_public_socket`, right before they
are connected to.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult

# Translates to the IPv4 address in the last 32 bits (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefusedError(OSError):
    """An address that is not public; the message names it."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"{address} is not a public address")


def is_public(address: str) -> bool:
    """Tell whether an address is one of the open internet.

    Args:
        address: IPv4 or IPv6, as numbers.

    Returns:
        False for private, loopback, link-local, shared, multicast, unspecified and reserved
        addresses, for IPv6 forms that carry such an IPv4 address (mapped, 6to4, NAT64), and for
        what is no address.

    >>> is_public("8.8.8.8"), is_public("127.0.0.1"), is_public("64:ff9b::7f00:1")
    (True, False, False)
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        parsed = _carried(parsed) or parsed
    refused = parsed.is_multicast or parsed.is_reserved or parsed.is_link_local
    if isinstance(parsed, IPv6Address):
        refused = refused or parsed.is_site_local
    return parsed.is_global and not refused


def _carried(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that packets to this one end up at."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


class PublicResolver(ThreadedResolver):
    """The system's resolver, without the addresses that are not public."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up.

        Args:
            host: The name.
            port: Of the results.
            family: Kind of address wanted.

        Returns:
            The public addresses.

        Raises:
            AddressRefusedError: There are addresses, and none is public.
            OSError: The name does not resolve.
        """
        found = await super().resolve(host, port, family)
        public = [result for result in found if is_public(result["host"])]
        if found and not public:
            raise AddressRefusedError(found[0]["host"])
        return public


def open_public_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """Open a socket for an address, if it is public: the last gate before a connection.

    Args:
        address_info: What `socket.getaddrinfo` gives.

    Returns:
        The socket, not yet connected.

    Raises:
        AddressRefusedError: The address is not public.
    """
    family, kind, protocol, _, address = address_info
    if not is_public(address[0]):
        raise AddressRefusedError(address[0])
    return socket.socket(family=family, type=kind, proto=protocol)
