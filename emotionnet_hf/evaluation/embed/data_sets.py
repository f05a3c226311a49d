"""Pictures of a data set: built here, saved to disk, in Parquet, on the Hub, or in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.load import is_built
from emotionnet_hf.data.local_files import generation_fault
from emotionnet_hf.evaluation.embed.parquet_rows import (
    ParquetSource,
    holds_rows,
    local_pictures,
    open_parquet,
)
from emotionnet_hf.evaluation.embed.rows import (
    DataSetOptions,
    EmbedSourceError,
    Item,
    bytes_of,
    id_column,
    image_column,
    row_id,
)

_SAVED = ("dataset_dict.json", "state.json")


@dataclass(frozen=True)
class RowsSource:
    """Pictures of the splits of a data set.

    Attributes:
        splits: ``Dataset`` or ``IterableDataset`` by name.
        identity: See `Source`.
        options: How to read them.
        passed_over: Nothing.
    """

    splits: Mapping[str, Any]
    identity: dict[str, Any]
    options: DataSetOptions
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int | None:
        """Number of rows; None for streams."""
        known = [_length(rows) for rows in self.splits.values()]
        return None if None in known else sum(length or 0 for length in known)

    def stamp(self, start: int, count: int) -> str:
        """Nothing: the identity knows whether the data set is another."""
        return ""

    def items(self, start: int = 0) -> Iterator[Item]:
        """Give the rows from number ``start`` on."""
        for name, rows in self.splits.items():
            length = _length(rows)
            skipped = start if len(self.splits) == 1 else 0
            skipped = skipped if length is None else min(start, length)
            start -= skipped
            if skipped == length:
                continue
            for row in self._rows(name, rows, skipped):
                if start:  # of a stream nobody knows where it ends without reading it
                    start -= 1
                else:
                    yield row

    def _rows(self, split: str, rows: Any, skipped: int) -> Iterator[Item]:
        if rows.features is None:  # of a stream that declares none: what its first rows show
            rows = rows._resolve_features()
        image = image_column(rows.features, self.options.image_column)
        names = id_column(rows.features, self.options.id_column)
        rows = rows.select_columns([name for name in (image, names) if name is not None])
        rows = rows.cast_column(image, datasets.Image(decode=False)).skip(skipped)
        for number, row in enumerate(rows, skipped):
            given = None if names is None else row[names]
            yield Item(row_id(given, split, number), partial(bytes_of, row[image]))


def open_rows(word: str, options: DataSetOptions) -> RowsSource | ParquetSource | None:
    """Open a data set by path or name.

    Args:
        word: See `open_source`.
        options: How to read it.

    Returns:
        Its rows; None for a file, folder or glob of something else.

    Raises:
        EmbedSourceError: No path, and no data set of that name either; or the options do not fit.
    """
    path = Path(word)
    if any((path / name).is_file() for name in _SAVED):
        return _saved(word, options)
    if path.is_dir():
        return _local(word, options) or _built(word, options, word) if holds_rows(path) else None
    if path.suffix == ".parquet" and "://" not in word and (found := _local(word, options)):
        return found
    if path.suffix == ".parquet":
        return _built(word, options, "parquet", data_files={"train": word})
    name, _, config = word.partition(":")
    if path.exists() or any(sign in word for sign in "*?["):
        return None
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return _built(word, options, name, config or None)


def rows_in_memory(splits: Mapping[str, Any], options: DataSetOptions) -> RowsSource:
    """Take splits that are open; a stream in memory is known by its names only."""
    prints = {
        name: getattr(rows, "_fingerprint", None) or f"{rows.info.dataset_name} {rows.features}"
        for name, rows in splits.items()
    }
    return RowsSource(splits, {"data_set": prints} | options.told(), options)


def splits_of(data: Any) -> dict[str, Any]:
    """Return the splits of a data set in memory, by name."""
    if isinstance(data, dict):
        return dict(data)
    if not isinstance(data, datasets.Dataset | datasets.IterableDataset):
        raise EmbedSourceError(
            f"a {type(data).__name__} holds no pictures to embed; give files, folders, globs, or a "
            "data set of `datasets`"
        )
    return {str(data.split or "train"): data}


def pick_splits(splits: Mapping[str, Any], wanted: str | None, what: str) -> dict[str, Any]:
    """Keep one split, or all if none is wanted."""
    if wanted is None:
        return dict(splits)
    if wanted not in splits:
        hint = " A part of it cannot be asked for; select the rows first." if "[" in wanted else ""
        raise EmbedSourceError(f"{what} has no split {wanted!r}, only {', '.join(splits)}.{hint}")
    return {wanted: splits[wanted]}


def _saved(word: str, options: DataSetOptions) -> RowsSource:
    splits = pick_splits(splits_of(datasets.load_from_disk(word)), options.split, word)
    if options.streaming:
        raise EmbedSourceError(f"{word} was saved to disk and needs no streaming; leave it out.")
    return rows_in_memory(splits, options)


def _local(word: str, options: DataSetOptions) -> ParquetSource | None:
    """Open Parquet on this disk where it lies; None where it is something else."""
    if is_built(word):
        open_built(word)  # refuses a folder of which a shard was lost
    found = local_pictures(word)
    if found is None:
        return None
    identity = {"data_set": [word, *found.stamp()]} | options.told()
    return open_parquet(found.files, found.features, identity, options)


def _built(word: str, options: DataSetOptions, *arguments: Any, **files: Any) -> RowsSource:
    """Open what `datasets` builds; its hash knows the files, their sizes and their times."""
    try:
        builder = datasets.load_dataset_builder(*arguments, **files)
        made_of = [builder.hash, builder.config_id, str(builder.config.data_files)]
        identity = {"data_set": [word, *made_of]} | options.told()
        if options.streaming:
            data = builder.as_streaming_dataset(split=options.split)
        else:
            builder.download_and_prepare()
            data = builder.as_dataset(split=options.split)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        reason = " ".join(str(generation_fault(error)).split())[
            :300
        ]  # the second line has the configurations
        raise EmbedSourceError(
            f"{word} is no file, folder or glob of images, and opens as no data set ({reason})."
        ) from error
    splits = dict(data) if isinstance(data, dict) else {options.split or "train": data}
    return RowsSource(splits, identity, options)


def _length(rows: Any) -> int | None:
    return len(rows) if hasattr(rows, "__len__") else None
