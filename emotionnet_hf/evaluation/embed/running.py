"""Embedding: pictures in, a table of features out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import numpy as np
from tqdm.auto import tqdm

from emotionnet_hf import __version__
from emotionnet_hf.data.image_files import told_passed_over
from emotionnet_hf.data.plan import reason_kind, told
from emotionnet_hf.data.tables import check_parquet_name
from emotionnet_hf.evaluation.embed.change import FeatureChange, feature_change
from emotionnet_hf.evaluation.embed.encoding import Encoded, Encoding, encoding_threads
from emotionnet_hf.evaluation.embed.engines import Engine, Runtime, open_engine
from emotionnet_hf.evaluation.embed.precision import Precision, has_vnni
from emotionnet_hf.evaluation.embed.reading import FeaturesError
from emotionnet_hf.evaluation.embed.rows import DataSetOptions, EmbedSourceError
from emotionnet_hf.evaluation.embed.sources import Source, open_source
from emotionnet_hf.evaluation.embed.writing import Table
from emotionnet_hf.evaluation.features import in_batches
from emotionnet_hf.files import explained_full_disk
from emotionnet_hf.loading.images import MAX_PIXELS
from emotionnet_hf.lock import one_run
from emotionnet_hf.models.encoders import FEATURES, JOINT, Encoder, open_encoder

CALIBRATED, CHECKED = 64, 128
"""Of a reduced precision: pictures that give its ranges, and the following ones, on which its
features are compared with those of fp32."""

_LIBRARIES = ("numpy", "pillow", "timm", "torch", "torchvision", "transformers")


@dataclass(frozen=True)
class EmbedReport:
    """What was written.

    Attributes:
        out: The table.
        images: Its rows.
        quarantined: Pictures that could not be used, by kind of reason.
        resumed: Pictures that an earlier, interrupted run had embedded.
        images_per_second: Of this run, from the files to the table; opening the model, and
            measuring what a precision changes, come before. 0 where nothing was left to do.
        duplicate_ids: Rows whose id an earlier row has too.
        change: What a reduced precision changes; None for fp32.
        passed_over: Files that lie there like pictures and are none that is read, by kind.
    """

    out: Path
    images: int
    quarantined: dict[str, int]
    resumed: int
    images_per_second: float
    duplicate_ids: int
    change: FeatureChange | None
    passed_over: Mapping[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """A few lines for people."""
        lines = [
            f"{self.out}: features of {self.images:,} images, "
            f"{self.images_per_second:.1f} images a second"
        ]
        if self.resumed:
            lines.append(f"{self.resumed:,} of them were embedded by an earlier run")
        if self.change:
            lines.append(f"against fp32, {self.change}")
        if self.duplicate_ids:
            lines.append(f"{self.duplicate_ids:,} rows have the id of an earlier row")
        if self.quarantined:
            reasons = Counter(self.quarantined)
            lines.append(f"{reasons.total():,} images in quarantine: {told(reasons)}")
        if self.passed_over:
            lines.append(f"passed over: {told_passed_over(self.passed_over)}")
        return "\n".join(lines)


def embed(
    source: Any,
    model: str | Path,
    out: str | Path,
    *,
    split: str | None = None,
    id_column: str | None = None,
    image_column: str | None = None,
    streaming: bool = False,
    joint: bool = False,
    precision: Precision = "fp32",
    runtime: Runtime = "torch",
    dtype: Literal["float32", "float16"] = "float32",
    batch_size: int | None = None,
    rows_per_part: int = 512,
    num_threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    device: str | None = None,
    progress: bool = True,
    overwrite: bool = False,
) -> EmbedReport:
    """Write the features of many pictures to a table, see ``writing`` for its files.

    Memory does not grow with the number of pictures. A run that was killed goes on when the same
    call is made again, and the table is then the same to the byte.

    Args:
        source: Images or a data set, see `open_source`.
        model: See `open_encoder`.
        out: The Parquet file.
        split: Of a data set, see `DataSetOptions`; so are the next three.
        id_column: Column of the ids.
        image_column: Column of the pictures.
        streaming: Read the data set while iterating.
        joint: Write the joint space of an EmotionNet too.
        precision: See `open_engine`. What a reduced one changes is measured on pictures of the
            source and reported.
        runtime: See `open_engine`.
        dtype: What the vectors are stored in.
        batch_size: Pictures that a thread runs at a time; if None 8, which a CPU's caches can
            hold, and 64 on a GPU.
        rows_per_part: Pictures that are embedded and then written, and what a kill costs at most;
            rounded up to whole batches.
        num_threads: Threads, each with pictures of its own; None for one per core.
        max_pixels: Pictures with more are not opened.
        device: See `open_encoder`.
        progress: Show a bar.
        overwrite: Replace ``out`` if it is a table of features, and parts of another run.

    Returns:
        The counts.

    Raises:
        EmbedSourceError: There are no pictures, or none that can be used.
        EncoderError: The model gives no image features.
        EngineError: No such precision or runtime here.
        FeaturesExistError: ``out`` exists, or was begun with other arguments.
        AnotherRunError: Another run writes ``out``.
        ValueError: Another argument is out of range.
        DiskFullError: No space left; the same call goes on where it was.
    """
    threads = _cores() if num_threads is None else num_threads
    out = Path(out)
    check_parquet_name(out, FeaturesError)
    with one_run(out):
        pictures = open_source(source, DataSetOptions(split, id_column, image_column, streaming))
        encoder = open_encoder(model, device)
        size = (8 if encoder.device.type == "cpu" else 64) if batch_size is None else batch_size
        _check(batch_size=size, rows_per_part=rows_per_part, num_threads=threads)
        table = Table(out, _dims(encoder, joint), dtype)
        metadata = _metadata(encoder, precision, runtime)
        settings = {
            "joint": joint,
            "dtype": dtype,
            "batch_size": size,
            "rows_per_part": rows_per_part,
        }
        identity = {**metadata, **settings, "max_pixels": max_pixels, "source": pictures.identity}
        if precision == "int8":
            # Its ranges come from the first pictures, also those of parts that are there already.
            identity["calibration"] = pictures.stamp(0, CALIBRATED)
            identity["kind of CPU"] = "VNNI" if has_vnni() else "no VNNI"
        with explained_full_disk(table.parts), encoding_threads(threads) as pool:
            table.begin(identity, overwrite)
            encoding = Encoding(encoder, pool, threads, size, max_pixels)
            engine, change = _open_engine(encoding, pictures, precision, runtime, list(table.dims))
            writing = _Writing(pictures, encoding, table, -(-rows_per_part // size))
            return writing.run(engine, metadata, change, progress)


@dataclass(frozen=True)
class _Writing:
    """Writes what no earlier run has written.

    Attributes:
        pictures: The source.
        encoding: How they become vectors.
        table: Where they go.
        batches: Of a part.
    """

    pictures: Source
    encoding: Encoding
    table: Table
    batches: int

    def run(
        self,
        engine: Engine,
        metadata: Mapping[str, Any],
        change: FeatureChange | None,
        progress: bool,
    ) -> EmbedReport:
        started = monotonic()
        finished, resumed = self._finished()
        parts, rows = self._write(engine, finished, resumed, progress)
        seconds = monotonic() - started
        reasons = Counter(reason_kind(reason) for reason in self.table.reasons(parts))
        images = rows - reasons.total()
        if not images:
            self.table.discard()
            raise EmbedSourceError(
                f"none of {rows:,} pictures can be used: {told(reasons) or 'there is none'}"
            )
        hashes = np.fromiter(map(hash, self.table.ids(parts)), np.int64, count=images)
        told_change = {"change": asdict(change)} if change else {}
        self.table.join(parts, {**metadata, **told_change, "images": images})
        return EmbedReport(
            out=self.table.out,
            images=images,
            quarantined=dict(sorted(reasons.items())),
            resumed=resumed,
            images_per_second=(rows - resumed) / seconds if rows > resumed else 0.0,
            duplicate_ids=images - len(np.unique(hashes)),
            change=change,
            passed_over=dict(self.pictures.passed_over),
        )

    @property
    def _rows(self) -> int:
        return self.batches * self.encoding.batch_size

    def _stamp(self, start: int) -> str:
        return self.pictures.stamp(start, self._rows)

    def _finished(self) -> tuple[int, int]:
        """Count the parts that an earlier run wrote, and their pictures."""
        parts = pictures = 0
        while (rows := self.table.rows_of_part(parts, self._stamp(pictures))) is not None:
            parts, pictures = parts + 1, pictures + rows
        return parts, pictures

    def _write(self, engine: Engine, parts: int, rows: int, progress: bool) -> tuple[int, int]:
        """Write the parts that are left; the number of all parts and of all their pictures."""
        total = self.pictures.total
        encoded = self.encoding.encode(engine, self.pictures.items(rows))
        with tqdm(
            total=total, initial=rows, desc="embedding", unit="image", disable=not progress
        ) as bar:
            for part in in_batches(_watched(encoded, bar), self.batches):
                ids = [name for batch in part for name in batch.ids]
                rejected = [row for batch in part for row in batch.rejected]
                self.table.write_part(parts, self._stamp(rows), ids, self._joined(part), rejected)
                parts, rows = parts + 1, rows + len(ids) + len(rejected)
        return parts, rows

    def _joined(self, part: Sequence[Encoded]) -> dict[str, np.ndarray]:
        return {
            name: np.concatenate(
                [np.empty((0, size), np.float32), *(b.vectors[name] for b in part if b.ids)]
            )
            for name, size in self.table.dims.items()
        }


def _watched(batches: Iterable[Encoded], bar: Any) -> Iterator[Encoded]:
    for batch in batches:
        yield batch
        bar.update(len(batch.ids) + len(batch.rejected))


def _open_engine(
    encoding: Encoding,
    pictures: Source,
    precision: Precision,
    runtime: Runtime,
    spaces: Sequence[str],
) -> tuple[Engine, FeatureChange | None]:
    """Open the model and, with a reduced precision, measure what that changes."""
    encoder, threads = encoding.encoder, encoding.threads
    if precision == "fp32":
        return open_engine(encoder, runtime=runtime, spaces=spaces, threads=threads), None
    pixels = encoding.sample(pictures.items(), CALIBRATED + CHECKED)
    engine = open_engine(
        encoder,
        precision=precision,
        runtime=runtime,
        spaces=spaces,
        calibration=pixels[:CALIBRATED],
        threads=threads,
    )
    others = pixels[CALIBRATED:]
    # Of a small source all pictures are looked at, those behind the ranges too.
    checked = others if len(others) >= CHECKED // 4 else pixels
    exact = open_engine(encoder, spaces=spaces, threads=threads)
    found, expected = (encoding.vectors(run, checked, FEATURES) for run in (engine, exact))
    return engine, feature_change(found, expected)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name}={value} has to be at least 1")


def _dims(encoder: Encoder, joint: bool) -> dict[str, int]:
    spaces = [FEATURES, JOINT] if joint else [FEATURES]
    if missing := [name for name in spaces if name not in encoder.dims]:
        raise ValueError(
            f"{encoder.name} ({encoder.kind}) has no space {missing[0]!r}; leave out --joint"
        )
    return {name: encoder.dims[name] for name in spaces}


def _metadata(encoder: Encoder, precision: Precision, runtime: Runtime) -> dict[str, Any]:
    """What a table says of itself."""
    libraries = [*_LIBRARIES, *(("nncf", "openvino") if runtime == "openvino" else ())]
    return {
        "model": encoder.name,
        "kind": encoder.kind,
        "weights": encoder.weights_digest,
        "preprocessing": preprocessing(encoder),
        "precision": precision,
        "runtime": runtime,
        "versions": {"emotionnet_hf": __version__} | {name: version(name) for name in libraries},
    }


def preprocessing(encoder: Encoder) -> dict[str, Any]:
    """Tell what is done to a picture before the model sees it, for JSON."""
    return {
        "size": list(encoder.size),
        "mean": list(encoder.mean),
        "std": list(encoder.std),
    }
