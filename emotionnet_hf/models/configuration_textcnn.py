"""Configuration of TextCNN."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from transformers import PreTrainedConfig

AUTO_MAP = {
    "AutoConfig": "configuration_textcnn.TextCNNConfig",
    "AutoModel": "modeling_textcnn.TextCNNModel",
    "AutoModelForSequenceClassification": "modeling_textcnn.TextCNNForSequenceClassification",
}


class TextCNNConfig(PreTrainedConfig):
    """The architecture of TextCNN (section 4, Fig. 3): keywords in, emotion keywords out.

    The defaults are the paper's. ``TextCNNConfig.published_code(...)`` is the variant in the
    authors' code (its ``TextCNN_NLT_DAN``), which differs from the paper's text in four places, and
    ``TextCNNConfig.published_code_nlt(...)`` their ``TextCNN_NLT``, whose classes are read from the
    average itself.

    Args:
        vocab_size: Number of keywords with a row in the embedding, special tokens included.
        embedding_dim: Size of the word vectors (300).
        hidden_size: Channels of the convolution and of the fully-connected layer (300).
        hidden_layer: Whether there is a fully-connected layer between average and classes; without
            it the average, normalised, is the representation of the list.
        activation: After the fully-connected layer: ``relu`` ("for non-linear transformations",
            the paper) or ``none`` (the published code).
        pooling: Average over the keywords that are there (``masked``), or over ``max_keywords``
            places, padding included (``padded``, the published code).
        max_keywords: Number of places with ``pooling="padded"``; longer lists are cut there.
        batch_norm: Whether a BatchNorm follows the average (the published code).
        dropout: Probability, before the fully-connected and before the last layer.
        pad_token_id: Id of the padding token.
        unk_token_id: Id of the token for unknown keywords.

    Example:
        >>> TextCNNConfig.published_code(vocab_size=10).pooling
        'padded'
    """

    model_type = "textcnn"
    _auto_class = "AutoConfig"
    # The stock Trainer's predictions are the logits alone, as of other classifiers.
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["pooler_output"]

    vocab_size: int = 2
    embedding_dim: int = 300
    hidden_size: int = 300
    hidden_layer: bool = True
    activation: Literal["relu", "none"] = "relu"
    pooling: Literal["masked", "padded"] = "masked"
    max_keywords: int = 100
    batch_norm: bool = False
    dropout: float = 0.0
    pad_token_id: int = 0
    unk_token_id: int = 1

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what is derived; ``auto_map`` is whole so that one folder opens as everything."""
        super().__post_init__(**kwargs)
        if self.id2label is not None:
            self.label2id = {name: i for i, name in self.id2label.items()}
        self.auto_map = dict(AUTO_MAP)

    @classmethod
    def published_code(cls, **kwargs: Any) -> TextCNNConfig:
        """Return the variant of the authors' published code; ``kwargs`` override single fields."""
        variant = {
            "activation": "none",
            "pooling": "padded",
            "batch_norm": True,
            "dropout": 0.5,
        }
        return cls(**{**variant, **kwargs})

    @classmethod
    def published_code_nlt(cls, **kwargs: Any) -> TextCNNConfig:
        """Return the plain variant of the authors' code; ``kwargs`` override single fields."""
        return cls.published_code(**{"hidden_layer": False, **kwargs})
