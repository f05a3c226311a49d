"""Softmax regression on features that were computed once, by L-BFGS, with soft targets.

scikit-learn's LogisticRegression minimises the same, but takes one class a row; annotator counts
and votes are distributions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy.optimize import minimize

from emotionnet_hf.evaluation.linear_probe.heads import LinearHead

logger = logging.getLogger(__name__)

_CHUNK = 1024
_MAX_ITERATIONS = 1000


class SoftmaxRegression:
    """The problem of fitting a head to some rows: mean cross entropy + l/2 |W|^2.

    W is that of standardised features, so that one strength means the same for every model; the
    bias is free. Only a chunk of the features is held in float64 at a time.

    Args:
        features: Float32, (M, D), on the CPU.
        rows: Which of them, int64, (N,).
        targets: Distributions over the classes, float32, (N, K).
        weights: How much each row counts, (N,); alike where None.
        device: Where to compute.
    """

    def __init__(
        self,
        features: torch.Tensor,
        rows: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.features = features
        self.rows = torch.from_numpy(rows)
        self.device = torch.device(device)
        weights = np.ones(len(rows)) if weights is None else weights
        self.weights = torch.from_numpy(weights / weights.sum()).to(self.device)
        self.targets = torch.from_numpy(targets).double().to(self.device)
        self.mean, self.std = self._statistics()

    def fit(self, strength: float, start: np.ndarray | None = None) -> np.ndarray:
        """Find the best parameters.

        Args:
            strength: l.
            start: Parameters to start from; zeros where None.

        Returns:
            Parameters for `head`, float64, (K * (D + 1),).
        """
        classes, dim = self.targets.shape[1], self.features.shape[1]
        found = minimize(
            self._objective,
            np.zeros(classes * (dim + 1)) if start is None else start,
            args=(strength,),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MAX_ITERATIONS, "maxls": 50, "gtol": 1e-6, "ftol": 1e-13},
        )
        if not found.success and found.nit >= _MAX_ITERATIONS:
            logger.warning("L2 strength %g: stopped after %d iterations", strength, found.nit)
        return np.asarray(found.x)

    def head(self, parameters: np.ndarray) -> LinearHead:
        """Return the head for features as they are: the standardisation is folded in."""
        weight, bias = self._folded(torch.from_numpy(parameters).to(self.device))
        return LinearHead(weight.cpu(), bias.cpu())

    def _chunks(self) -> list[torch.Tensor]:
        return list(torch.arange(len(self.rows)).split(_CHUNK))

    def _chunk(self, chunk: torch.Tensor) -> torch.Tensor:
        return self.features[self.rows[chunk]].to(self.device).double()

    def _statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the rows, (D,); 1 for a feature that never changes."""
        chunks = self._chunks()
        mean = sum(self._chunk(c).sum(dim=0) for c in chunks) / len(self.rows)
        squares = sum((self._chunk(c) - mean).square().sum(dim=0) for c in chunks)
        std = torch.sqrt(torch.as_tensor(squares) / len(self.rows))
        return torch.as_tensor(mean), torch.where(std > 1e-12, std, torch.ones_like(std))

    def _folded(self, parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias that do to features what the parameters do to standardised ones."""
        by_class = parameters.view(self.targets.shape[1], -1)
        weight = by_class[:, :-1] / self.std
        return weight, by_class[:, -1] - weight @ self.mean

    def _objective(self, parameters: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        """The loss and its gradient, (P - Y)^T Z / N + l W, without autograd."""
        values = torch.from_numpy(parameters).to(self.device)
        weight, bias = self._folded(values)
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        slope, offset = torch.zeros_like(weight), torch.zeros_like(bias)
        for chunk in self._chunks():
            features = self._chunk(chunk)
            at = chunk.to(self.device)
            log_p = (features @ weight.T + bias).log_softmax(dim=1)
            targets, row_weights = self.targets[at], self.weights[at, None]
            loss -= (row_weights * targets * log_p).sum()
            error = row_weights * (log_p.exp() * targets.sum(dim=1, keepdim=True) - targets)
            slope += error.T @ features
            offset += error.sum(dim=0)
        standard = values.view(len(bias), -1)[:, :-1]
        slope = (slope - offset[:, None] * self.mean) / self.std + strength * standard
        loss += strength / 2 * standard.square().sum()
        gradient = torch.cat([slope, offset[:, None]], dim=1).flatten()
        return float(loss), gradient.cpu().numpy()


def fit_path(
    problem: SoftmaxRegression, strengths: Sequence[float]
) -> Iterator[tuple[float, LinearHead]]:
    """Fit for several L2 strengths, the strongest first; each fit starts where the last one ended.

    Args:
        problem: Of the training rows.
        strengths: Above 0.

    Yields:
        Each strength with its head.
    """
    parameters = None
    for strength in sorted(strengths, reverse=True):
        parameters = problem.fit(strength, parameters)
        yield strength, problem.head(parameters)


def balancing_weights(labels: np.ndarray) -> np.ndarray:
    """Weigh rows so that all classes that occur count alike.

    Args:
        labels: Class ids, -1 where there is none, int64, (N,).

    Returns:
        Float64, (N,), with mean 1 over the rows that have a class; 0 for the others.
    """
    counts = np.bincount(labels[labels >= 0])
    present = np.count_nonzero(counts)
    weights = counts.sum() / (present * np.maximum(counts, 1).astype(np.float64))
    return np.where(labels >= 0, weights[np.maximum(labels, 0)], 0.0)
