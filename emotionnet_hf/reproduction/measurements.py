"""One model on one data set: what stands in a cell of a table, kept in a file of its own."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Image
from PIL import Image as Pillow
from transformers import AutoImageProcessor

from emotionnet_hf.data.benchmarks import load_benchmark
from emotionnet_hf.data.benchmarks.benchmark import Benchmark, BenchmarkError
from emotionnet_hf.data.local_files import load_parquet
from emotionnet_hf.evaluation import extract_features
from emotionnet_hf.evaluation.clean_labels import listed_labels
from emotionnet_hf.evaluation.features import in_batches
from emotionnet_hf.evaluation.linear_probe import (
    LinearProbeArguments,
    Running,
    evaluate_linear_probe,
)
from emotionnet_hf.evaluation.retrieval.scores import retrieval_scores
from emotionnet_hf.evaluation.zero_shot import evaluate_zero_shot
from emotionnet_hf.files import write_json
from emotionnet_hf.loading.images import open_stored
from emotionnet_hf.metrics import hit_at_k, mean_average_precision
from emotionnet_hf.models import EmotionNetForPreTraining
from emotionnet_hf.models.backbones import BackboneWeightsError
from emotionnet_hf.models.encoders import FEATURES, open_encoder
from emotionnet_hf.reproduction.data_root import MissingDataError
from emotionnet_hf.reproduction.tables import BASELINE, Cell
from emotionnet_hf.reproduction.trainings import Trainings

logger = logging.getLogger(__name__)

# Weights that cannot be downloaded and folders of another layout are missing data too; their
# messages say what to do.
_MISSING = (MissingDataError, BackboneWeightsError, BenchmarkError)
_BATCH = 64
_DEPTH = 10  # neighbours that retrieval looks at


class TrainingFailedError(RuntimeError):
    """A model that cannot be made: no other cell needs to try it again."""


@dataclass(frozen=True)
class Measurements:
    """The cells of all tables.

    Attributes:
        trainings: Makes the models.
    """

    trainings: Trainings

    def read(self, cell: Cell, seed: int) -> dict[str, Any] | None:
        """Return what was measured for a cell with one seed.

        Args:
            cell: Which; cells that differ only in their metric share a measurement.
            seed: Of the training.

        Returns:
            ``metrics``, what a table tells of them (``told``), and the whole ``report``; or why it
            is ``missing``; None where it was not tried.
        """
        path = self._path(cell, seed)
        if not path.is_file():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def measure(self, cells: Iterable[Cell], seed: int) -> None:
        """Measure what is not measured yet; a cell that fails stops none of the others.

        Args:
            cells: What to measure.
            seed: Of trainings and probes.

        Raises:
            Exception: What a cell failed with, once all were tried; it stands in its file too.
        """
        failed: Exception | None = None
        for cell in cells:
            # What was missing may have come.
            if "metrics" in (self.read(cell, seed) or {}):
                continue
            logger.info("%s, seed %d: %s on %s", cell.model, seed, cell.measure, cell.dataset)
            found = None
            if not isinstance(failed, TrainingFailedError):
                try:
                    found = self._measured(cell, seed)
                except Exception as error:  # the others may be days of work, whatever this is
                    logger.exception("%s on %s failed", cell.model, cell.dataset)
                    failed = error
            found = found or {"missing": f"{cell.model} failed: {failed}"}
            write_json(self._path(cell, seed), found)
        if failed is not None:
            raise failed

    def _path(self, cell: Cell, seed: int) -> Path:
        name = f"{cell.model} {seed} {cell.dataset} {cell.measure}"
        return self.trainings.work / "cells" / f"{re.sub('[^A-Za-z0-9]+', '-', name)}.json"

    def _measured(self, cell: Cell, seed: int) -> dict[str, Any]:
        """Measure a cell, or say what is missing."""
        how = {
            "linear-probe": self._linear_probe,
            "zero-shot": self._zero_shot,
            "zero-shot, text model": self._zero_shot,
            "tagging": self._tagging,
            "retrieval": self._retrieval,
            "keywords": self._keywords,
        }
        try:
            return how[cell.measure](cell, seed)
        except _MISSING as error:
            return {"missing": str(error)}

    def _model(self, cell: Cell, seed: int) -> str:
        try:
            if cell.model == BASELINE:
                return self.trainings.baseline()
            return str(self.trainings.model(cell.model, seed))
        except _MISSING:
            raise
        except Exception as error:
            raise TrainingFailedError(f"its training: {type(error).__name__}: {error}") from error

    def _benchmark(self, name: str, seed: int) -> Benchmark:
        folder = self.trainings.root.find(name)
        return load_benchmark(name, folder, seed=seed)

    def _linear_probe(self, cell: Cell, seed: int) -> dict[str, Any]:
        report = evaluate_linear_probe(
            self._benchmark(cell.dataset, seed),
            [self._model(cell, seed)],
            LinearProbeArguments(protocol=self.trainings.scale.protocol, seeds=(seed,)),
            running=Running(
                cache=self.trainings.work / "features", progress=self.trainings.progress
            ),
        )
        whole = report.as_dict()
        ours, chance = whole["results"][0], whole["baselines"][-1]
        told = {
            "rows": ours["test_rows"][0],
            "release": whole["benchmark"]["release"],
            "chance": {name: values["mean"] for name, values in chance["metrics"].items()},
        }
        return _result(ours["metrics"], told, whole)

    def _zero_shot(self, cell: Cell, seed: int) -> dict[str, Any]:
        with_text_model = cell.measure.endswith("text model")
        report = evaluate_zero_shot(
            self._benchmark(cell.dataset, seed),
            self._model(cell, seed),
            text_model=self.trainings.guide(cell.model, seed) if with_text_model else None,
            uncovered="chance",
            progress=self.trainings.progress,
        )
        whole = report.as_dict()
        told = {
            "rows": whole["counts"]["scored"],
            "release": whole["release"],
            "chance": {name: values["random"] for name, values in whole["chance"].items()},
            "notes": whole["notes"],
        }
        return _result(whole["metrics"], told, whole)

    def _tagging(self, cell: Cell, seed: int) -> dict[str, Any]:
        test = self._test_pictures()
        folder = self._model(cell, seed)
        features = extract_features(
            EmotionNetForPreTraining.from_pretrained(folder).to(_device()),
            AutoImageProcessor.from_pretrained(folder),
            _pictures(test),
            progress=self.trainings.progress,
        )
        labels = listed_labels(test)
        metrics = {
            "hit_at_1": hit_at_k(features.logits, labels),
            "mean_average_precision": mean_average_precision(features.logits, labels),
        }
        return {"metrics": metrics, "told": {"rows": len(test)}}

    def _retrieval(self, cell: Cell, seed: int) -> dict[str, Any]:
        test = self._test_pictures()
        encoder = open_encoder(self._model(cell, seed))
        batches = in_batches(_pictures(test), _BATCH)
        features = np.concatenate([encoder.encode(batch)[FEATURES] for batch in batches])
        scores = retrieval_scores(features, listed_labels(test), ks=(1, _DEPTH))
        return {"metrics": scores, "told": {"rows": len(test)}}

    def _keywords(self, cell: Cell, seed: int) -> dict[str, Any]:
        results = self.trainings.text_model_8().parent / "results.json"
        if not results.is_file():
            raise MissingDataError(
                f"{results} is not there: a training writes it where its SE30K8 has a test split, "
                "as what is built of the release has"
            )
        told = json.loads(results.read_text(encoding="utf-8"))
        return {"metrics": told.pop("metrics"), "told": told}

    def _test_pictures(self) -> Dataset:
        test = load_parquet(self.trainings.stockemotion())["test"]
        return test.cast_column("image", Image(decode=False))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _result(
    metrics: dict[str, dict[str, Any]], told: dict[str, Any], report: dict[str, Any]
) -> dict[str, Any]:
    """Put a cell's file together; ``metrics`` are those of one run with their intervals."""
    intervals = {name: values["interval"] for name, values in metrics.items()}
    return {
        "metrics": {name: values["mean"] for name, values in metrics.items()},
        "told": {**told, "interval": intervals},
        "report": report,
    }


def _pictures(split: Dataset) -> Iterator[Pillow.Image]:
    """Open the pictures of a split one by one."""
    for row in split.select_columns(["image"]):
        yield open_stored(row["image"])
