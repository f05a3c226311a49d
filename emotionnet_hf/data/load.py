"""`load_dataset` for StockEmotion and SE30K8, on a `datasets` that runs no loading scripts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError

from emotionnet_hf.data.local_files import parquet_builder
from emotionnet_hf.loading.release import IMAGES, ReleaseError, find_pickles
from emotionnet_hf.loading.release_builder import ReleaseBuilder
from emotionnet_hf.loading.safe_pickle import CorruptPickleError, UnsafePickleError
from emotionnet_hf.loading.se30k8 import SE30K8
from emotionnet_hf.loading.stockemotion import BASIC8, StockEmotion

BUILDERS: dict[str, type[ReleaseBuilder]] = {"stockemotion": StockEmotion, "se30k8": SE30K8}


_OURS = (ReleaseError, UnsafePickleError, CorruptPickleError)


class UnknownDatasetError(ValueError):
    """A name that is none of ours."""


def load_dataset(
    path: str,
    name: str | None = None,
    *,
    data_dir: str | Path,
    split: str | None = None,
    streaming: bool = False,
    cache_dir: str | Path | None = None,
    **options: Any,
) -> Any:
    """Load StockEmotion or SE30K8 from the files of its release, or from a built folder.

    For a training run, build the folder first (`emotionnet build`): it is faster to read and
    streams from many shards, a release from one.

    Args:
        path: `stockemotion` or `se30k8`.
        name: The configuration. StockEmotion: `default`, `all_keywords`, `basic8`, `subset_10`,
            `subset_25`, `subset_50`, `subset_75`. SE30K8: `default`, `text`.
        data_dir: Folder of the release (see `emotionnet_hf.loading.release` for its layout), or
            one that `emotionnet build` wrote.
        split: One split instead of all.
        streaming: Read while iterating and keep nothing.
        cache_dir: Where `datasets` keeps what it prepared.
        **options: More of the configuration: `seed` and `workers` of SE30K8.

    Returns:
        A `Dataset`, `DatasetDict`, `IterableDataset` or `IterableDatasetDict`, as
        `datasets.load_dataset` would give it.

    Raises:
        UnknownDatasetError: `path` is neither.
        ReleaseError: The folder is not a release of that data set, or was built of another one.
        UnsafePickleError: A pickle asks to import or call something.
        CorruptPickleError: A pickle is cut off or damaged.
        ValueError: There is no such configuration.
    """
    builder = load_dataset_builder(path, name, data_dir=data_dir, cache_dir=cache_dir, **options)
    if streaming:
        return builder.as_streaming_dataset(split=split)
    try:
        builder.download_and_prepare()
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, _OURS):
            raise error.__cause__ from None  # it names the file and the remedy
        raise
    return builder.as_dataset(split=split)


def load_dataset_builder(
    path: str,
    name: str | None = None,
    *,
    data_dir: str | Path,
    cache_dir: str | Path | None = None,
    **options: Any,
) -> datasets.DatasetBuilder:
    """Make the builder of a data set, to look at its features or to prepare it yourself.

    Args:
        path: See `load_dataset`.
        name: See `load_dataset`.
        data_dir: See `load_dataset`.
        cache_dir: See `load_dataset`.
        **options: See `load_dataset`.

    Returns:
        The builder.

    Raises:
        UnknownDatasetError: `path` is neither data set.
        ReleaseError: The folder is not a release of that data set, or was built of another one.
    """
    if path not in BUILDERS:
        raise UnknownDatasetError(
            f"{path!r} is none of {', '.join(BUILDERS)}; other data sets are opened by "
            "datasets.load_dataset"
        )
    if is_built(data_dir):
        if options:
            raise ReleaseError(f"{data_dir} is built already: leave out {', '.join(options)}")
        built = parquet_builder(data_dir, name, cache_dir=_text(cache_dir))
        if ("votes" in (built.info.features or {})) != (path == "se30k8"):
            raise ReleaseError(f"{data_dir} was built of another data set than {path}")
        return built
    return BUILDERS[path](
        cache_dir=_text(cache_dir),
        config_name=name,
        data_dir=str(Path(data_dir).resolve()),
        release=_fingerprint(Path(data_dir)),
        **options,
    )


def is_built(folder: str | Path) -> bool:
    """Tell a folder that `emotionnet build` wrote from a release."""
    return (Path(folder) / "build.json").is_file()


def _fingerprint(folder: Path) -> str:
    """Digest of the release's files by size and time; `datasets` keys its cache by it."""
    # A folder changes when a picture comes or goes.
    folders = [Path(place) for place, _, _ in os.walk(folder / IMAGES)]
    files = [*find_pickles(folder), folder / BASIC8, folder, *sorted(folders)]
    states = [(path.name, path.stat()) for path in files if path.exists()]
    told = [f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)
