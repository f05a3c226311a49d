"""Build a synthetic StockEmotion release of full size: time, memory, and what a kill costs.

    python -m benchmarks.build_at_scale                  # 1.2 M rows: about an hour on two cores
    python -m benchmarks.build_at_scale --rows 20000

The release has about the paper's proportions (section 3.2: 48.9 keywords an image, 7.04 of them
emotional, its splits) and tiny pictures, so that what is measured is reading, labelling, splitting
and writing. It is built once, and once more with kills (SIGKILL) at random moments; both folders
have to be equal byte for byte. Writes benchmarks/results/build_at_scale.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.measuring import Parser
from emotionnet_hf.files import write_json

EMOTIONS, KEYWORDS = 690, 36534
SPLITS = {"train": 1060 / 1164, "val": 33 / 1164, "test": 71 / 1164}
PICTURES = 2000
RESULTS = Path(__file__).parent / "results" / "build_at_scale.json"


def make_release(folder: Path, rows: int, seed: int) -> None:
    """Write the pickles and link the pictures, of which two thousand are different."""
    chance = np.random.default_rng(seed)
    names = [f"keyword {i:05d}" if i % 5 == 0 else f"keyword{i:05d}" for i in range(KEYWORDS)]
    emotional = sorted(chance.choice(KEYWORDS, EMOTIONS, replace=False).tolist())
    tables = {
        "etag2idx": ("key2idx", "idx2key", {names[k]: i for i, k in enumerate(emotional)}),
        "tag2idx": ("tag2idx", "idx2tag", {name: i for i, name in enumerate(names)}),
        "etag2tagidx": ("tag2idx", "idx2tag", {names[k]: k for k in emotional}),
    }
    folder.mkdir(parents=True)
    for name, (forward, backward, ids) in tables.items():
        content = {forward: ids, backward: {i: n for n, i in ids.items()}}
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(content))
    pictures = draw_pictures(folder / "pictures", chance)
    start = 0
    for split, share in SPLITS.items():
        count = round(rows * share)
        with_keywords = split == "train"
        annotations = [
            annotation(start + i, emotional, chance, with_keywords) for i in range(count)
        ]
        (folder / f"{split}.pkl").write_bytes(pickle.dumps(annotations))
        for path, *_ in tqdm(annotations, desc=f"linking {split}"):
            place = folder / "images" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(pictures[int(place.stem) % len(pictures)], place)
        start += count


def draw_pictures(folder: Path, chance: np.random.Generator) -> list[Path]:
    """Draw small JPEGs, each with a hash of its own."""
    folder.mkdir()
    paths = []
    for i in range(PICTURES):
        file = BytesIO()
        noise = chance.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((64, 48), Image.Resampling.BICUBIC).save(file, "JPEG")
        paths.append(folder / f"{i}.bin")
        paths[-1].write_bytes(file.getvalue())
    return paths


def annotation(
    number: int, emotional: list[int], chance: np.random.Generator, with_keywords: bool
) -> list[Any]:
    """One row: Zipf-like keywords, as many as in the paper on average."""
    cid = 10_000_000 + 7 * number
    emotions = np.unique((EMOTIONS * chance.random(7) ** 1.5).astype(int)).tolist()
    row: list[Any] = [f"{number % 997:03d}/{cid}.jpg", emotions]
    if with_keywords:
        others = np.unique((KEYWORDS * chance.random(44) ** 2).astype(int)).tolist()
        row.append([*others, *(emotional[e] for e in emotions)])
    return row


def build(release: Path, out: Path, kill_after: float | None = None) -> dict[str, Any] | None:
    """Run the command; its report, seconds and peak memory, or None where it was killed."""
    command = [sys.executable, "-m", "emotionnet_hf.cli", "build", release, "--out", out]
    command += ["--json", "--no-progress"]
    out.parent.mkdir(exist_ok=True)
    log = out.with_suffix(".log")
    start = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(list(map(str, command)), stdout=file, stderr=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            if kill_after is not None and time.monotonic() - start > kill_after:
                process.send_signal(signal.SIGKILL)
                process.wait()
                return None
            time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"the build failed; run it by hand: {command}")
    seconds = time.monotonic() - start
    report: dict[str, Any] = json.loads(log.read_text())
    return {**report, "seconds": seconds, "peak_memory_bytes": peak}


def resident(pid: int) -> int:
    """Most memory that a process has held so far, in bytes (Linux)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0][1]) * 1024 if lines else 0


def digest(folder: Path) -> str:
    """One digest of all files, names and bytes."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(path.relative_to(folder).as_posix().encode())
            with path.open("rb") as file:
                while block := file.read(2**20):
                    total.update(block)
    return total.hexdigest()


def main() -> None:
    """Measure and write the result."""
    parser = Parser("Build a synthetic StockEmotion release of full size.")
    parser.add_argument("--rows", type=int, default=1_200_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    arguments = parser.parse_args()
    environment = parser.environment(arguments, [arguments.seed])
    place = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        make_release(place / "release", arguments.rows, arguments.seed)
        # One name, because it is the title of the card.
        first, second = place / "first" / "stockemotion", place / "second" / "stockemotion"
        whole = build(place / "release", first)
        if whole is None:
            raise RuntimeError("nobody was to kill this build")
        print(
            f"{arguments.rows:,} rows in {whole['seconds']:.0f} s, "
            f"{arguments.rows / whole['seconds']:,.0f} rows a second, "
            f"peak memory {whole['peak_memory_bytes'] / 1e9:.2f} GB"
        )
        moments = random.Random(arguments.seed)
        kills = sorted(
            moments.uniform(0.05, 0.6) * whole["seconds"] for _ in range(arguments.kills)
        )
        for moment in kills:
            if build(place / "release", second, kill_after=moment) is not None:
                raise RuntimeError("it was over before it could be killed")
        again = build(place / "release", second)
        same = digest(first) == digest(second)
        print(
            f"killed {len(kills)} times and resumed: {'the same bytes' if same else 'OTHER BYTES'}"
        )
        write_json(
            RESULTS,
            {
                "what": __doc__,
                "environment": environment,
                "rows": arguments.rows,
                "seed": arguments.seed,
                "splits": whole["rows"],
                "quarantined": whole["quarantined"],
                "mean_keywords": whole["mean_keywords"],
                "mean_emotion_keywords": whole["mean_emotion_keywords"],
                "seconds": whole["seconds"],
                "rows_per_second": arguments.rows / whole["seconds"],
                "peak_memory_bytes": whole["peak_memory_bytes"],
                "killed_after_seconds": kills,
                "resumed_shards": again["resumed_shards"] if again else None,
                "same_bytes_after_kills": same,
                "dataset_bytes": sum(p.stat().st_size for p in first.rglob("*") if p.is_file()),
            },
        )
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
