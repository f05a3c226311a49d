import asyncio
import socket

import pytest
from aiohttp.abc import AbstractResolver

from emotionnet_hf.data.fetch.addresses import AddressRefusedError
from emotionnet_hf.data.fetch.names import TRIES, NameBook, NameNotResolvedError

AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def address(host):
    return {"hostname": "a", "host": host, "port": 0, "family": 2, "proto": 0, "flags": 0}


class Resolver(AbstractResolver):
    """Gives the answers it was given, one after the other; the last one for ever."""

    def __init__(self, *answers, seconds=0.0):
        self.answers, self.seconds, self.asked = list(answers), seconds, []

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(self.seconds)
        if isinstance(answer, Exception):
            raise answer
        return [dict(one) for one in answer]

    async def close(self):
        pass


def ask(resolver, *hosts, timeout=5.0):
    async def main():
        book = NameBook(resolver, timeout=timeout, pause=0.01)
        waiting = (book.resolve(host, 80, socket.AF_UNSPEC) for host in hosts)
        together = await asyncio.gather(*waiting, return_exceptions=True)
        later = await asyncio.gather(*map(book.look_up, hosts), return_exceptions=True)
        await book.close()
        return together, later

    return asyncio.run(main())


def test_a_name_is_asked_for_once_by_all_who_wait():
    resolver = Resolver([address("192.0.2.1")], seconds=0.05)
    together, later = ask(resolver, *["a.test"] * 50, "b.test")
    assert resolver.asked == ["a.test", "b.test"]
    assert {one["host"] for found in together for one in found} == {"192.0.2.1"}
    assert {one["port"] for found in together for one in found} == {80}
    assert later == [None] * 51


def test_addresses_take_turns():
    async def main():
        answer = [address("192.0.2.1"), address("192.0.2.2")]
        book = NameBook(Resolver(answer), timeout=5, pause=0)
        for _ in range(3):  # as a request does: first to know the name, then to connect
            await book.look_up("a.test")
            yield (await book.resolve("a.test", 80, socket.AF_UNSPEC))[0]["host"]

    async def all_of():
        return [host async for host in main()]

    assert asyncio.run(all_of()) == ["192.0.2.2", "192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("answer", "asked", "lasting"), [(AGAIN, TRIES, False), (UNKNOWN, 1, True), ([], 1, True)]
)
def test_what_is_not_found_is_asked_for_so_often_and_never_again(answer, asked, lasting):
    resolver = Resolver(answer, seconds=0.01)
    together, later = ask(resolver, *["nowhere.test"] * 600)
    assert len(resolver.asked) == asked
    assert {type(error) for error in together + later} == {NameNotResolvedError}
    assert {error.lasting for error in together + later} == {lasting}
    assert len({error.strerror for error in together + later}) == 1


def test_a_name_server_that_is_silent_costs_its_tries_and_no_more():
    resolver = Resolver([address("192.0.2.1")], seconds=60)
    together, _ = ask(resolver, *["silent.test"] * 20, timeout=0.02)
    assert len(resolver.asked) == TRIES
    assert {(error.strerror, error.lasting) for error in together} == {("no answer in time", False)}


def test_what_passes_is_tried_again():
    resolver = Resolver(AGAIN, [address("192.0.2.1")])
    together, later = ask(resolver, "a.test")
    assert together[0][0]["host"] == "192.0.2.1"
    assert later == [None]
    assert len(resolver.asked) == 2


@pytest.mark.parametrize("error", [AddressRefusedError("10.0.0.1"), UnicodeError("too long")])
def test_other_errors_pass_through(error):
    together, _ = ask(Resolver(error), "a.test")
    assert together == [error]


def test_who_gives_up_does_not_end_the_look_up_of_others():
    async def main():
        book = NameBook(Resolver([address("192.0.2.1")], seconds=0.1), timeout=5, pause=0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(book.look_up("a.test"), 0.02)
        return await book.resolve("a.test", 443)

    assert asyncio.run(main())[0]["port"] == 443


def test_addresses_are_not_looked_up():
    resolver = Resolver(UNKNOWN)

    async def main():
        book = NameBook(resolver, timeout=5, pause=0)
        await book.look_up("192.0.2.1")
        await book.look_up("2001:db8::1")

    asyncio.run(main())
    assert resolver.asked == []
