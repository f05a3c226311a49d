"""Categories as vectors of a text space, and how well images fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from emotionnet_hf.evaluation.features import unit_rows
from emotionnet_hf.evaluation.zero_shot.category_keywords import CategoryError
from emotionnet_hf.models import EmotionNetForPreTraining, TextCNNForSequenceClassification
from emotionnet_hf.models.modeling_words import KnownWords

Pooling = Literal["mean", "max", "centroid"]
"""From a category's keywords to its score: the mean of their cosines (the published code), the
largest of them, or the cosine with the mean of their vectors (f_t of Eq. 3)."""

Representation = Literal["category", "keywords", "logits"]
"""What a text model makes of a category: its representation of the whole keyword list
(``pooler_output``; the paper, section 5.4), the ReLU of the convolution for each keyword
(``last_hidden_state``; the published code), or its class logits for the whole list (what an
auxiliary head of eight outputs was trained towards)."""


_UNCOVERED = -1.0  # the lowest cosine


@dataclass(frozen=True)
class CategoryVectors:
    """C categories in a text space.

    Attributes:
        vectors: One or more for each category, float32, (T, D).
        category: Which category each vector is of, int64, (T,).
        known: Keywords of each category that the text side knows.
        unknown: Those that it does not know, and that count for nothing.
        other_forms: Of the known ones those that it knows only by others, such as ``dogs`` by
            ``dog`` (see ``KnownWords``), with these.
    """

    vectors: np.ndarray
    category: np.ndarray
    known: dict[str, list[str]]
    unknown: dict[str, list[str]]
    other_forms: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def scores(self, images: np.ndarray, pooling: Pooling = "mean") -> np.ndarray:
        """Score images for every category by cosine.

        Args:
            images: In the same space, float, (N, D); an image of zeros has cosine 0 with all.
            pooling: See `Pooling`.

        Returns:
            Float64, (N, C); -1, the lowest cosine, for a category without a known keyword.
        """
        vectors, images = self.vectors.astype(np.float64), unit_rows(images.astype(np.float64))
        scores = np.full((len(images), len(self.known)), _UNCOVERED)
        for place, name in enumerate(self.known):
            if not self.known[name]:
                continue
            rows = vectors[self.category == place]
            if pooling == "centroid":
                rows = rows.mean(axis=0, keepdims=True)
            cosines = images @ unit_rows(rows).T
            scores[:, place] = (np.max if pooling == "max" else np.mean)(cosines, axis=1)
        return scores

    @property
    def uncovered(self) -> list[str]:
        """Categories without a known keyword."""
        return [name for name, keywords in self.known.items() if not keywords]

    def check_covered(self, wanted: Mapping[str, Sequence[str]], who: str) -> None:
        """Refuse categories without a known keyword.

        Args:
            wanted: Keywords of each category.
            who: Knows keywords, for the message.

        Raises:
            CategoryError: There are such categories.
        """
        if self.uncovered:
            lists = "; ".join(f"{name} ({', '.join(wanted[name])})" for name in self.uncovered)
            raise CategoryError(
                f"{who} knows no keyword of: {lists}. Give other keywords for them, in a JSON file "
                'with {"class": ["keyword", ...]} for every class (the model knows the keywords of '
                'its tokenizer), or set uncovered to "chance".'
            )


def in_word_vectors(
    categories: Mapping[str, Sequence[str]], model: EmotionNetForPreTraining, tokenizer: Any
) -> CategoryVectors:
    """Represent categories by the raw word vectors of their keywords, as W f_v(x) was trained to.

    Args:
        categories: Keywords of each category, in normal form.
        model: With a keyword tower.
        tokenizer: The model's.

    Returns:
        One vector a known keyword, or one for each part of a phrase that is known only by its
        parts, (T, projection_dim).
    """
    table = model.text_tower.keyword_embedding.weight.detach().float().cpu()
    ids, found = _encoded(categories, tokenizer, KnownWords(tokenizer, table))
    flat, category = _flat(ids)
    return CategoryVectors(table[flat].numpy(), category, **found)


@torch.inference_mode()
def in_text_model(
    categories: Mapping[str, Sequence[str]],
    model: TextCNNForSequenceClassification,
    tokenizer: Any,
    representation: Representation = "category",
) -> CategoryVectors:
    """Represent categories by a text model, such as that of SE30K8's eight classes.

    Args:
        categories: Keywords of each category, in normal form.
        model: On the CPU; it is put into evaluation mode.
        tokenizer: The model's.
        representation: See `Representation`.

    Returns:
        One vector a category, or a known keyword (``keywords``).
    """
    model.eval()
    ids, found = _encoded(categories, tokenizer, KnownWords(tokenizer))
    if representation == "keywords":
        flat, category = _flat(ids)
        vectors = model.textcnn.keyword_features(flat)
        return CategoryVectors(vectors.float().numpy(), category, **found)
    longest = max(1, *map(len, ids))
    pad = model.config.pad_token_id
    rows = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    output = model(rows, mask, return_dict=True)
    vectors = output.logits if representation == "logits" else output.pooler_output
    return CategoryVectors(vectors.float().numpy(), np.arange(len(ids)), **found)


def _flat(ids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, np.ndarray]:
    """Put the keywords of all categories in one row, and say which category each is of."""
    category = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    return torch.tensor([i for row in ids for i in row], dtype=torch.long), category


def _encoded(
    categories: Mapping[str, Sequence[str]], tokenizer: Any, words: KnownWords
) -> tuple[list[list[int]], dict[str, Any]]:
    """Look keywords up: ids of the known ones by category, and what was found by name."""
    ids: list[list[int]] = []
    known, unknown = {}, {}
    other_forms: dict[str, tuple[str, ...]] = {}
    for name, keywords in categories.items():
        # Each on its own: in a list one could not tell which of them is unknown.
        found = {keyword: words.look_up(keyword) for keyword in keywords}
        known[name] = [keyword for keyword, it in found.items() if it.keywords]
        unknown[name] = [keyword for keyword, it in found.items() if not it.keywords]
        other_forms |= {k: it.keywords for k, it in found.items() if not it.as_written}
        standing = dict.fromkeys(word for it in found.values() for word in it.keywords)
        ids.append(tokenizer.convert_tokens_to_ids(list(standing)))
    return ids, {"known": known, "unknown": unknown, "other_forms": other_forms}
