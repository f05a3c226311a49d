"""Measured numbers for cards: only from JSON that our commands wrote.

Three kinds of files are known. ``metrics.jsonl`` of a training run has validation metrics of each
epoch; those of the epoch that was kept count. ``report.json`` of a quickstart has test metrics on
the generated sample. Evaluations write one object of this form, or several as
``{"results": [...]}``::

    {
        "dataset": "DeepEmotion", "split": "test", "protocol": "linear-probe",
        "metrics": {"accuracy": 0.61} or {"accuracy": {"mean": 0.61, "sd": 0.01}},
        "environment": {"python": "3.11.7", "packages": {"torch": "2.15.0", ...}, ...}
    }

with the block ``environment`` (or ``versions``) that our commands write beside what they measure:
a file without it was written by hand, and is refused. Metrics are shares, 0 to 1; losses are no
results. What no file has is "not measured".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult

from emotionnet_hf.evaluation.paper_tables import known_numbers

NOT_MEASURED = "not measured"
_SAMPLE = "generated sample of emotionnet_hf"
_LABELS = {
    "hit_at_1": "hit@1",
    "mean_average_precision": "mAP",
    "accuracy": "accuracy",
    "top_2_accuracy": "top-2 accuracy",
}


class ResultsError(ValueError):
    """A file of results that our commands did not write."""


@dataclass(frozen=True)
class Measured:
    """One number.

    Attributes:
        dataset: Name of the data set.
        split: Its part.
        metric: Name of the metric, such as ``hit_at_1``.
        value: 0 to 1; the mean where there were several runs.
        spread: Standard deviation over runs, if there were several.
        protocol: How it was measured.
    """

    dataset: str
    split: str
    metric: str
    value: float
    spread: float | None = None
    protocol: str = ""

    @property
    def metric_label(self) -> str:
        """The metric's name for people."""
        return _LABELS.get(self.metric, self.metric.replace("_", " "))

    @property
    def text(self) -> str:
        """The value for people."""
        spread = "" if self.spread is None else f" ± {self.spread:.3f}"
        return f"{self.value:.3f}{spread}"


@dataclass(frozen=True)
class PaperNumber:
    """A number of the paper that a card shows beside ours.

    Attributes:
        dataset: Name of the data set.
        protocol: How it is measured.
        metric: Name of the metric.
        value: The paper's, 0 to 1.
        where: Table or section.
    """

    dataset: str
    protocol: str
    metric: str
    value: float
    where: str

    def row(self, measured: Sequence[Measured]) -> dict[str, str]:
        """Cells of a card's table: what was measured in the same way, or "not measured"."""
        wanted = tuple(map(_key, (self.dataset, self.protocol, self.metric)))
        ours = [
            m
            for m in measured
            # The paper's numbers are of test splits.
            if _key(m.split) == "test"
            and tuple(map(_key, (m.dataset, m.protocol, m.metric))) == wanted
        ]
        return {
            "dataset": self.dataset,
            "protocol": self.protocol,
            "metric": _LABELS.get(self.metric, self.metric),
            "paper": f"{self.value:.3f} ({self.where})",
            "here": ", ".join(m.text for m in ours) or NOT_MEASURED,
        }


PAPER: dict[str, tuple[PaperNumber, ...]] = {
    "emotionnet": (
        PaperNumber("StockEmotion", "tagging", "hit_at_1", 0.50, "about; section 5.1"),
        *(
            PaperNumber(n.dataset, n.protocol, n.metric, n.value, n.source)
            for n in known_numbers()
            if n.method == "EmotionNet" and n.source in ("Table 2", "Table 6")
        ),
    ),
    "textcnn": (PaperNumber("SE30K8", "keywords", "top_2_accuracy", 0.90, "up to; section 5.3"),),
}


def kept_metrics(
    records: Iterable[Mapping[str, Any]], select_on: str
) -> tuple[int, dict[str, float]] | None:
    """Find the validation metrics of the epoch whose model a run kept.

    Args:
        records: Of ``metrics.jsonl``, in order.
        select_on: The run's ``select_on``.

    Returns:
        Epoch and metrics, without losses and without what is not a number; None where the run
        had no validation split.
    """
    kept: Mapping[str, Any] | None = None
    best: float | None = None
    for record in records:
        if "validation" not in record:
            continue
        chosen = record["validation"].get(select_on)
        # The rule by which the training loop keeps a model, NaN included.
        if chosen is None or math.isnan(chosen) or best is None or chosen > best:
            kept, best = record, chosen
    if kept is None:
        return None
    metrics = kept["validation"].items()
    return int(kept["epoch"]), {
        name: float(value)
        for name, value in metrics
        if not name.endswith("loss") and math.isfinite(value)
    }


def read_results(path: str | Path, kind: str) -> list[Measured]:
    """Read a file of results.

    Args:
        path: The JSON file.
        kind: ``emotionnet`` or ``textcnn``: whose numbers of a quickstart's report.

    Returns:
        The numbers.

    Raises:
        ResultsError: It is not JSON, none of the forms above, or a metric is no share.
        FileNotFoundError: There is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No results at {path}: the file does not exist.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        found = list(_numbers(value, kind))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ResultsError(_unknown(path, f"{type(error).__name__}: {error}")) from error
    if not found:
        raise ResultsError(_unknown(path, "it has no numbers"))
    for number in found:
        if not 0 <= number.value <= 1 or not (number.spread is None or number.spread >= 0):
            raise ResultsError(
                f"{path} has {number.metric} = {number.text} for {number.dataset}: metrics are "
                "shares, 0 to 1 (not percent). Measure again with a command of emotionnet_hf."
            )
    return found


def _unknown(path: Path, why: str) -> str:
    return (
        f"{path} is no file of results ({why}): give the report.json that `emotionnet quickstart` "
        "wrote, or what a command of emotionnet_hf measured and wrote together with its "
        "`environment`, in the form that the documentation of emotionnet_hf.hub.results shows."
    )


def _numbers(value: Any, kind: str) -> Iterator[Measured]:
    _check_mark(value)
    if "emotionnet" in value and "textcnn" in value:
        for truth in ("clean", "listed"):
            yield from _metrics(_SAMPLE, "test", f"against {truth} keywords", value[kind][truth])
        return
    for result in value.get("results", [value]):
        # Evaluations say whose numbers they are, so that a baseline's do not pass for a model's.
        if result.get("kind", kind) != kind:
            raise ValueError(f"its numbers are those of {result.get('model')}, no {kind}")
        names = str(result["dataset"]), str(result["split"]), str(result.get("protocol", ""))
        yield from _metrics(*names, result["metrics"])


def _check_mark(value: Mapping[str, Any]) -> None:
    """Require what a command writes beside its numbers, and what nobody writes by hand."""
    environment = value.get("environment")
    packages = environment.get("packages") if isinstance(environment, dict) else None
    # The quickstart's report has the check of the reloaded model in this place.
    if not any(isinstance(m, dict) and m for m in (packages, value.get("versions"))) and not (
        {"arguments", "seconds", "reloaded"} <= value.keys()
    ):
        raise ValueError("it does not say in which environment it was measured")


def _metrics(
    dataset: str, split: str, protocol: str, metrics: Mapping[str, Any]
) -> Iterator[Measured]:
    for name, value in metrics.items():
        mean, spread = (
            (value["mean"], value.get("sd")) if isinstance(value, dict) else (value, None)
        )
        for number in (mean, 0.0 if spread is None else spread):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise TypeError(f"{name} is {number!r} and no number")
        if not name.endswith("loss") and not math.isnan(mean):
            yield Measured(dataset, split, name, float(mean), spread, protocol)


def as_eval_results(measured: Iterable[Measured], task: str) -> list[EvalResult]:
    """Put numbers into the form of a card's ``model-index``.

    Args:
        measured: The numbers.
        task: Of the model, such as ``image-classification``.

    Returns:
        One ``EvalResult`` a number.
    """
    return [
        EvalResult(
            task_type=task,
            dataset_type=re.sub(r"[^a-z0-9]+", "-", number.dataset.lower()).strip("-"),
            dataset_name=number.dataset,
            dataset_split=number.split,
            metric_type=number.metric,
            # Numbers by different protocols must not be taken for one another.
            metric_name=number.metric_label + (number.protocol and f", {number.protocol}"),
            metric_args={"protocol": number.protocol} if number.protocol else None,
            metric_value=number.value,
        )
        for number in measured
    ]


def _key(text: str) -> str:
    """Letters and digits alone: "EMOTIC-B" and "emotic_b" are the same."""
    return "".join(letter for letter in text.lower() if letter.isalnum())
