"""The table of features: written in parts that are whole or absent, then joined.

features.parquet               id, features, and joint where asked for
features.quarantine.parquet    id and reason of the pictures that could not be used
.features.parquet.parts/       the parts of a run that is not finished
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emotionnet_hf.evaluation.embed.reading import METADATA_KEY, FeaturesError, read_metadata
from emotionnet_hf.files import remove_unfinished, whole_file, write_json

_RUN = "run.json"
_STAMP, _REJECTED = b"stamp", b"rejected"
QUARANTINE_SCHEMA = pa.schema({"id": pa.string(), "reason": pa.string()})


class FeaturesExistError(FeaturesError, FileExistsError):
    """The table exists, or an unfinished one was begun with other arguments."""


@dataclass(frozen=True)
class Table:
    """A table to be written.

    Attributes:
        out: The Parquet file.
        dims: Size of each space.
        dtype: ``float32`` or ``float16``.
    """

    out: Path
    dims: Mapping[str, int]
    dtype: str

    @property
    def parts(self) -> Path:
        """Folder of the parts."""
        return self.out.with_name(f".{self.out.name}.parts")

    @property
    def quarantine(self) -> Path:
        """Where the pictures that could not be used are listed."""
        return self.out.with_name(f"{self.out.stem}.quarantine.parquet")

    @property
    def schema(self) -> pa.Schema:
        """Columns."""
        kind = pa.type_for_alias(self.dtype)
        vectors = {name: pa.list_(kind, size) for name, size in self.dims.items()}
        return pa.schema({"id": pa.string(), **vectors})

    def begin(self, identity: Mapping[str, Any], overwrite: bool) -> None:
        """Make room for the parts, or find those of an earlier run.

        Args:
            identity: What the table is made from and how, for JSON.
            overwrite: Replace a table, or the parts of another run.

        Raises:
            FeaturesExistError: Something is there that may not be replaced.
        """
        self._check_out(overwrite)
        note = self.parts / _RUN
        if note.is_file():
            before = json.loads(note.read_text(encoding="utf-8"))
            now = json.loads(json.dumps(identity))
            if before != now and not overwrite:
                other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
                raise FeaturesExistError(
                    f"{self.out} was begun by a run with another {', '.join(other)}, whose parts "
                    f"are in {self.parts}. Give the same arguments to go on with it, choose "
                    "another file, or begin anew (--overwrite, in Python overwrite=True)."
                )
            if before == now:
                remove_unfinished(self.parts)
                return
        shutil.rmtree(self.parts, ignore_errors=True)
        self.parts.mkdir(parents=True)
        write_json(note, identity)

    def _check_out(self, overwrite: bool) -> None:
        if not self.out.exists():
            return
        if not overwrite:
            raise FeaturesExistError(
                f"{self.out} exists; choose another file, or overwrite it (--overwrite, in Python "
                "overwrite=True)."
            )
        try:
            read_metadata(self.out)
        except (FeaturesError, FileNotFoundError) as error:
            raise FeaturesExistError(
                f"{self.out} is no table of features and is not overwritten; choose another file."
            ) from error

    def rows_of_part(self, number: int, stamp: str) -> int | None:
        """Number of pictures of a part that an earlier run wrote; None where it has to be written.

        Args:
            number: The part's, from 0.
            stamp: What the part is made from; a part of something else counts for nothing.
        """
        try:
            found = pq.read_metadata(self._part(number))
        except FileNotFoundError:
            return None
        if found.metadata[_STAMP].decode() != stamp:
            return None
        return int(found.num_rows) + len(json.loads(found.metadata[_REJECTED]))

    def write_part(
        self,
        number: int,
        stamp: str,
        ids: Sequence[str],
        vectors: Mapping[str, np.ndarray],
        rejected: Sequence[tuple[str, str]],
    ) -> None:
        """Write a part, whole or not at all.

        Args:
            number: The part's, from 0.
            stamp: What it is made from.
            ids: Of the pictures.
            vectors: Of each space, float (N, D).
            rejected: Id and reason of the pictures that could not be used.

        Raises:
            OSError: The disk is full.
        """
        columns = [pa.array(ids, pa.string())]
        for name, size in self.dims.items():
            flat = pa.array(vectors[name].astype(self.dtype).reshape(-1))
            columns.append(pa.FixedSizeListArray.from_arrays(flat, size))
        told = {_STAMP: stamp.encode(), _REJECTED: json.dumps(rejected).encode()}
        table = pa.Table.from_arrays(columns, schema=self.schema).replace_schema_metadata(told)
        with whole_file(self._part(number), self.parts) as file:
            pq.write_table(table, file, **_PARQUET)

    def join(self, parts: int, metadata: Mapping[str, Any]) -> None:
        """Write the table and the quarantine from the parts, and remove the parts.

        Args:
            parts: Their number.
            metadata: What the table says of itself.

        Raises:
            OSError: The disk is full; the parts stay.
        """
        rejected = [row for number in range(parts) for row in self._rejected(number)]
        self._write_quarantine(rejected)
        schema = self.schema.with_metadata({METADATA_KEY: json.dumps(metadata).encode()})
        with (
            whole_file(self.out, self.parts) as file,
            pq.ParquetWriter(file, schema, **_PARQUET) as writer,
        ):
            for number in range(parts):
                part = pq.read_table(self._part(number))
                if part.num_rows:
                    writer.write_table(part.replace_schema_metadata(schema.metadata))
        shutil.rmtree(self.parts, ignore_errors=True)

    def discard(self) -> None:
        """Remove the parts, of which there is nothing to join."""
        shutil.rmtree(self.parts, ignore_errors=True)

    def reasons(self, parts: int) -> Iterator[str]:
        """Why pictures of so many parts could not be used."""
        for number in range(parts):
            yield from (reason for _, reason in self._rejected(number))

    def ids(self, parts: int) -> Iterator[str]:
        """Ids of the pictures of so many parts."""
        for number in range(parts):
            yield from pq.read_table(self._part(number), columns=["id"])["id"].to_pylist()

    def _write_quarantine(self, rejected: Sequence[tuple[str, str]]) -> None:
        if not rejected:
            self.quarantine.unlink(missing_ok=True)
            return
        rows = [dict(zip(QUARANTINE_SCHEMA.names, row, strict=True)) for row in rejected]
        with whole_file(self.quarantine, self.parts) as file:
            pq.write_table(pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA), file)

    def _rejected(self, number: int) -> list[tuple[str, str]]:
        found = pq.read_metadata(self._part(number)).metadata[_REJECTED]
        return [(name, reason) for name, reason in json.loads(found)]

    def _part(self, number: int) -> Path:
        return self.parts / f"part-{number:06d}.parquet"


# Features do not compress, and no two are equal.
_PARQUET: dict[str, Any] = {"compression": "none", "use_dictionary": False}
