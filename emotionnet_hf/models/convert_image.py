"""The authors' image models as an EmotionNet.

The trunk is torchvision's ResNet-50 (stride in the 3x3 convolution), which timm builds too, with
the same names. Beside it are `fc` (the classes), `proj` (W into the joint space) and `fc_aux`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import timm
import torch

from emotionnet_hf.emotions import SE30K8, default_vocabulary
from emotionnet_hf.loading.normal_form import normalize_keyword
from emotionnet_hf.models.configuration_emotionnet import EmotionNetConfig
from emotionnet_hf.models.modeling_emotionnet import (
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
)
from emotionnet_hf.models.read_original import (
    COUNTER,
    ConversionError,
    OriginalCheckpoint,
    check_tensors,
)

ImageKind = Literal["two-branch", "three-branch", "joint", "fine-tuned"]
Embed = Callable[[Sequence[str]], np.ndarray]
Tower = tuple[list[str], np.ndarray]

BACKBONE = "resnet50"
"""The authors' trunk, by its name in timm."""

WIDTH = 2048
"""Size of the visual emotion feature of ResNet-50."""

_HEADS = ("fc", "proj", "fc_aux")


def image_sizes(checkpoint: OriginalCheckpoint, kind: ImageKind) -> tuple[int, int]:
    """Check an image model's tensors.

    Args:
        checkpoint: As read.
        kind: Of the checkpoint.

    Returns:
        Number of its classes, and size of its joint space, 0 where there is none.

    Raises:
        CheckpointError: A tensor is missing, of another size, or has no place.
    """
    classes, dim = checkpoint.rows("fc"), checkpoint.rows("proj")
    heads = {"fc": (classes, dim if kind == "joint" else WIDTH)}
    if kind != "fine-tuned":
        heads["proj"] = (dim, WIDTH)
    if kind == "three-branch":
        heads["fc_aux"] = (len(SE30K8), WIDTH)
    with torch.device("meta"):
        trunk = timm.create_model(BACKBONE, num_classes=0)
    sizes: dict[str, Any] = {name: tensor.shape for name, tensor in trunk.state_dict().items()}
    for name, size in heads.items():
        sizes |= {f"{name}.weight": size, f"{name}.bias": size[:1]}
    check_tensors(checkpoint, kind, sizes)
    return classes, dim


def build_tower(
    embed: Embed, labels: Sequence[str], keywords: Iterable[str] | None, dim: int
) -> Tower:
    """Choose the keywords of the text tower and look their vectors up.

    They are the labels, those of `default_vocabulary()`, so that the benchmarks' zero-shot
    candidates work, and what the caller adds; as in training, without those that have no vector.

    Args:
        embed: From n keywords to float (n, dim), rows of zeros for those without a vector.
        labels: Names of the classes.
        keywords: More keywords, in any form.
        dim: Size of the joint space.

    Returns:
        The keywords in normal form, sorted, and their vectors, float32 (n, dim).

    Raises:
        ConversionError: The vectors are of another size, or there is none.
    """
    wanted = {*map(normalize_keyword, [*labels, *(keywords or ())]), *default_vocabulary()}
    # A comma separates keywords: with one in it, a keyword could never be asked for.
    names = sorted(name for name in wanted if name and "," not in name)
    vectors = np.asarray(embed(names), dtype=np.float32)
    if vectors.shape != (len(names), dim):
        raise ConversionError(
            f"The word vectors are {vectors.shape}, the joint space needs {(len(names), dim)}: "
            f"give the vectors that the authors trained with, GoogleNews' of size {dim}."
        )
    known = (vectors != 0).any(axis=1)
    if not known.any():
        raise ConversionError(
            f"None of {len(names)} keywords has a word vector; see --word-vectors."
        )
    return [name for name, there in zip(names, known, strict=True) if there], vectors[known]


def build_emotionnet(
    checkpoint: OriginalCheckpoint, labels: Sequence[str], tower: Tower | None = None
) -> EmotionNetForImageClassification | EmotionNetForPreTraining:
    """Put an image model's trunk, `fc` and `proj` into an EmotionNet.

    Of a three-branch model `fc_aux` becomes the auxiliary head where there is a text tower; the
    class without a tower has none, so there it is only in `build_auxiliary`'s classifier.

    In a joint model `fc` (K, P) reads the projection; there is nothing between the two, so they
    are one linear layer, fc W, (K, 2048), multiplied here in float64. Without `proj` the joint
    space has size 0.

    Args:
        checkpoint: With tensors that `image_sizes` accepts.
        labels: Names of the classes.
        tower: Keywords and word vectors of the text tower.

    Returns:
        In evaluation mode: `EmotionNetForPreTraining` with a text tower, else
        `EmotionNetForImageClassification`.
    """
    tensors = checkpoint.tensors
    weight, bias = tensors["fc.weight"].double(), tensors["fc.bias"].double()
    if weight.shape[1] != WIDTH:
        bias = bias + weight @ tensors["proj.bias"].double()
        weight = weight @ tensors["proj.weight"].double()
    state = {"classifier.weight": weight, "classifier.bias": bias}
    if tower is None:
        return _fill(EmotionNetForImageClassification, checkpoint, labels, state)
    names, vectors = tower
    special = np.zeros((2, vectors.shape[1]), np.float32)  # padding, unknown
    state["text_tower.keyword_embedding.weight"] = torch.from_numpy(
        np.concatenate([special, vectors])
    )
    auxiliary = checkpoint.rows("fc_aux")
    if auxiliary:
        state |= {f"auxiliary_projection.{p}": tensors[f"fc_aux.{p}"] for p in ("weight", "bias")}
    sizes = {"vocab_size": len(names) + 2, "auxiliary_dim": auxiliary}
    return _fill(EmotionNetForPreTraining, checkpoint, labels, state, **sizes)


def build_auxiliary(checkpoint: OriginalCheckpoint) -> EmotionNetForImageClassification:
    """Make a classifier over SE30K8's classes of the trunk and `fc_aux` of a three-branch model.

    Args:
        checkpoint: With tensors that `image_sizes` accepts.

    Returns:
        The classifier, in evaluation mode, with the projection of the same model.
    """
    state = {f"classifier.{p}": checkpoint.tensors[f"fc_aux.{p}"] for p in ("weight", "bias")}
    return _fill(EmotionNetForImageClassification, checkpoint, SE30K8, state)


def _fill(
    kind: Any,
    checkpoint: OriginalCheckpoint,
    labels: Sequence[str],
    heads: dict[str, torch.Tensor],
    **sizes: int,
) -> Any:
    """Make a model of trunk, projection and the given heads, every tensor of it filled."""
    tensors = checkpoint.tensors
    projection = tensors.get("proj.weight", torch.zeros(0, WIDTH))
    config = EmotionNetConfig(
        backbone=BACKBONE,
        projection_dim=len(projection),
        # Nothing in the file says whether W was pulled to word vectors or to a text model.
        joint_space="unknown" if len(projection) else "untrained",
        id2label=dict(enumerate(labels)),
        **sizes,
    )
    model = kind(config)
    state = {
        **{n: t for n, t in model.state_dict().items() if n.endswith(COUNTER)},
        **heads,
        "emotionnet.visual_projection.weight": projection,
        "emotionnet.visual_projection.bias": tensors.get("proj.bias", torch.zeros(0)),
    }
    for name, tensor in tensors.items():
        if name.partition(".")[0] not in _HEADS:
            state[f"emotionnet.backbone.{name}"] = tensor
    model.load_state_dict(state)
    return model.eval()
