import asyncio
import socket

import pytest

from emotionnet_hf.data.fetch.addresses import (
    AddressRefusedError,
    PublicResolver,
    is_public,
    open_public_socket,
)

PRIVATE = """
    0.0.0.0 0.1.2.3 10.1.2.3 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1
    172.31.255.255 192.0.0.1 192.0.2.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1
    239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0.0.0.0 64:ff9b::127.0.0.1
    64:ff9b::a00:1 64:ff9b:1::8.8.8.8 100::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::
    2002:c0a8:101::1 fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
""".split()
PUBLIC = """
    1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 192.169.0.1 223.255.255.1
    2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::
""".split()


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "2130706433", "0x7f000001", "1.2.3"])
def test_what_is_no_address_is_not_public(text):
    assert not is_public(text)


def resolve(monkeypatch, *addresses):
    infos = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (a, 80, 0, 0))
        if ":" in a
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 80))
        for a in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: infos)

    async def ask():
        return await PublicResolver().resolve("some.test", 80)

    return [found["host"] for found in asyncio.run(ask())]


def test_resolver_keeps_the_public_ones(monkeypatch):
    mixed = ["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111"]
    assert resolve(monkeypatch, *mixed) == ["8.8.8.8", "2606:4700::1111"]


def test_resolver_refuses_where_none_is_public(monkeypatch):
    with pytest.raises(AddressRefusedError, match=r"10\.0\.0\.1 is not a public address"):
        resolve(monkeypatch, "10.0.0.1", "127.0.0.1")


def test_socket_is_opened_for_public_addresses_only():
    kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    with open_public_socket((*kind, ("8.8.8.8", 80))) as opened:
        assert opened.family == socket.AF_INET
    with pytest.raises(AddressRefusedError):
        open_public_socket((*kind, ("127.0.0.1", 80)))
    with pytest.raises(AddressRefusedError):
        open_public_socket((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 80, 0, 0)))
