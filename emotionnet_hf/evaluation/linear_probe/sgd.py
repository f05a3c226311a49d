"""Training a linear layer by SGD as the published code does, an epoch at a time.

Everything that is drawn is a function of seed and epoch, and what an epoch leaves behind is a few
small tensors: so a run that was killed goes on behind its last epoch and ends with the same head.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments
from emotionnet_hf.evaluation.linear_probe.heads import LinearHead
from emotionnet_hf.evaluation.linear_probe.rows import Part
from emotionnet_hf.files import explained_full_disk, whole_file

Batches = Callable[[int, list[np.ndarray]], Iterator[torch.Tensor]]
"""From an epoch and the rows of each of its batches to the features of each, float, (B, D)."""

Trunk = Callable[[], dict[str, torch.Tensor]]
"""What of the trunk changes while a head is trained; nothing where it is frozen."""


@dataclass
class Trained:
    """Where a training stands.

    Attributes:
        head: After the last epoch.
        kept: Head of the epoch that was chosen.
        trunk: What had changed in the trunk after the epoch that was chosen.
        epoch: The epoch that was chosen, from 1.
        qualities: What the selection saw after each epoch.
        done: Epochs that are finished.
    """

    head: LinearHead
    kept: LinearHead
    trunk: dict[str, torch.Tensor] = field(default_factory=dict)
    epoch: int = 0
    qualities: list[float] = field(default_factory=list)
    done: int = 0


@dataclass(frozen=True)
class HeadTraining:
    """The training of one head.

    Attributes:
        part: The training rows.
        batches: Their features.
        arguments: Resolved.
        seed: Of weights, order and draws.
        quality: Of a head after an epoch: the best epoch is chosen, the first of equal ones, and
            NaN is worst. None: the last epoch is.
        trunk: What of the trunk changes; it is kept with the chosen head.
        restore: Puts it back into the trunk when a training goes on.
        checkpoint: File that holds the training between epochs; None keeps nothing.
        progress: Show a bar.
    """

    part: Part
    batches: Batches
    arguments: LinearProbeArguments
    seed: int
    quality: Callable[[LinearHead], float] | None = None
    trunk: Trunk = dict
    restore: Callable[[dict[str, torch.Tensor]], None] | None = None
    checkpoint: Path | None = None
    progress: bool = True

    def run(self, dim: int, device: torch.device | str = "cpu") -> Trained:
        """Train.

        Args:
            dim: Size of the features.
            device: Where to train the head.

        Returns:
            The result; ``kept`` is the head to use.

        Raises:
            DiskFullError: The checkpoint cannot be written.
        """
        layer = self._layer(dim).to(device)
        optimizer = torch.optim.SGD(
            layer.parameters(),
            lr=self.arguments.learning_rate,
            momentum=self.arguments.momentum,
            weight_decay=self.arguments.weight_decay,
        )
        state = self._resumed(layer, optimizer)
        epochs = range(state.done, self._epochs)
        bar = tqdm(epochs, disable=not self.progress, desc="epochs", leave=False)
        for epoch in bar:
            self._epoch(layer, optimizer, epoch)
            state = self._chosen(state, _head(layer))
            self._keep(state, optimizer)
        return state

    @property
    def _epochs(self) -> int:
        return self.arguments.epochs or 1

    def _layer(self, dim: int) -> nn.Linear:
        """Return a new layer, as torch initialises it, drawn by the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return nn.Linear(dim, self.part.target.shape[1])

    def _epoch(self, layer: nn.Linear, optimizer: torch.optim.SGD, epoch: int) -> None:
        drops = sum(epoch >= start for start in self.arguments.lr_drop_epochs)
        for group in optimizer.param_groups:
            group["lr"] = self.arguments.learning_rate / 10**drops
        order = epoch_rows(self.part.label, self.arguments, self.seed, epoch)
        size = self.arguments.batch_size
        rows = [order[start : start + size] for start in range(0, len(order), size)]
        targets = torch.from_numpy(self.part.target)
        device = layer.weight.device
        for batch, features in zip(rows, self.batches(epoch, rows), strict=True):
            wanted = targets[torch.from_numpy(batch)].to(device)
            loss = F.cross_entropy(layer(features.to(device)), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def _chosen(self, state: Trained, head: LinearHead) -> Trained:
        """Look at the head after an epoch."""
        state = replace(state, head=head, done=state.done + 1)
        if self.quality is None:
            return replace(state, kept=head, trunk=self.trunk(), epoch=state.done)
        # From -1 up: an epoch whose quality is no number is taken only for want of any other.
        value = self.quality(head)
        best = max((q for q in state.qualities if not np.isnan(q)), default=-1.0)
        state = replace(state, qualities=[*state.qualities, value])
        if value > best or state.done == 1:
            return replace(state, kept=head, trunk=self.trunk(), epoch=state.done)
        return state

    def _keep(self, state: Trained, optimizer: torch.optim.SGD) -> None:
        """Write the checkpoint, whole or not at all."""
        if self.checkpoint is None:
            return
        momenta = [entry["momentum_buffer"] for entry in optimizer.state.values()]
        tensors = {
            **{f"momentum.{i}": m for i, m in enumerate(momenta) if m is not None},
            **{"head.weight": state.head.weight, "head.bias": state.head.bias},
            **{"kept.weight": state.kept.weight, "kept.bias": state.kept.bias},
            **{f"trunk.kept.{name}": tensor for name, tensor in state.trunk.items()},
            **{f"trunk.now.{name}": tensor for name, tensor in self.trunk().items()},
        }
        numbers = {"epoch": state.epoch, "done": state.done, "qualities": state.qualities}
        tensors = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        with explained_full_disk(self.checkpoint), whole_file(self.checkpoint) as file:
            file.write(save(tensors, {"numbers": json.dumps(numbers)}))

    def _resumed(self, layer: nn.Linear, optimizer: torch.optim.SGD) -> Trained:
        """Go on behind the last epoch of the checkpoint, or start."""
        stored = _read(self.checkpoint)
        if stored is None:
            return Trained(_head(layer), _head(layer))
        tensors, numbers = stored
        with torch.no_grad():
            layer.weight.copy_(tensors["head.weight"])
            layer.bias.copy_(tensors["head.bias"])
        for number, parameter in enumerate(layer.parameters()):
            if (momentum := tensors.get(f"momentum.{number}")) is not None:
                optimizer.state[parameter]["momentum_buffer"] = momentum.to(parameter.device)
        if self.restore is not None:
            self.restore(_below(tensors, "trunk.now."))
        return Trained(
            head=_head(layer),
            kept=LinearHead(tensors["kept.weight"], tensors["kept.bias"]),
            trunk=_below(tensors, "trunk.kept."),
            **numbers,
        )


def epoch_rows(
    labels: np.ndarray, arguments: LinearProbeArguments, seed: int, epoch: int
) -> np.ndarray:
    """Draw the rows of an epoch.

    Args:
        labels: Class ids, -1 where there is none, int64, (N,).
        arguments: Resolved; where balanced, ``draws_per_epoch`` rows are drawn with replacement,
            each as a class, uniform among those that occur, and then one of its rows.
        seed: Of the run.
        epoch: From 0.

    Returns:
        All rows in a random order, or those that were drawn, int64.
    """
    generator = np.random.default_rng([seed, epoch])
    if not arguments.balanced:
        return generator.permutation(len(labels))
    by_class = [np.flatnonzero(labels == label) for label in np.unique(labels[labels >= 0])]
    sizes = np.asarray([len(rows) for rows in by_class])
    drawn = generator.integers(len(by_class), size=arguments.draws_per_epoch)
    within = generator.integers(sizes[drawn])
    return np.asarray([by_class[c][i] for c, i in zip(drawn, within, strict=True)])


def _head(layer: nn.Linear) -> LinearHead:
    return LinearHead(layer.weight.detach().cpu().clone(), layer.bias.detach().cpu().clone())


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _read(
    path: Path | None,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Tensors and numbers of a checkpoint; None where there is none that is whole."""
    if path is None or not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            numbers = json.loads((file.metadata() or {})["numbers"])
            return {name: file.get_tensor(name) for name in file.keys()}, numbers
    except (SafetensorError, KeyError, ValueError):
        return None
