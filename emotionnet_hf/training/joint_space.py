"""What W is pulled to: word vectors (Eq. 3), or a text model's features of single keywords."""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerFast

from emotionnet_hf.models import TextCNNForSequenceClassification
from emotionnet_hf.models.tokenization_keywords import SPECIAL_TOKENS
from emotionnet_hf.training.arguments import EmotionNetArguments, RecipeError
from emotionnet_hf.training.auxiliary import Guide


def keyword_vectors(
    arguments: EmotionNetArguments,
    text_model: TextCNNForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    guide: Guide | None,
) -> torch.Tensor:
    """Return the rows of the text tower, whose average over an image's keywords is f_t(y).

    The published code pulls W to a text model's averaged features: the ReLU of the convolution,
    averaged over the list. That is the average of one vector a keyword, so it goes the way of word
    vectors. Where we differ: the average is over the keywords that are known; theirs is over 100
    places, the padding too.

    Args:
        arguments: ``embedding_target``.
        text_model: That of soft labels.
        tokenizer: Its tokenizer, whose keywords the tower knows.
        guide: Of extra supervision, needed for ``auxiliary_text_model``.

    Returns:
        Float, (V, D); zeros for the special tokens and for what has no vector.

    Raises:
        RecipeError: The auxiliary text model knows none of the keywords.
    """
    ids = tokenizer.get_vocab()
    if arguments.embedding_target == "auxiliary_text_model" and guide is not None:
        vectors = _taken_over(_features(guide.model), ids, guide.tokenizer.get_vocab())
    elif arguments.embedding_target == "text_model":
        vectors = _features(text_model)
    else:
        vectors = text_model.textcnn.embedding.weight.clone()
    # Converted text models have random vectors for the unknown word.
    vectors[[ids[token] for token in SPECIAL_TOKENS]] = 0
    if not vectors.any():
        raise RecipeError(
            f"{arguments.embedding_target} knows none of the {len(ids)} keywords of text_model, so "
            "there is nothing to pull W to: train both on the same word vectors."
        )
    return vectors


def _features(model: TextCNNForSequenceClassification) -> torch.Tensor:
    """Features of each keyword of a text model, (V, hidden); zeros where it has no vector."""
    table = model.textcnn.embedding.weight
    known = (table != 0).any(dim=1, keepdim=True)
    every = torch.arange(len(table), device=table.device)
    return model.textcnn.keyword_features(every) * known


def _taken_over(rows: torch.Tensor, ids: dict[str, int], theirs: dict[str, int]) -> torch.Tensor:
    """Bring rows of another vocabulary into the order of ours, zeros for what it lacks."""
    both = sorted(ids.keys() & theirs.keys())
    vectors = torch.zeros(max(ids.values()) + 1, rows.shape[1])
    vectors[[ids[name] for name in both]] = rows[[theirs[name] for name in both]]
    return vectors
