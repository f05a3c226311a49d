"""The published code's linear evaluation: augmented pictures through the trunk, each epoch anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from emotionnet_hf.data.transforms import augment
from emotionnet_hf.data.writing import ordered_map
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeError
from emotionnet_hf.evaluation.linear_probe.features import embed
from emotionnet_hf.evaluation.linear_probe.rows import Part, Pool
from emotionnet_hf.models.encoders import Encoder

Buffers = dict[str, torch.Tensor]


@dataclass(frozen=True)
class AugmentedBatches:
    """Features of augmented pictures, batch by batch.

    Attributes:
        encoder: The trunk.
        pool: The pictures, all of them readable.
        part: The training rows.
        seed: Each picture is cropped and flipped by a generator of seed, epoch and row.
        adapt: BatchNorm layers run in training mode.
        num_workers: Threads that open pictures.
        progress: Show a bar for each epoch.
    """

    encoder: Encoder
    pool: Pool
    part: Part
    seed: int
    adapt: bool = False
    num_workers: int = 2
    progress: bool = False

    def __call__(self, epoch: int, batches: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        """Yield the features of each batch, float32, (B, D)."""

        def job(row: int) -> torch.Tensor:
            generator = np.random.default_rng([self.seed, epoch, row])
            return augmented(self.encoder, self.pool.open(self.part.place[row]), generator)

        rows = [int(row) for batch in batches for row in batch]
        bar = tqdm(
            total=len(rows), desc=f"epoch {epoch + 1}", disable=not self.progress, leave=False
        )
        with bar, ThreadPoolExecutor(self.num_workers) as threads:
            pictures = ordered_map(threads, job, rows, 4 * self.num_workers)
            for batch in batches:
                pixels = torch.stack([next(pictures) for _ in batch])
                with training_batch_norms(self.encoder.model, self.adapt):
                    features = embed(self.encoder, pixels)
                bar.update(len(batch))
                yield features


def augmented(encoder: Encoder, image: Image.Image, generator: np.random.Generator) -> torch.Tensor:
    """Crop, flip and normalise a picture as the model's training would: float32, (3, H, W).

    Args:
        encoder: Gives size, mean and standard deviation.
        image: RGB.
        generator: Source of randomness.

    Raises:
        LinearProbeError: The model's pictures are not square.
    """
    if encoder.size[0] != encoder.size[1]:
        raise LinearProbeError(
            f"{encoder.name} takes pictures of {encoder.size}; augmentation gives square ones. Use "
            "the fast protocol."
        )
    pixels = augment(image, encoder.size[0], generator).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (encoder.mean, encoder.std))
    return (pixels - mean) / std


def batch_norms(model: nn.Module) -> list[tuple[str, _BatchNorm]]:
    """Return the BatchNorm layers of a model that keep statistics, with their names."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]


@contextmanager
def training_batch_norms(model: nn.Module, adapt: bool) -> Iterator[None]:
    """Let BatchNorm, and nothing else, run in training mode for a while, where asked."""
    layers = [module for _, module in batch_norms(model)] if adapt else []
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer in layers:
            layer.eval()


def statistics(model: nn.Module) -> Buffers:
    """Copy the statistics of all BatchNorm layers."""
    return {
        f"{name}.{key}": tensor.clone()
        for name, module in batch_norms(model)
        for key, tensor in module.named_buffers(recurse=False)
    }


def restore_statistics(model: nn.Module, stored: Buffers) -> None:
    """Put statistics back that were copied before."""
    for name, module in batch_norms(model):
        for key, tensor in module.named_buffers(recurse=False):
            tensor.copy_(stored[f"{name}.{key}"])


@contextmanager
def own_statistics(model: nn.Module) -> Iterator[None]:
    """Give a model its own BatchNorm statistics back afterwards, whatever happens."""
    before = statistics(model)
    try:
        yield
    finally:
        restore_statistics(model, before)
