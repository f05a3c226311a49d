"""How long do exact near-duplicates take, beside faiss and imagededup? And pHash, beside imagehash?

    pip install faiss-cpu imagededup
    python -m benchmarks.dedup                     # up to 1 M hashes
    python -m benchmarks.dedup --hashes 4000000    # where faiss alone takes a quarter of an hour

Hashes have 32 of 64 bits set, as perceptual hashes do; a fifth of them are near-duplicates of
others, 0 to 6 bits away. Every measurement runs in a process of its own, so that its peak memory is
its own; compiling (once on a machine) is not counted. faiss' IndexBinaryMultiHash is exact here:
four hashes of 16 bits, and as many flipped bits as the radius leaves for the best of them; its
pairs become groups by scipy. At 100 K hashes brute force is asked as well. imagededup finds the
pairs of 10 K hashes by its default search.

Writes benchmarks/results/dedup.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emotionnet_hf.dedup import near_duplicates
from emotionnet_hf.files import write_json
from emotionnet_hf.phash import hashes_to_hex, phash_file
from emotionnet_hf.training.run_folder import environment

RESULTS = Path(__file__).parent / "results" / "dedup.json"
RADII = (4, 6, 8)
BRUTE_FORCE, IMAGEDEDUP = 100_000, 10_000


def make_hashes(count: int, seed: int = 0) -> np.ndarray:
    """Draw hashes: four fifths centres, one fifth up to six bits away from one; uint64, (N,)."""
    chance = np.random.default_rng(seed)
    hashes = np.empty(count, np.uint64)
    centres = count * 4 // 5
    for start in range(0, centres, 100_000):
        end = min(start + 100_000, centres)
        bits = np.argsort(chance.random((end - start, 64), dtype=np.float32), axis=1) < 32
        hashes[start:end] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    near = hashes[chance.integers(0, centres, count - centres)]
    flips = chance.integers(0, 7, len(near))
    for bit in range(6):
        flipped = np.uint64(1) << chance.integers(0, 64, len(near), dtype=np.uint64)
        near = np.where(bit < flips, near ^ flipped, near)
    hashes[centres:] = near
    return chance.permutation(hashes)


def first_of_group(labels: np.ndarray) -> np.ndarray:
    """Name each group by its first row, as `near_duplicates` does."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    named: np.ndarray = first[inverse]
    return named


def groups_of_pairs(rows: np.ndarray, columns: np.ndarray, count: int) -> np.ndarray:
    """Join what is connected."""
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    return first_of_group(connected_components(graph, directed=False)[1])


def ours(hashes: np.ndarray, radius: int) -> np.ndarray:
    """Group with this package; single linkage."""
    return near_duplicates(hashes, radius).keeper


def ours_representative(hashes: np.ndarray, radius: int) -> np.ndarray:
    """Group with this package; representative linkage."""
    return near_duplicates(hashes, radius, linkage="representative").keeper


def faiss_multihash(hashes: np.ndarray, radius: int) -> np.ndarray:
    """Group with faiss, exactly."""
    import faiss

    index = faiss.IndexBinaryMultiHash(64, 4, 16)
    index.nflip = radius // 4
    return _faiss_groups(index, hashes, radius)


def brute_force(hashes: np.ndarray, radius: int) -> np.ndarray:
    """Compare all pairs (faiss' flat index, which does nothing else)."""
    import faiss

    return _faiss_groups(faiss.IndexBinaryFlat(64), hashes, radius)


def _faiss_groups(index: Any, hashes: np.ndarray, radius: int) -> np.ndarray:
    codes = hashes.view(np.uint8).reshape(-1, 8)
    index.add(codes)
    rows, columns = [], []
    for start in range(0, len(codes), 200_000):
        limits, _, found = index.range_search(codes[start : start + 200_000], radius + 1)
        queries = np.repeat(np.arange(len(limits) - 1) + start, np.diff(limits).astype(np.int64))
        rows.append(queries)
        columns.append(found)
    return groups_of_pairs(np.concatenate(rows), np.concatenate(columns), len(hashes))


def imagededup(hashes: np.ndarray, radius: int) -> np.ndarray:
    """Group with imagededup's pairs, by its default search."""
    from imagededup.methods import PHash

    names = [str(i) for i in range(len(hashes))]
    encodings = dict(zip(names, hashes_to_hex(hashes), strict=True))
    found = PHash(verbose=False).find_duplicates(
        encoding_map=encodings, max_distance_threshold=radius
    )
    pairs = [(int(a), int(b)) for a, others in found.items() for b in others]
    rows, columns = np.array(pairs or np.empty((0, 2), int)).T
    return groups_of_pairs(rows, columns, len(hashes))


SIDES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "ours": ours,
    "ours_representative": ours_representative,
    "faiss_multihash": faiss_multihash,
    "brute_force": brute_force,
    "imagededup": imagededup,
}


def measure(side: str, count: int, radius: int, keepers: Path) -> dict[str, float]:
    """Measure one side in this process, and write its groups."""
    hashes = make_hashes(count)
    group = SIDES[side]
    if side.startswith("ours"):
        group(hashes[:1000], radius)  # compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = group(hashes, radius)
    seconds = time.perf_counter() - start
    np.save(keepers, found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sizes = np.bincount(found)
    return {
        "seconds": seconds,
        "peak_memory_bytes": peak * 1024,
        "peak_memory_added_bytes": (peak - before) * 1024,
        "groups": int((sizes > 0).sum()),
        "largest_group": int(sizes.max()),
    }


def measured_apart(side: str, count: int, radius: int, keepers: Path) -> dict[str, Any]:
    """Measure one side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.dedup", "--measure", side, str(count), str(radius)]
    ran = subprocess.run([*command, str(keepers)], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{side} failed: {ran.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    print(f"{side:20} {count:9,} radius {radius}: {result['seconds']:9.2f} s", flush=True)
    return result


def compare_groups(sizes: list[int], radii: list[int], place: Path) -> Iterator[dict[str, Any]]:
    """Measure all sides that a size is for, and look whether they agree."""
    for count in sizes:
        for radius in radii:
            sides = ["ours", "ours_representative", "faiss_multihash"]
            sides += ["brute_force"] if count == BRUTE_FORCE else []
            sides += ["imagededup"] if count == IMAGEDEDUP else []
            results = {s: measured_apart(s, count, radius, place / f"{s}.npy") for s in sides}
            single = [np.load(place / f"{s}.npy") for s in sides if s != "ours_representative"]
            row: dict[str, Any] = {"hashes": count, "radius": radius, **results}
            row["all_groups_equal"] = all(np.array_equal(single[0], s) for s in single[1:])
            for side in sides[2:]:
                row[f"{side}_over_ours"] = results[side]["seconds"] / results["ours"]["seconds"]
            yield row


def draw_photograph(size: int, chance: np.random.Generator) -> bytes:
    """A JPEG with the spectrum of a photograph, 3 : 2."""
    height, width = size, size * 3 // 2
    picture = np.zeros((height, width, 3))
    cells = 2
    while cells < size:
        noise = chance.normal(size=(cells, cells * 3 // 2, 3)) * (200 / cells**0.8)
        for channel in range(3):
            layer = Image.fromarray(noise[..., channel].astype(np.float32))
            picture[..., channel] += np.asarray(layer.resize((width, height)))
        cells *= 2
    file = BytesIO()
    Image.fromarray(np.clip(picture + 128, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def compare_hashing(place: Path, count: int = 200) -> list[dict[str, Any]]:
    """Hash files with both, in turns, one thread; images a second and differing hashes."""
    rows = []
    for size in (256, 1000):
        chance = np.random.default_rng(size)
        files = [place / f"{size}-{i}.jpg" for i in range(count)]
        for file in files:
            file.write_bytes(draw_photograph(size, chance))
        seconds: dict[str, list[float]] = {"ours": [], "imagehash": []}
        hashes: dict[str, list[str]] = {}
        for _ in range(5):
            for name, hash_one in (("ours", phash_file), ("imagehash", hash_by_imagehash)):
                start = time.perf_counter()
                hashes[name] = [hash_one(file) for file in files]
                seconds[name].append(time.perf_counter() - start)
        rates = {name: count / float(np.median(values)) for name, values in seconds.items()}
        differing = sum(a != b for a, b in zip(hashes["ours"], hashes["imagehash"], strict=True))
        ratio = rates["ours"] / rates["imagehash"]
        print(f"hashing {size} px: {rates} images/s, {ratio:.2f} times, {differing} differ")
        rows.append(
            {
                "shorter_side": size,
                "images": count,
                "images_per_second": rates,
                "ratio": ratio,
                "hashes_that_differ": differing,
            }
        )
    return rows


def hash_by_imagehash(file: Path) -> str:
    """Hash as imagehash's documentation does."""
    with Image.open(file) as image:
        return str(imagehash.phash(image))


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description="Near-duplicates and perceptual hashes.")
    sizes = [IMAGEDEDUP, BRUTE_FORCE, 1_000_000]
    parser.add_argument("--hashes", type=int, nargs="+", default=sizes, help="how many")
    parser.add_argument("--radii", type=int, nargs="+", default=RADII, help="in bits")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        side, count, radius, keepers = arguments.measure
        print(json.dumps(measure(side, int(count), int(radius), Path(keepers))))
        return
    packages = ("faiss-cpu", "imagededup", "imagehash", "numba", "simplejpeg")
    result: dict[str, Any] = {
        "environment": environment(),
        "packages": {name: version(name) for name in packages},
    }
    with tempfile.TemporaryDirectory() as folder:
        result["hashing"] = compare_hashing(Path(folder))
        result["groups"] = []
        for row in compare_groups(arguments.hashes, arguments.radii, Path(folder)):
            result["groups"].append(row)
            write_json(RESULTS, result)  # after each, for the slow ones may take their time


if __name__ == "__main__":
    main()
