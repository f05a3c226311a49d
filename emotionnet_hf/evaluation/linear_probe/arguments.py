"""What is decided about a linear evaluation before it starts, and a sentence for each decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Literal

PROTOCOLS = ("fast", "published")
SELECTIONS = ("validation", "test", "last")
BN_MODES = ("frozen", "adapt")
SOLVERS = ("lbfgs", "sgd")

# Drawn class by class, 10 epochs (section 5.2).
_BALANCED = frozenset({"AffectNet-7"})
_EPOCHS, _BALANCED_EPOCHS = 40, 10


class LinearProbeError(ValueError):
    """A linear evaluation that cannot be done as asked; the message has the remedy."""


@dataclass(frozen=True)
class LinearProbeArguments:
    """A linear evaluation: freeze everything, train a new last layer alone (section 5.2).

    ``published`` is the published code's training; ``fast`` finds the best head of the same form
    on features that are computed once. What is None is chosen by the benchmark; see `resolved`.

    Attributes:
        protocol: ``fast`` or ``published``.
        seeds: One run each. A seed draws the split where the benchmark has none of its own, and
            with SGD the initial weights, the order and the augmentation.
        select_on: Where the epoch (the L2 strength with L-BFGS) is chosen: ``validation``;
            ``test``, as in the published code, which makes the numbers too good; ``last`` takes
            the last epoch.
        refit: Whether the rows of validation join training once all is chosen. None: where we
            drew validation from the paper's training part (`Benchmark.validation_drawn`).
        balanced: Whether classes count alike: SGD draws a class and then one of its images, L-BFGS
            weighs the rows; epochs are selected by macro recall. None: for AffectNet-7.
        solver: ``lbfgs``, or ``sgd`` with the settings below; None: ``sgd`` for ``published``.
        strengths: L2 strengths to choose from: the coefficient l of l/2 |W|^2 beside the mean
            cross entropy, for standardised features. The strongest is tried first; the search
            ends when two in a row are worse than the best.
        bn_mode: ``frozen``, or ``adapt``: BatchNorm runs in training mode, as in the published
            code, so that the statistics of the "frozen" trunk follow the target data.
        epochs: Of SGD; None: 40 (the published code has 30 to 40), or 10 where balanced.
        batch_size: Of SGD: 24 or 256 in the published code. 24 takes as many steps as small
            benchmarks need at this learning rate.
        learning_rate: Of SGD, divided by 10 at ``lr_drop_epochs``.
        momentum: Of SGD.
        weight_decay: Of SGD.
        lr_drop_epochs: Epochs (from 0) that start with a tenth of the learning rate before.
        draws_per_epoch: Images of an epoch of SGD where balanced.
        bootstrap_samples: Resamples behind an interval.
        max_unreadable: Largest share of pictures that may be unreadable, and of the rows of a
            published split whose picture may be absent.

    Raises:
        LinearProbeError: A value is out of range, or two contradict each other.
    """

    protocol: Literal["fast", "published"] = "fast"
    seeds: tuple[int, ...] = (0, 1, 2)
    select_on: Literal["validation", "test", "last"] = "validation"
    refit: bool | None = None
    balanced: bool | None = None
    solver: Literal["lbfgs", "sgd"] | None = None
    strengths: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    bn_mode: Literal["frozen", "adapt"] = "frozen"
    epochs: int | None = None
    batch_size: int = 24
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-5
    lr_drop_epochs: tuple[int, ...] = (10, 20, 30)
    draws_per_epoch: int = 30_000
    bootstrap_samples: int = 1000
    max_unreadable: float = 0.05

    def __post_init__(self) -> None:
        """Check each value, and what does not go together."""
        for name, known in (
            ("protocol", PROTOCOLS),
            ("select_on", SELECTIONS),
            ("bn_mode", BN_MODES),
            ("solver", (None, *SOLVERS)),
        ):
            if getattr(self, name) not in known:
                raise LinearProbeError(f"{name} is {getattr(self, name)!r}; choose from {known}.")
        for name in ("batch_size", "draws_per_epoch", "bootstrap_samples"):
            if getattr(self, name) < 1:
                raise LinearProbeError(f"{name} is {getattr(self, name)}; at least 1 is needed.")
        if self.epochs is not None and self.epochs < 1:
            raise LinearProbeError(f"epochs is {self.epochs}; at least 1 is needed.")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise LinearProbeError(f"seeds is {self.seeds}: give different ones, from 0.")
        if not self.strengths or not all(0 < strength < inf for strength in self.strengths):
            raise LinearProbeError(f"strengths is {self.strengths}: give some above 0.")
        if not 0 < self.learning_rate < inf:
            raise LinearProbeError(f"learning_rate is {self.learning_rate}: give one above 0.")
        if not (0 <= self.weight_decay < inf and 0 <= self.max_unreadable <= 1):
            raise LinearProbeError(
                f"weight_decay is {self.weight_decay} and max_unreadable {self.max_unreadable}: "
                "neither may be below 0, nor the second above 1."
            )
        self._check_together()

    def _check_together(self) -> None:
        if self.protocol == "published" and self.solver == "lbfgs":
            raise LinearProbeError(
                "The published protocol trains by SGD; --protocol fast has both."
            )
        if self.protocol == "fast" and self.bn_mode == "adapt":
            raise LinearProbeError(
                "BatchNorm adapts while pictures pass through the trunk, and the fast protocol "
                "computes features once: use --protocol published."
            )
        if self.uses_lbfgs and self.select_on == "last":
            raise LinearProbeError(
                "L-BFGS has no last epoch to take: select on validation, or use --solver sgd."
            )

    @property
    def uses_lbfgs(self) -> bool:
        """Whether the head is found by L-BFGS."""
        return self.protocol == "fast" and self.solver != "sgd"

    def resolved(self, benchmark: str, *, validation_drawn: bool = False) -> LinearProbeArguments:
        """Choose what is None.

        Args:
            benchmark: Its name.
            validation_drawn: See `Benchmark`.

        Returns:
            The arguments without None.
        """
        balanced = benchmark in _BALANCED if self.balanced is None else self.balanced
        return replace(
            self,
            refit=validation_drawn if self.refit is None else self.refit,
            balanced=balanced,
            solver="lbfgs" if self.uses_lbfgs else "sgd",
            epochs=self.epochs or (_BALANCED_EPOCHS if balanced else _EPOCHS),
        )

    @property
    def name(self) -> str:
        """Name of the protocol in files of results; what makes numbers too good is part of it."""
        traps = [
            *(["selected on the test set"] if self.select_on == "test" else []),
            *(["BatchNorm adapts"] if self.bn_mode == "adapt" else []),
        ]
        return "linear-probe" + (f" ({', '.join(traps)})" if traps else "")

    def sentences(self) -> list[str]:
        """Say what is done and where it differs from the paper; for `resolved` arguments."""
        return [self._training(), self._selection(), *self._more()]

    def _training(self) -> str:
        sgd = (
            f"SGD (learning rate {self.learning_rate:g}, / 10 at epochs "
            f"{', '.join(map(str, self.lr_drop_epochs))}; momentum {self.momentum:g}, weight decay "
            f"{self.weight_decay:g}, batch {self.batch_size}, {self.epochs} epochs)"
        )
        if self.protocol == "published":
            return (
                "Protocol published, as in the published code: random resized crops and flips pass "
                f"through the frozen trunk anew each epoch; a new linear layer is trained by {sgd} "
                "with the softmax cross entropy to the target."
            )
        how = (
            "L2-regularised softmax regression by L-BFGS on standardised features"
            if self.uses_lbfgs
            else f"a linear layer trained by {sgd}"
        )
        return (
            f"Protocol fast: {how}, with the cross entropy to the target; features are computed "
            "once, from the centre crop. Differs from the paper, which trains "
            + ("by SGD on augmented pictures." if self.uses_lbfgs else "on augmented pictures.")
        )

    def _selection(self) -> str:
        what = "The L2 strength" if self.uses_lbfgs else "The epoch"
        if self.select_on == "last":
            return "The last epoch counts; nothing is selected."
        if self.uses_lbfgs:
            by = " by the lowest cross entropy"
        else:
            by = " by macro recall" if self.balanced else ""
        if self.select_on == "test":
            return (
                f"{what} is chosen on the test set{by}, as in the published code: the numbers are "
                "too good, and comparable only with numbers made in the same way."
            )
        return f"{what} is chosen on validation{by} (the published code chooses on the test set)."

    def _more(self) -> list[str]:
        joined = (
            "Train and validation together are the final training part."
            if self.refit
            else "Validation is never trained on."
        )
        balanced = (
            f"Each epoch draws {self.draws_per_epoch:,} images: a class, then one of its images."
            if not self.uses_lbfgs
            else "Rows are weighted so that all classes count alike."
        )
        adapts = (
            "BatchNorm runs in training mode on the training pictures, as in the published code: "
            "the trunk is not quite frozen."
        )
        return [
            joined,
            *([balanced] if self.balanced else []),
            *([adapts] if self.bn_mode == "adapt" else []),
        ]
