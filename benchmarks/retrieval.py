"""How fast, small and right is search beside the flat index that `datasets` makes by default?

    python -m benchmarks.retrieval                        # 1.17 M x 2048; needs 30 GB of disk
    python -m benchmarks.retrieval --rows 200000 --dims 512    # some minutes

Vectors. With a folder of real data (--data; not part of this project) the features of a
mobilenetv2_100 trained on ImageNet, of 4,729 pictures: searched as they are, and made many: a row
is a random point between two neighbouring pictures, with noise of a fifth of each feature's spread,
turned into `--dims` dimensions by a random orthonormal map. Without the folder, clusters are drawn.
Queries are rows made in the same way that are not in the index and that nothing was chosen by.

Sides, each in a fresh process that loads its index through `datasets`, on one and on two threads:

- flat: what `add_faiss_index()` makes when it is told nothing, IndexFlat with L2, of the same
  vectors (of length 1: L2 orders them as cosine does).
- ours: `choose_index` and `fill`, searched by `IndexFolder.search`, ranking again included.

Latency is that of single queries, the median after warming up. Memory is VmRSS (Linux) after the
queries, pages of mapped files included (libraries, and the vectors that are ranked again, which
the system takes back when it wants); beside it without those, and what it grew by since the
imports, which are 0.9 GB on either side. Recall is the share
of flat's first ten that ours found. Building is in a process of its own too, with its peak memory.

Writes benchmarks/results/retrieval.json.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import faiss
import numpy as np
import pyarrow as pa
from tqdm import tqdm

from benchmarks.measuring import Parser
from emotionnet_hf.evaluation.features import best_first, in_batches, unit_rows
from emotionnet_hf.evaluation.retrieval import choice
from emotionnet_hf.evaluation.retrieval.gallery import SCHEMA
from emotionnet_hf.evaluation.retrieval.index_folder import FORMAT, open_index
from emotionnet_hf.evaluation.retrieval.vectors import BLOCK, open_vectors, store_vectors
from emotionnet_hf.files import write_json
from emotionnet_hf.loading.images import open_image
from emotionnet_hf.models.encoders import open_encoder

RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).parents[2] / "shared" / "data"
WEIGHTS = "imagenet_backbone/mobilenetv2_100.safetensors"
PICTURES = ("emoji", "bass")
SEED, QUERIES, WARM_UP, K = 0, 200, 20, 10
NEAR, NOISE = 10, 0.2


def real_features(data: Path, work: Path) -> np.ndarray | None:
    """Features of the real pictures, (4729, 1280); None where there are none."""
    path = work / "real.npy"
    if not path.is_file():
        if not (data / WEIGHTS).is_file():
            return None
        encoder = open_encoder(f"timm:mobilenetv2_100={data / WEIGHTS}", "cpu")
        found = [path for name in PICTURES for path in sorted((data / name / "images").rglob("*"))]
        files = [path for path in found if path.is_file()]
        batches = tqdm(in_batches(files, 32), total=len(files) // 32, desc="real features")
        np.save(
            path,
            np.concatenate([encoder.encode([*map(open_image, b)])["features"] for b in batches]),
        )
    features: np.ndarray = np.load(path, allow_pickle=False)
    return features


def drawn_features() -> np.ndarray:
    """Clusters on 64 directions, where no real features are."""
    rng = np.random.default_rng(SEED)
    centres = rng.normal(size=(300, 64))[rng.integers(0, 300, 4000)]
    return np.maximum((centres + rng.normal(size=(4000, 64)) / 2) @ rng.normal(size=(64, 1280)), 0)


def many(few: np.ndarray, count: int, dims: int, seed: int) -> Iterator[np.ndarray]:
    """Make many features of few, block by block: float32, (B, dims)."""
    few = few.astype(np.float32)
    near = np.array([best_first(row, NEAR) for row in unit_rows(few) @ unit_rows(few).T])
    spread = NOISE * few.std(axis=0)
    size = max(dims, few.shape[1])
    turn = np.linalg.qr(np.random.default_rng(SEED).normal(size=(size, size)))[0]
    turn = turn[: few.shape[1], :dims].astype(np.float32)
    rng = np.random.default_rng([SEED, seed])
    for start in range(0, count, BLOCK):
        n = min(BLOCK, count - start)
        a = rng.integers(0, len(few), n)
        b = near[a, rng.integers(0, NEAR, n)]
        share = rng.random((n, 1), dtype=np.float32)
        noise = spread * rng.standard_normal((n, few.shape[1]), dtype=np.float32)
        yield (few[a] * share + few[b] * (1 - share) + noise) @ turn


def megabytes(field: str) -> float:
    """Memory of this process: VmRSS is what it holds, VmHWM the most that it held (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def build_ours(folder: Path, threads: int) -> dict[str, Any]:
    """Choose, train and fill, in this process; the folder becomes an index."""
    faiss.omp_set_num_threads(threads)
    vectors = open_vectors(folder / "features.npy")
    before, started = megabytes("VmRSS"), time.perf_counter()
    chosen = choice.choose_index(vectors, seed=SEED)
    trained = time.perf_counter()
    facts = choice.fill(chosen, vectors)
    filled = time.perf_counter()
    faiss.write_index(chosen.index, str(folder / "features.faiss"))
    rows = [str(row) for row in range(len(vectors))]
    empty = pa.array([[]] * len(rows), pa.list_(pa.string()))
    columns = [pa.array(rows), empty, empty, pa.array(rows), pa.array(range(len(rows)), pa.int64())]
    with pa.ipc.new_stream(folder / "rows.arrow", SCHEMA) as stream:
        stream.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))
    facts = {"dims": vectors.shape[1], **facts}
    write_json(folder / "index.json", {"format": FORMAT, "spaces": {"features": facts}})
    return {
        "seconds_choosing_and_training": trained - started,
        "seconds_filling_and_tuning": filled - trained,
        "peak_megabytes_more_than_the_imports": megabytes("VmHWM") - before,
        "file_megabytes": (folder / "features.faiss").stat().st_size / 2**20,
        **facts,
    }


def build_flat(folder: Path, threads: int) -> dict[str, Any]:
    """Write the flat index of the same vectors."""
    faiss.omp_set_num_threads(threads)
    vectors = open_vectors(folder / "features.npy")
    index = faiss.IndexFlat(vectors.shape[1])
    for start in range(0, len(vectors), BLOCK):
        index.add(vectors[start : start + BLOCK].astype(np.float32))
    faiss.write_index(index, str(folder / "flat.faiss"))
    return {"file_megabytes": (folder / "flat.faiss").stat().st_size / 2**20}


def search(folder: Path, threads: int, side: str) -> dict[str, Any]:
    """Load one index in this process and ask the queries one by one."""
    faiss.omp_set_num_threads(threads)
    queries = np.load(folder / "queries.npy", allow_pickle=False)
    before = megabytes("VmRSS")
    if side == "ours":
        opened = open_index(folder)
        ask = lambda query: [hit.row for hit in opened.search(query[None], K)[0]]  # noqa: E731
    else:
        count = len(open_vectors(folder / "features.npy"))
        rows = datasets.Dataset(pa.table({"row": np.arange(count, dtype=np.int32)}))
        rows.load_faiss_index("features", str(folder / "flat.faiss"))
        ask = lambda query: rows.search("features", query, K).indices.tolist()  # noqa: E731
    for query in queries[:WARM_UP]:
        ask(query)
    seconds, found = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(ask(query))
        seconds.append(time.perf_counter() - started)
    return {
        "median_milliseconds": 1000 * float(np.median(seconds)),
        "p95_milliseconds": 1000 * float(np.quantile(seconds, 0.95)),
        "megabytes": megabytes("VmRSS"),
        "megabytes_since_imports": megabytes("VmRSS") - before,
        "megabytes_of_mapped_files": megabytes("RssFile"),
        "megabytes_without_mapped_files": megabytes("RssAnon"),
        "found": found,
    }


def child(task: str, folder: Path, threads: int) -> dict[str, Any]:
    """Run one of the above in a fresh process."""
    words = [sys.executable, "-m", "benchmarks.retrieval", "--child", task, str(folder)]
    ran = subprocess.run([*words, str(threads)], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    print(task, threads, {k: v for k, v in result.items() if k != "found"}, flush=True)
    return result


def compare(folder: Path, threads: list[int]) -> dict[str, Any]:
    """Build both sides, search both, one process after the other."""
    result: dict[str, Any] = {"ours": child("build_ours", folder, max(threads))}
    result["flat"] = child("build_flat", folder, max(threads))
    for number in threads:
        flat, ours = (child(side, folder, number) for side in ("flat", "ours"))
        pairs = list(zip(flat.pop("found"), ours.pop("found"), strict=True))
        ratios = {
            "recall_at_10": float(np.mean([len({*a} & {*b}) / K for a, b in pairs])),
            "times_faster": flat["median_milliseconds"] / ours["median_milliseconds"],
            "times_less_memory": flat["megabytes"] / ours["megabytes"],
            "times_less_memory_without_mapped_files": flat["megabytes_without_mapped_files"]
            / ours["megabytes_without_mapped_files"],
            "times_less_memory_since_imports": flat["megabytes_since_imports"]
            / ours["megabytes_since_imports"],
        }
        result[f"{number} threads"] = {"flat": flat, "ours": ours, **ratios}
        print(number, "threads", ratios, flush=True)
    return result


def real_recall(few: np.ndarray, folder: Path) -> dict[str, Any]:
    """What our index finds among the real features as they are, were it not exact there."""
    vectors = store_vectors(folder / "few.npy", [few], *few.shape)
    exact_below, choice.EXACT_BELOW = choice.EXACT_BELOW, 0
    chosen = choice.choose_index(vectors, seed=SEED)
    choice.EXACT_BELOW = exact_below
    return {"rows": len(few), "dims": few.shape[1], **choice.fill(chosen, vectors)}


def main() -> None:
    """Make vectors, compare, write the numbers."""
    parser = Parser("Search beside the flat default of datasets.")
    parser.add_argument("--rows", type=int, default=1_170_000)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data")
    parser.add_argument("--work", type=Path, help="folder for vectors and indexes; kept if given")
    parser.add_argument("--out", type=Path, default=RESULTS / "retrieval.json")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        task, folder, threads = arguments.child
        builders = {"build_ours": build_ours, "build_flat": build_flat}
        where = Path(folder), int(threads)
        print(json.dumps(builders[task](*where) if task in builders else search(*where, task)))
        return
    environment = parser.environment(arguments, [SEED], arguments.work)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        real = real_features(arguments.data, folder)
        few = drawn_features() if real is None else real
        blocks = many(few, arguments.rows, arguments.dims, 1)
        store_vectors(folder / "features.npy", tqdm(blocks), arguments.rows, arguments.dims)
        np.save(folder / "queries.npy", unit_rows(next(many(few, QUERIES, arguments.dims, 2))))
        result = {
            "what": __doc__,
            "environment": environment,
            "faiss-cpu": importlib.metadata.version("faiss-cpu"),
            "vectors": "drawn" if real is None else "real features, made many",
            "rows": arguments.rows,
            "dims": arguments.dims,
            "queries": QUERIES,
            "real_features_as_they_are": None if real is None else real_recall(real, folder),
            **compare(folder, arguments.threads),
        }
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
