import json
from pathlib import Path

import pytest

from emotionnet_hf.reproduction.data_root import DataRoot
from emotionnet_hf.reproduction.measurements import Measurements, TrainingFailedError
from emotionnet_hf.reproduction.tables import BASELINE, TABLES, Cell
from emotionnet_hf.reproduction.trainings import EMOTIONNET, Scale, Trainings

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "recipes"


@pytest.fixture
def measurements(tmp_path):
    (tmp_path / "data").mkdir()
    scale = Scale("small", {}, baseline="timm:resnet50", protocol="fast")
    return Measurements(Trainings(DataRoot(tmp_path / "data"), tmp_path / "work", FOLDER, scale))


def cell(**changes) -> Cell:
    values = {
        "row": "R",
        "column": "C",
        "model": EMOTIONNET,
        "dataset": "DeepEmotion",
        "measure": "linear-probe",
        "metric": "accuracy",
    }
    return Cell(**(values | changes))


def test_what_cannot_be_measured_says_what_is_missing(measurements):
    cells = [c for table in TABLES.values() for c in table.cells]
    measurements.measure(cells, 0)
    for wanted in cells:
        assert "is missing" in measurements.read(wanted, 0)["missing"]
    assert measurements.read(cells[0], 1) is None


def test_weights_that_cannot_be_downloaded_are_missing_data(measurements, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "data" / "DeepEmotion" / name).mkdir(parents=True)
    wanted = cell(model=BASELINE)
    measurements.measure([wanted], 0)
    # A folder of another layout is told before anything is downloaded.
    assert "has no known layout of DeepEmotion" in measurements.read(wanted, 0)["missing"]


def test_cells_that_differ_in_their_metric_share_a_measurement(measurements, monkeypatch):
    calls = []
    monkeypatch.setattr(
        Measurements, "_tagging", lambda self, c, seed: calls.append(seed) or {"metrics": {}}
    )
    cells = TABLES["section5.1"].cells
    measurements.measure(cells, 4)
    measurements.measure(cells, 4)
    assert calls == [4]


def test_what_was_missing_is_tried_again(measurements, monkeypatch):
    wanted = cell()
    measurements.measure([wanted], 0)
    monkeypatch.setattr(Measurements, "_linear_probe", lambda *_: {"metrics": {"accuracy": 0.5}})
    measurements.measure([wanted], 0)
    assert measurements.read(wanted, 0) == {"metrics": {"accuracy": 0.5}}
    files = list((measurements.trainings.work / "cells").iterdir())
    assert [json.loads(path.read_text()) for path in files] == [{"metrics": {"accuracy": 0.5}}]


def test_a_cell_that_fails_stops_none_of_the_others(measurements, monkeypatch):
    def probe(self, wanted, seed):
        if wanted.dataset == "DeepEmotion":
            raise ValueError("5 of 9 pictures cannot be opened")
        return {"metrics": {"accuracy": 0.5}}

    monkeypatch.setattr(Measurements, "_linear_probe", probe)
    cells = [cell(), cell(dataset="UnBiasedEmotion")]
    with pytest.raises(ValueError, match="5 of 9 pictures"):
        measurements.measure(cells, 0)
    assert measurements.read(cells[0], 0) == {
        "missing": "EmotionNet failed: 5 of 9 pictures cannot be opened"
    }
    assert measurements.read(cells[1], 0) == {"metrics": {"accuracy": 0.5}}


def test_a_training_that_fails_is_not_begun_for_each_cell(measurements, monkeypatch):
    begun = []

    def train(self, name, seed):
        begun.append(name)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Trainings, "model", train)
    monkeypatch.setattr(Measurements, "_linear_probe", Measurements._model)
    cells = [cell(), cell(dataset="UnBiasedEmotion")]
    with pytest.raises(TrainingFailedError):
        measurements.measure(cells, 0)
    assert begun == [EMOTIONNET]
    reason = "EmotionNet failed: its training: RuntimeError: out of memory"
    assert [measurements.read(c, 0)["missing"] for c in cells] == [reason] * 2
