"""A built data set, checked before anything leaves this machine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard

from emotionnet_hf.data.built_folder import BuiltFolder, open_built
from emotionnet_hf.data.load import is_built
from emotionnet_hf.data.plan import split_of
from emotionnet_hf.hub.json_file import read_json
from emotionnet_hf.hub.privacy import (
    PrivateTextError,
    check_paths,
    check_publishable,
    is_local_path,
    local_paths,
)

_PICKLE = re.compile(r"\.(pkl|pickle|npy|joblib)(\.|$)")
_WORKERS = re.compile(r"work(er)?_?ids?", re.IGNORECASE)


class DatasetFolderError(ValueError):
    """A folder that cannot be published as a data set; the message says why."""


class DatasetFolderNotFoundError(DatasetFolderError, FileNotFoundError):
    """There is no such folder."""


@dataclass(frozen=True)
class DatasetFolder:
    """A built data set that can be published.

    Attributes:
        folder: The folder.
        build: Content of its build.json.
        readme: Text of its README.md.
        files: What is published, as paths inside the folder; without README.md.
        left_out: What is not.
    """

    folder: Path
    build: dict[str, Any]
    readme: str
    files: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def rows(self) -> dict[str, int]:
        """Number of images of each split."""
        return dict(self.build["rows"])

    def contents(self) -> Iterator[tuple[str, Path | bytes]]:
        """Give what is published: paths in the repository, and files.

        Yields:
            Each file once.
        """
        for name in self.files:
            yield name, self.folder / name


def open_dataset(folder: str | Path) -> DatasetFolder:
    """Check that a built folder is whole and has nothing that must stay private.

    Args:
        folder: What ``emotionnet build`` wrote.

    Returns:
        The data set.

    Raises:
        DatasetFolderError: It is a release, or not whole, or has worker ids.
        BuiltFolderError: A shard is missing or damaged.
        PrivateTextError: It has paths of this machine, or a token.
    """
    folder = Path(folder)
    _check_kind(folder)
    built = open_built(folder)
    build = read_json(folder / "build.json", DatasetFolderError)
    _check_rows(built, build)
    readme = _read_text(folder, "README.md")
    _read_text(folder, "build.json")
    check_paths(f"{folder / 'README.md'}", readme)
    check_paths(f"{folder / 'build.json'}", build)
    _check_private(built)
    shards = {f"data/{path.name}" for paths in built.files.values() for path in paths}
    more = _configured(folder, readme) - shards
    _check_more(folder, sorted(more))
    others = [name for name in ("build.json", "quarantine.parquet") if (folder / name).is_file()]
    files = (*others, *sorted(shards | more))
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    left_out = sorted(
        path.as_posix()
        for path in found
        if path.as_posix() not in {*files, "README.md"}
        and not any(part.startswith(".") for part in path.parts)
    )
    return DatasetFolder(folder, build, readme, files, tuple(left_out))


def _configured(folder: Path, readme: str) -> set[str]:
    """The files that the card's configurations name: without them `load_dataset` would fail."""
    card: Any = DatasetCard(readme).data
    found: set[str] = set()
    for name, configuration in MetadataConfigs.from_dataset_card_data(card).items():
        data_files = configuration.get("data_files") or []
        if isinstance(data_files, str):
            data_files = [{"path": data_files}]
        for entry in data_files:
            patterns = entry["path"] if isinstance(entry, dict) else entry
            for pattern in [patterns] if isinstance(patterns, str) else patterns:
                paths = [p.relative_to(folder).as_posix() for p in folder.glob(pattern)]
                if not paths:
                    raise DatasetFolderError(
                        f"{folder} lacks {pattern}, which README.md names for the configuration "
                        f"{name!r}: fetch or build it again."
                    )
                found.update(paths)
    return found


def _check_more(folder: Path, names: list[str]) -> None:
    """Look into files beside the shards as into those."""
    for name in names:
        path = folder / name
        if not name.endswith(".parquet"):
            raise DatasetFolderError(
                f"{folder / 'README.md'} names {name}, which no build writes: only Parquet files "
                "are published, because those can be checked for what is private."
            )
        columns = pq.read_schema(path).names
        _check_columns(path, columns)
        _check_paths(path, [c for c in ("image_id", "source") if c in columns], "build it again")


def _check_kind(folder: Path) -> None:
    """Tell a built folder from a release and from everything else."""
    if not folder.is_dir():
        raise DatasetFolderNotFoundError(
            f"There is no folder {folder}: give one that `emotionnet build` wrote."
        )
    pickles = sorted(p.name for p in folder.rglob("*") if _PICKLE.search(p.name))
    if pickles:
        raise DatasetFolderError(
            f"{folder} holds {', '.join(pickles[:3])}: pickles can run code, and those of a "
            "release have worker ids. Publish what `emotionnet build` makes of it, nothing else."
        )
    for name in ("build.json", "README.md"):
        if not (folder / name).is_file():
            remedy = "build it again" if is_built(folder) else "run `emotionnet build` on it first"
            raise DatasetFolderError(f"{folder} is no built data set (no {name}): {remedy}.")


def _check_rows(built: BuiltFolder, build: dict[str, Any]) -> None:
    """Compare the rows of the shards with what the build wrote down."""
    found: Counter[str] = Counter()
    for part in built.files:
        found[split_of(part)] += built.num_rows(part)
    if dict(found) != build.get("rows"):
        raise DatasetFolderError(
            f"{built.folder} is not what was built: build.json counts {build.get('rows')}, the "
            f"shards hold {dict(found)}. Fetch or build it again."
        )


def _read_text(folder: Path, name: str) -> str:
    text = (folder / name).read_text(encoding="utf-8")
    check_publishable(f"{folder / name}", text, [folder.resolve().parent])
    return text


def _check_private(built: BuiltFolder) -> None:
    """Look for worker ids among the columns, and for paths in the columns of text."""
    _check_columns(built.folder, list(built.features))
    quarantine = built.folder / "quarantine.parquet"
    if quarantine.is_file():
        remedy = "remove it, or give relative file names and build again"
        _check_paths(quarantine, ["file_name", "reason"], remedy)
    for paths in built.files.values():
        for path in paths:
            _check_paths(path, ["image.path", "image_id", "source"], "build the data set again")


def _check_columns(place: Path, names: list[str]) -> None:
    """Refuse worker ids."""
    if columns := [name for name in names if _WORKERS.fullmatch(name)]:
        raise DatasetFolderError(
            f"{place} has the column {', '.join(columns)}: who the workers were is "
            "personal data and is not published. Build it again from the release."
        )


def _check_paths(path: Path, columns: list[str], remedy: str) -> None:
    """Refuse a Parquet file in which a text is a path of a machine; pictures are not read."""
    table = pq.read_table(path, columns=columns)
    for column in table.flatten().columns:
        if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
            continue
        for text in column.unique().to_pylist():
            if text is not None and (is_local_path(text) or local_paths(text)):
                raise PrivateTextError(f"{path} holds a path of a machine ({text!r}): {remedy}.")
