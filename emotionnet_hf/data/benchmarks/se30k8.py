"""SE30K8: stock pictures, each annotated by five workers with eight emotions (section 3.3)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
from datasets import Dataset, DatasetDict, Image

from emotionnet_hf.data.benchmarks.benchmark import (
    SPLITS,
    Benchmark,
    BenchmarkError,
    LayoutError,
    benchmark_features,
)
from emotionnet_hf.data.benchmarks.dropped import Dropped
from emotionnet_hf.data.benchmarks.listing import check_folder, found_in
from emotionnet_hf.data.benchmarks.rows import (
    Rows,
    arrow_dataset,
    check_parts,
    label_columns,
    single_label_benchmark,
)
from emotionnet_hf.data.built_folder import BuiltFolder, open_built
from emotionnet_hf.data.local_files import load_parquet
from emotionnet_hf.data.plan import reason_kind
from emotionnet_hf.data.release_sources import SE30K8Source
from emotionnet_hf.data.sources import Record
from emotionnet_hf.emotions import SE30K8
from emotionnet_hf.loading.release import ReleaseNotFoundError
from emotionnet_hf.loading.release_builder import HOMEPAGE

NAME = "SE30K8"

LAYOUTS = (
    "the release: a pickle of stock id -> {image_emotion: ...} and images/",
    "a folder that `emotionnet build` wrote: data/{train,validation,test}-*.parquet",
)
"""Layouts that `read` knows."""

_ORIGIN = f"The annotations are in the authors' repository, {HOMEPAGE}."
_NO_MAJORITY = "no majority"
_NOTES = (
    "The target is votes / all votes; the label is the class with most votes, three at least.",
    "Pictures without such a class are in no split.",
)


def read(folder: Path, *, seed: int = 0) -> Benchmark:
    """Read SE30K8.

    The paper evaluates on 22 K, 3 K and 5 K pictures (section 5.2), and its list is not released:
    pictures with a majority are split in these proportions, see `evaluation_splits`.

    Args:
        folder: In one of `LAYOUTS`.
        seed: Of the split of a release; a built folder is split already.

    Returns:
        The benchmark; ``target`` are the votes.

    Raises:
        BenchmarkNotFoundError: There is no such folder.
        LayoutError: It is in no known layout.
        BenchmarkError: It was built of something else, or pictures are missing.
        BuiltFolderError: A Parquet file is missing or damaged.
        ReleaseError: The release contradicts itself.
        UnsafePickleError: A pickle asks to import or call something.
        CorruptPickleError: A pickle is cut off or damaged.
    """
    folder = check_folder(Path(folder), NAME, _ORIGIN)
    if any((folder / "data").glob("*.parquet")):
        return _built(open_built(folder))
    try:
        return _released(SE30K8Source(folder, seed))
    except ReleaseNotFoundError as error:
        raise LayoutError(NAME, folder, LAYOUTS, found_in(folder)) from error


def _released(source: SE30K8Source) -> Benchmark:
    found: dict[str, list[Record]] = {split: [] for split in SPLITS}
    dropped = Dropped()
    for row in source:
        if not isinstance(row, Record):
            dropped.add(reason_kind(row.reason), row.file_name)
        elif row.split in found:
            found[row.split].append(row)
        else:
            dropped.add(_NO_MAJORITY)
    folder = source.folder
    return single_label_benchmark(
        NAME,
        folder,
        SE30K8,
        {split: _rows(folder, records) for split, records in found.items()},
        release=f"Wei et al. 2020, {source.release.path.name}",
        layout=LAYOUTS[0],
        dropped=dropped,
        notes=(*_NOTES, f"Split 22 : 3 : 5 by a shuffle of the stock ids, seed {source.seed}."),
    )


def _rows(folder: Path, records: list[Record]) -> Rows:
    votes = [record.columns["votes"] for record in records]
    return Rows(
        [record.image_path.relative_to(folder).as_posix() for record in records],
        np.array([record.columns["label"] for record in records], np.int64),
        ids=[record.image_id for record in records],
        targets=np.array(votes, np.float32).reshape(len(records), len(SE30K8)),
    )


def _built(built: BuiltFolder) -> Benchmark:
    """Read a built folder; `datasets` maps its pictures into memory, and opens none."""
    _check_built(built)
    loaded = load_parquet(built.folder)
    splits = {split: _dataset(loaded[split]) for split in SPLITS if split in loaded}
    labels = {split: np.asarray(data["label"][:], np.int64) for split, data in splits.items()}
    labels = {split: labels.get(split, np.zeros(0, np.int64)) for split in SPLITS}
    dropped = Dropped(_quarantined(built.folder))
    if "no_majority" in built.files:
        dropped.counts[_NO_MAJORITY] = built.num_rows("no_majority")
    check_parts(built.folder, SE30K8, labels, dropped)
    return Benchmark(
        name=NAME,
        task="single-label",
        splits=DatasetDict(splits),
        release=f"Wei et al. 2020; {sum(map(len, labels.values())):,} pictures here",
        layout=LAYOUTS[1],
        dropped=dict(sorted(dropped.counts.items())),
        notes=(*_NOTES, "Split 22 : 3 : 5 when the folder was built."),
    )


def _check_built(built: BuiltFolder) -> None:
    names = getattr(built.features.get("label"), "names", None)
    if names != list(SE30K8) or not {"image", "image_id", "votes"} <= set(built.features):
        raise BenchmarkError(
            f"{built.folder} was not built of SE30K8: its columns are {', '.join(built.features)}; "
            "give `emotionnet build` the release of SE30K8"
        )


def _dataset(data: Dataset) -> Dataset:
    """Bring a split into the columns of a benchmark; the pictures are not copied."""
    features = benchmark_features(SE30K8)
    stored = data.select_columns(["image", "image_id", "votes"]).rename_column("votes", "target")
    ids = stored.with_format("arrow")["image_id"][:]
    columns = {"group": ids, **label_columns(np.asarray(data["label"][:], np.int64))}
    added = arrow_dataset(
        columns, datasets.Features({name: features[name] for name in features if name in columns})
    )
    whole = datasets.concatenate_datasets(
        [stored.cast_column("image", Image(decode=False)), added], axis=1
    )
    return whole.select_columns(list(features))


def _quarantined(folder: Path) -> Counter[str]:
    """Rows that the build left out, by reason; it wrote them down beside the data."""
    report = folder / "build.json"
    if not report.is_file():  # such as a folder from the Hub of which only the data was fetched
        return Counter()
    return Counter(json.loads(report.read_text("utf-8"))["quarantined"])
