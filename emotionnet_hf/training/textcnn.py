"""Training TextCNN: from the non-emotion keywords of an image to its emotion keywords."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import Dataset
from torch import nn
from torch.utils.data import Dataset as TorchDataset
from transformers import PreTrainedTokenizerFast

from emotionnet_hf.data.keyword_lists import KeywordLists
from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.emotions import default_vocabulary
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.losses import classification_loss, normalized_labels
from emotionnet_hf.models import (
    TextCNNConfig,
    TextCNNForSequenceClassification,
    keyword_tokenizer,
)
from emotionnet_hf.text import embedding_matrix, load_word_vectors, train_word_vectors
from emotionnet_hf.training.arguments import TextCNNArguments
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.data import load_splits
from emotionnet_hf.training.loop import Batch, fit
from emotionnet_hf.training.validation import keyword_metrics

logger = logging.getLogger(__name__)

_EVALUATION_BATCH = 4096


def train_textcnn(arguments: TextCNNArguments) -> Path:
    """Train TextCNN on the non-emotion keywords of a data set (sections 4 and 5.1).

    Args:
        arguments: See ``TextCNNArguments``.

    Returns:
        The folder of the trained model: model, tokenizer, and code for ``trust_remote_code``.

    Raises:
        RecipeError: The recipe does not fit the data or the run folder.
        WordVectorError: The word vectors cannot be used.
    """
    set_seed(arguments.seed)
    splits = load_splits(arguments.data)
    emotions = emotion_vocabulary(splits["train"].features)
    task = _TextCNNTask(arguments, splits, emotions)
    return fit(task, arguments)


class KeywordRows(TorchDataset[Any]):
    """Non-emotion keywords and emotion labels of the rows of a split, a batch at a time."""

    def __init__(
        self, split: Dataset, tokenizer: PreTrainedTokenizerFast, emotions: Vocabulary
    ) -> None:
        ids = tokenizer.get_vocab()
        self.pad = tokenizer.pad_token_id
        self.max_keywords = tokenizer.model_max_length
        self.classes = len(emotions)
        table = split.select_columns(["keywords", "emotion_keywords"]).with_format("arrow")[:]
        self.keywords = KeywordLists.from_names(
            table["keywords"], ids, unknown=tokenizer.unk_token_id
        )
        self.context = self.keywords.without(emotion_tokens(ids, emotions))
        self.labels = KeywordLists.from_ids(table["emotion_keywords"])

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels)

    def __getitems__(self, batch: MicroBatch) -> Batch:
        """Return a batch: ids and mask int64 (B, L), labels float32 (B, K)."""
        ids, mask = self.context.rows(batch.rows).padded(self.pad, self.max_keywords)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "labels": torch.from_numpy(self.labels.rows(batch.rows).multi_hot(self.classes)),
        }


def emotion_tokens(ids: Mapping[str, int], emotions: Vocabulary) -> np.ndarray:
    """Return which tokens are emotion keywords, bool, indexed by token id."""
    marked = np.zeros(max(ids.values()) + 1, dtype=bool)
    marked[[ids[name] for name in emotions if name in ids]] = True
    return marked


class _TextCNNTask:
    """What ``fit`` needs to know of TextCNN."""

    def __init__(
        self, arguments: TextCNNArguments, splits: Mapping[str, Dataset], emotions: Vocabulary
    ) -> None:
        self.arguments = arguments
        lists = splits["train"].select_columns(["keywords"]).with_format("arrow")[:]["keywords"]
        self.tokenizer, embedding = build_text_vocabulary(lists.to_pylist(), emotions, arguments)
        self.model = _build_model(arguments, emotions, embedding)
        self.train_rows = KeywordRows(splits["train"], self.tokenizer, emotions)
        self.validation_rows = (
            KeywordRows(splits["validation"], self.tokenizer, emotions)
            if "validation" in splits
            else None
        )

    def losses(self, model: nn.Module, batch: Batch, accelerator: Accelerator) -> Batch:
        """Return the multi-label cross entropy on the softmax, with dropped keywords."""
        mask = batch["attention_mask"]
        if self.arguments.keyword_dropout:
            mask = mask * (
                torch.rand(mask.shape, device=mask.device) >= self.arguments.keyword_dropout
            )
        logits = model(input_ids=batch["input_ids"], attention_mask=mask).logits
        targets = batch["labels"]
        if self.arguments.targets == "normalized":
            targets = normalized_labels(targets)
        return {"loss": classification_loss(logits, targets).mean()}

    def evaluate(self, model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """Return loss, hit@1 and mean average precision on the validation split."""
        split = self.validation_rows
        if split is None:
            return {}

        def scores(rows: np.ndarray) -> dict[str, np.ndarray]:
            batch = split.__getitems__(MicroBatch(0, rows))
            batch = {name: value.to(accelerator.device) for name, value in batch.items()}
            logits = model(batch["input_ids"], batch["attention_mask"]).logits
            loss = classification_loss(logits, normalized_labels(batch["labels"]))
            return {
                "scores": logits.float().cpu().numpy(),
                "labels": batch["labels"].cpu().numpy(),
                "loss": loss.float().cpu().numpy(),
            }

        return keyword_metrics(scores, len(split), _EVALUATION_BATCH, accelerator)

    def save(self, model: Any, folder: Path) -> None:
        """Write model and tokenizer."""
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def build_text_vocabulary(
    lists: list[list[str]], emotions: Vocabulary, arguments: TextCNNArguments
) -> tuple[PreTrainedTokenizerFast, np.ndarray]:
    """Make the keyword vocabulary and its word vectors.

    The vocabulary has the keywords of at least ``min_count`` training images, the emotion
    keywords, and those of the label sets in ``emotionnet_hf.emotions`` that the word vectors know,
    so that zero-shot candidates work. Keywords without a vector are left out: they are unknown.

    Args:
        lists: Keyword lists of the training split, in normal form.
        emotions: The emotion vocabulary.
        arguments: ``word_vectors``, ``embedding_dim``, ``min_count``, ``max_keywords``, ``seed``.

    Returns:
        The tokenizer, and its embedding, float32 (V, embedding_dim).
    """
    counts = Counter(name for keywords in lists for name in keywords)
    frequent = {name for name, count in counts.items() if count >= arguments.min_count}
    if arguments.word_vectors is None:
        vectors = train_word_vectors(
            lists,
            dim=arguments.embedding_dim,
            seed=arguments.seed,
            epochs=arguments.word_vector_epochs,
            min_count=arguments.min_count,
        )
    else:
        vectors = load_word_vectors(arguments.word_vectors, dim=arguments.embedding_dim)
    candidates = sorted(frequent | {*emotions, *default_vocabulary()})
    matrix, coverage = embedding_matrix(vectors, candidates)
    known = (matrix[2:] != 0).any(axis=1)
    names = [name for name, has_vector in zip(candidates, known, strict=True) if has_vector]
    logger.info("%d keywords with a vector, %s", len(names), coverage)
    embedding = np.concatenate([matrix[:2], matrix[2:][known]])
    return keyword_tokenizer(names, arguments.max_keywords), embedding


def _build_model(
    arguments: TextCNNArguments, emotions: Vocabulary, embedding: np.ndarray
) -> TextCNNForSequenceClassification:
    """Make the model with its word vectors in place."""
    make = TextCNNConfig if arguments.variant == "paper" else TextCNNConfig.published_code
    config = make(
        vocab_size=len(embedding),
        embedding_dim=embedding.shape[1],
        hidden_size=arguments.hidden_size,
        max_keywords=arguments.max_keywords,
        id2label=dict(enumerate(emotions)),
    )
    model = TextCNNForSequenceClassification(config)
    model.textcnn.embedding.weight.copy_(torch.from_numpy(embedding))
    return model
