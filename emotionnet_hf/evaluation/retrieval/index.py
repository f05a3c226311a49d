"""Building an index of a data set."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emotionnet_hf.data.plan import reason_kind
from emotionnet_hf.environment import environment
from emotionnet_hf.evaluation.embed import embed
from emotionnet_hf.evaluation.embed.reading import read_metadata
from emotionnet_hf.evaluation.embed.rows import DataSetOptions
from emotionnet_hf.evaluation.embed.running import preprocessing
from emotionnet_hf.evaluation.embed.sources import open_source
from emotionnet_hf.evaluation.features import unit_rows
from emotionnet_hf.evaluation.retrieval.gallery import open_gallery, open_picture
from emotionnet_hf.evaluation.retrieval.index_folder import FORMAT, MARK, ROWS, require_faiss
from emotionnet_hf.evaluation.retrieval.vectors import BLOCK, store_vectors
from emotionnet_hf.evaluation.retrieval.words import SCHEMA
from emotionnet_hf.files import check_replaceable, explained_full_disk, whole_folder, write_json
from emotionnet_hf.lock import one_run
from emotionnet_hf.models.encoders import FEATURES, JOINT, TIMM, Encoder, open_encoder

_ALIKE = 0.9  # cosine of the features of one picture, whatever they were made with
_WORDS, _WORD_ROWS = 256, 20_000  # queries of words are drawn from the words of the first rows


class BuildIndexError(ValueError):
    """An index that cannot be built; the message says why."""


def build_index(
    source: str | Path,
    model: str | Path,
    out: str | Path,
    *,
    features: str | Path | None = None,
    label: str | None = None,
    factory: str | None = None,
    recall: float = 0.99,
    batch_size: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Index a data set for search by pictures and, of a model that knows words, by words.

    The features, which take long, are kept beside ``out`` while the work goes on: a build that was
    killed goes on from there. The index itself comes whole or not at all. Up to 50 K rows it is
    exact; above, see `emotionnet_hf.evaluation.retrieval.choice`.

    Args:
        source: A data set, see `open_gallery`.
        model: What `open_encoder` opens.
        out: Folder for the index.
        features: The table that `embed` wrote of this data set and model; made here if None.
        label: Column of labels; see `open_gallery`.
        factory: A faiss factory string instead of our choice, for every space.
        recall: Share of the ten nearest that an index which is not exact must find, measured on
            queries of its own.
        batch_size: See `embed`.
        seed: Of the measurement and the training.
        overwrite: Replace an earlier index at ``out``, and features begun for another one.
        progress: Show bars.

    Returns:
        What ``index.json`` holds.

    Raises:
        AnotherRunError: Another run builds ``out``.
        BuildIndexError: ``out`` exists, the features are of something else, or two rows of the
            data set have one id.
        GalleryError: The data set cannot be opened.
        EncoderError: The model cannot be opened.
        FactoryError: faiss makes no index of ``factory``.
        ImportError: The extra ``retrieval`` is not installed.
        DiskFullError: No space left; finished features are kept.
    """
    require_faiss()
    if not 0 < recall <= 1:
        raise BuildIndexError(f"recall is {recall}; give a share above 0, at most 1")
    out = Path(out)
    work = out.with_name(f".{out.name}.features")
    options = {"factory": factory, "recall": recall, "seed": seed, "progress": progress}
    with explained_full_disk(work), one_run(out):
        check_replaceable(out, MARK, overwrite=overwrite, source=source, error=BuildIndexError)
        gallery, encoder = open_gallery(source, label), open_encoder(model)
        with whole_folder(out) as folder:
            everything = _write_arrow(folder / "all.arrow", gallery.batches())
            _check_unique(everything.column("id").combine_chunks())  # before hours of embedding
            if features is None:
                embedding = {"batch_size": batch_size, "progress": progress, "overwrite": overwrite}
                table = _embedded(source, encoder, work, **embedding)
            else:
                table = Path(features)
                _check_same(table, everything, gallery.root, encoder)
            rows = _write_rows(everything, table, folder)
            facts = {
                "format": FORMAT,
                "model": _lasting(encoder.name),
                "kind": encoder.kind,
                "weights": encoder.weights_digest,
                "source": str(Path(source).resolve()),
                "pictures": str(gallery.root),
                "label": gallery.label,
                "rows": len(rows),
                "notes": dict(gallery.notes),
                "quarantined": _keep_quarantine(table, folder),
                "spaces": {
                    space: _index_space(space, rows, table, encoder, folder, options)
                    for space in _spaces(table)
                },
                "environment": environment(),
            }
            write_json(folder / MARK, facts)
        shutil.rmtree(work, ignore_errors=True)
    return facts


def _embedded(source: str | Path, encoder: Encoder, work: Path, **options: Any) -> Path:
    """Return the features of a data set, made where an earlier build has not made these."""
    table, note = work / "features.parquet", work / "of.json"
    pictures = open_source(source, DataSetOptions())
    now = {
        "source": [pictures.identity, pictures.stamp(0, pictures.total or 0)],
        "model": [encoder.weights_digest, preprocessing(encoder)],
    }
    if table.is_file() and note.is_file() and _read(note) == json.loads(json.dumps(now)):
        return table
    # What the table is of must never be taken for what it was of.
    table.unlink(missing_ok=True)
    write_json(note, now)
    embed(source, encoder.name, table, joint=JOINT in encoder.dims, **options)
    return table


def _read(note: Path) -> Any:
    return json.loads(note.read_text(encoding="utf-8"))


def _check_same(table: Path, everything: pa.Table, root: Path, encoder: Encoder) -> None:
    """Refuse features of another model or data set.

    A model may be trained anew under its old name, which its weights tell; and a data set may be
    built anew, which the first picture tells.
    """
    told = read_metadata(table)
    same_model = told["weights"] == encoder.weights_digest
    if not same_model or told["preprocessing"] != preprocessing(encoder):
        raise BuildIndexError(
            f"{table} has features of another model than {encoder.name}, or of an earlier state of "
            "it; embed the data set again"
        )
    with pq.ParquetFile(table) as file:
        first = next(file.iter_batches(1, columns=["id", FEATURES]))
    stored = first.column(FEATURES).flatten().to_numpy(zero_copy_only=False)
    id = first.column("id")[0].as_py()
    row = pc.index(everything.column("id"), id).as_py()
    if row >= 0:
        place = [everything.column(name)[row].as_py() for name in ("file", "row")]
        now = encoder.encode([open_picture(root, *place)])[FEATURES]
        near = unit_rows(now) @ unit_rows(stored[None].astype(np.float32)).T
    if row < 0 or near.item() <= _ALIKE:
        raise BuildIndexError(
            f"{table} has features of another data set than {root}, or of an earlier state "
            f"of it: {id} is {'not there' if row < 0 else 'another picture'}"
        )


def _lasting(name: str) -> str:
    """Name a model so that it is found from any folder."""
    backbone, _, weights = name.partition("=")
    if name.startswith(TIMM):
        return f"{backbone}={Path(weights).resolve()}" if Path(weights).is_file() else name
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def _spaces(table: Path) -> list[str]:
    return [name for name in (FEATURES, JOINT) if name in pq.read_schema(table).names]


def _keep_quarantine(table: Path, folder: Path) -> dict[str, int]:
    """Copy the list of pictures that could not be used; how many for which reason."""
    path = table.with_name(f"{table.stem}.quarantine.parquet")
    if not path.is_file():
        return {}
    shutil.copyfile(path, folder / "quarantine.parquet")
    reasons = pq.read_table(path, columns=["reason"])["reason"].to_pylist()
    return dict(Counter(map(reason_kind, reasons)))


def _index_space(
    space: str,
    rows: datasets.Dataset,
    features: Path,
    encoder: Encoder,
    folder: Path,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Write the vectors and the faiss index of one space; what `index.json` says of it."""
    # Here, because it needs faiss, which is an extra.
    import faiss

    from emotionnet_hf.evaluation.retrieval.choice import choose_index, fill

    dims = encoder.dims[space]
    blocks = _blocks(features, space)
    vectors = store_vectors(folder / f"{space}.npy", blocks, len(rows), dims)
    words = _word_queries(rows, encoder) if space == encoder.text_space else None
    chosen = choose_index(vectors, words, **options)
    facts = fill(chosen, vectors, options["recall"], progress=options["progress"])
    faiss.write_index(chosen.index, str(folder / f"{space}.faiss"))
    return {"dims": dims, **facts}


def _word_queries(rows: datasets.Dataset, encoder: Encoder) -> np.ndarray | None:
    """Return vectors of the most frequent words of the rows that the model knows, of length 1."""
    if encoder.text is None:
        return None
    values = rows[: min(_WORD_ROWS, len(rows))]
    counts = Counter(word for words in (*values["keywords"], *values["labels"]) for word in words)
    words = [word for word, _ in counts.most_common(_WORDS)]
    vectors = encoder.text(words) if words else np.zeros((0, 1), np.float32)
    known = vectors[np.abs(vectors).sum(axis=1) > 0]
    return unit_rows(known) if len(known) else None


def _blocks(features: Path, space: str) -> Iterator[np.ndarray]:
    """Read vectors, a block at a time."""
    with pq.ParquetFile(features) as file:
        for batch in file.iter_batches(BLOCK, columns=[space]):
            yield batch.column(0).flatten().to_numpy(zero_copy_only=False).reshape(len(batch), -1)


def _write_rows(everything: pa.Table, features: Path, folder: Path) -> datasets.Dataset:
    """Write the rows that have features, in the order of the features."""
    ids = pq.read_table(features, columns=["id"]).column("id")
    known = everything.column("id").combine_chunks()
    places = pc.index_in(ids, value_set=known).combine_chunks()
    if places.null_count:
        missing = ids[pc.index(pc.is_null(places), True).as_py()]
        raise BuildIndexError(
            f"{features} has features of {missing}, which the data set lacks: they are of another "
            "data set, or of an earlier state of it"
        )
    starts = range(0, len(places), BLOCK)
    pieces = (everything.take(places[start : start + BLOCK]) for start in starts)
    batches = (batch for piece in pieces for batch in piece.to_batches())
    _write_arrow(folder / ROWS, batches)
    (folder / "all.arrow").unlink()
    return datasets.Dataset.from_file(str(folder / ROWS))


def _check_unique(ids: pa.Array) -> None:
    """Refuse ids by which rows cannot be told apart: one would get the other's words."""
    counts = pc.value_counts(ids)
    twice = pc.filter(counts.field("values"), pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise BuildIndexError(
            f"{len(twice):,} ids are on more than one row, such as {twice[0].as_py()!r}; give each "
            "row an id of its own, or rename the column: without image_id a row is named by its "
            "split and number"
        )


def _write_arrow(path: Path, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Write batches as they come; the table, mapped into memory."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as stream:
        for batch in batches:
            stream.write_batch(batch)
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_stream(file).read_all()
