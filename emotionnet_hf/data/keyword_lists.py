"""Keyword lists as arrays: a data set's keywords as ids, a million lists at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa


class KeywordLists:
    """Lists of ids, one list a row, in two flat arrays.

    Attributes:
        ids: All lists one after the other, int64.
        offsets: Row i is ``ids[offsets[i]:offsets[i + 1]]``, int64, (N + 1,).
    """

    def __init__(self, ids: np.ndarray, offsets: np.ndarray) -> None:
        self.ids = ids
        self.offsets = offsets

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets) - 1

    @classmethod
    def from_names(
        cls, column: pa.ChunkedArray, ids: Mapping[str, int], unknown: int
    ) -> KeywordLists:
        """Encode a column of string lists; each distinct name is looked up once.

        Args:
            column: list<string>, as ``dataset.with_format("arrow")`` gives it.
            ids: Name to id.
            unknown: Id of a name that is not in ``ids``.

        Returns:
            The lists as ids, in order.
        """
        lists = _one_chunk(column)
        encoded = lists.flatten().dictionary_encode()
        table = [ids.get(name, unknown) for name in encoded.dictionary.to_pylist()]
        flat = np.asarray(table, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
        return cls(flat, _offsets(lists))

    @classmethod
    def from_ids(cls, column: pa.ChunkedArray) -> KeywordLists:
        """Take a column of integer lists (``ClassLabel`` ids) as it is."""
        lists = _one_chunk(column)
        flat = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(flat, _offsets(lists))

    def without(self, dropped: np.ndarray) -> KeywordLists:
        """Return the lists without the ids for which ``dropped`` (bool, indexed by id) is True."""
        kept = ~dropped[self.ids]
        before = np.concatenate([[0], np.cumsum(kept)])
        return KeywordLists(self.ids[kept], before[self.offsets])

    def rows(self, rows: np.ndarray) -> KeywordLists:
        """Return some of the rows, in the order asked for."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        starts = self.offsets[:-1][rows]
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return KeywordLists(self.ids[places], offsets)

    def rows_at_once(self, most: int) -> int:
        """Return how many rows to pad side by side, at least 1.

        Args:
            most: So many where lists have up to 100 keywords; fewer where one is longer, so that
                memory does not grow with it.
        """
        longest = int(np.diff(self.offsets).max(initial=1))
        return max(1, most * 100 // max(100, longest))

    def padded(self, pad: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the lists side by side, whole.

        Args:
            pad: Id that fills the places after a list's end.

        Returns:
            ids int64 (N, L) and mask int64 (N, L), L at least 1.
        """
        lengths = np.diff(self.offsets)
        places = np.arange(max(1, lengths.max(initial=1)))
        mask = places[None, :] < lengths[:, None]
        ids = np.full(mask.shape, pad, dtype=np.int64)
        ids[mask] = self.ids[(self.offsets[:-1, None] + places[None, :])[mask]]
        return ids, mask.astype(np.int64)

    def multi_hot(self, classes: int) -> np.ndarray:
        """Return float32 (N, classes), 1 where a row lists the id."""
        hot = np.zeros((len(self), classes), dtype=np.float32)
        hot[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.ids] = 1
        return hot


def _one_chunk(column: pa.ChunkedArray) -> pa.ListArray:
    """Return the column as one list array with 64-bit offsets, nulls refused."""
    lists = column.cast(pa.large_list(column.type.value_type)).combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.chunk(0) if lists.num_chunks else pa.array([], type=lists.type)
    if lists.null_count:
        raise ValueError("A row of the data set has no keyword list (null). Build the data again.")
    if lists.flatten().null_count:
        raise ValueError("A keyword list of the data set holds a null. Build the data again.")
    return lists


def _offsets(lists: pa.ListArray) -> np.ndarray:
    """Return where each row starts in ``lists.flatten()``, int64, (N + 1,)."""
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
