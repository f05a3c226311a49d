"""An index on disk, opened: what its spaces are, and vectors found by vectors.

INDEX/
    index.json         model, data set, spaces, how each is searched and how well
    rows.arrow         id, keywords, labels and place of the picture of every row
    features.npy       the vectors, float16, of length 1; joint.npy where the model has the space
    features.faiss     what `datasets` loads as a faiss index of rows.arrow
"""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc

from emotionnet_hf.evaluation.features import unit_rows
from emotionnet_hf.evaluation.retrieval.vectors import give_back, open_vectors, rank_again

MARK, ROWS = "index.json", "rows.arrow"
FORMAT = 1
# Some 3 MB of pages are mapped for a shortlist; giving them back after each would cost more than
# the search.
_KEEP_SEARCHES = 64


class IndexFolderError(ValueError):
    """A folder that is no whole index; the message says what is wrong with it."""


class IndexNotFoundError(IndexFolderError, FileNotFoundError):
    """There is no such folder, or no `index.json` in it."""


class SpaceError(ValueError):
    """A space that an index does not have, or vectors that are not of it."""


@dataclass(frozen=True)
class Hit:
    """A row that was found.

    Attributes:
        row: Its number in the index.
        id: Its id in the data set.
        score: Cosine of it and the query.
        keywords: All its keywords.
        labels: Those by which retrieval is scored, such as its emotion keywords.
    """

    row: int
    id: str
    score: float
    keywords: Sequence[str]
    labels: Sequence[str]


@dataclass(frozen=True)
class IndexFolder:
    """An opened index.

    Attributes:
        folder: Where it lies.
        facts: What `index.json` says.
        rows: Columns ``id``, ``keywords``, ``labels``, ``file``, ``row``; its faiss indexes are
            named by the space, so that `rows.get_nearest_examples` works too.
        vectors: Of each space, float16 (N, D), on disk until used.
    """

    folder: Path
    facts: dict[str, Any]
    rows: datasets.Dataset
    vectors: dict[str, np.ndarray]
    _searches: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def search(self, queries: np.ndarray, k: int, space: str = "features") -> list[list[Hit]]:
        """Find the rows nearest to vectors by cosine.

        Args:
            queries: Float, (Q, D), of any length.
            k: How many; fewer come where the index has no more.
            space: Which of `vectors`.

        Returns:
            For each query its hits, best first.

        Raises:
            SpaceError: There is no such space, or the vectors have another size.
        """
        facts = self._facts_of(space)
        if queries.ndim != 2 or queries.shape[1] != facts["dims"]:
            raise SpaceError(f"queries {queries.shape} must be (Q, {facts['dims']}) in {space!r}")
        queries = unit_rows(np.asarray(queries, np.float32))
        # A list of one or two ranked again would gain nothing.
        asked = facts["shortlist"] * max(k, 10) if facts["shortlist"] else k
        found = self.rows.search_batch(space, queries, min(asked, len(self.rows)))
        scores, rows = (np.asarray(values) for values in found)
        if facts["shortlist"]:
            scores, rows = rank_again(queries, self.vectors[space], rows)
            if (next(self._searches) + 1) % _KEEP_SEARCHES == 0:
                give_back(self.vectors[space])
        return [self._hits(*pair) for pair in zip(scores[:, :k], rows[:, :k], strict=True)]

    def row_of(self, id: str) -> int | None:
        """Find the row with an id; None where there is none."""
        row = pc.index(self.rows.data.column("id"), id).as_py()
        return None if row < 0 else int(row)

    def vector(self, row: int, space: str = "features") -> np.ndarray:
        """Return the vector of a row, float32, (D,), of length 1.

        Raises:
            SpaceError: There is no such space.
        """
        self._facts_of(space)
        return self.vectors[space][row].astype(np.float32)

    def _facts_of(self, space: str) -> dict[str, Any]:
        if space not in self.facts["spaces"]:
            raise SpaceError(
                f"{self.folder} has no space {space!r}, only {', '.join(self.facts['spaces'])}"
            )
        facts: dict[str, Any] = self.facts["spaces"][space]
        return facts

    def _hits(self, scores: np.ndarray, rows: np.ndarray) -> list[Hit]:
        """Describe what was found; -1 is faiss' way to say that there is no more."""
        good = rows >= 0
        values = self.rows[rows[good].tolist()]
        columns = (rows[good].tolist(), values["id"], scores[good].tolist())
        return [
            Hit(*hit) for hit in zip(*columns, values["keywords"], values["labels"], strict=True)
        ]


def require_faiss() -> None:
    """Name the extra where it is missing.

    Raises:
        ImportError: faiss is not installed.
    """
    if importlib.util.find_spec("faiss") is None:
        raise ImportError("retrieval needs faiss: pip install 'emotionnet-hf[retrieval]'.")


def open_index(folder: str | Path) -> IndexFolder:
    """Open an index.

    Args:
        folder: What `build_index` wrote.

    Returns:
        The index; faiss is in memory, the vectors and rows are on disk.

    Raises:
        IndexNotFoundError: There is none.
        IndexFolderError: A file is missing, damaged, or of another index.
        ImportError: The extra ``retrieval`` is not installed.
    """
    require_faiss()
    folder = Path(folder)
    if not (folder / MARK).is_file():
        raise IndexNotFoundError(f"{folder} has no {MARK}; make it with `emotionnet index`")
    facts = json.loads((folder / MARK).read_text(encoding="utf-8"))
    if facts.get("format") != FORMAT:
        raise IndexFolderError(
            f"{folder} has the format {facts.get('format')}, and not {FORMAT}; build it again"
        )
    try:
        rows = datasets.Dataset.from_file(str(folder / ROWS))
        vectors = {space: open_vectors(folder / f"{space}.npy") for space in facts["spaces"]}
        for space in facts["spaces"]:
            rows.load_faiss_index(space, str(folder / f"{space}.faiss"))
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise IndexFolderError(f"{folder} is not whole ({reason}); build it again") from error
    if any(len(values) != len(rows) for values in vectors.values()):
        raise IndexFolderError(f"{folder} has files of different indexes; build it again")
    return IndexFolder(folder, facts, rows, vectors)
