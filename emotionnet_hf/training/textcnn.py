"""Training TextCNN: from an image's keywords to its emotion keywords, or to SE30K8's classes."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import Dataset
from torch import nn
from transformers import PreTrainedTokenizerFast

from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.emotions import default_vocabulary
from emotionnet_hf.environment import environment
from emotionnet_hf.files import write_json
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.losses import classification_loss, normalized_labels
from emotionnet_hf.models import (
    TextCNNConfig,
    TextCNNForSequenceClassification,
    keyword_tokenizer,
)
from emotionnet_hf.models.tokenization_keywords import SPECIAL_TOKENS
from emotionnet_hf.text import embedding_matrix, load_word_vectors, train_word_vectors
from emotionnet_hf.training.arguments import RecipeError, TextCNNArguments
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.data import load_splits
from emotionnet_hf.training.development import check_text, with_development_rows
from emotionnet_hf.training.keyword_rows import KeywordRows
from emotionnet_hf.training.loop import Batch, fit
from emotionnet_hf.training.processes import (
    all_do,
    explained_loss_of_a_process,
    first_does,
    join_processes,
    one_run_of_all,
)
from emotionnet_hf.training.targets import COLUMNS, class_names, read_targets
from emotionnet_hf.training.text_models import load_text_model
from emotionnet_hf.training.validation import measure

logger = logging.getLogger(__name__)

_EVALUATION_BATCH = 4096


def train_textcnn(arguments: TextCNNArguments) -> Path:
    """Train TextCNN on the keywords of a data set (sections 4, 5.1 and 5.3).

    Emotion keywords are predicted from the other keywords. SE30K8's eight classes are predicted
    from all keywords, the target being the shares of the votes; such a run ends by measuring the
    trained model on the test split, if there is one, into ``results.json`` of the run folder.

    Where we differ from the paper and the published code: keyword lists are read whole (the code
    pads and cuts them to 100, as ``variant="published_code"`` does), emotion keywords leave the
    input also where they have no word vector (in the code they stay, as the unknown word), and
    the epoch that is kept is the best on the validation split (the code holds 2,000 rows out of
    train, the validation rows of its release having no keywords; ours does so where it must, see
    ``development_rows``; the paper does not say).

    Args:
        arguments: See ``TextCNNArguments``.

    Returns:
        The folder of the trained model: model, tokenizer, and code for ``trust_remote_code``.

    Raises:
        RecipeError: The recipe does not fit the data or the run folder, or there is no keyword to
            read in the rows to train or to validate on.
        WordVectorError: The word vectors cannot be used.
        TrainingError: See ``fit``; or the processes of a launcher do not find each other.
        AnotherRunError: Another run is at work in ``output_dir``.
    """
    join_processes()
    set_seed(arguments.seed)
    columns = ("keywords", *COLUMNS[arguments.classes])
    everything = arguments.classes == "se30k8"
    with explained_loss_of_a_process(), one_run_of_all(arguments.output_dir):
        splits = all_do(
            lambda: with_development_rows(
                load_splits(arguments.data, arguments.config, columns=columns),
                arguments.development_rows,
                everything,
            )
        )
        task = all_do(lambda: _TextCNNTask(arguments, splits))
        folder = fit(task, arguments)
        if arguments.classes == "se30k8" and "test" in splits:
            _measure_test(task, splits["test"], folder)
    return folder


def _measure_test(task: _TextCNNTask, split: Dataset, folder: Path) -> None:
    """Write the metrics of the test split into the run folder, unless they are there."""
    path = folder.parent / "results.json"
    if first_does(path.is_file):
        return
    accelerator = Accelerator()
    model = TextCNNForSequenceClassification.from_pretrained(folder).to(accelerator.device).eval()
    with torch.inference_mode():
        metrics = task.measured(model, task.rows(split), accelerator)
    results = {
        "dataset": "SE30K8",
        "config": task.arguments.config or "default",
        "split": "test",
        "protocol": "keywords",
        # Without a majority in any row there is no accuracy.
        "metrics": {name: value for name, value in metrics.items() if math.isfinite(value)},
        "environment": environment([task.arguments.seed]),
    }
    first_does(lambda: write_json(path, results))


class _TextCNNTask:
    """What ``fit`` needs to know of TextCNN."""

    def __init__(self, arguments: TextCNNArguments, splits: Mapping[str, Dataset]) -> None:
        self.arguments = arguments
        train = splits["train"]
        lists = train.select_columns(["keywords"]).with_format("arrow")[:]["keywords"]
        names = class_names(arguments.classes, train.features)
        self.tokenizer, embedding = build_text_vocabulary(
            lists.to_pylist(), emotion_vocabulary(train.features), arguments
        )
        self.model = _build_model(arguments, names, embedding)
        self.train_rows = self.rows(train, arguments.keyword_dropout)
        self.validation_rows = self.rows(splits["validation"]) if "validation" in splits else None
        check_text(self.train_rows, "train")
        if self.validation_rows is not None:
            check_text(self.validation_rows, "validation")

    def rows(self, split: Dataset, dropout: float = 0.0) -> KeywordRows:
        """Return keywords and targets of a split."""
        classes = self.arguments.classes
        return KeywordRows(
            split,
            self.tokenizer,
            read_targets(classes, split),
            everything=classes == "se30k8",
            dropout=dropout,
            seed=self.arguments.seed,
        )

    def losses(self, model: nn.Module, batch: Batch, accelerator: Accelerator) -> Batch:
        """Return the multi-label cross entropy on the softmax."""
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        targets = batch["labels"]
        if self.arguments.targets == "normalized":
            targets = normalized_labels(targets)
        return {"loss": classification_loss(logits, targets).mean()}

    def evaluate(self, model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """Return the loss and the metrics of the classes on the validation split."""
        if self.validation_rows is None:
            return {}
        return self.measured(model, self.validation_rows, accelerator)

    def measured(
        self, model: nn.Module, split: KeywordRows, accelerator: Accelerator
    ) -> dict[str, float]:
        """Return the loss and the metrics of the classes on some rows."""

        def scores(rows: np.ndarray) -> dict[str, np.ndarray]:
            batch = split.__getitems__(MicroBatch(0, rows))
            batch = {name: value.to(accelerator.device) for name, value in batch.items()}
            logits = model(batch["input_ids"], batch["attention_mask"]).logits
            loss = classification_loss(logits, normalized_labels(batch["labels"]))
            judged = split.targets.judged(logits.float().cpu().numpy(), rows)
            return {**judged, "loss": loss.float().cpu().numpy()}

        metrics = split.targets.metrics
        at_once = split.context.rows_at_once(_EVALUATION_BATCH)
        return measure(metrics, scores, len(split), at_once, accelerator)

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
    Where ``word_vectors`` is a TextCNN's folder, keywords and vectors are that model's: so a text
    model of SE30K8's 30 K images knows the keywords of all of StockEmotion, which it is to label.

    Args:
        lists: Keyword lists of the training split, in normal form.
        emotions: The emotion vocabulary.
        arguments: ``word_vectors`` or the options of those trained here, ``keyword_lookup``,
            ``embedding_dim``, ``min_count``, ``seed``; ``variant`` and ``max_keywords`` for the
            tokenizer's limit.

    Returns:
        The tokenizer, and its embedding, float32 (V, embedding_dim).

    Raises:
        RecipeError: The folder holds no TextCNN, or one with vectors of another size.
        WordVectorError: The file of word vectors cannot be used.
    """
    if arguments.word_vectors is not None and Path(arguments.word_vectors).is_dir():
        return _vocabulary_of(arguments.word_vectors, arguments)
    counts = Counter(name for keywords in lists for name in keywords)
    frequent = {name for name, count in counts.items() if count >= arguments.min_count}
    if arguments.word_vectors is None:
        vectors = train_word_vectors(
            lists,
            dim=arguments.embedding_dim,
            seed=arguments.seed,
            epochs=arguments.word_vector_epochs,
            min_count=arguments.word_vector_min_count or arguments.min_count,
            negative=arguments.word_vector_negative,
            copies=arguments.word_vector_copies,
            dropout=arguments.word_vector_dropout,
            window=arguments.word_vector_window,
        )
    else:
        vectors = load_word_vectors(arguments.word_vectors, dim=arguments.embedding_dim)
    candidates = sorted(frequent | {*emotions, *default_vocabulary()})
    matrix, _ = embedding_matrix(vectors, candidates, arguments.keyword_lookup)
    known = (matrix[2:] != 0).any(axis=1)
    names = [name for name, has_vector in zip(candidates, known, strict=True) if has_vector]
    embedding = np.concatenate([matrix[:2], matrix[2:][known]])
    return keyword_tokenizer(names, _longest(arguments)), embedding


def _longest(arguments: TextCNNArguments) -> int | None:
    """Return where the model cuts keyword lists: the paper's does not."""
    return None if arguments.variant == "paper" else arguments.max_keywords


def _vocabulary_of(
    folder: str, arguments: TextCNNArguments
) -> tuple[PreTrainedTokenizerFast, np.ndarray]:
    """Take keywords and word vectors of a TextCNN."""
    model, tokenizer = load_text_model(folder, "word_vectors")
    embedding = model.textcnn.embedding.weight.numpy()
    if embedding.shape[1] != arguments.embedding_dim:
        raise RecipeError(
            f"The word vectors of {folder} have {embedding.shape[1]} dimensions: set embedding_dim."
        )
    ids = tokenizer.get_vocab()
    keywords = [name for name in sorted(ids, key=ids.__getitem__) if name not in SPECIAL_TOKENS]
    return keyword_tokenizer(keywords, _longest(arguments)), embedding


def _build_model(
    arguments: TextCNNArguments, names: Sequence[str], embedding: np.ndarray
) -> TextCNNForSequenceClassification:
    """Make the model with its word vectors in place."""
    makers: Mapping[str, Callable[..., TextCNNConfig]] = {
        "paper": TextCNNConfig,
        "published_code": TextCNNConfig.published_code,
        "published_code_nlt": TextCNNConfig.published_code_nlt,
    }
    config = makers[arguments.variant](
        vocab_size=len(embedding),
        embedding_dim=embedding.shape[1],
        hidden_size=arguments.hidden_size,
        max_keywords=arguments.max_keywords,
        id2label=dict(enumerate(names)),
    )
    model = TextCNNForSequenceClassification(config)
    model.textcnn.embedding.weight.copy_(torch.from_numpy(embedding))
    return model
