import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from emotionnet_hf.reproduction.run import ReproductionError, reproduce
from emotionnet_hf.reproduction.sample_root import draw_data_root
from emotionnet_hf.reproduction.trainings import EMOTIONNET
from emotionnet_hf.training import TrainingError

REPOSITORY = Path(__file__).resolve().parents[2]
SCALE = """
baseline: untrained
protocol: fast
build: {validation: 0.05, test: 0.15}
emotionnet:
  backbone: test_resnet
  backbone_weights: none
  image_size: 32
  batch_size: 16
  epochs: 1
  optimizer: adamw
  lr_schedule: constant
  select_on: last
  num_workers: 0
textcnn: &text
  {epochs: 1, batch_size: 16, embedding_dim: 8, hidden_size: 8, word_vector_epochs: 1}
se30k8_textcnn: *text
"""
RECIPES = REPOSITORY / "scripts" / "recipes"
TABLES = ("table2", "table6", "figure4", "section5.1", "section5.3")


def test_without_any_data_every_row_says_what_to_get(tmp_path):
    root = tmp_path / "nothing"
    with pytest.raises(NotADirectoryError, match=r"There is no folder .*nothing"):
        reproduce(TABLES, root, tmp_path / "work", tmp_path / "out", recipes=Path("."))
    root.mkdir()
    pages = reproduce(TABLES, root, tmp_path / "work", tmp_path / "out", recipes=Path("."))
    assert [page.stem for page in pages] == list(TABLES)
    text = "".join(page.read_text() for page in pages)
    for name in ("StockEmotion", "DeepEmotion", "UnBiasedEmotion", "AffectNet", "EMOTIC", "SE30K8"):
        assert f"put it into {root / name}" in text


def test_a_model_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    measured = []

    def measure(self, cells, seed):
        if cells[0].model == EMOTIONNET and seed == 0:
            raise TrainingError("the loss is not finite")
        measured.append((cells[0].model, seed))

    monkeypatch.setattr("emotionnet_hf.reproduction.measurements.Measurements.measure", measure)
    where = (tmp_path, tmp_path / "work", tmp_path / "out")
    with pytest.raises(ReproductionError, match=r"1 of 5 models failed, 'EmotionNet' with seed 0"):
        reproduce(("figure4", "section5.3"), *where, recipes=Path("."), seeds=(0, 1, 2))
    assert sorted(measured) == [
        *(("EmotionNet", 1), ("EmotionNet", 2), ("ResNet-50", 0), ("TextCNN, 8 classes", 0))
    ]
    assert (tmp_path / "out" / "figure4.md").is_file()


def test_what_several_models_share_may_fail(tmp_path):
    (tmp_path / "StockEmotion").mkdir()
    where = (tmp_path, tmp_path / "work", tmp_path / "out")
    with pytest.raises(ReproductionError, match=r"2 of 3 models failed"):
        reproduce(("section5.1", "section5.3"), *where, recipes=RECIPES, seeds=(0, 1))
    pages = [(tmp_path / "out" / f"section5.{n}.md").read_text() for n in (1, 3)]
    assert "EmotionNet failed: " in pages[0] and "StockEmotion has no metadata.jsonl" in pages[0]
    assert "SE30K8 is missing" in pages[1]


@pytest.mark.slow
def test_processes_take_their_work_and_one_that_fails_does_not_stop_the_others(tmp_path):
    where = (tmp_path, tmp_path / "work", tmp_path / "out")
    # Where the cell of one model should be written stands a folder.
    (tmp_path / "work" / "cells" / "EmotionNet-0-StockEmotion-tagging.json").mkdir(parents=True)
    with pytest.raises(ReproductionError, match=r"1 of 2 models failed, 'EmotionNet'"):
        reproduce(("section5.1", "section5.3"), *where, recipes=Path("."), seeds=(0,), workers=2)
    assert "SE30K8 is missing" in (tmp_path / "out" / "section5.3.md").read_text()


@pytest.mark.slow
def test_tables_run_from_drawn_data_and_a_killed_run_goes_on(tmp_path):
    root = draw_data_root(tmp_path / "data", num_images=400, benchmark_images=60, progress=False)
    (tmp_path / "tiny.yaml").write_text(SCALE)
    words = ["--data-root", root, "--work", tmp_path / "work", "--out", tmp_path / "out"]
    words += ["--scale", tmp_path / "tiny.yaml", "--seeds", 0, "--no-progress"]
    script = [sys.executable, REPOSITORY / "scripts" / "reproduce.py", *TABLES, *words]
    command = [str(word) for word in script]
    cells = tmp_path / "work" / "cells"
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while not (cells.is_dir() and len(list(cells.glob("*.json"))) > 3):
            assert running.poll() is None, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.2)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    written = {path.name: path.read_bytes() for path in cells.glob("*.json")}
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert all((cells / name).read_bytes() == content for name, content in written.items())
    for name in TABLES:
        result = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert all(0 <= cell["mean"] <= 1 for cell in result["cells"]), result
        assert (tmp_path / "out" / f"{name}.md").read_text() in done.stdout + "\n"
        assert "drawn" in result["about_the_data"]
    with Image.open(tmp_path / "out" / "figure4.png") as figure:
        assert min(figure.size) > 300
