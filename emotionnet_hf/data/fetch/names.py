"""Names of hosts, asked for once.

aiohttp remembers what it found, but not what it did not find: of a host with thousands of rows
each would ask anew, and wait for as long as the system's resolver waits. Here a name that cannot be
resolved is asked for `TRIES` times at most, by one look-up for all who wait for it, and is then
known as such to the end of the run.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

TRIES = 3
"""Look-ups of a name that fails for what may pass: a busy or silent name server."""

_FRESH = 300.0  # seconds that a found address is good for: its own time to live is not told
_Key = tuple[str, socket.AddressFamily]
# What a name server means: there is no such name, or it has no address.
_LASTING = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


class NameNotResolvedError(OSError):
    """A name that was looked up as often as it is looked up in a run.

    Attributes:
        lasting: The name servers know of no such name; otherwise they were not to be had.
    """

    def __init__(self, reason: str, lasting: bool) -> None:
        super().__init__(errno.EHOSTUNREACH, reason)
        self.lasting = lasting


class NameBook(AbstractResolver):
    """A resolver that asks another one, once for each name.

    Args:
        resolver: The other one.
        timeout: Seconds for one look-up.
        pause: Seconds before the second one, then doubled.
    """

    def __init__(self, resolver: AbstractResolver, *, timeout: float, pause: float) -> None:
        self._resolver, self._timeout, self._pause = resolver, timeout, pause
        self._asking: dict[_Key, asyncio.Task[list[ResolveResult]]] = {}
        self._found: dict[_Key, tuple[float, list[ResolveResult]]] = {}
        self._failed: dict[_Key, tuple[str, bool]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look a name up, or wait for the look-up that is under way.

        Args:
            host: The name.
            port: Of the results.
            family: Kind of address wanted.

        Returns:
            The addresses.

        Raises:
            NameNotResolvedError: There are none; said again without asking.
            OSError, ValueError: What else the other resolver says, such as of addresses that are
                not public and of names that DNS cannot write.
        """
        found = await self._addresses((host, family))
        found.append(found.pop(0))  # of several addresses each is asked in its turn
        return [{**result, "port": port} for result in found]

    async def look_up(self, host: str) -> None:
        """See to it that a name is known before the clock of a connection runs.

        Args:
            host: The name; of an address nothing is looked up.

        Raises:
            OSError, ValueError: As `resolve`.
        """
        try:
            ip_address(host)
        except ValueError:
            await self._addresses((host, socket.AF_UNSPEC))

    async def close(self) -> None:
        """End what is under way."""
        for task in self._asking.values():
            task.cancel()
        await self._resolver.close()

    async def _addresses(self, key: _Key) -> list[ResolveResult]:
        if key in self._failed:
            raise NameNotResolvedError(*self._failed[key])
        until, found = self._found.get(key, (0.0, []))
        if asyncio.get_running_loop().time() < until:
            return found
        if key not in self._asking:
            self._asking[key] = asyncio.create_task(self._ask(key))
            self._asking[key].add_done_callback(lambda _: self._asking.pop(key))
        # Who waits may give up; the others do not.
        return await asyncio.shield(self._asking[key])

    async def _ask(self, key: _Key) -> list[ResolveResult]:
        host, family = key
        for left in reversed(range(TRIES)):
            try:
                look_up = self._resolver.resolve(host, 0, family)
                found = await asyncio.wait_for(look_up, self._timeout)
            except asyncio.TimeoutError:
                reason, lasting = "no answer in time", False
            except socket.gaierror as error:
                reason, lasting = str(error.strerror), error.errno in _LASTING
            else:
                if found:
                    self._found[key] = (asyncio.get_running_loop().time() + _FRESH, found)
                    return found
                reason, lasting = "no address that can be connected to", True
            if lasting or not left:
                break
            await asyncio.sleep(self._pause * 2.0 ** (TRIES - 1 - left))
        self._failed[key] = (reason, lasting)
        raise NameNotResolvedError(reason, lasting)
