"""The authors' text models as a TextCNN in the variant of the published code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.models.configuration_textcnn import TextCNNConfig
from emotionnet_hf.models.modeling_textcnn import TextCNNForSequenceClassification
from emotionnet_hf.models.read_original import (
    COUNTER,
    ConversionError,
    OriginalCheckpoint,
    check_tensors,
)

_NAMES = {
    "conv": "textcnn.conv",
    "bn": "textcnn.norm",
    "fc_m": "textcnn.fc",
    "fc": "classifier",
}


def text_sizes(checkpoint: OriginalCheckpoint) -> tuple[int, int]:
    """Check a text model's tensors.

    Args:
        checkpoint: As read.

    Returns:
        Number of its keywords, without the two special rows, and number of its classes.

    Raises:
        CheckpointError: A tensor is missing, of another size, or has no place.
    """
    tensors = checkpoint.tensors
    # Both sizes of the embedding and the first of conv and fc are free; the rest has to agree.
    rows, dim = (*tensors["embedding.weight"].shape, 0, 0)[:2]
    hidden, classes = checkpoint.rows("conv"), checkpoint.rows("fc")
    sizes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (rows, dim),
        "conv.weight": (hidden, 1, dim),
        "conv.bias": (hidden,),
        **{f"bn.{n}": (hidden,) for n in ("weight", "bias", "running_mean", "running_var")},
        f"bn.{COUNTER}": (),
        "fc.weight": (classes, hidden),
        "fc.bias": (classes,),
    }
    if any(name.startswith("fc_m.") for name in tensors):
        sizes |= {"fc_m.weight": (hidden, hidden), "fc_m.bias": (hidden,)}
    check_tensors(checkpoint, "text", sizes)
    return rows - 2, classes


def build_text_model(
    checkpoint: OriginalCheckpoint, keywords: Iterable[str], labels: Sequence[str]
) -> tuple[TextCNNForSequenceClassification, Vocabulary]:
    """Put a text model's tensors into a TextCNN.

    The authors' convolution slides over each word vector as over a signal of one channel, (H, 1,
    D); over a list of keywords it is ours with kernel size 1, (H, D, 1). Their embedding ends with
    the unknown word and the padding, ours begins with padding and unknown. With `fc_m` it is their
    TextCNN_NLT_DAN, without their TextCNN_NLT.

    Args:
        checkpoint: With tensors that `text_sizes` accepts.
        keywords: The V keywords of the embedding, in the order of its rows.
        labels: Names of the classes.

    Returns:
        The model in evaluation mode, and the keywords in normal form.

    Raises:
        VocabularyError: Two of the keywords have one normal form, or one has none.
        ConversionError: The embedding has other rows than the keywords.
    """
    vocabulary = Vocabulary(keywords)
    tensors = checkpoint.tensors
    rows, dim = tensors["embedding.weight"].shape
    if len(vocabulary) != rows - 2:
        raise ConversionError(
            f"{checkpoint.path} has word vectors for {rows - 2} keywords (and two rows more, for "
            f"unknown words and for padding), the keyword vocabulary has {len(vocabulary)}. Give "
            "the one that the model was trained with."
        )
    config = TextCNNConfig.published_code(
        hidden_layer="fc_m.weight" in tensors,
        vocab_size=rows,
        embedding_dim=dim,
        hidden_size=tensors["conv.bias"].numel(),
        id2label=dict(enumerate(labels)),
    )
    model = TextCNNForSequenceClassification(config)
    model.load_state_dict(_state(checkpoint))
    return model.eval(), vocabulary


def _state(checkpoint: OriginalCheckpoint) -> dict[str, torch.Tensor]:
    """Our names and layout for all of the tensors."""
    tensors = checkpoint.tensors
    state = {f"textcnn.norm.{COUNTER}": torch.tensor(0)}
    for name, tensor in tensors.items():
        layer, _, kind = name.partition(".")
        if layer != "embedding":
            state[f"{_NAMES[layer]}.{kind}"] = tensor
    embedding = tensors["embedding.weight"]
    state["textcnn.embedding.weight"] = torch.cat([embedding[-2:].flip(0), embedding[:-2]])
    state["textcnn.conv.weight"] = tensors["conv.weight"].transpose(1, 2)
    return state
