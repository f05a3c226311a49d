"""The public emotion benchmarks, one reader each, in every layout that people have on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from emotionnet_hf.data.benchmarks import (
    affectnet,
    deepemotion,
    emoset,
    emotic,
    se30k8,
    unbiasedemotion,
)
from emotionnet_hf.data.benchmarks.benchmark import (
    SPLITS,
    Benchmark,
    BenchmarkError,
    LayoutError,
    benchmark_features,
    open_picture,
)
from emotionnet_hf.data.benchmarks.description import Description, describe
from emotionnet_hf.data.benchmarks.near_duplicates import (
    NearDuplicatesReport,
    checked,
    without_twins,
)

__all__ = [
    "BENCHMARKS",
    "SPLITS",
    "Benchmark",
    "BenchmarkError",
    "Description",
    "LayoutError",
    "NearDuplicatesReport",
    "benchmark_features",
    "checked",
    "describe",
    "load_benchmark",
    "open_picture",
    "without_twins",
]

BENCHMARKS: Mapping[str, Callable[..., Benchmark]] = MappingProxyType(
    {
        deepemotion.NAME: deepemotion.read,
        unbiasedemotion.NAME: unbiasedemotion.read,
        affectnet.NAME: affectnet.read,
        emotic.NAME_BODY: emotic.read_body,
        emotic.NAME_IMAGE: emotic.read_image,
        emoset.NAME: emoset.read,
        se30k8.NAME: se30k8.read,
    }
)
"""Readers by the name of the benchmark, in the order of the paper's Table 2."""

# The paper's abbreviations (Tables 2 and 4; it also prints EMTIC), and the common other names.
_ALSO = {
    "de": deepemotion.NAME,
    "fi": deepemotion.NAME,
    "ube": unbiasedemotion.NAME,
    "affectnet": affectnet.NAME,
    "emticb": emotic.NAME_BODY,
    "emtici": emotic.NAME_IMAGE,
    "emoticbody": emotic.NAME_BODY,
    "emoticimage": emotic.NAME_IMAGE,
    "emoset": emoset.NAME,
}


def load_benchmark(name: str, folder: str | Path, *, seed: int = 0) -> Benchmark:
    """Read a benchmark from its folder, in whichever layout it lies there.

    Args:
        name: Of the benchmark, or the paper's abbreviation; case and punctuation do not matter.
        folder: Where it lies.
        seed: For the splits of benchmarks whose own are not published.

    Returns:
        The benchmark. No picture has been opened yet: see `checked`.

    Raises:
        BenchmarkError: There is no benchmark of that name, or its files cannot be used.
        LayoutError: The folder has none of its layouts.
    """
    names = {_plain(known): known for known in BENCHMARKS} | _ALSO
    if (known := names.get(_plain(name))) is None:
        raise BenchmarkError(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    return BENCHMARKS[known](Path(folder), seed=seed)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
