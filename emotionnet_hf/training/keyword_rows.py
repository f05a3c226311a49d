"""Keywords and targets of the rows of a split, a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Dataset as TorchDataset
from transformers import PreTrainedTokenizerFast

from emotionnet_hf.data.keyword_lists import KeywordLists
from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.loop import Batch
from emotionnet_hf.training.targets import Targets


class KeywordRows(TorchDataset[Any]):
    """What a text model reads and predicts.

    Args:
        split: With keywords and emotion keywords.
        tokenizer: Of the text model.
        targets: Of the same split.
        everything: Read all keywords; without it, those that name no emotion, which are what
            emotion keywords are predicted from.

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
    ) -> None:
        ids = tokenizer.get_vocab()
        self.pad = tokenizer.pad_token_id
        self.max_keywords = tokenizer.model_max_length
        self.targets = targets
        column = split.select_columns(["keywords"]).with_format("arrow")[:]["keywords"]
        self.keywords = KeywordLists.from_names(column, ids, unknown=tokenizer.unk_token_id)
        self.context = self.keywords
        if not everything:
            emotions = emotion_vocabulary(split.features)
            self.context = self.keywords.without(emotion_tokens(ids, emotions))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.keywords)

    def __getitems__(self, batch: MicroBatch) -> Batch:
        """Return a batch: ids and mask int64 (B, L), labels float32 (B, K)."""
        ids, mask = self.context.rows(batch.rows).padded(self.pad, self.max_keywords)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "labels": torch.from_numpy(self.targets.labels(batch.rows)),
        }


def emotion_tokens(ids: Mapping[str, int], emotions: Vocabulary) -> np.ndarray:
    """Return which tokens are emotion keywords, bool, indexed by token id."""
    marked = np.zeros(max(ids.values()) + 1, dtype=bool)
    marked[[ids[name] for name in emotions if name in ids]] = True
    return marked
