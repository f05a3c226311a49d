"""Images, keywords and targets of the rows of a split, a batch at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from PIL import Image
from torch.utils.data import Dataset as TorchDataset

from emotionnet_hf.data.transforms import augment
from emotionnet_hf.loading.images import ImageError, open_stored
from emotionnet_hf.models import build_image_processor
from emotionnet_hf.training.arguments import EmotionNetArguments
from emotionnet_hf.training.auxiliary import Guide
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.keyword_rows import KeywordRows
from emotionnet_hf.training.loop import Batch
from emotionnet_hf.training.processes import TrainingError


class ImageRows(TorchDataset[Any]):
    """What EmotionNet is trained on.

    Args:
        split: With images.
        keywords: Encoded keywords and targets of the same rows.
        arguments: ``image_size``, ``crop_scale``, ``seed``.
        guide: Of extra supervision, None without.
    """

    def __init__(
        self,
        split: Dataset,
        keywords: KeywordRows,
        arguments: EmotionNetArguments,
        guide: Guide | None = None,
    ) -> None:
        self.images = split.select_columns(["image"]).cast_column(
            "image", ImageFeature(decode=False)
        )
        self.keywords = keywords
        self.targets = keywords.targets
        self.arguments = arguments
        self.guide = guide
        self.guide_keywords = None if guide is None else guide.keywords(split)
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
        """Return the non-emotion keywords, the labels, and all keywords, ids and mask (B, L).

        All: f_t of Eq. 3 is the mean over the whole list, as the paper has it (the published code
        cuts lists at 100).
        """
        everything = self.keywords.keywords.rows(rows)
        ids, mask = everything.padded(self.keywords.pad)
        context = self.keywords.__getitems__(MicroBatch(0, rows))
        batch = {
            "keyword_ids": torch.from_numpy(ids),
            "keyword_mask": torch.from_numpy(mask),
            "context_ids": context["input_ids"],
            "context_mask": context["attention_mask"],
            "labels": context["labels"],
        }
        if self.guide is not None and self.guide_keywords is not None:
            batch |= self.guide.batch(self.guide_keywords, rows)
        return batch

    def _open(self, rows: np.ndarray) -> list[Image.Image]:
        """Open the images of some rows as RGB."""
        found = self.images[rows.tolist()]["image"]
        return [self._open_one(*each) for each in zip(rows, found, strict=True)]

    def _open_one(self, row: np.integer[Any], image: dict[str, Any]) -> Image.Image:
        """Open an image, or say which one cannot be opened."""
        try:
            return open_stored(image)
        except ImageError as error:
            raise TrainingError(
                f"{self.arguments.data}: the image of row {row} of split {self.images.split} "
                f"cannot be used ({error}). Build the data set again."
            ) from error
