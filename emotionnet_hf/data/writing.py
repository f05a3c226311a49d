"""Writing one shard: pictures in, one Parquet file out, whole or not at all."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features
from PIL import Image

from emotionnet_hf.data.plan import Plan, Shard
from emotionnet_hf.files import whole_file, write_json
from emotionnet_hf.loading.images import ImageError, decode, is_plain_rgb, read_bytes, to_rgb
from emotionnet_hf.loading.release import Rejected
from emotionnet_hf.phash import phash

# Rows of a row group: what `datasets` writes for images, small enough to stream and to shuffle.
# Large pictures close a group sooner, because an Arrow binary column ends at 2 GiB.
_GROUP_ROWS = 100
_GROUP_BYTES = 256 * 2**20

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass
class ShardResult:
    """What came of a shard.

    Attributes:
        rows: Rows written.
        keywords: Keywords of all rows together.
        emotion_keywords: Emotion keywords of all rows together.
        num_bytes: Size of the rows in Arrow.
        file_size: Size of the Parquet file.
        rejected: Rows whose picture is unusable.
    """

    rows: int = 0
    keywords: int = 0
    emotion_keywords: int = 0
    num_bytes: int = 0
    file_size: int = 0
    rejected: list[Rejected] = field(default_factory=list)

    def add(self, other: ShardResult) -> None:
        """Add another shard's numbers; its rejected rows are its own.

        Args:
            other: The other shard's result.
        """
        self.rows += other.rows
        self.keywords += other.keywords
        self.emotion_keywords += other.emotion_keywords
        self.num_bytes += other.num_bytes
        self.file_size += other.file_size

    @classmethod
    def read(cls, path: Path) -> ShardResult:
        """Read back what `write_shard` noted."""
        values = json.loads(path.read_text(encoding="utf-8"))
        rejected = [Rejected(**row) for row in values.pop("rejected")]
        return cls(**values, rejected=rejected)


@dataclass(frozen=True)
class ShardWriter:
    """Writes shards of one plan.

    Attributes:
        plan: The plan.
        source: The source folder.
        features: The schema.
        data: Folder of the finished Parquet files.
        notes: Folder of the shards' results, on the same disk; a result marks a finished shard.
        max_pixels: Pictures with more are refused.
        shorter_side: Shrink larger pictures to this shorter side; None keeps every size.
    """

    plan: Plan
    source: Path
    features: Features
    data: Path
    notes: Path
    max_pixels: int
    shorter_side: int | None

    def finished(self, shard: Shard) -> ShardResult | None:
        """Result of a shard that an earlier run finished.

        Args:
            shard: The shard.

        Returns:
            Its result, or None if it has to be written.
        """
        note = self.notes / f"{shard.name}.json"
        parquet = self.data / f"{shard.name}.parquet"
        return ShardResult.read(note) if note.exists() and parquet.exists() else None

    def write(
        self, shard: Shard, pool: ThreadPoolExecutor, threads: int, tick: Callable[[], object]
    ) -> ShardResult:
        """Write one shard.

        Args:
            shard: The shard.
            pool: Threads that decode.
            threads: Their number.
            tick: Called after each row.

        Returns:
            The result, also noted on disk.

        Raises:
            OSError: The disk is full or an image cannot be read for a reason that is not its own.
        """
        result = ShardResult()
        parquet = self.data / f"{shard.name}.parquet"
        rows = ordered_map(pool, self._load, self.plan.rows_of(shard), 2 * threads)
        with whole_file(parquet, self.notes) as file:
            self._fill(file, _watched(rows, result, tick), result)
        result.file_size = parquet.stat().st_size
        write_json(self.notes / f"{shard.name}.json", asdict(result))
        return result

    def _fill(self, file: IO[bytes], rows: Iterable[dict[str, Any]], result: ShardResult) -> None:
        schema = self.features.arrow_schema
        # Encoded pictures do not compress, and no two are equal.
        compression = dict.fromkeys(_leaves(schema), "snappy") | {"image.bytes": "none"}
        texts = [leaf for leaf in compression if not leaf.startswith("image.")]
        with pq.ParquetWriter(
            file, schema, compression=compression, use_dictionary=texts
        ) as writer:
            for group in _groups(rows):
                table = pa.Table.from_pylist(group, schema=schema)
                writer.write_table(table)
                result.num_bytes += table.nbytes

    def _load(self, row: dict[str, Any]) -> dict[str, Any] | Rejected:
        try:
            data = read_bytes(self.source / row["file_name"])
            stored, suffix, rgb = encode_picture(
                data, max_pixels=self.max_pixels, shorter_side=self.shorter_side
            )
        except ImageError as error:
            return Rejected(row["row"], row["file_name"], str(error))
        name = PurePosixPath(row["file_name"]).with_suffix(suffix).name
        values = {
            **row,
            "image": {"bytes": stored, "path": name},
            "phash": phash(rgb),
        }
        return {column: values[column] for column in self.features}


def encode_picture(
    data: bytes, *, max_pixels: int, shorter_side: int | None
) -> tuple[bytes, str, Image.Image]:
    """Bytes under which a picture is stored.

    A file that every reader sees the same RGB in is kept byte for byte. Anything else is stored
    as RGB: lossy again (JPEG, quality 95) if it came as JPEG, lossless (PNG) otherwise.

    Args:
        data: The file's bytes.
        max_pixels: Largest width x height allowed.
        shorter_side: Shrink to this shorter side; None, or a smaller picture, keeps the size.

    Returns:
        The bytes, the file ending that fits them, and the RGB picture in its original size.

    Raises:
        ImageError: See `open_image`.
    """
    image = decode(data, max_pixels=max_pixels)
    # Asked first: of a damaged EXIF block Pillow complains only once, and who opens the stored
    # bytes would be the next to hear of it.
    plain = is_plain_rgb(image, data)
    rgb = to_rgb(image, data)
    small = _shrunk(rgb, shorter_side)
    if small is rgb and plain:
        return data, _SUFFIXES[str(image.format)], rgb
    out = BytesIO()
    if image.format in ("JPEG", "MPO"):
        _bare(small).save(out, "JPEG", quality=95)
        return out.getvalue(), ".jpg", rgb
    _bare(small).save(out, "PNG")
    return out.getvalue(), ".png", rgb


def _shrunk(image: Image.Image, shorter_side: int | None) -> Image.Image:
    if shorter_side is None or min(image.size) <= shorter_side:
        return image
    scale = shorter_side / min(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _bare(image: Image.Image) -> Image.Image:
    """Drop metadata that no longer holds: EXIF rotation, transparency, a CMYK colour profile."""
    image.info = {}
    return image


def ordered_map(
    pool: ThreadPoolExecutor, function: Callable[[_In], _Out], items: Iterable[_In], window: int
) -> Iterator[_Out]:
    """Map in threads and in order, with at most `window` results waiting.

    `Executor.map` would submit everything at once and fill the memory with pictures.

    Args:
        pool: The threads.
        function: What to call.
        items: Its arguments.
        window: Calls under way or waiting to be taken.

    Yields:
        The results, in the order of the items.
    """
    waiting: deque[Future[_Out]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _watched(
    rows: Iterable[dict[str, Any] | Rejected], result: ShardResult, tick: Callable[[], object]
) -> Iterator[dict[str, Any]]:
    """Count rows as they pass and keep the rejected ones back."""
    for row in rows:
        tick()
        if isinstance(row, Rejected):
            result.rejected.append(row)
            continue
        result.rows += 1
        result.keywords += len(row["keywords"])
        result.emotion_keywords += len(row["emotion_keywords"])
        yield row


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row["image"]["bytes"])
        if len(group) == _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _leaves(schema: pa.Schema) -> list[str]:
    """Names of the Parquet columns behind a schema: `image.bytes`, `keywords.list.element`."""
    probe = BytesIO()
    pq.write_table(schema.empty_table(), probe)
    columns = pq.ParquetFile(probe).schema
    return [columns.column(index).path for index in range(len(columns))]
