"""Perceptual hashes of all pictures of a folder, made once and a part at a time.

A part is a few thousand images; its hashes are written whole or not at all and know what they were
made from, so a run that was killed goes on with the part it was at. A built data set has its hashes
already.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from emotionnet_hf import __version__
from emotionnet_hf.data.built_folder import BuiltFolder, RowPlace
from emotionnet_hf.data.pictures import Picture, Pictures
from emotionnet_hf.data.writing import ordered_map
from emotionnet_hf.files import remove_unfinished, whole_file
from emotionnet_hf.loading.images import ImageError
from emotionnet_hf.phash import (
    HashTextError,
    has_structure,
    hashes_from_hex,
    phash_file,
    pixel_digest,
)

logger = logging.getLogger(__name__)

# Pictures that a thread takes at a time.
_BATCH = 32
# Libraries whose version can change a hash.
_LIBRARIES = ("imagehash", "numpy", "pillow", "scipy", "simplejpeg")
_STAMP = b"emotionnet_stamp"

HASHES_SCHEMA = pa.schema(
    dict.fromkeys(("image_id", "file_name", "split", "phash", "pixels", "reason"), pa.string())
)
"""A row for every image: `file_name` in a source, `split` in a built data set, and `phash` (16
hexadecimal digits) or the `reason` why there is none; of a picture without structure, whose hash
says nothing, also its `pixels` (see `pixel_digest`)."""

_Item = TypeVar("_Item")
# Of one picture: hash, pixels, reason.
_Hashed = tuple[str | None, str | None, str | None]


@dataclass(frozen=True)
class PictureHasher:
    """Hashes the pictures of a source.

    Attributes:
        parts: Folder of the parts; remove it when the hashes are where they belong.
        max_pixels: Pictures with more are refused.
        rows_per_part: Pictures of a part.
        threads: Their number.
    """

    parts: Path
    max_pixels: int
    rows_per_part: int
    threads: int

    def run(self, pictures: Pictures, progress: bool) -> tuple[pa.Table, int]:
        """Hash what no earlier run has hashed.

        Args:
            pictures: The pictures.
            progress: Show a bar.

        Returns:
            A row for every picture, see `HASHES_SCHEMA`; and the number of parts that an earlier
            run had hashed.

        Raises:
            OSError: The disk is full, or a picture cannot be read for a reason that is not its own.
        """
        self.parts.mkdir(parents=True, exist_ok=True)
        remove_unfinished(self.parts)
        tables: list[pa.Table] = []
        resumed = 0
        bar = tqdm(total=pictures.total, desc="hashing", unit="image", disable=not progress)
        with bar, ThreadPoolExecutor(self.threads) as pool:
            for part in _chunks(pictures, self.rows_per_part):
                path, stamp = self.parts / f"part-{len(tables):06d}.parquet", self._stamp(part)
                if _stamp_of(path) == stamp:
                    resumed += 1
                    bar.update(len(part))
                else:
                    hashed = self._hash(pictures, part, pool, bar.update)
                    with whole_file(path, self.parts) as file:
                        pq.write_table(hashed.replace_schema_metadata({_STAMP: stamp}), file)
                tables.append(pq.read_table(path).replace_schema_metadata())
        if resumed:
            logger.info("%d parts were hashed by an earlier run", resumed)
        return pa.concat_tables(tables) if tables else HASHES_SCHEMA.empty_table(), resumed

    def _stamp(self, part: Sequence[Picture]) -> bytes:
        versions = {name: version(name) for name in _LIBRARIES} | {"emotionnet_hf": __version__}
        rows = [[p.image_id, p.file_name, p.stamp, p.reason] for p in part]
        text = json.dumps([versions, HASHES_SCHEMA.names, self.max_pixels, rows])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest().encode()

    def _hash(
        self,
        pictures: Pictures,
        part: Sequence[Picture],
        pool: ThreadPoolExecutor,
        tick: Callable[[int], object],
    ) -> pa.Table:
        hashes: list[_Hashed] = []
        loaders = _chunks(pictures.loaders(part), _BATCH)
        for batch in ordered_map(pool, self._hash_batch, loaders, 2 * self.threads):
            hashes.extend(batch)
            tick(len(batch))
        rows = [
            {
                **{"image_id": p.image_id, "file_name": p.file_name},
                **dict(zip(("phash", "pixels", "reason"), hashed, strict=True)),
            }
            for p, hashed in zip(part, hashes, strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=HASHES_SCHEMA)

    def _hash_batch(self, loaders: Iterable[Callable[[], bytes]]) -> list[_Hashed]:
        return [self._hash_one(load) for load in loaders]

    def _hash_one(self, load: Callable[[], bytes]) -> _Hashed:
        try:
            data = load()
            text = phash_file(data, max_pixels=self.max_pixels)
            if has_structure(hashes_from_hex([text]))[0]:
                return text, None, None
            return text, pixel_digest(data, max_pixels=self.max_pixels), None
        except ImageError as error:
            return None, None, str(error)


def _chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _stamp_of(path: Path) -> bytes | None:
    """What the hashes of a part were made from; None where they are not there or not whole."""
    try:
        return (pq.read_schema(path).metadata or {}).get(_STAMP)
    except (pa.ArrowException, OSError):
        return None


def stored_hashes(built: BuiltFolder) -> pa.Table:
    """Read the hashes that a build has stored.

    Args:
        built: The data set.

    Returns:
        A row for every image, see `HASHES_SCHEMA`.

    Raises:
        BuiltFolderError: A file is damaged or lacks the column `phash`, or `image` where a picture
            has no structure.
        ImageError: Such a picture is damaged.
    """
    tables = []
    for split, place, batch in built.batches(["image_id", "phash"]):
        texts = batch["phash"].to_pylist()
        reasons = _faults(texts)
        hashes = [None if r else t for t, r in zip(texts, reasons, strict=True)]
        columns = {
            "image_id": batch["image_id"],
            "file_name": pa.nulls(len(texts), pa.string()),
            "split": pa.array([split] * len(texts), pa.string()),
            "phash": pa.array(hashes, pa.string()),
            "pixels": pa.array(_stored_pixels(built, place, hashes), pa.string()),
            "reason": pa.array(reasons, pa.string()),
        }
        tables.append(pa.table(columns).cast(HASHES_SCHEMA))
    return pa.concat_tables(tables) if tables else HASHES_SCHEMA.empty_table()


def _stored_pixels(
    built: BuiltFolder, start: RowPlace, hashes: Sequence[str | None]
) -> list[str | None]:
    """The pixels of those pictures of a batch whose hashes say nothing; only they are opened."""
    digests: list[str | None] = [None] * len(hashes)
    found = [row for row, text in enumerate(hashes) if text is not None]
    structured = has_structure(hashes_from_hex([hashes[row] or "" for row in found]))
    places = [RowPlace(start.file, start.row + found[i]) for i in np.flatnonzero(~structured)]
    if places:
        for place, row in built.rows(places, ["image"]):
            digests[place.row - start.row] = pixel_digest((row["image"] or {}).get("bytes") or b"")
    return digests


def _faults(texts: Sequence[str | None]) -> list[str | None]:
    """Why stored hashes are none; None for those that are."""
    try:
        hashes_from_hex([text or "" for text in texts])
    except HashTextError:
        if len(texts) > 1:
            return [fault for text in texts for fault in _faults([text])]
        return [f"no perceptual hash: {texts[0]!r:.60}"]
    return [None] * len(texts)
