"""How fast are near-duplicates found, and pictures hashed, beside what one would use otherwise?

    python -m benchmarks.dedup            # ours at 100 K, 1 M and 4 M; peers as far as they go
    python -m benchmarks.dedup --full     # faiss at every size, whole: most of an hour
    python -m benchmarks.dedup --quick    # small sizes, a minute

Needs what this project does not: `pip install faiss-cpu imagededup`; a side that is missing is
left out and said so. imagededup may be installed elsewhere: --imagededup VENV/bin/python.

Hashes are drawn: centres with 32 of 64 bits set, as a pHash has, and copies of a quarter of the
number, each with up to four bits flipped. So it is known which rows belong together, and the share
of centres that share a group with another one, falsely, is reported beside the times.

- ours: `near_duplicates`, on all cores, in a process of its own, the median of three calls after
  one that compiles; "megabytes" are what the calls added to what the process held (Linux).
- faiss: `IndexBinaryMultiHash` with three tables of 21 bits. Of two hashes within radius r one of
  three parts differs in at most r // 3 bits, so with `nflip` = r // 3 its range search is exact.
  (Four of 16 bits were tried and are slower.) Only adding and searching count; where it would take
  long, a sample of the rows is searched for among all of them and the time multiplied, unless
  --full.
- imagededup: `PHash.find_duplicates` with its default search, on all cores.
- brute force: NumPy compares all pairs of the first 100 K; all three linkages have to agree.

Hashing, on one core: `phash_file` beside `str(imagehash.phash(Image.open(file)))` on drawn JPEGs,
and `phash` beside `str(imagehash.phash(image))` on decoded ones. Sides take turns picture by
picture. The hashes have to be equal.

Writes benchmarks/results/dedup.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.measuring import Parser
from emotionnet_hf.dedup import LINKAGES, near_duplicates
from emotionnet_hf.files import write_json
from emotionnet_hf.phash import hashes_to_hex, phash, phash_file

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("faiss-cpu", "imagededup", "imagehash", "numba", "scipy", "simplejpeg")
SEED, REPEATS = 0, 3
BRUTE, SMALL = 100_000, 10_000
FAISS_TABLES, FAISS_BITS, FAISS_SAMPLE = 3, 21, 20_000
IMAGEDEDUP = """
import json, sys, time
import numpy as np
from imagededup.methods import PHash
if __name__ == "__main__":
    texts = json.load(open(sys.argv[1]))
    named = {str(row): text for row, text in enumerate(texts)}
    hasher = PHash(verbose=False)
    started = time.perf_counter()
    found = hasher.find_duplicates(encoding_map=named, max_distance_threshold=int(sys.argv[2]))
    seconds = time.perf_counter() - started
    pairs = [[int(row), int(other)] for row, others in found.items() for other in others]
    print(json.dumps({"seconds": seconds, "pairs": pairs}))
"""


def draw_hashes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw hashes, and for each the number of its centre."""
    rng = np.random.default_rng(SEED)
    copies = count // 4
    centres = np.empty(count - copies, np.uint64)
    for start in range(0, len(centres), 2**16):
        part = centres[start : start + 2**16]
        order = rng.random((len(part), 64), dtype=np.float32).argpartition(32, axis=1)
        part[:] = np.bitwise_or.reduce(np.uint64(1) << order[:, :32].astype(np.uint64), axis=1)
    of = rng.integers(0, len(centres), copies)
    copied, flips = centres[of], rng.integers(0, 5, copies)
    for flip in range(4):
        bits = np.uint64(1) << rng.integers(0, 64, copies, dtype=np.uint64)
        copied ^= np.where(flips > flip, bits, np.uint64(0))
    order = rng.permutation(count)
    hashes, origin = np.concatenate([centres, copied]), np.arange(len(centres))
    return hashes[order], np.concatenate([origin, of])[order]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Call; seconds and result."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def megabytes(field: str) -> float:
    """Memory of this process: VmRSS is what it holds, VmHWM the most that it held (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def group_here(path: Path, radius: int, repeats: int) -> None:
    """Group in this process, which is a child of the benchmark; print what came of it."""
    hashes = np.load(path)
    result: dict[str, Any] = {}
    for linkage in LINKAGES:
        near_duplicates(hashes[:5000], radius, linkage=linkage)  # to compile
    Path("/proc/self/clear_refs").write_text("5")  # the most from here on
    before = megabytes("VmRSS")
    for linkage in LINKAGES:
        runs = [
            timed(lambda: near_duplicates(hashes, radius, linkage=linkage)) for _ in range(repeats)
        ]
        found = runs[0][1]
        np.save(path.with_name(f"{linkage}.npy"), found.keeper)
        result[linkage] = {
            "seconds": statistics.median(seconds for seconds, _ in runs),
            "all_seconds": [seconds for seconds, _ in runs],
            "kept": found.num_kept,
            "groups": found.num_groups,
            "largest": found.largest_group,
            "chained": found.num_chained,
        }
    print(json.dumps({**result, "megabytes": megabytes("VmHWM") - before}))


def ours(path: Path, radius: int, repeats: int = REPEATS) -> dict[str, Any]:
    """Group by every linkage, in a process of its own; the keepers lie beside the hashes."""
    words = [sys.executable, "-m", "benchmarks.dedup", "--child", str(path), str(radius)]
    ran = subprocess.run([*words, str(repeats)], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


def faiss(hashes: np.ndarray, radius: int, whole: bool) -> dict[str, Any] | None:
    """Search with faiss; None where it is not installed."""
    if importlib.util.find_spec("faiss") is None:
        return None
    import faiss

    index = faiss.IndexBinaryMultiHash(64, FAISS_TABLES, FAISS_BITS)
    index.nflip = radius // FAISS_TABLES
    octets = hashes.view(np.uint8).reshape(-1, 8)
    added, _ = timed(lambda: index.add(octets))
    asked = octets if whole else octets[:FAISS_SAMPLE]
    seconds, (ends, _, others) = timed(lambda: index.range_search(asked, radius + 1))
    result = {
        "seconds": added + seconds * len(octets) / len(asked),
        "whole": len(asked) == len(octets),
    }
    if not result["whole"]:
        return result
    rows = np.repeat(np.arange(len(octets)), np.diff(ends.astype(np.int64)))
    return {**result, "keeper": single(len(octets), rows, others)}


def imagededup(python: str, hashes: np.ndarray, radius: int, folder: Path) -> dict[str, Any] | None:
    """Search with imagededup; None where it is not installed."""
    if subprocess.run([python, "-c", "import imagededup"], capture_output=True).returncode:
        return None
    script, texts = folder / "with_imagededup.py", folder / "hashes.json"
    script.write_text(IMAGEDEDUP)
    write_json(texts, hashes_to_hex(hashes))
    words = [python, str(script), str(texts), str(radius)]
    ran = subprocess.run(words, check=True, capture_output=True, text=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    pairs = np.array(found["pairs"], np.int64).reshape(-1, 2)
    return {"seconds": found["seconds"], "keeper": single(len(hashes), *pairs.T)}


def single(count: int, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Keepers of single linkage from near pairs."""
    near = coo_array((np.ones(len(rows), bool), (rows, others)), shape=(count, count))
    labels = connected_components(near, directed=False)[1]
    _, first = np.unique(labels, return_index=True)
    keeper: np.ndarray = first[labels]
    return keeper


def near_pairs(hashes: np.ndarray, radius: int) -> np.ndarray:
    """Compare all with all; pairs of a row and a later one, (P, 2)."""
    found = []
    for start in range(0, len(hashes), 64):
        distance = np.bitwise_count(hashes[start : start + 64, None] ^ hashes[None, start:])
        rows, others = np.nonzero(distance <= radius)
        later = others > rows
        found.append(np.stack([rows[later], others[later]], axis=1) + start)
    return np.concatenate(found)


def brute_force(count: int, pairs: np.ndarray, linkage: str) -> np.ndarray:
    """Keepers by the rules as they are written, from all near pairs."""
    if linkage == "single":
        return single(count, *pairs.T)
    near: dict[int, set[int]] = {}
    for row, other in pairs.tolist():
        near.setdefault(other, set()).add(row)
    keeper, members = np.arange(count), [{row} for row in range(count)]
    for row in range(count):
        # Groups that hold a near row, the oldest first: no other one can take this row.
        earlier = near.get(row, set())
        for group in sorted({int(keeper[other]) for other in earlier}):
            needed = {group} if linkage == "representative" else members[group]
            if needed <= earlier:
                keeper[row] = group
                members[group].add(row)
                break
    return keeper


def check_against_brute_force(count: int, radii: list[int], folder: Path) -> list[dict[str, Any]]:
    """Compare our groups with those of brute force."""
    hashes, _ = draw_hashes(count)
    np.save(folder / "brute.npy", hashes)
    results = []
    for radius in radii:
        seconds, pairs = timed(lambda radius=radius: near_pairs(hashes, radius))  # type: ignore[misc]
        equal = {}
        ours(folder / "brute.npy", radius, repeats=1)
        for linkage in LINKAGES:
            keeper = np.load(folder / f"{linkage}.npy")
            equal[linkage] = bool((keeper == brute_force(count, pairs, linkage)).all())
        results.append({"rows": count, "radius": radius, "seconds": seconds, "equal": equal})
        print(f"brute force {count:,} radius {radius}: {seconds:.1f} s, equal: {equal}", flush=True)
    return results


def falsely_merged(keeper: np.ndarray, origin: np.ndarray) -> float:
    """Share of the centres whose group holds rows of another centre."""
    groups = np.unique(np.stack([keeper, origin], axis=1), axis=0)
    _, place, centres = np.unique(groups[:, 0], return_inverse=True, return_counts=True)
    return len(np.unique(groups[centres[place] > 1, 1])) / (origin.max() + 1)


def compare(count: int, radius: int, folder: Path, full: bool, python: str) -> dict[str, Any]:
    """Group one set of hashes with every side that can."""
    hashes, origin = draw_hashes(count)
    path = folder / "hashes.npy"
    np.save(path, hashes)
    sides: dict[str, Any] = ours(path, radius)
    for linkage in LINKAGES:
        keeper = np.load(path.with_name(f"{linkage}.npy"))
        sides[linkage]["falsely_merged"] = falsely_merged(keeper, origin)
    single_keeper = np.load(path.with_name("single.npy"))
    sides["faiss"] = faiss(hashes, radius, full or count <= BRUTE)
    if count <= SMALL:
        sides["imagededup"] = imagededup(python, hashes, radius, folder)
    for name in ("faiss", "imagededup"):
        side = sides.get(name)
        if side:
            side["times_ours"] = side["seconds"] / sides["single"]["seconds"]
            theirs = side.pop("keeper", None)
            side["equal_groups"] = None if theirs is None else bool((theirs == single_keeper).all())
    for name, side in sides.items():
        told = {k: rounded(v) for k, v in side.items()} if isinstance(side, dict) else side
        print(f"{count:,} radius {radius} {name}: {told}", flush=True)
    return sides


def rounded(value: Any) -> Any:
    """Shorten a number for the eye."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def draw_jpeg(rng: np.random.Generator, width: int, height: int) -> bytes:
    """Draw a smooth field of several scales with grain, as a photograph has."""
    field = np.zeros((height, width, 3))
    for cells in (3, 8, 24, 80):
        noise = rng.normal(size=(cells, cells, 3)).astype(np.float32)
        bands = [Image.fromarray(noise[..., band]).resize((width, height)) for band in range(3)]
        field += np.stack([np.asarray(band) for band in bands], axis=-1) * 90 / cells**0.5
    field += rng.normal(size=field.shape) * 4 + 128
    file = BytesIO()
    Image.fromarray(np.clip(field, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def compare_hashing(width: int, height: int, count: int) -> dict[str, Any]:
    """Hash drawn JPEGs with both sides, from the file and from the decoded picture."""
    rng = np.random.default_rng(SEED)
    files = [draw_jpeg(rng, width, height) for _ in range(count)]
    images = [Image.open(BytesIO(data)).convert("RGB") for data in files]
    result: dict[str, Any] = {"width": width, "height": height, "pictures": count}
    result["kilobytes"] = statistics.mean(map(len, files)) / 1000
    plain = lambda data: str(imagehash.phash(Image.open(BytesIO(data))))  # noqa: E731
    pairs: dict[str, tuple[list[Any], Any, Any]] = {
        "file": (files, plain, phash_file),
        "decoded": (images, lambda image: str(imagehash.phash(image)), phash),
    }
    for name, (items, theirs, mine) in pairs.items():
        seconds: dict[str, list[float]] = {"imagehash": [], "ours": []}
        mine(items[0])  # to compile
        different = 0
        for item in [*items, *items, *items]:
            time_theirs, expected = timed(lambda item=item: theirs(item))  # type: ignore[misc]
            time_mine, got = timed(lambda item=item: mine(item))  # type: ignore[misc]
            seconds["imagehash"].append(time_theirs)
            seconds["ours"].append(time_mine)
            different += got != expected
        rates = {side: 1 / statistics.median(times) for side, times in seconds.items()}
        result[name] = {
            "images_per_second": rates,
            "times_imagehash": rates["ours"] / rates["imagehash"],
            "different_hashes": different,
        }
        told = {side: round(rate) for side, rate in rates.items()}
        print(
            f"hashing {width}x{height} {name}: {told} images/s, "
            f"{rates['ours'] / rates['imagehash']:.2f} times, {different} differ",
            flush=True,
        )
    return result


def versions() -> dict[str, str | None]:
    """Versions of what takes part."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def main() -> None:
    """Compare all sides and write the numbers."""
    parser = Parser("Near-duplicates and hashes, side by side.")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000, 4_000_000]
    )
    parser.add_argument("--radii", type=int, nargs="*", default=[4, 6, 8])
    parser.add_argument("--full", action="store_true", help="faiss searches for every row")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--imagededup", default=sys.executable, help="a Python that has imagededup")
    parser.add_argument("--out", type=Path, default=RESULTS / "dedup.json")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        path, radius, repeats = arguments.child
        group_here(Path(path), int(radius), int(repeats))
        return
    environment = parser.environment(arguments, [SEED])
    if arguments.quick:
        arguments.sizes, arguments.radii = [SMALL, BRUTE], [4, 8]
    os.environ["TQDM_DISABLE"] = "1"
    pictures = 20 if arguments.quick else 100
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {
            "what": __doc__,
            "environment": environment,
            "versions": versions(),
            "seed": SEED,
            "faiss": {"tables": FAISS_TABLES, "bits": FAISS_BITS, "sample": FAISS_SAMPLE},
            "hashing": [
                compare_hashing(*size, count)
                for size, count in (((256, 256), 2 * pictures), ((1000, 750), pictures))
            ],
            "brute_force": check_against_brute_force(
                SMALL if arguments.quick else BRUTE, arguments.radii, folder
            ),
            "grouping": [
                {
                    "rows": size,
                    "radius": radius,
                    **compare(size, radius, folder, arguments.full, arguments.imagededup),
                }
                for size in arguments.sizes
                for radius in arguments.radii
            ],
        }
    write_json(arguments.out, result)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
