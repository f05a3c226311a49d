"""The two ways to a head behind one call: L-BFGS on features, SGD on features or on pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from emotionnet_hf.data.benchmarks.benchmark import Task
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments, LinearProbeError
from emotionnet_hf.evaluation.linear_probe.fast import (
    SoftmaxRegression,
    balancing_weights,
    fit_path,
)
from emotionnet_hf.evaluation.linear_probe.features import FeatureExtractor, PictureFeatures
from emotionnet_hf.evaluation.linear_probe.heads import LinearHead
from emotionnet_hf.evaluation.linear_probe.published import (
    AugmentedBatches,
    own_statistics,
    restore_statistics,
    statistics,
)
from emotionnet_hf.evaluation.linear_probe.rows import Part, Parts, Pool
from emotionnet_hf.evaluation.linear_probe.scoring import METRICS, Scored
from emotionnet_hf.evaluation.linear_probe.sgd import HeadTraining
from emotionnet_hf.models.encoders import FEATURES

# What may change without changing the head of one seed.
_FREE = ("seeds", "bootstrap_samples", "max_unreadable")
_PATIENCE = 2


@dataclass(frozen=True)
class Fitted:
    """A head that was found.

    Attributes:
        choice: The L2 strength, or the number of epochs.
        qualities: What the selection saw, by strength (minus the cross entropy) or epoch (the
            metric).
        scores: Of the test rows, float64, (N, K).
    """

    choice: float
    qualities: dict[str, float]
    scores: np.ndarray


@dataclass(frozen=True)
class Probe:
    """Fits heads for one model on one benchmark.

    Attributes:
        arguments: Resolved.
        task: Of the benchmark.
        extractor: Of the model.
        pool: All pictures.
        features: Of the pictures that do not change from epoch to epoch: all of them for the
            fast protocol, validation and test for the published one, None where BatchNorm adapts.
        checkpoints: Folder for trainings that are under way; None keeps nothing.
        progress: Show bars.
    """

    arguments: LinearProbeArguments
    task: Task
    extractor: FeatureExtractor
    pool: Pool
    features: PictureFeatures | None
    checkpoints: Path | None = None
    progress: bool = True

    def run(self, parts: Parts, seed: int) -> Fitted:
        """Choose, fit and score.

        Args:
            parts: Of the run.
            seed: Of the run.

        Returns:
            The result; ``qualities`` are those of the selection.

        Raises:
            LinearProbeError: SGD diverged.
        """
        found = self._chosen(parts, seed)
        if not np.isfinite(found.scores).all():
            raise LinearProbeError(
                f"SGD on features of {self.extractor.encoder.name} diverged: give a learning rate "
                f"below {self.arguments.learning_rate:g}."
            )
        return found

    def _chosen(self, parts: Parts, seed: int) -> Fitted:
        train, validation, test = parts["train"], parts["validation"], parts["test"]
        whole = train.plus(validation) if self.arguments.refit else train
        if self.arguments.select_on == "last":
            return self._fit(whole, None, test, seed)
        if self.arguments.select_on == "test":
            return self._fit(whole, test, test, seed)
        found = self._fit(train, validation, test, seed)
        if not self.arguments.refit:
            return found
        again = self._fit(whole, None, test, seed, given=found.choice)
        return replace(again, qualities=found.qualities)

    def _fit(
        self, part: Part, on: Part | None, test: Part, seed: int, given: float | None = None
    ) -> Fitted:
        """Fit on a part, choosing on another one or with what was chosen, and score test."""
        if self.arguments.uses_lbfgs:
            return self._fit_lbfgs(part, on, test, given)
        with own_statistics(self.extractor.encoder.model):
            return self._fit_sgd(part, on, test, seed, given)

    def _fit_lbfgs(self, part: Part, on: Part | None, test: Part, given: float | None) -> Fitted:
        known = self._known
        weights = balancing_weights(part.label) if self.arguments.balanced else None
        problem = SoftmaxRegression(
            known.features,
            known.row[part.place],
            part.target,
            weights,
            self.extractor.encoder.device,
        )
        if given is not None or on is None:
            strength = self.arguments.strengths[0] if given is None else given
            head = problem.head(problem.fit(strength))
            return Fitted(strength, {}, head.scores(known.features, known.row[test.place]))
        chosen, qualities = self._walk(problem, on)
        scores = chosen[1].scores(known.features, known.row[test.place])
        return Fitted(chosen[0], {f"{s:g}": quality for s, quality in qualities.items()}, scores)

    def _walk(
        self, problem: SoftmaxRegression, on: Part
    ) -> tuple[tuple[float, LinearHead], dict[float, float]]:
        """Try strengths, the strongest first; the best with its head, and what each was worth.

        Weak regularisation takes most of the time, so the walk ends when two strengths in a row
        are worse than the best. Of equal ones the stronger is taken.
        """
        known, qualities, worse = self._known, dict[float, float](), 0
        best: tuple[float, LinearHead] | None = None
        for strength, head in fit_path(problem, self.arguments.strengths):
            quality = self._likelihood(head.scores(known.features, known.row[on.place]), on)
            if best is None or quality > qualities[best[0]]:
                best = strength, head
            qualities[strength] = quality
            worse = worse + 1 if quality < qualities[best[0]] else 0
            if worse == _PATIENCE:
                break
        if best is None:
            raise ValueError("there is no strength to try")
        return best, qualities

    def _fit_sgd(
        self, part: Part, on: Part | None, test: Part, seed: int, given: float | None
    ) -> Fitted:
        model = self.extractor.encoder.model
        adapt = self.arguments.bn_mode == "adapt"
        arguments = self.arguments if given is None else replace(self.arguments, epochs=int(given))
        training = HeadTraining(
            part=part,
            batches=self._batches(part, seed),
            arguments=arguments,
            seed=seed,
            quality=(lambda head: self._quality(head.scores(self._of(on)), on)) if on else None,
            trunk=(lambda: statistics(model)) if adapt else dict,
            restore=(lambda stored: restore_statistics(model, stored)) if adapt else None,
            checkpoint=self._checkpoint(arguments, part, on, seed),
            progress=self.progress,
        )
        found = training.run(self.extractor.encoder.dims[FEATURES], self.extractor.encoder.device)
        if adapt:
            restore_statistics(model, found.trunk)
        qualities = {str(epoch): quality for epoch, quality in enumerate(found.qualities, 1)}
        return Fitted(found.epoch, qualities, found.kept.scores(self._of(test)))

    def _batches(
        self, part: Part, seed: int
    ) -> Callable[[int, list[np.ndarray]], Iterator[torch.Tensor]]:
        """Features of the training rows, batch by batch: of augmented pictures, or known ones."""
        if self.arguments.protocol == "published":
            return AugmentedBatches(
                encoder=self.extractor.encoder,
                pool=self.pool,
                part=part,
                seed=seed,
                adapt=self.arguments.bn_mode == "adapt",
                num_workers=self.extractor.num_workers,
                progress=self.progress,
            )
        known = self._known

        def batches(epoch: int, rows: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
            return (known.of(part.place[batch]) for batch in rows)

        return batches

    def _of(self, part: Part) -> torch.Tensor:
        """Evaluation features of a part: those that are known, or with the trunk as it is now."""
        if self.features is None:
            return self.extractor.stream(self.pool, part.place)
        return self.features.of(part.place)

    @property
    def _known(self) -> PictureFeatures:
        if self.features is None:
            raise ValueError("features that change from epoch to epoch cannot be known")
        return self.features

    def _likelihood(self, scores: np.ndarray, part: Part) -> float:
        """Minus the mean cross entropy.

        What a strength is chosen by: a few pictures decide the accuracy on a small validation
        set, and may prefer a head that has learnt next to nothing.
        """
        weights = balancing_weights(part.label) if self.arguments.balanced else np.ones(len(part))
        entropy = -(part.target * np.log(np.maximum(scores, 1e-300))).sum(axis=1)
        return -float(weights @ entropy / weights.sum())

    def _quality(self, scores: np.ndarray, part: Part) -> float:
        if not np.isfinite(scores).all():
            return float("nan")
        name = "macro_recall" if self.arguments.balanced else METRICS[self.task][0]
        value = Scored(scores, part).metric(name)
        # Not defined where nothing is right in any row, and then for no head.
        return 0.0 if np.isnan(value) else value

    def _checkpoint(
        self, arguments: LinearProbeArguments, part: Part, on: Part | None, seed: int
    ) -> Path | None:
        """File of a training that stands for all that decides it."""
        if self.checkpoints is None:
            return None
        settings = {name: v for name, v in asdict(arguments).items() if name not in _FREE}
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps([settings, seed, on is None]).encode())
        for rows in (part, *([on] if on else [])):
            digest.update(json.dumps([self.pool.keys[place] for place in rows.place]).encode())
            digest.update(rows.target.tobytes() + rows.labels.tobytes() + rows.label.tobytes())
        return self.checkpoints / f"head-{digest.hexdigest()}.safetensors"
