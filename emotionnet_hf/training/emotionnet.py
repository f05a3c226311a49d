"""Training EmotionNet: Fig. 2 of the paper."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import set_seed
from datasets import Dataset
from datasets import Image as ImageFeature
from timm.models import get_pretrained_cfg
from torch import nn
from torch.utils.data import Dataset as TorchDataset
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.data.transforms import augment
from emotionnet_hf.loading.images import open_image
from emotionnet_hf.losses import (
    classification_loss,
    embedding_loss,
    emotionnet_loss,
    has_text,
    normalized_labels,
    soft_labels,
)
from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForPreTraining,
    TextCNNForSequenceClassification,
    build_image_processor,
)
from emotionnet_hf.models.backbones import load_backbone
from emotionnet_hf.training.arguments import EmotionNetArguments, RecipeError
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.data import load_splits
from emotionnet_hf.training.loop import Batch, fit
from emotionnet_hf.training.textcnn import KeywordRows
from emotionnet_hf.training.validation import keyword_metrics

logger = logging.getLogger(__name__)

_EVALUATION_BATCH = 64


def train_emotionnet(arguments: EmotionNetArguments) -> Path:
    """Train EmotionNet on images with keywords (sections 4 and 5.1).

    Args:
        arguments: See ``EmotionNetArguments``.

    Returns:
        The folder of the trained model: model, tokenizer, image processor, and code for
        ``trust_remote_code``.

    Raises:
        RecipeError: The recipe does not fit the data, the text model or the run folder.
        BackboneWeightsError: The weights of the trunk cannot be had; the message has the choices.
    """
    set_seed(arguments.seed)
    task = EmotionNetTask(arguments, load_splits(arguments.data))
    return fit(task, arguments)


class ImageRows(TorchDataset[Any]):
    """Images, keywords and labels of the rows of a split, a batch at a time.

    Args:
        split: With the StockEmotion schema.
        keywords: Encoded keywords of the same rows.
        arguments: ``image_size``, ``crop_scale``, ``seed``.
    """

    def __init__(
        self, split: Dataset, keywords: KeywordRows, arguments: EmotionNetArguments
    ) -> None:
        self.images = split.select_columns(["image"]).cast_column(
            "image", ImageFeature(decode=False)
        )
        self.keywords = keywords
        self.arguments = arguments
        self.processor = build_image_processor(arguments.backbone, arguments.image_size)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.keywords)

    def __getitems__(self, batch: MicroBatch) -> Batch:
        """Return a training batch: augmented pixels, uint8 (B, 3, S, S), and keywords."""
        pixels = [
            augment(
                image,
                self.arguments.image_size,
                np.random.default_rng([self.arguments.seed, batch.epoch, int(row)]),
                self.arguments.crop_scale,
            )
            for row, image in zip(batch.rows, self._open(batch.rows), strict=True)
        ]
        return {"pixels": torch.stack(pixels), **self.text(batch.rows)}

    def for_evaluation(self, rows: np.ndarray) -> Batch:
        """Return an evaluation batch: pixels as the saved image processor makes them."""
        processed = self.processor(self._open(rows), return_tensors="pt")
        return {"pixel_values": processed["pixel_values"], **self.text(rows)}

    def text(self, rows: np.ndarray) -> Batch:
        """Return the non-emotion keywords, the labels, and all keywords, ids and mask (B, L)."""
        everything = self.keywords.keywords.rows(rows)
        ids, mask = everything.padded(self.keywords.pad, self.keywords.max_keywords)
        context = self.keywords.__getitems__(MicroBatch(0, rows))
        return {
            "keyword_ids": torch.from_numpy(ids),
            "keyword_mask": torch.from_numpy(mask),
            "context_ids": context["input_ids"],
            "context_mask": context["attention_mask"],
            "labels": context["labels"],
        }

    def _open(self, rows: np.ndarray) -> list[Any]:
        """Open the images of some rows as RGB."""
        found = self.images[rows.tolist()]["image"]
        return [open_image(image["bytes"] or Path(image["path"])) for image in found]


class EmotionNetTask:
    """What ``fit`` needs to know of EmotionNet.

    Args:
        arguments: Of the run.
        splits: With the StockEmotion schema; ``train``, and ``validation`` if there is one.

    Raises:
        RecipeError: The text model was trained on other emotion keywords than the data has.
    """

    def __init__(self, arguments: EmotionNetArguments, splits: Mapping[str, Dataset]) -> None:
        self.arguments = arguments
        emotions = emotion_vocabulary(splits["train"].features)
        self.text_model, self.tokenizer = _load_text_model(arguments.text_model, list(emotions))
        self.model = self._build_model(list(emotions))
        self.rows = {
            name: ImageRows(
                splits[name], KeywordRows(splits[name], self.tokenizer, emotions), arguments
            )
            for name in ("train", "validation")
            if name in splits
        }
        self.train_rows = self.rows["train"]
        statistics = self.train_rows.processor
        self.mean = torch.tensor(statistics.image_mean).view(3, 1, 1)
        self.std = torch.tensor(statistics.image_std).view(3, 1, 1)

    def _build_model(self, emotions: Sequence[str]) -> EmotionNetForPreTraining:
        """Make the model: trunk with its weights, new heads, the text model's word vectors."""
        embedding = self.text_model.textcnn.embedding.weight
        config = EmotionNetConfig(
            backbone=self.arguments.backbone,
            backbone_kwargs=_size_of_fixed(self.arguments),
            projection_dim=embedding.shape[1],
            vocab_size=embedding.shape[0],
            pad_token_id=self.tokenizer.pad_token_id,
            unk_token_id=self.tokenizer.unk_token_id,
            id2label=dict(enumerate(emotions)),
        )
        model = EmotionNetForPreTraining(config)
        self.channels_last = _wants_channels_last(model, self.arguments)
        load_backbone(model.emotionnet.backbone, config.backbone, self.arguments.backbone_weights)
        model.text_tower.keyword_embedding.weight.copy_(embedding)
        if not self.arguments.embedding_weight:
            # DistributedDataParallel waits for the gradient of whatever could have one.
            model.emotionnet.visual_projection.requires_grad_(False)
        if self.arguments.gradient_checkpointing:
            model.emotionnet.backbone.set_grad_checkpointing(True)
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)
        if self.arguments.sync_batchnorm:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return model

    def losses(self, model: nn.Module, batch: Batch, accelerator: Accelerator) -> Batch:
        """Return the losses of Eq. 2 to 4 on a training batch."""
        device = accelerator.device
        pixels = batch["pixels"].float().div_(255)
        batch["pixel_values"] = (pixels - self.mean.to(device)) / self.std.to(device)
        values = self.per_image(model, batch, accelerator)
        classification = values["classification_loss"].mean()
        known = values["has_text"].float().sum()
        # The mean over the images that have text, over all processes; DDP divides by their number.
        known_anywhere = accelerator.reduce(known, reduction="mean")
        embedding = values["embedding_loss"].sum() / known_anywhere.clamp(min=1e-6)
        if not self.arguments.embedding_weight:
            embedding = embedding.detach()
        loss = emotionnet_loss(classification, embedding, self.arguments.embedding_weight)
        return {"loss": loss, "classification_loss": classification, "embedding_loss": embedding}

    def per_image(self, model: nn.Module, batch: Batch, accelerator: Accelerator) -> Batch:
        """Return logits (B, K), both losses (B,) and whether there is text (B,)."""
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
        }

    @torch.no_grad()
    def targets(self, batch: Batch, accelerator: Accelerator) -> torch.Tensor:
        """Return the target distribution of each image, float (B, K) (Eq. 1)."""
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
        """Return both losses, hit@1 and mean average precision on the validation split."""
        if "validation" not in self.rows:
            return {}
        split = self.rows["validation"]

        def scores(rows: np.ndarray) -> dict[str, np.ndarray]:
            batch = split.for_evaluation(rows)
            batch = {name: value.to(accelerator.device) for name, value in batch.items()}
            values = self.per_image(model, batch, accelerator)
            distance = values["embedding_loss"].masked_fill(~values["has_text"], float("nan"))
            return {
                "scores": values["logits"].cpu().numpy(),
                "labels": batch["labels"].cpu().numpy(),
                "classification_loss": values["classification_loss"].cpu().numpy(),
                "embedding_loss": distance.cpu().numpy(),
            }

        return keyword_metrics(scores, len(split), _EVALUATION_BATCH, accelerator)

    def save(self, model: Any, folder: Path) -> None:
        """Write model, tokenizer and image processor."""
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        self.train_rows.processor.save_pretrained(folder)


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
    return not (grouped and PartialState().device.type == "cpu")


def _load_text_model(
    folder: str, emotions: list[str]
) -> tuple[TextCNNForSequenceClassification, PreTrainedTokenizerFast]:
    """Load the TextCNN of a run and check that it predicts the data's emotion keywords."""
    if not (Path(folder) / "config.json").is_file() and Path(folder).exists():
        raise RecipeError(f"text_model {folder} is no model folder: it has no config.json.")
    text_model = TextCNNForSequenceClassification.from_pretrained(folder)
    classes = [text_model.config.id2label[i] for i in range(text_model.config.num_labels)]
    if classes != emotions:
        raise RecipeError(
            f"text_model {folder} predicts {len(classes)} emotion keywords "
            f"({', '.join(classes[:3])}, ...), the data has {len(emotions)} "
            f"({', '.join(emotions[:3])}, ...). Train TextCNN on the same data set."
        )
    text_model.requires_grad_(False).eval()
    return text_model, AutoTokenizer.from_pretrained(folder)
