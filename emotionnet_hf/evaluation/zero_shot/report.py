"""What a zero-shot evaluation found, and the form in which it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ZeroShotReport:
    """What was measured, and on what.

    Attributes:
        dataset: Name of the benchmark.
        split: Which of its splits.
        metrics: ``accuracy`` and ``macro_recall``, or ``mean_average_precision``, each as
            `summarised` gives it; ``sd`` is None: nothing is trained, so there is one run.
        by_class: Recall, or average precision, of each class; None for one that is never right.
        chance: The same metrics without looking at the pictures.
        coverage: For each class the keywords that the text side knows, and those that it does not.
        counts: ``rows`` of the split; ``scored`` ones, with their ``pictures`` (a crop is one) and
            ``groups`` (what the bootstrap draws); ``unreadable`` rows; rows ``without_class``,
            where one class a picture is asked for.
        unreadable: Row and reason where a picture could not be opened.
        settings: The arguments, resolved; the model; which embedding of the image was used.
        notes: What was done and where it differs from the paper, a sentence each.
        release: Of the benchmark.
        environment: Versions and machine.
        scores: Of the scored rows, float64, (N, K).
        image_ids: Of the scored rows, in their order.
    """

    dataset: str
    split: str
    metrics: dict[str, dict[str, Any]]
    by_class: dict[str, float | None]
    chance: dict[str, dict[str, float]]
    coverage: dict[str, dict[str, list[str]]]
    counts: dict[str, int]
    unreadable: list[dict[str, str]]
    settings: dict[str, Any]
    notes: list[str]
    release: str
    environment: dict[str, Any]
    scores: np.ndarray = field(repr=False)
    image_ids: list[str] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return what is written as JSON: the form of `emotionnet_hf.hub.results`, and more."""
        left_out = {"dataset", "split", "scores", "image_ids"}
        others = {name: value for name, value in vars(self).items() if name not in left_out}
        return {
            "dataset": self.dataset,
            "split": self.split,
            "protocol": "zero-shot",
            **others,
        }
