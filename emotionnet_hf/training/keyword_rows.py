"""Keywords and targets of the rows of a split, a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset
from transformers import PreTrainedTokenizerFast

from emotionnet_hf.data.keyword_lists import KeywordLists
from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.loop import Batch
from emotionnet_hf.training.targets import Targets


class KeywordRows(TorchDataset[Any]):
    """What a text model reads and predicts: whole keyword lists, however long.

    Where the published code reads the first 100 keywords, that is in the model
    (``pooling="padded"``); the paper averages all.

    Args:
        split: With keywords and emotion keywords.
        tokenizer: Of the text model.
        targets: Of the same split.
        everything: Read all keywords; without it, those that name no emotion, which are what
            emotion keywords are predicted from. Emotion keywords that the tokenizer does not know
            are left out like the others: as unknown words they would still tell their number.
        dropout: Share of the keywords of a batch that are masked out.
        seed: Which ones are is a function of it, epoch and row, for any number of processes.

    Attributes:
        keywords: All keywords of each row, as ids.
        context: Those that are read.
    """

    def __init__(
        self,
        split: Dataset,
        tokenizer: PreTrainedTokenizerFast,
        targets: Targets,
        everything: bool = False,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        ids = tokenizer.get_vocab()
        self.pad = tokenizer.pad_token_id
        self.dropout, self.seed = dropout, seed
        self.targets = targets
        column = split.select_columns(["keywords"]).with_format("arrow")[:]["keywords"]
        self.keywords = KeywordLists.from_names(column, ids, unknown=tokenizer.unk_token_id)
        self.context = self.keywords
        if not everything:
            emotions = emotion_vocabulary(split.features)
            left_out = max(ids.values()) + 1
            lists = KeywordLists.from_names(
                column, ids | dict.fromkeys(emotions, left_out), unknown=tokenizer.unk_token_id
            )
            self.context = lists.without(np.arange(left_out + 1) == left_out)
        self.unknown = tokenizer.unk_token_id

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.keywords)

    def with_text(self) -> int:
        """Return how many rows have a known keyword to read."""
        known = self.context.without(np.arange(self.context.ids.max(initial=0) + 1) == self.unknown)
        return int((np.diff(known.offsets) > 0).sum())

    def __getitems__(self, batch: MicroBatch) -> Batch:
        """Return a batch: ids and mask int64 (B, L), labels float32 (B, K)."""
        ids, mask = self.context.rows(batch.rows).padded(self.pad)
        if self.dropout:
            mask = mask * self._kept(batch, mask.shape[1])
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "labels": torch.from_numpy(self.targets.labels(batch.rows)),
        }

    def _kept(self, batch: MicroBatch, length: int) -> np.ndarray:
        """Draw which keywords stay, bool (B, L)."""
        drawn = [
            np.random.default_rng([self.seed, batch.epoch, int(row)]).random(length)
            for row in batch.rows
        ]
        return np.stack(drawn) >= self.dropout
