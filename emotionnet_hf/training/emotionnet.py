"""Training EmotionNet: Fig. 2 of the paper."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from datasets import Dataset
from timm.models import get_pretrained_cfg, is_model, list_models
from torch import nn

from emotionnet_hf.losses import (
    classification_loss,
    embedding_loss,
    emotionnet_loss,
    has_text,
    normalized_labels,
    soft_labels,
)
from emotionnet_hf.models import EmotionNetConfig, EmotionNetForPreTraining
from emotionnet_hf.models.backbones import load_backbone, pretrained_name
from emotionnet_hf.training.arguments import EmotionNetArguments, RecipeError
from emotionnet_hf.training.auxiliary import Guide
from emotionnet_hf.training.data import load_splits
from emotionnet_hf.training.image_rows import ImageRows
from emotionnet_hf.training.joint_space import keyword_vectors
from emotionnet_hf.training.keyword_rows import KeywordRows
from emotionnet_hf.training.loop import Batch, fit
from emotionnet_hf.training.processes import (
    all_do,
    explained_loss_of_a_process,
    join_processes,
    one_run_of_all,
)
from emotionnet_hf.training.stages import open_start, start_from
from emotionnet_hf.training.targets import COLUMNS, class_names, read_targets
from emotionnet_hf.training.text_models import check_classes, load_text_model
from emotionnet_hf.training.validation import measure

logger = logging.getLogger(__name__)

_EVALUATION_BATCH = 64


def train_emotionnet(arguments: EmotionNetArguments) -> Path:
    """Train EmotionNet on images with keywords (sections 4 and 5.1), or a variant of section 5.3.

    Args:
        arguments: See ``EmotionNetArguments``.

    Returns:
        The folder of the trained model: model, tokenizer, image processor, and code for
        ``trust_remote_code``.

    Raises:
        RecipeError: The recipe does not fit the data, the text model or the run folder.
        BackboneWeightsError: The weights of the trunk cannot be had; the message has the choices.
        TrainingError: See ``fit``; or the processes of a launcher do not find each other.
        AnotherRunError: Another run is at work in ``output_dir``.
    """
    join_processes()
    set_seed(arguments.seed)
    with explained_loss_of_a_process(), one_run_of_all(arguments.output_dir):
        return fit(all_do(lambda: EmotionNetTask(arguments)), arguments)


class EmotionNetTask:
    """What ``fit`` needs to know of EmotionNet.

    Args:
        arguments: Of the run.

    Raises:
        RecipeError: The data set, or a text model, is not as the arguments need it.
    """

    def __init__(self, arguments: EmotionNetArguments) -> None:
        self.arguments = arguments
        _check_sync_batchnorm(arguments)
        _check_backbone(arguments.backbone)
        columns = ("image", "keywords", *COLUMNS[arguments.classes])
        splits = load_splits(arguments.data, arguments.config, columns=columns)
        names = class_names(arguments.classes, splits["train"].features)
        self.text_model, self.tokenizer = load_text_model(arguments.text_model, "text_model")
        if arguments.soft_labels:
            check_classes(self.text_model, names, "Train TextCNN on the same data set.")
        self.guide = Guide(arguments) if arguments.auxiliary_text_model else None
        self.model = self._build_model(names)
        self.rows = {
            name: self._rows(splits[name]) for name in ("train", "validation") if name in splits
        }
        self.train_rows = self.rows["train"]
        statistics = self.train_rows.processor
        self.mean = torch.tensor(statistics.image_mean).view(3, 1, 1)
        self.std = torch.tensor(statistics.image_std).view(3, 1, 1)

    def _rows(self, split: Dataset) -> ImageRows:
        """Return images, keywords and targets of a split."""
        hard = self.arguments.pseudo_labels == "hard"
        targets = read_targets(self.arguments.classes, split, hard)
        keywords = KeywordRows(split, self.tokenizer, targets)
        return ImageRows(split, keywords, self.arguments, self.guide)

    def _build_model(self, names: Sequence[str]) -> EmotionNetForPreTraining:
        """Make the model: trunk with its weights, new heads, the text model's word vectors."""
        arguments, start = self.arguments, None
        embedding = keyword_vectors(arguments, self.text_model, self.tokenizer, self.guide)
        backbone = arguments.backbone
        if arguments.init_from:
            start = open_start(arguments.init_from, backbone)
            backbone = start.config.backbone
        elif arguments.backbone_weights == "pretrained":
            backbone = pretrained_name(backbone)  # the model says later what it began from
        config = EmotionNetConfig(
            backbone=backbone,
            backbone_kwargs=_size_of_fixed(arguments),
            projection_dim=embedding.shape[1],
            joint_space=arguments.embedding_target if arguments.embedding_weight else "untrained",
            auxiliary_dim=self.guide.dim if self.guide else 0,
            vocab_size=embedding.shape[0],
            pad_token_id=self.tokenizer.pad_token_id,
            unk_token_id=self.tokenizer.unk_token_id,
            id2label=dict(enumerate(names)),
        )
        model = EmotionNetForPreTraining(config)
        self.channels_last = _wants_channels_last(model, arguments)
        if start is None:
            load_backbone(model.emotionnet.backbone, backbone, arguments.backbone_weights)
        else:
            start_from(model, start)
        model.text_tower.keyword_embedding.weight.copy_(embedding)
        if not arguments.embedding_weight:
            # DistributedDataParallel waits for the gradient of whatever could have one.
            model.emotionnet.visual_projection.requires_grad_(False)
        if arguments.gradient_checkpointing:
            model.emotionnet.backbone.set_grad_checkpointing(True)
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)
        if arguments.sync_batchnorm:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return model

    def losses(self, model: nn.Module, batch: Batch, accelerator: Accelerator) -> Batch:
        """Return the losses of Eq. 2 to 4, and of extra supervision, on a training batch."""
        device = accelerator.device
        pixels = batch["pixels"].float().div_(255)
        batch["pixel_values"] = (pixels - self.mean.to(device)) / self.std.to(device)
        values = self.per_image(model, batch, accelerator)
        classification = values["classification_loss"].mean()
        embedding = _mean_over(values["embedding_loss"], values["has_text"], accelerator)
        if not self.arguments.embedding_weight:
            embedding = embedding.detach()
        loss = emotionnet_loss(classification, embedding, self.arguments.embedding_weight)
        losses = {"classification_loss": classification, "embedding_loss": embedding}
        if self.guide:
            auxiliary = _mean_over(
                values["auxiliary_loss"], values["has_auxiliary_text"], accelerator
            )
            loss = loss + self.arguments.auxiliary_weight * auxiliary
            losses["auxiliary_loss"] = auxiliary
        return {"loss": loss, **losses}

    def per_image(self, model: nn.Module, batch: Batch, accelerator: Accelerator) -> Batch:
        """Return logits (B, K), each loss (B,) and whether there is text for it (B,)."""
        if self.channels_last:
            batch["pixel_values"] = batch["pixel_values"].contiguous(
                memory_format=torch.channels_last
            )
        output = model(
            pixel_values=batch["pixel_values"],
            input_ids=batch["keyword_ids"],
            attention_mask=batch["keyword_mask"],
        )
        logits = output.logits.float()
        classification = classification_loss(
            logits, self.targets(batch, accelerator), self.arguments.divide_by_classes
        )
        return {
            "logits": logits,
            "classification_loss": classification,
            "embedding_loss": embedding_loss(output.image_embeds.float(), output.text_embeds),
            "has_text": has_text(output.text_embeds),
            **(self.guide.losses(output.auxiliary_embeds, batch) if self.guide else {}),
        }

    @torch.no_grad()
    def targets(self, batch: Batch, accelerator: Accelerator) -> torch.Tensor:
        """Return the target distribution of each image, float (B, K) (Eq. 1, or the labels')."""
        if not self.arguments.soft_labels:
            return normalized_labels(batch["labels"])
        text_model = self.text_model.to(accelerator.device)
        logits = text_model(batch["context_ids"], batch["context_mask"]).logits
        return soft_labels(
            logits.float().softmax(dim=-1),
            batch["labels"],
            self.arguments.soft_label_form,
            self.arguments.soft_label_threshold,
        )

    def evaluate(self, model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """Return the losses and the metrics of the classes on the validation split."""
        if "validation" not in self.rows:
            return {}
        split = self.rows["validation"]

        def scores(rows: np.ndarray) -> dict[str, np.ndarray]:
            batch = split.for_evaluation(rows)
            batch = {name: value.to(accelerator.device) for name, value in batch.items()}
            values = self.per_image(model, batch, accelerator)
            for name, applies in (
                ("embedding_loss", "has_text"),
                ("auxiliary_loss", "has_auxiliary_text"),
            ):
                if name in values:
                    values[name] = values[name].masked_fill(~values[applies], float("nan"))
            losses = {name: v.cpu().numpy() for name, v in values.items() if name.endswith("_loss")}
            return {**split.targets.judged(values["logits"].cpu().numpy(), rows), **losses}

        return measure(split.targets.metrics, scores, len(split), _EVALUATION_BATCH, accelerator)

    def save(self, model: Any, folder: Path) -> None:
        """Write model, tokenizer and image processor."""
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        self.train_rows.processor.save_pretrained(folder)


def _mean_over(
    values: torch.Tensor, applies: torch.Tensor, accelerator: Accelerator
) -> torch.Tensor:
    """Average (B,) over the images that it applies to, on all processes; the others are 0 in it."""
    # DistributedDataParallel divides the sum of the gradients by the number of processes.
    count = accelerator.reduce(applies.float().sum(), reduction="mean")
    return values.sum() / count.clamp(min=1e-6)


def _check_sync_batchnorm(arguments: EmotionNetArguments) -> None:
    """Refuse what torch has for GPUs alone."""
    device = join_processes().device.type
    if arguments.sync_batchnorm and device in ("cpu", "mps"):
        raise RecipeError(
            f"sync_batchnorm is true, but this run is on {device}, and torch has SyncBatchNorm for "
            "GPUs alone: leave it out."
        )


def _check_backbone(name: str) -> None:
    """Refuse what timm does not know."""
    if not is_model(name):
        near = difflib.get_close_matches(name, list_models(), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() has them all."
        raise RecipeError(f"backbone is {name!r}, which timm does not have: {hint}")


def _size_of_fixed(arguments: EmotionNetArguments) -> dict[str, Any] | None:
    """Return what timm must be told of the image size: nothing, but for trunks with a fixed one."""
    pretrained = get_pretrained_cfg(arguments.backbone)
    fixed = pretrained is not None and pretrained.fixed_input_size
    return {"img_size": arguments.image_size} if fixed else None


def _wants_channels_last(model: nn.Module, arguments: EmotionNetArguments) -> bool:
    """Return whether to lay images out channels last.

    It is faster where convolutions are dense; on a CPU, training depthwise ones that way is many
    times slower (seen with torch 2.15 and MobileNetV3).
    """
    if arguments.channels_last is not None:
        return arguments.channels_last
    grouped = any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in model.modules())
    return not (grouped and join_processes().device.type == "cpu")
