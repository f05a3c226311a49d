"""Fill the numbers of docs/data.md from benchmarks/results/*.json; the tests check that they agree.

python -m scripts.update_data_page    # after a benchmark
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emotionnet_hf.files import write_text
from scripts import update_readme

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def read(name: str) -> Any:
    """Return what a benchmark wrote."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def build_at_scale() -> str:
    """Return the sentence on a build of full size."""
    r = read("build_at_scale")
    same = "the same bytes" if r["same_bytes_after_kills"] else "OTHER BYTES"
    return (
        f"Measured on two cores that other work used too, with tiny pictures: {r['rows']:,} rows "
        f"of a release in {r['seconds'] / 60:.0f} minutes, {r['rows_per_second']:,.0f} rows a "
        f"second, peak memory {r['peak_memory_bytes'] / 1e9:.2f} GB. Killed "
        f"{len(r['killed_after_seconds'])} times and started again, it ends with {same} "
        "(`benchmarks/build_at_scale.py`)."
    )


def fetch_images() -> str:
    """Return the table of fetching beside what people write."""
    rates = {
        name: side["images_per_second"] for name, side in read("fetch_images")["latency"].items()
    }
    sides = list(next(iter(rates.values())))
    lines = [f"| latency | {' | '.join(sides)} |", "| --- |" + " --- |" * len(sides)]
    for latency, found in rates.items():
        medians = [sorted(found[side])[len(found[side]) // 2] for side in sides]
        lines.append(f"| {latency} | {' | '.join(f'{rate:,.0f}' for rate in medians)} |")
    return "\n".join(lines) + (
        "\n\n*Images a second from a server on the same two cores, which therefore limit it; a "
        "real link was not measured (`benchmarks/fetch_images.py`).*"
    )


def dedup() -> str:
    """Return the table of near-duplicates beside faiss and imagededup, and the rate of hashing."""
    r = read("dedup")
    lines = ["| hashes | radius | ours | faiss | imagededup |", "| --- | --- | --- | --- | --- |"]
    for row in r["grouping"]:
        peers = (row.get(side) for side in ("faiss", "imagededup"))
        told = [f"{peer['times_ours']:,.0f} times that" if peer else "" for peer in peers]
        told = [f"{row['rows']:,}", str(row["radius"]), f"{row['single']['seconds']:.3g} s", *told]
        lines.append(f"| {' | '.join(told)} |")
    rates = [(h["file"]["times_imagehash"], h["width"], h["height"]) for h in r["hashing"]]
    files = ", ".join(f"{rate:.1f} times at {width} x {height}" for rate, width, height in rates)
    return "\n".join(lines) + (
        "\n\n*Single linkage on two cores; above 100,000 faiss' time is that of a sample of the "
        "rows, multiplied. At 100,000 all linkages equal brute force. Hashing a JPEG file, beside "
        f"imagehash on one core: {files}, the same bits (`benchmarks/dedup.py`).*"
    )


PARTS = {"build_at_scale": build_at_scale, "fetch_images": fetch_images, "dedup": dedup}


def filled(page: str) -> str:
    """Return the page with its generated parts as the results say."""
    return update_readme.filled(page, {name: part() for name, part in PARTS.items()})


if __name__ == "__main__":
    write_text(ROOT / "docs" / "data.md", filled((ROOT / "docs" / "data.md").read_text("utf-8")))
