"""How many pictures a second does `fetch_images` fetch, beside a thread pool and img2dataset?

    python -m benchmarks.fetch_images
    python -m benchmarks.fetch_images --img2dataset VENV/bin/python   # where img2dataset is

A process of its own serves small JPEGs, each after a latency, at 32 loopback addresses that stand
for 32 hosts (Linux has them all). Every side fetches the same URLs, checks each body by decoding
it, and writes the bytes that came to a file. Ours runs with its defaults: 8 requests a host,
a journal, resumption. The thread pool is what people write today: requests with a session a thread,
32 threads, and, to be fair, as many as ours has requests. img2dataset wants other libraries than we
do, so it needs an environment of its own; it runs in one process with as many threads, and starting
that process is part of its time. Sides take turns; the median of the turns counts.

Client and server share this machine's cores and its loopback device, so the numbers say what the
clients cost, and not what a network bears. The CPU time an image is of the client alone.

Writes benchmarks/results/fetch_images.json.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import requests
from PIL import Image

from benchmarks.measuring import Parser
from emotionnet_hf.data.fetch import fetch_images
from emotionnet_hf.files import write_json

RESULTS = Path(__file__).parent / "results"
HOSTS, PICTURES, SIDE = 32, 64, 256
IMG2DATASET = """
import sys, time
from img2dataset import download
if __name__ == "__main__":
    started = time.perf_counter()
    download(url_list=sys.argv[1], output_folder=sys.argv[2], input_format="txt",
             output_format="files", processes_count=1, thread_count=int(sys.argv[3]),
             resize_mode="no", disable_all_reencoding=True, retries=2)
    print("seconds", time.perf_counter() - started)
"""


def pictures() -> list[bytes]:
    """Draw the JPEGs that are served."""
    drawn = []
    for seed in range(PICTURES):
        noise = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        buffer = BytesIO()
        Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG")
        drawn.append(buffer.getvalue())
    return drawn


class Answers(asyncio.Protocol):
    """Answers every request with a picture, after the latency; no faster server is in Python."""

    latency, answers = 0.0, [b""]

    def connection_made(self, transport: Any) -> None:
        """Begin with an empty buffer."""
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        """Take note of each whole request."""
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            number = int(head.split(b".jpg", 1)[0].rpartition(b"/")[2])
            close = b"connection: close" in head.lower()
            asyncio.get_running_loop().call_later(self.latency, self.answer, number, close)

    def answer(self, number: int, close: bool) -> None:
        """Send a picture."""
        if not self.transport.is_closing():
            self.transport.write(self.answers[number % PICTURES])
            if close:
                self.transport.close()


async def serve(latency: float) -> None:
    """Serve until killed; prints the port."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"
    Answers.answers = [head.format(len(body)).encode() + body for body in pictures()]
    Answers.latency = latency
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answers, "0.0.0.0", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def ours(urls: list[str], out: Path, concurrency: int) -> float:
    """Fetch with `fetch_images`; seconds."""
    started = time.perf_counter()
    report = fetch_images(
        urls, out, concurrency=concurrency, allow_private_addresses=True, progress=False
    )
    if not report.complete:
        raise RuntimeError(report.summary())
    return time.perf_counter() - started


def thread_pool(urls: list[str], out: Path, threads: int) -> float:
    """Fetch with requests in threads; seconds."""
    own = threading.local()

    def fetch(job: tuple[int, str]) -> None:
        if not hasattr(own, "session"):
            own.session = requests.Session()
        response = own.session.get(job[1], timeout=20)
        response.raise_for_status()
        Image.open(BytesIO(response.content)).load()
        (out / f"{job[0]}.jpg").write_bytes(response.content)

    out.mkdir()
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fetch, enumerate(urls)))
    return time.perf_counter() - started


def img2dataset(python: str, urls: list[str], out: Path, threads: int) -> float:
    """Fetch with img2dataset in another environment; seconds of its one call."""
    script, listed = out.with_suffix(".py"), out.with_suffix(".txt")
    script.write_text(IMG2DATASET)
    listed.write_text("\n".join(urls))
    words = [python, str(script), str(listed), str(out), str(threads)]
    ran = subprocess.run(words, check=True, capture_output=True, text=True)
    got = len(list(out.glob("*/*.jpg")))
    if got != len(urls):
        raise RuntimeError(f"img2dataset fetched {got} of {len(urls)}: {ran.stdout[-2000:]}")
    return float(ran.stdout.split("seconds ")[-1].split()[0])


def sides(arguments: argparse.Namespace) -> dict[str, Callable[[list[str], Path], float]]:
    """Return what is compared: a name, and a function from URLs and folder to seconds."""
    most = arguments.concurrency
    compared: dict[str, Callable[[list[str], Path], float]] = {
        "fetch_images": lambda urls, out: ours(urls, out, most),
        "requests, 32 threads": lambda urls, out: thread_pool(urls, out, 32),
        f"requests, {most} threads": lambda urls, out: thread_pool(urls, out, most),
    }
    if python := arguments.img2dataset:
        name = f"img2dataset, {most} threads"
        compared[name] = lambda urls, out: img2dataset(python, urls, out, most)
    return compared


def measure(latency: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Let every side fetch at one latency, in turns."""
    command = [sys.executable, "-m", "benchmarks.fetch_images", "--serve", str(latency)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline()) if server.stdout else 0
        urls = [
            f"http://127.0.0.{1 + i % HOSTS}:{port}/pictures/{i}.jpg"
            for i in range(arguments.count)
        ]
        rates: dict[str, list[float]] = {}
        costs: dict[str, list[float]] = {}
        for _ in range(arguments.turns):
            for name, fetch in sides(arguments).items():
                before = time.process_time()
                with tempfile.TemporaryDirectory() as folder:
                    rate = len(urls) / fetch(urls, Path(folder) / "out")
                rates.setdefault(name, []).append(rate)
                if not name.startswith("img2dataset"):  # which works in another process
                    cost = 1000 * (time.process_time() - before) / len(urls)
                    costs.setdefault(name, []).append(cost)
                print(f"latency {latency * 1000:.0f} ms: {name}: {rate:,.0f} images/s", flush=True)
    finally:
        server.kill()
        server.wait()
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = medians["fetch_images"]
    ratios = {name: best / rate for name, rate in medians.items() if name != "fetch_images"}
    for name, ratio in ratios.items():
        print(f"latency {latency * 1000:.0f} ms: fetch_images is {ratio:.1f} times {name}")
    cpu = {name: statistics.median(values) for name, values in costs.items()}
    print(f"milliseconds of CPU an image: {cpu}")
    return {
        "images_per_second": rates,
        "median": medians,
        "times": ratios,
        "cpu_milliseconds_an_image": cpu,
    }


def main() -> None:
    """Measure and write the numbers."""
    parser = Parser("fetch_images beside a thread pool, img2dataset.")
    parser.add_argument("--count", type=int, default=1500, help="URLs (default 1500)")
    parser.add_argument("--turns", type=int, default=3, help="turns of each side (default 3)")
    parser.add_argument("--concurrency", type=int, default=256, help="requests at a time")
    parser.add_argument("--latency", type=float, nargs="+", default=[0.05, 0.2], help="seconds")
    parser.add_argument("--img2dataset", help="a Python that has it")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        asyncio.run(serve(arguments.serve))
        return
    environment = parser.environment(arguments, range(PICTURES))
    found = {f"{latency:g} s": measure(latency, arguments) for latency in arguments.latency}
    packages = {name: version(name) for name in ("aiohttp", "requests", "urllib3")}
    if arguments.img2dataset:
        asking = "import importlib.metadata as m; print(m.version('img2dataset'))"
        words = [arguments.img2dataset, "-c", asking]
        packages["img2dataset"] = subprocess.check_output(words, text=True).strip()
    result = {
        "what": __doc__,
        "environment": environment,
        "packages": packages,
        "settings": {
            "urls": arguments.count,
            "hosts": HOSTS,
            "bytes_a_picture": round(statistics.mean(map(len, pictures()))),
            "concurrency": arguments.concurrency,
            "turns": arguments.turns,
        },
        "latency": found,
    }
    write_json(RESULTS / "fetch_images.json", result)


if __name__ == "__main__":
    main()
