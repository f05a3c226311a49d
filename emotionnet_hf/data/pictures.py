"""The pictures of a source folder or of a built data set, one after another, in the same terms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from emotionnet_hf.data.built_folder import BuiltFolder, RowPlace, open_built
from emotionnet_hf.data.release_sources import open_source
from emotionnet_hf.data.sources import Record, Source, has_metadata
from emotionnet_hf.loading.images import ImageError, read_bytes


@dataclass(frozen=True)
class Picture:
    """An image that was not opened yet.

    Attributes:
        image_id: Its id; None for a row that a source refuses.
        file_name: Its path inside the source; None in a built data set.
        stamp: Other text when the file has changed.
        place: Its file, or its row in a built data set; None for a row that a source refuses.
        reason: Why a source refuses the row.
    """

    image_id: str | None
    file_name: str | None
    stamp: str
    place: Path | RowPlace | None
    reason: str | None = None


class Pictures(Protocol):
    """Pictures in an order that does not change."""

    @property
    def total(self) -> int | None:
        """Their number, if it is known before they are read."""

    def __iter__(self) -> Iterator[Picture]: ...

    def loaders(self, pictures: Sequence[Picture]) -> Iterator[Callable[[], bytes]]:
        """Give the files' bytes.

        Args:
            pictures: Some of the pictures, in their order.

        Yields:
            For each a function that returns the bytes, or raises an `ImageError` with the reason
            why there are none; may be called in another thread.
        """


def open_pictures(folder: str | Path) -> Pictures:
    """Find the pictures of a folder.

    Args:
        folder: A source of a build, see `open_source`, or a built data set.

    Returns:
        The pictures.

    Raises:
        SourceError: It is neither, or the source cannot be read.
        BuiltFolderError: The data set is not whole.
    """
    folder = Path(folder)
    if is_data_set(folder):
        return _BuiltPictures(open_built(folder))
    return _SourcePictures(open_source(folder))


def is_data_set(folder: Path) -> bool:
    """Tell a built data set from a source, which may have Parquet in a folder of that name."""
    return not has_metadata(folder) and any((folder / "data").glob("*.parquet"))


@dataclass(frozen=True)
class _SourcePictures:
    source: Source
    total: int | None = None

    def __iter__(self) -> Iterator[Picture]:
        for item in self.source:
            if not isinstance(item, Record):
                yield Picture(None, item.file_name, "", None, item.reason)
                continue
            path = item.image_path
            name = path.relative_to(self.source.folder).as_posix()
            yield Picture(item.image_id, name, _stamp(path), path)

    def loaders(self, pictures: Sequence[Picture]) -> Iterator[Callable[[], bytes]]:
        for picture in pictures:
            yield _reader(picture)


@dataclass(frozen=True)
class _BuiltPictures:
    built: BuiltFolder

    @property
    def total(self) -> int | None:
        return self.built.num_rows()

    def __iter__(self) -> Iterator[Picture]:
        for _, place, batch in self.built.batches(["image_id"]):
            stamp = _stamp(place.file)
            for row, image_id in enumerate(batch.column("image_id").to_pylist(), place.row):
                yield Picture(image_id, None, stamp, RowPlace(place.file, row))

    def loaders(self, pictures: Sequence[Picture]) -> Iterator[Callable[[], bytes]]:
        places = [picture.place for picture in pictures if isinstance(picture.place, RowPlace)]
        for _, row in self.built.rows(places, ["image"]):
            yield _stored(row["image"])


def _reader(picture: Picture) -> Callable[[], bytes]:
    def read() -> bytes:
        if not isinstance(picture.place, Path):
            raise ImageError(picture.reason or "no picture")
        return read_bytes(picture.place)

    return read


def _stored(image: dict[str, Any] | None) -> Callable[[], bytes]:
    return lambda: (image or {}).get("bytes") or b""


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
