"""Which Parquet files a data set on this disk consists of, and opening them.

The splits and configurations are those that `datasets` sees, but no name of a folder is taken for
a pattern, and finding the files needs no cache.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets.data_files import (
    EmptyDatasetError,
    get_data_patterns,
    resolve_pattern,
    sanitize_patterns,
)
from datasets.exceptions import DatasetGenerationError, DatasetsError
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData

from emotionnet_hf.data.image_files import glob_root

_CARD = "README.md"


class LocalDataError(ValueError):
    """A data set on this disk that cannot be opened; the message says what to change."""


@dataclass(frozen=True)
class LocalData:
    """A data set of Parquet files.

    Attributes:
        files: Of each split, in the order of its rows.
        features: As its card declares them; None where the files do.
        columns: Those that its card chooses; None for all.
    """

    files: Mapping[str, Sequence[Path]]
    features: datasets.Features | None = None
    columns: Sequence[str] | None = None

    def stamp(self) -> list[list[Any]]:
        """Names, sizes and times of the files: others where one of them has changed."""
        paths = [(split, path, path.stat()) for split in self.files for path in self.files[split]]
        return [[split, str(p), status.st_size, status.st_mtime_ns] for split, p, status in paths]


def find_parquet(place: str | Path, config: str | None = None) -> LocalData | None:
    """Find the Parquet files of a data set.

    Args:
        place: A folder, a Parquet file, or a glob of such files.
        config: One of the configurations in a folder's card; the default one if None.

    Returns:
        The files; None where the place is no data set of Parquet alone.

    Raises:
        LocalDataError: There is no such configuration.
    """
    path = Path(place)
    if not path.is_dir():
        return _split({"train": _matching(path)} if path.suffix == ".parquet" else {})
    card = _card(path)
    configs = MetadataConfigs.from_dataset_card_data(card)
    if config is not None and config not in configs:
        raise LocalDataError(
            f"{place} has no configuration {config!r}, only {', '.join(configs) or 'one'}"
        )
    name = config or configs.get_default_config_name() or next(iter(configs), None)
    told = configs.get(name, {}) if name else {}
    base = glob.escape(str((path / (told.get("data_dir") or "")).resolve()))
    try:
        given = told.get("data_files")
        patterns = sanitize_patterns(given) if given else get_data_patterns(base)
    except EmptyDatasetError:
        return None
    files = {str(split): _resolved(found, base) for split, found in patterns.items()}
    info = DatasetInfosDict.from_dataset_card_data(card).get(name or "default")
    if told.get("filters"):  # leaves rows out, which `datasets` knows how
        return None
    return _split(files, info.features if info else None, told.get("columns"))


def parquet_builder(
    place: str | Path, config: str | None = None, **options: Any
) -> datasets.DatasetBuilder:
    """Make the builder of a data set of Parquet files, for random access.

    Args:
        place: See `find_parquet`.
        config: See `find_parquet`.
        **options: More for `datasets.load_dataset_builder`, such as `cache_dir`.

    Returns:
        The builder.

    Raises:
        LocalDataError: The place is no data set of Parquet alone, there is no such configuration,
            or the cache cannot be written.
    """
    found = find_parquet(place, config)
    if found is None:
        raise LocalDataError(f"{place} is no data set of Parquet files; build it again")
    names = {split: [glob.escape(str(p)) for p in paths] for split, paths in found.files.items()}
    columns = found.columns
    if columns is None and found.features is not None:
        columns = list(found.features)
    with _explained(place, options.get("cache_dir")):
        return datasets.load_dataset_builder(
            "parquet", data_files=names, features=found.features, columns=columns, **options
        )


def load_parquet(place: str | Path, config: str | None = None) -> datasets.DatasetDict:
    """Open a data set of Parquet files, as `datasets.load_dataset` does.

    Args:
        place: See `find_parquet`.
        config: See `find_parquet`.

    Returns:
        Its splits.

    Raises:
        LocalDataError: See `parquet_builder`; or a file is damaged.
    """
    builder = parquet_builder(place, config)
    with _explained(place, None):
        builder.download_and_prepare()
    splits: datasets.DatasetDict = builder.as_dataset()
    return splits


def generation_fault(error: BaseException) -> BaseException:
    """Find what is behind an error of `datasets`, which may say no more than that there was one."""
    hidden = error.__cause__ if isinstance(error, DatasetGenerationError) else None
    return error if hidden is None else generation_fault(hidden)


@contextmanager
def _explained(place: str | Path, cache: str | None) -> Iterator[None]:
    """Tell a cache that cannot be written from files that cannot be read."""
    try:
        yield
    except (OSError, DatasetsError, pa.ArrowException) as error:
        cause = generation_fault(error)
        # A failing disk has a number; of a damaged file Arrow gives none.
        if not isinstance(cause, OSError) or cause.errno is None:
            raise LocalDataError(
                f"{place} is damaged ({cause}); fetch or build it again"
            ) from error
        raise LocalDataError(
            f"{place} cannot be prepared in the cache {cache or datasets.config.HF_DATASETS_CACHE} "
            f"({cause}); set HF_HOME to a folder that can be written, on a disk with space"
        ) from error


def _card(folder: Path) -> DatasetCardData:
    readme = folder / _CARD
    return DatasetCard.load(readme).data if readme.is_file() else DatasetCardData()


def _matching(path: Path) -> list[Path]:
    if path.is_file():
        return [path.absolute()]
    root = glob_root(str(path))
    pattern = f"{glob.escape(str(root))}/{path.relative_to(root)}"
    return sorted(Path(found).absolute() for found in glob.glob(pattern, recursive=True))


def _resolved(patterns: Sequence[str], base: str) -> list[Path]:
    found: dict[Path, None] = {}
    for pattern in patterns:
        try:
            found.update((Path(path), None) for path in resolve_pattern(pattern, base))
        except FileNotFoundError as error:
            if not glob.has_magic(pattern):  # one of several patterns of a split need not match
                raise LocalDataError(f"{error}; fetch or build the data set again") from error
    return list(found)


def _split(
    files: Mapping[str, Sequence[Path]],
    features: datasets.Features | None = None,
    columns: Sequence[str] | None = None,
) -> LocalData | None:
    kept = {split: paths for split, paths in files.items() if paths}
    others = any(path.suffix != ".parquet" for paths in kept.values() for path in paths)
    return None if others or not kept else LocalData(kept, features, columns)
