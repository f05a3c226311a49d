"""What the modules share: rows of scores, and rows that say which classes are right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import evaluate
import numpy as np
from datasets import Features, List, Value

_INPUTS = """
Args:
    predictions: Scores of the K classes, a row of K finite numbers for each example; higher is
        better, probabilities or logits alike.
    references: Which classes are right, a row of K zeros and ones for each example (multi-hot).
"""
_CITATION = (
    "Wei et al., Learning Visual Emotion Representations from Web Data, CVPR 2020; average "
    "precision is that of scikit-learn."
)


class MultiLabelMetric(evaluate.Metric, ABC):
    """An `evaluate` metric on multi-hot rows; abstract, so that ``evaluate.load`` passes it over.

    ``predictions`` and ``references`` are lists, arrays or tensors of one shape (N, K), given at
    once, row by row (``add``) or batch by batch (``add_batch``).
    """

    description: ClassVar[str]
    options: str = ""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.description,
            citation=_CITATION,
            inputs_description=_INPUTS + self.options,
            # Both float: as whole numbers, labels of 0.9 would silently become 0.
            features=Features(dict.fromkeys(("predictions", "references"), List(Value("float64")))),
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add a batch.

        Args:
            predictions: Scores, (B, K).
            references: Zeros and ones, (B, K).
            **kwargs: None that is known; `evaluate` names them.

        Raises:
            ValueError: A row of one does not fit that of the other, or is no row of numbers.
        """
        if predictions is not None and references is not None:
            if len(predictions) == len(references) == 0:  # `evaluate` could not read that again
                return
            for row, pair in enumerate(zip(predictions, references, strict=False)):
                _check_row(row, *pair)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one example.

        Args:
            prediction: Scores, (K,).
            reference: Zeros and ones, (K,).
            **kwargs: ``predictions`` and ``references``, as which ``evaluate.combine`` gives them.

        Raises:
            ValueError: One does not fit the other, or is no row of numbers.
        """
        prediction = kwargs.pop("predictions", None) if prediction is None else prediction
        reference = kwargs.pop("references", None) if reference is None else reference
        _check_row(0, prediction, reference)
        super().add(prediction=prediction, reference=reference, **kwargs)

    @abstractmethod
    def measure(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Compute the metric.

        Args:
            *args: Scores, float64, (N, K), and which classes are right, zeros and ones, (N, K).
            **kwargs: Options of ``compute``.

        Returns:
            Name and value.
        """

    def _compute(
        self, *, predictions: list[list[float]], references: list[list[int]], **options: Any
    ) -> dict[str, float]:
        if len({len(row) for row in predictions}) > 1:
            raise ValueError(
                "predictions have rows of different lengths: every example needs one score for "
                "each of the K classes."
            )
        scores = np.array(predictions, dtype=np.float64)
        return self.measure(scores, np.array(references, dtype=np.float64), **options)


class TopKMetric(MultiLabelMetric):
    """A metric of the k best-scored classes; abstract too.

    Args:
        config_name: As for every `evaluate` module.
        k: How many of the best-scored classes count, where ``compute`` is not told.
        **kwargs: As for every `evaluate` module.
    """

    result: ClassVar[str]

    def __init__(self, config_name: str | None = None, *, k: int = 1, **kwargs: Any) -> None:
        self.options = (
            "    k: How many of the best-scored classes count (1).\n"
            f"Returns:\n    {self.result}_at_<k>\n"
        )
        super().__init__(config_name, **kwargs)
        self.k = k

    @abstractmethod
    def at_k(self, scores: np.ndarray, labels: np.ndarray, k: int) -> float:
        """Compute the metric for one k; the arrays as for `measure`."""

    def measure(
        self, scores: np.ndarray, labels: np.ndarray, *, k: int | None = None
    ) -> dict[str, float]:
        """Return ``{"<result>_at_<k>": value}``."""
        k = self.k if k is None else k
        return {f"{self.result}_at_{k}": self.at_k(scores, labels, k)}


def _check_row(row: int, scores: Any, labels: Any) -> None:
    """Refuse what Arrow would describe in its own words, or not at all."""
    lengths = _length(scores), _length(labels)
    if None in lengths or lengths[0] != lengths[1]:
        given = " and ".join("no row" if n is None else f"a row of {n}" for n in lengths)
        raise ValueError(
            f"example {row}: predictions and references must be rows of the same K numbers, the "
            "scores of the classes and 1 where a class is right (multi-hot), and not "
            f"{given}. Turn class ids into rows, for example with numpy.eye(K, dtype=int)[ids]."
        )


def _length(row: Any) -> int | None:
    """K of a row of numbers; None for anything else."""
    if isinstance(row, list | tuple):
        return len(row) if all(np.ndim(value) == 0 for value in row[:1]) else None
    return len(row) if getattr(row, "ndim", None) == 1 else None
