import json
from pathlib import Path

import pytest

from emotionnet_hf.environment import environment
from emotionnet_hf.files import write_json
from emotionnet_hf.reproduction.data_root import DataRoot
from emotionnet_hf.reproduction.measurements import Measurements
from emotionnet_hf.reproduction.pages import write_tables
from emotionnet_hf.reproduction.tables import TABLES
from emotionnet_hf.reproduction.trainings import UNTRAINED, Scale, Trainings

TABLE = TABLES["table2"]


@pytest.fixture
def measured(tmp_path):
    """Table 2 with two seeds: all of EmotionNet, nothing of the baseline on EMOTIC."""
    (tmp_path / "README.txt").write_text("These are\ndrawn.\n")
    trainings = Trainings(DataRoot(tmp_path), tmp_path / "work", Path("."), Scale("tiny"))
    measurements = Measurements(trainings)
    for seed in (0, 1):
        for place, cell in enumerate(TABLE.cells):
            found = {"metrics": {cell.metric: 0.5 + 0.01 * place + 0.02 * seed}}
            if cell.row == "ResNet-50" and cell.dataset.startswith("EMOTIC"):
                found = {"missing": "EMOTIC is missing: ask its authors"}
            write_json(measurements._path(cell, seed), found)
    return measurements


def test_ours_stand_over_the_papers(measured, tmp_path):
    (page,) = write_tables([TABLE], measured, (0, 1), environment(), tmp_path / "out")
    text = page.read_text()
    lines = text.splitlines()
    assert lines[0] == "# Table 2: Linear evaluation"
    assert "**The data:** These are drawn." in lines
    assert "the seeds (2), scale `tiny`" in text
    assert '"ResNet-50" is `timm:resnet50.tv_in1k`' in text
    row = next(line for line in lines if line.startswith("| ResNet-50"))
    assert row == (
        "| ResNet-50 | 51.00 ± 1.41 | 52.00 ± 1.41 | 53.00 ± 1.41 | 54.00 ± 1.41 | missing | "
        "missing |"
    )
    below = lines[lines.index(row) + 1]
    assert below == "| *paper* | *58.30* | *60.26* | *40.17* | *52.52* | *24.34* | *26.03* |"
    assert lines[-1] == "- EMOTIC is missing: ask its authors"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "(as in the recipe)"),
        ({"emotionnet": {"backbone": "test_resnet"}}, "(`backbone: test_resnet`)"),
        (
            {"emotionnet": {"backbone_weights": "there/w.safetensors"}},
            "(`backbone_weights: w.safetensors`)",
        ),
    ],
)
def test_what_stands_for_the_papers_baseline_is_told(tmp_path, changes, told):
    scale = Scale("tiny", changes, baseline=UNTRAINED)
    measurements = Measurements(Trainings(DataRoot(tmp_path), tmp_path / "w", Path("."), scale))
    (page,) = write_tables([TABLE], measurements, (0,), environment(), tmp_path / "out")
    assert f'"ResNet-50" is EmotionNet\'s trunk before training {told}.' in page.read_text()


def test_json_has_values_spread_and_reasons(measured, tmp_path):
    write_tables([TABLE], measured, (0, 1), environment(), tmp_path / "out")
    result = json.loads((tmp_path / "out" / "table2.json").read_text())
    assert result["seeds"] == [0, 1] and result["about_the_data"] == "These are drawn."
    assert "packages" in result["environment"]
    cells = {(cell["row"], cell["column"]): cell for cell in result["cells"]}
    ours = cells["EmotionNet", "DeepEmotion"]
    assert ours["values"] == pytest.approx([0.56, 0.58]) and ours["mean"] == pytest.approx(0.57)
    assert ours["sd"] == pytest.approx(0.0141421, abs=1e-6) and ours["paper"] == 0.6581
    gone = cells["ResNet-50", "EMOTIC-B"]
    assert gone["missing"].startswith("EMOTIC") and "mean" not in gone and gone["paper"] == 0.2434


def test_one_seed_has_no_spread_and_no_run_says_so(measured, tmp_path):
    (page,) = write_tables([TABLE], measured, (0,), environment(), tmp_path / "out")
    assert (
        "| EmotionNet | 56.00 | 57.00 |" in page.read_text() and "one run (1)" in page.read_text()
    )
    (page,) = write_tables([TABLES["table5"]], measured, (0,), environment(), tmp_path / "out")
    assert page.read_text().splitlines()[-1] == "- not run yet"


def test_what_is_measured_once_has_no_spread(tmp_path):
    trainings = Trainings(DataRoot(tmp_path), tmp_path / "work", Path("."), Scale("tiny"))
    measurements = Measurements(trainings)
    for name in ("figure4", "section5.3"):
        for cell in TABLES[name].cells:
            for seed in cell.seeds((0, 1, 2)):
                names = [each.metric for each in TABLES[name].cells]
                found = {"metrics": dict.fromkeys(names, 0.5 + 0.01 * seed)}
                write_json(measurements._path(cell, seed), found)
    tables = [TABLES["figure4"], TABLES["section5.3"]]
    pages = write_tables(tables, measurements, (0, 1, 2), environment(), tmp_path / "out")
    figure, classes = (page.read_text() for page in pages)
    assert "| ResNet-50 | 50.00 | 50.00 |" in figure
    assert "| EmotionNet | 51.00 ± 1.00 | 51.00 ± 1.00 |" in figure
    assert "| TextCNN, 8 classes | 50.00 |" in classes


def test_fewer_runs_than_seeds_are_told(measured, tmp_path):
    (page,) = write_tables([TABLE], measured, (0, 1, 2), environment(), tmp_path / "out")
    assert "| EmotionNet | 57.00 ± 1.41 (2 of 3) |" in page.read_text()


def test_rows_of_a_model_of_another_name_say_so(measured, tmp_path):
    pages = write_tables(
        [TABLES["table5"], TABLES["table6"]], measured, (0,), environment(), tmp_path / "out"
    )
    subsets, zero_shot = (page.read_text() for page in pages)
    assert '"100 % of StockEmotion" is "- Embed & Soft".' in subsets
    assert '"EmotionNet" is "+ Extra anno".' in zero_shot


def test_chance_is_that_of_all_seeds(measured, tmp_path):
    cell = TABLE.cells[0]
    for seed, chance in ((0, 0.2), (1, 0.3)):
        found = {"metrics": {cell.metric: 0.5}, "told": {"chance": {cell.metric: chance}}}
        write_json(measured._path(cell, seed), found)
    (page,) = write_tables([TABLE], measured, (0, 1), environment(), tmp_path / "out")
    assert "| chance | 25.00 |  |  |  |  |  |" in page.read_text().splitlines()
