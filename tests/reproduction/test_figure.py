from pathlib import Path

from emotionnet_hf.reproduction.data_root import DataRoot
from emotionnet_hf.reproduction.figure import draw_figure
from emotionnet_hf.reproduction.trainings import Scale, Trainings


def test_without_data_there_is_no_figure(tmp_path):
    scale = Scale("small", {}, baseline="timm:test_resnet=none")
    trainings = Trainings(DataRoot(tmp_path), tmp_path / "work", Path("."), scale)
    assert not draw_figure(trainings, 0, tmp_path / "figure4.png")
    assert not (tmp_path / "figure4.png").exists()
