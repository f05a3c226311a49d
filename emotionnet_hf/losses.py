"""The losses of EmotionNet: Eq. 1 to 4 of the paper, as pure functions of tensors.

Wei et al., "Learning Visual Emotion Representations from Web Data" (CVPR 2020), section 4. Where
the published code differs from the printed equation both forms are here, under names that say so.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional as F

SoftLabelForm = Literal["normalized", "printed"]


def soft_labels(
    predicted: torch.Tensor,
    tagged: torch.Tensor,
    form: SoftLabelForm = "normalized",
    threshold: float = 0.01,
) -> torch.Tensor:
    """Combine tagged emotion keywords with those the text model predicts (Eq. 1).

    ``printed`` is the equation as it stands, y' = (y_hat + y) / (1 + sum y_hat), with a binary y.
    Its sum is (1 + |y|) / 2 when y_hat is a softmax, so images with more keywords weigh more.
    ``normalized`` follows the published code: y / |y| instead of y, predictions below
    ``threshold`` set to 0, the whole divided by its sum; every row is then a distribution.

    Args:
        predicted: y_hat, probabilities from the text model, float, (B, K).
        tagged: y, 1 where the uploader gave the keyword, float or bool, (B, K).
        form: ``normalized`` (default) or ``printed``.
        threshold: Probability under which ``normalized`` drops a prediction (0.01 in the code).

    Returns:
        y', float, (B, K). Rows without tag and without prediction are 0.

    Raises:
        ValueError: The shapes differ or ``form`` is unknown.
    """
    _check_same_shape(predicted=predicted, tagged=tagged)
    tagged = tagged.to(predicted.dtype)
    if form == "printed":
        return (predicted + tagged) / (1 + predicted.sum(dim=-1, keepdim=True))
    if form != "normalized":
        raise ValueError(f"form is {form!r}; it must be 'normalized' or 'printed'.")
    kept = predicted * (predicted >= threshold)
    return normalized_labels(kept + normalized_labels(tagged))


def normalized_labels(labels: torch.Tensor) -> torch.Tensor:
    """Scale each row to sum to 1: y / |y|.

    Args:
        labels: Non-negative, float, (B, K).

    Returns:
        Float, (B, K); rows of zeros stay zeros.
    """
    return labels / labels.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(labels.dtype).tiny)


def classification_loss(
    logits: torch.Tensor, targets: torch.Tensor, divide_by_classes: bool = False
) -> torch.Tensor:
    """Multi-label cross entropy on the softmax (Eq. 2), one value an image.

    Args:
        logits: Float, (B, K); P of the paper is their softmax.
        targets: y', float, (B, K); rows of zeros give a loss of 0.
        divide_by_classes: With the factor 1/K of Eq. 2 as printed. The published code has none,
            nor has our default: with it and K = 690 the classification term would weigh almost
            nothing beside the embedding loss at the paper's lambda of 1.

    Returns:
        -sum_k y'_k log P_k (over K where asked), float, (B,).

    Raises:
        ValueError: The shapes differ.
    """
    _check_same_shape(logits=logits, targets=targets)
    loss = -(targets * F.log_softmax(logits, dim=-1)).sum(dim=-1)
    return loss / logits.shape[-1] if divide_by_classes else loss


def embedding_loss(image_embeds: torch.Tensor, text_embeds: torch.Tensor) -> torch.Tensor:
    """Cosine distance between image and keywords in the joint space (Eq. 3), one value an image.

    Args:
        image_embeds: W f_v(x), float, (B, D).
        text_embeds: f_t(y), the average of the word vectors of all keywords, float, (B, D).

    Returns:
        1 - cos, float in [0, 2], (B,). Images without a known keyword (a row of zeros in
        ``text_embeds``) give 0 and no gradient: there is no text to pull them to. The published
        code pulls them to a random vector instead.

    Raises:
        ValueError: The shapes differ.
    """
    _check_same_shape(image_embeds=image_embeds, text_embeds=text_embeds)
    distance = 1 - F.cosine_similarity(image_embeds, text_embeds.to(image_embeds.dtype), dim=-1)
    return distance * has_text(text_embeds)


def has_text(text_embeds: torch.Tensor) -> torch.Tensor:
    """Return which images have a known keyword: bool, (B,), for ``text_embeds`` (B, D)."""
    return (text_embeds != 0).any(dim=-1)


def emotionnet_loss(
    classification: torch.Tensor, embedding: torch.Tensor, embedding_weight: float = 1.0
) -> torch.Tensor:
    """Combine both losses: L = L_cls + lambda L_embed (Eq. 4).

    Args:
        classification: L_cls, any shape.
        embedding: L_embed, the same shape.
        embedding_weight: lambda, 1 in the paper.

    Returns:
        The sum, in the shape of its arguments.
    """
    return classification + embedding_weight * embedding


def _check_same_shape(**tensors: torch.Tensor) -> None:
    """Refuse what torch would broadcast to a plausible, wrong number."""
    if len({tensor.shape for tensor in tensors.values()}) > 1:
        shapes = " and ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
        raise ValueError(f"{shapes} differ in shape.")
