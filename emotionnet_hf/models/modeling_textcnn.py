"""TextCNN: from an unordered list of keywords to a distribution over emotion keywords.

Wei et al., "Learning Visual Emotion Representations from Web Data" (CVPR 2020), section 4, Fig. 3.
This file travels with every checkpoint (``trust_remote_code``): it needs torch and transformers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F
from transformers.utils import ModelOutput

from .configuration_textcnn import TextCNNConfig
from .modeling_strict import StrictPreTrainedModel, as_asked, start_anew


@dataclass
class TextCNNModelOutput(ModelOutput):
    """What the body gives.

    Attributes:
        last_hidden_state: ReLU of the convolution, one vector a keyword, float, (B, L, hidden).
        pooler_output: The representation of the list that the classes are read from, (B, hidden).
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None


@dataclass
class TextCNNClassifierOutput(ModelOutput):
    """What the classifier gives.

    Attributes:
        loss: See ``StrictPreTrainedModel.label_loss``, a scalar, where labels were given.
        logits: Float, (B, num_labels); the paper's y-hat is their softmax.
        pooler_output: The representation of the list, float, (B, hidden).
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None


class TextCNNPreTrainedModel(StrictPreTrainedModel):
    """What the TextCNN classes share."""

    config_class = TextCNNConfig
    config: TextCNNConfig
    base_model_prefix = "textcnn"
    main_input_name = "input_ids"
    input_modalities = ("text",)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise as torch does; the embedding is meant to be filled with word vectors."""
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.BatchNorm1d, nn.Embedding)):
            start_anew(module)
        else:
            super()._init_weights(module)

    def _fixed(self) -> tuple[nn.Module, ...]:
        """Return the word vectors."""
        return (self.get_input_embeddings(),)

    def get_input_embeddings(self) -> nn.Module:
        """Return the word vectors."""
        trunk = self if isinstance(self, TextCNNModel) else self.textcnn
        return trunk.embedding


class TextCNNModel(TextCNNPreTrainedModel):
    """Word vectors, convolution with kernel 1, ReLU, average, one fully-connected layer or none.

    The word vectors are fixed. Keywords without one share the ``unk_token_id`` row.
    """

    _auto_class = "AutoModel"
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^classifier\."]

    def __init__(self, config: TextCNNConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_dim)
        self.conv = nn.Conv1d(config.embedding_dim, config.hidden_size, kernel_size=1)
        self.norm = nn.BatchNorm1d(config.hidden_size) if config.batch_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        if config.hidden_layer:
            self.fc = nn.Linear(config.hidden_size, config.hidden_size)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> TextCNNModelOutput | tuple[torch.Tensor, ...]:
        """Represent keyword lists.

        Args:
            input_ids: Keyword ids, int64, (B, L).
            attention_mask: 1 where ``input_ids`` count, (B, L); where absent, all that is not
                padding counts.
            return_dict: Whether to return a ``ModelOutput`` (default) or a tuple.
            **kwargs: Ignored, for pipelines that pass more.

        Returns:
            ``TextCNNModelOutput``. A list without a keyword, L = 0 too, is read as one unknown
            word. The paper does not say; the published code averages padding, whose word vector
            is as good as that of an unknown word.
        """
        mask = attention_mask
        if mask is None:
            mask = input_ids.ne(self.config.pad_token_id)
        pad = self._pad if self.config.pooling == "padded" else self._fill
        input_ids, mask = pad(input_ids, mask)
        words = self.embedding(input_ids).transpose(1, 2)
        hidden = F.relu(self.conv(words)).transpose(1, 2)
        features = self.norm(self._average(hidden, mask))
        if self.config.hidden_layer:
            features = self.fc(self.dropout(features))
            if self.config.activation == "relu":
                features = F.relu(features)
        output = TextCNNModelOutput(hidden, features)
        return as_asked(output, return_dict, self.config)

    def keyword_features(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return the ReLU of the convolution for single keywords, float (N, hidden), of (N,)."""
        words = self.embedding(input_ids).unsqueeze(-1)
        return F.relu(self.conv(words)).squeeze(-1)

    def _pad(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut or pad to ``max_keywords``, and let the padding count, as the published code does."""
        places, pad = self.config.max_keywords, self.config.pad_token_id
        ids = input_ids.long().masked_fill(~attention_mask.bool(), pad)
        # Padded first and cut then: whatever the length, these are the same steps.
        ids = F.pad(ids, (0, places), value=pad)[:, :places]
        return ids, torch.ones_like(ids)

    def _fill(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Put the unknown word in the first place of lists without a keyword."""
        if not input_ids.shape[1]:
            input_ids = F.pad(input_ids.long(), (0, 1), value=self.config.pad_token_id)
            attention_mask = F.pad(attention_mask, (0, 1), value=0)
        mask = attention_mask.bool()
        first = torch.arange(mask.shape[1], device=mask.device) == 0
        filled = first & ~mask.any(dim=1, keepdim=True)
        return input_ids.masked_fill(filled, self.config.unk_token_id), mask | filled

    @staticmethod
    def _average(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Average (B, L, H) over the places where ``mask`` is 1, (B, L), at least one a row."""
        weights = mask.to(hidden.dtype).unsqueeze(-1)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


class TextCNNForSequenceClassification(TextCNNPreTrainedModel):
    """TextCNN with its K classes: emotion keywords for soft labels, or the 8 of SE30K8."""

    _auto_class = "AutoModelForSequenceClassification"

    def __init__(self, config: TextCNNConfig) -> None:
        super().__init__(config)
        self.textcnn = TextCNNModel(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> TextCNNClassifierOutput | tuple[torch.Tensor, ...]:
        """Score the classes of keyword lists.

        Args:
            input_ids: Keyword ids, int64, (B, L).
            attention_mask: 1 where ``input_ids`` count, (B, L).
            labels: What ``config.problem_type`` wants, see ``label_loss``; with them the output
                has a ``loss``.
            return_dict: Whether to return a ``ModelOutput`` (default) or a tuple.
            **kwargs: Ignored, for pipelines that pass more.

        Returns:
            ``TextCNNClassifierOutput``.
        """
        features = self.textcnn(input_ids, attention_mask, return_dict=True).pooler_output
        logits = self.classifier(self.dropout(features))
        loss = self.label_loss(labels, logits)
        return as_asked(TextCNNClassifierOutput(loss, logits, features), return_dict, self.config)
