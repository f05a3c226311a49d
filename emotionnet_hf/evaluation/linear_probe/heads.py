"""The linear layer on frozen features: what every protocol trains, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

_CHUNK = 4096


@dataclass(frozen=True)
class LinearHead:
    """A linear layer with a softmax.

    Attributes:
        weight: Float, (K, D).
        bias: Float, (K,).
    """

    weight: torch.Tensor
    bias: torch.Tensor

    @torch.no_grad()
    def scores(self, features: torch.Tensor, rows: np.ndarray | None = None) -> np.ndarray:
        """Score features.

        Args:
            features: Float32, (M, D).
            rows: Which of them, int64, (N,); all where None.

        Returns:
            Softmax over the classes, float64, (N, K).
        """
        weight, bias = self.weight.double().cpu(), self.bias.double().cpu()
        numbers = torch.arange(len(features)) if rows is None else torch.from_numpy(rows)
        parts = [
            (features[chunk].double() @ weight.T + bias).softmax(dim=1)
            for chunk in numbers.split(_CHUNK)
        ]
        return torch.cat(parts).numpy()
