"""A real server on the loopback address that misbehaves in every way we have met."""

import asyncio
import contextlib
import gzip
import io
import socket
import struct
import threading
import time
from collections import Counter
from functools import cache
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.fetch import fetch_images

HEAD = "HTTP/1.1 {} X\r\n{}\r\n"


@cache
def picture(number=0, width=48, height=36, kind="JPEG"):
    """Bytes of a picture, another for each number."""
    noise = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height)).save(out, kind)
    return out.getvalue()


@cache
def bomb():
    """50 MB in 50 KB."""
    return gzip.compress(bytes(50 * 10**6))


class Server:
    """Serves by the first part of the path; remembers who asked for what, and when.

    Attributes:
        log: (time, host, path) of each request, in the order of their arrival.
        answered: Paths whose answer was sent in full.
        most: Most requests at a time, by host.
        latency: Seconds before each answer of `ok`.
        raw: Answers of `raw`, by path.
    """

    def __init__(self):
        self.log, self.answered, self.headers = [], [], []
        self.running, self.most, self.seen = Counter(), Counter(), Counter()
        self.latency, self.raw = 0.0, {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self):
        bomb()  # takes a moment, in which the loop would answer nobody
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self.port}/{path}"

    def paths(self):
        return [path for _, _, path in self.log]

    def times(self, host):
        return [at for at, name, _ in self.log if name == host]

    async def _main(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # On every loopback address, so that 127.0.0.2 is there to be refused.
        server = await asyncio.start_server(self._serve, "0.0.0.0", 0, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _serve(self, reader, writer):
        # A connection that is left open is closed by the garbage collector, in whatever thread that
        # runs, and may take another with it that has got its file handle.
        with (
            contextlib.closing(writer),
            contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
            ),
        ):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                path = head[0].split()[1].lstrip("/")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                host = headers["host"].partition(":")[0]
                self.log.append((time.monotonic(), host, path))
                self.headers.append(headers)
                self.running[host] += 1
                self.most[host] = max(self.most[host], self.running[host])
                try:
                    self.seen[path] += 1
                    await getattr(self, f"do_{path.split('/')[0]}")(writer, path, self.seen[path])
                    await writer.drain()
                finally:
                    self.running[host] -= 1
                self.answered.append(path)
                if headers.get("connection") == "close" or writer.is_closing():
                    return

    def send(self, writer, status=200, body=b"", **headers):
        headers = {"Content_Length": len(body), **headers}
        lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items() if v != "")
        writer.write(HEAD.format(status, lines).encode() + body)

    async def do_ok(self, writer, path, _):
        await asyncio.sleep(self.latency)
        self.send(writer, body=picture(int(path.split("/")[1].split(".")[0])))

    async def do_slow(self, writer, path, _):
        await asyncio.sleep(0.4)
        self.send(writer, body=picture())

    async def do_big(self, writer, *_):
        self.send(writer, body=picture(1, 900, 600))

    async def do_png(self, writer, *_):
        self.send(writer, body=picture(1, kind="PNG"))

    async def do_404(self, writer, *_):
        self.send(writer, 404, b"nothing here")

    async def do_empty(self, writer, *_):
        self.send(writer)

    async def do_stall(self, writer, *_):
        self.send(writer, body=picture()[:100], Content_Length=5000)
        await asyncio.sleep(30)

    async def do_drip(self, writer, *_):
        self.send(writer, Content_Length=5000)
        for _ in range(500):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.1)

    async def do_mute(self, *_):
        await asyncio.sleep(30)

    async def do_reset(self, writer, *_):
        self.send(writer, body=picture()[:100], Content_Length=5000)
        await writer.drain()
        linger = struct.pack("ii", 1, 0)  # close() sends RST
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async def do_hangup(self, writer, *_):
        writer.close()

    async def do_noise(self, writer, *_):
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        writer.close()

    async def do_circle(self, writer, path, _):
        self.send(writer, 302, Location="/circle/2" if path.endswith("1") else "/circle/1")

    async def do_chain(self, writer, path, _):
        left = int(path.split("/")[1].split("?")[0])
        self.send(writer, 301, Location=f"/chain/{left - 1}" if left else "/ok/7.jpg")

    async def do_to(self, writer, path, _):
        self.send(writer, 302, Location=path.split("/", 1)[1])

    async def do_longer(self, writer, *_):
        self.send(writer, body=picture(), Content_Length=len(picture()) + 500)
        writer.close()

    async def do_shorter(self, writer, *_):
        self.send(writer, body=picture(), Content_Length=len(picture()) - 200)

    async def do_cut(self, writer, *_):
        self.send(writer, body=picture()[:-200])

    async def do_once(self, writer, path, seen):
        """Half a picture the first time."""
        self.send(writer, body=picture() if seen > 1 else picture()[:-200])

    async def do_html(self, writer, *_):
        self.send(writer, body=picture(3), Content_Type="text/html")

    async def do_jpeg(self, writer, *_):
        self.send(writer, body=b"<html>please log in</html>", Content_Type="image/jpeg")

    async def do_huge(self, writer, *_):
        self.send(writer, body=b"", Content_Length=10**9)

    async def do_endless(self, writer, *_):
        self.send(writer, Content_Length="", Transfer_Encoding="chunked")
        self.sent = 0
        while True:
            writer.write(b"8000\r\n" + bytes(0x8000) + b"\r\n")
            await writer.drain()
            self.sent += 0x8000

    async def do_bomb(self, writer, *_):
        self.send(writer, body=bomb(), Content_Encoding="gzip", Content_Type="image/jpeg")

    async def do_zipped(self, writer, *_):
        self.send(writer, body=gzip.compress(picture(5)), Content_Encoding="gzip")

    async def do_busy(self, writer, path, seen):
        """429 the first time; the path says what to ask for."""
        if seen == 1:
            self.send(writer, 429, Retry_After=path.split("/")[1])
        else:
            self.send(writer, body=picture())

    async def do_always429(self, writer, *_):
        self.send(writer, 429)

    async def do_flaky(self, writer, path, seen):
        self.send(writer, 500 if seen < 3 else 200, picture())

    async def do_raw(self, writer, path, _):
        """Say what the test has put into `raw`, byte for byte."""
        writer.write(self.raw[path])

    async def do_tagged(self, writer, path, _):
        """The rest of the path is what X-Robots-Tag says."""
        self.send(writer, body=picture(), X_Robots_Tag=unquote(path.split("/")[1]))

    async def do_cookie(self, writer, *_):
        self.send(writer, body=picture(), Set_Cookie="who=you; Path=/")


@pytest.fixture
def server():
    with Server() as running:
        yield running


@pytest.fixture
def make_picture():
    return picture


@pytest.fixture
def names(monkeypatch):
    """Names under .test resolve to loopback, others as given; nothing asks a real resolver.

    A name that is an exception is one that fails with it; `asked` counts the look-ups.
    """
    known = {"asked": Counter()}
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if isinstance(host, str):
            host.encode("idna")  # as the real one, which refuses long labels
        known["asked"][host] += 1
        if isinstance(known.get(host), Exception):
            raise known[host]
        if isinstance(host, str) and host.endswith(".test"):
            host = known.get(host, "127.0.0.1")
            if isinstance(host, list):
                return [i for one in host for i in real(one, port, *args, **kwargs)]
        elif isinstance(host, str) and host[-1:].isalpha() and host != "localhost":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


@pytest.fixture
def fetch(tmp_path, names):
    """`fetch_images` into tmp_path/out, with loopback allowed and no long waits between tries.

    The time-outs are long: a busy machine's own pauses shall not be taken for a host's.
    """

    def run(urls, **settings):
        fast = {
            "allow_private_addresses": True,
            "backoff": 0.02,
            "retries": 2,
            "stall_timeout": 3.0,
            "connect_timeout": 5.0,
            "total_timeout": 60.0,
            "progress": False,
        }
        return fetch_images(urls, tmp_path / "out", **{**fast, **settings})

    return run
