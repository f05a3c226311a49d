"""The authors' checkpoints as checkpoint folders like ours.

A checkpoint's kind is told by the names and sizes of its tensors:

    two-branch    trunk, fc (K, 2048), proj (P, 2048): the released EmotionNet, K = 690, P = 300
    three-branch  the same and fc_aux (8, 2048), the classes of SE30K8: a folder beside, `auxiliary`
                  (and the auxiliary head of the model itself, where that gets a text tower)
    joint         trunk, proj (P, 2048), and fc (K, P) on top of it
    fine-tuned    trunk, fc (classes, 2048): the benchmark models, without a joint space
    text          embedding (V + 2, 300), conv, bn, fc_m, fc (K, 300)

No tensor is left out and none is made up, except for the counters of BatchNorm, which old versions
of PyTorch did not save and which change no output.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from emotionnet_hf import __version__
from emotionnet_hf.emotions import AFFECTNET, EMOTIC, MIKELS, SE30K8, UBE
from emotionnet_hf.files import check_replaceable, whole_folder, write_json
from emotionnet_hf.lock import one_run
from emotionnet_hf.models.convert_image import (
    BACKBONE,
    WIDTH,
    Embed,
    ImageKind,
    build_auxiliary,
    build_emotionnet,
    build_tower,
    image_sizes,
)
from emotionnet_hf.models.convert_text import build_text_model, text_sizes
from emotionnet_hf.models.image_processing_emotionnet import build_image_processor
from emotionnet_hf.models.modeling_strict import CheckpointError
from emotionnet_hf.models.read_original import ConversionError, OriginalCheckpoint, read_original
from emotionnet_hf.models.tokenization_keywords import keyword_tokenizer

Kind = ImageKind | Literal["text"]

NUMBERED = "numbered"
"""In place of labels: the classes are called class_0, class_1 and so on."""

LABEL_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "se30k8": SE30K8,
        "mikels": MIKELS,
        "ube": UBE,
        "affectnet": AFFECTNET,
        "emotic": tuple(EMOTIC),
    }
)
"""Label sets by the names that `convert_checkpoint` knows them by."""

AUXILIARY = "auxiliary"
"""Folder of the classifier `fc_aux`, in the folder of a three-branch model."""

_EMOTIONS = 690
_RECORD = "conversion.json"
_WHERE = "in the folder Dataset_release/StockEmotion/idx2name of the authors' repository"


@dataclass(frozen=True)
class Conversion:
    """What became of a checkpoint.

    Attributes:
        kind: See the module.
        out: The folder.
        tensors: How many tensors the checkpoint has; all of them were placed.
        classes: Number of classes.
        keywords: Number of keywords of the text model or the text tower; None without either.
        auxiliary: The folder of the auxiliary classifier, None where there is none.
        joint_space: What W was pulled to, which no file says: ``unknown``; None without W.
    """

    kind: Kind
    out: Path
    tensors: int
    classes: int
    keywords: int | None
    auxiliary: Path | None
    joint_space: str | None

    def summary(self) -> str:
        """Return the same for people, a few lines."""
        lines = [f"{self.kind} checkpoint, all {self.tensors} tensors placed: {self.out}"]
        known = "" if self.keywords is None else f", {self.keywords:,} keywords"
        lines.append(f"{self.classes} classes{known}")
        if self.auxiliary:
            lines.append(f"auxiliary classifier over the classes of SE30K8: {self.auxiliary}")
        if self.kind == "fine-tuned":
            lines.append("no joint space: for features and classification")
        elif self.keywords is None:
            lines.append("no text tower, so neither zero-shot nor tags: --word-vectors adds one")
        if self.joint_space:
            lines.append(
                "W: the file does not say in which space it lives, that of word vectors (the "
                "paper) or of a text model's features (the published code's training of two "
                "branches). joint_space in config.json is unknown, and whatever compares images "
                "with words warns of it; who knows better writes it there."
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class _Made:
    """Models by their folder within the output, and the tokenizer of the first, if it has one."""

    models: dict[str, PreTrainedModel]
    tokenizer: PreTrainedTokenizerFast | None
    keywords: int | None


def convert_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    *,
    labels: Iterable[str] | str | None = None,
    keywords: Iterable[str] | None = None,
    embed: Embed | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Turn a checkpoint of the authors into a folder that `from_pretrained` opens.

    An image model becomes an EmotionNet with ResNet-50 and the paper's image processor. The files
    hold no word vectors. With `embed` the folder gets the text tower and opens as everything;
    without, it opens as `AutoModel` (features, projection) and as
    `AutoModelForImageClassification`, and the classes that need the tower refuse it. A text model
    becomes a TextCNN in the variant of the published code.

    Args:
        checkpoint: The file; nothing in it is run.
        out: The folder; written whole or not at all.
        labels: Names of the classes in the order of their ids (a `Vocabulary`, a list), the name
            of one of `LABEL_SETS`, or `NUMBERED`. The files do not name their classes, and their
            number does not tell (two of the sets have 8), so nothing is guessed.
        keywords: Of a text model: the V keywords of its embedding in the order of the rows
            (`tag2idx.pkl`). Of an image model with `embed`: keywords for the text tower beside the
            labels and `default_vocabulary()`.
        embed: Word vectors for the text tower: from n keywords to float (n, P), rows of zeros for
            those without one.
        overwrite: Replace what an earlier conversion wrote.

    Returns:
        What was made.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        AnotherRunError: Another run writes `out`.
        CheckpointError: It is unreadable, asks to run something, or its tensors are not those of
            one of the kinds; the message names them.
        ConversionError: Labels, keywords or word vectors are missing, too many or do not fit; or
            `out` exists.
        VocabularyError: The keywords of a text model are not each of them one keyword.
    """
    with one_run(out):
        check_replaceable(
            out, _RECORD, overwrite=overwrite, source=checkpoint, error=ConversionError
        )
        read = read_original(checkpoint)
        kind = _kind(read)
        if kind == "text":
            made = _convert_text(read, labels, keywords, embed)
        else:
            made = _convert_image(read, kind, labels, keywords, embed)
        result = Conversion(
            kind=kind,
            out=Path(out),
            tensors=len(read.tensors),
            classes=made.models[""].config.num_labels,
            keywords=made.keywords,
            auxiliary=Path(out) / AUXILIARY if AUXILIARY in made.models else None,
            joint_space="unknown" if kind not in ("text", "fine-tuned") else None,
        )
        _save(made, read, result)
    return result


def _kind(read: OriginalCheckpoint) -> Kind:
    """Tell the kind by the tensors' names and, for `fc` on top of `proj`, by a size."""
    tensors = read.tensors
    if "embedding.weight" in tensors:
        return "text"
    if not {"conv1.weight", "fc.weight"} <= {*tensors}:
        raise CheckpointError(
            f"{read.path} is none of the authors' models: it has neither conv1 and fc (image "
            f"models) nor embedding (text models), but {', '.join([*tensors][:8])}."
        )
    if read.holds_options:
        raise CheckpointError(
            f"{read.path} asks for argparse.Namespace, which only the authors' text models do. "
            "Where you trust the file, save its state_dict() alone."
        )
    if "proj.weight" not in tensors:
        return "fine-tuned"
    if tensors["fc.weight"].shape[1:] == (read.rows("proj"),) != (WIDTH,):
        return "joint"
    return "three-branch" if "fc_aux.weight" in tensors else "two-branch"


def _convert_text(
    read: OriginalCheckpoint,
    labels: Iterable[str] | str | None,
    keywords: Iterable[str] | None,
    embed: Embed | None,
) -> _Made:
    """Make a text model and its tokenizer."""
    count, classes = text_sizes(read)
    if embed is not None:
        raise ConversionError(f"{read.path} is a text model: it has its own word vectors.")
    if keywords is None:
        raise ConversionError(
            f"{read.path} is a text model of {count} keywords and does not say which. Give their "
            f"vocabulary, tag2idx.pkl, which is {_WHERE} (--keywords, in Python keywords=)."
        )
    model, vocabulary = build_text_model(read, keywords, _names(labels, classes, read.path))
    tokenizer = keyword_tokenizer(vocabulary.names, model.config.max_keywords)
    return _Made({"": model}, tokenizer, len(vocabulary))


def _convert_image(
    read: OriginalCheckpoint,
    kind: ImageKind,
    labels: Iterable[str] | str | None,
    keywords: Iterable[str] | None,
    embed: Embed | None,
) -> _Made:
    """Make an EmotionNet, its tokenizer where it has a text tower, the auxiliary classifier."""
    classes, dim = image_sizes(read, kind)
    if embed is not None and not dim:
        raise ConversionError(
            f"{read.path} is a fine-tuned model without a joint space: word vectors have no use."
        )
    if keywords is not None and embed is None:
        raise ConversionError(
            f"{read.path} is an image model: keywords are for its text tower, which needs word "
            "vectors too (--word-vectors, in Python embed=)."
        )
    names = _names(labels, classes, read.path)
    tower = None if embed is None else build_tower(embed, names, keywords, dim)
    models: dict[str, PreTrainedModel] = {"": build_emotionnet(read, names, tower)}
    if kind == "three-branch":
        models[AUXILIARY] = build_auxiliary(read)
    tokenizer = None if tower is None else keyword_tokenizer(tower[0])
    return _Made(models, tokenizer, None if tower is None else len(tower[0]))


def _names(labels: Iterable[str] | str | None, classes: int, path: Path) -> list[str]:
    """Names of the classes; an error where there are none, or others than classes."""
    if labels is None:
        what = (
            f"{classes} classes, the emotion keywords of StockEmotion. Give etag2idx.pkl, which is "
            f"{_WHERE}"
            if classes == _EMOTIONS
            else f"{classes} classes and does not name them. Give a file of names in their order"
        )
        raise ConversionError(
            f"{path} has {what} (--vocabulary FILE), a known label set (--labels "
            f"{', '.join(LABEL_SETS)}), or --labels {NUMBERED}; in Python labels=."
        )
    if isinstance(labels, str):
        if labels not in (*LABEL_SETS, NUMBERED):
            raise ConversionError(
                f"There are no labels {labels!r}: {', '.join([*LABEL_SETS, NUMBERED])}."
            )
        numbered = tuple(f"class_{i}" for i in range(classes))
        labels = numbered if labels == NUMBERED else LABEL_SETS[labels]
    names = list(labels)
    if len(names) != classes or len({*names}) != classes:
        raise ConversionError(
            f"{path} has {classes} classes, the labels have {len({*names})} different names "
            f"({', '.join(names[:3])}, ...). Give the names that it was trained with."
        )
    return names


def _save(made: _Made, read: OriginalCheckpoint, result: Conversion) -> None:
    """Write what was made, with a record of where it comes from."""
    record = {
        "checkpoint": read.path.name,
        "sha256": hashlib.sha256(read.path.read_bytes()).hexdigest(),
        "kind": result.kind,
        "tensors": result.tensors,
        **({"joint_space": result.joint_space} if result.joint_space else {}),
        **read.facts,
        "emotionnet_hf": __version__,
    }
    with whole_folder(result.out) as folder:
        for name, model in made.models.items():
            model.save_pretrained(folder / name)
            if result.kind != "text":
                build_image_processor(BACKBONE).save_pretrained(folder / name)
        if made.tokenizer is not None:
            made.tokenizer.save_pretrained(folder)
        write_json(folder / _RECORD, record)
