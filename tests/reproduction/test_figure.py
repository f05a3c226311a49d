from pathlib import Path

import pytest

from emotionnet_hf.models.backbones import BackboneWeightsError
from emotionnet_hf.reproduction.data_root import DataRoot
from emotionnet_hf.reproduction.figure import draw_figure
from emotionnet_hf.reproduction.trainings import Scale, Trainings


def test_without_data_there_is_no_figure(tmp_path):
    scale = Scale("small", {}, baseline="timm:test_resnet=none")
    trainings = Trainings(DataRoot(tmp_path), tmp_path / "work", Path("."), scale)
    assert not draw_figure(trainings, 0, tmp_path / "figure4.png")
    assert not (tmp_path / "figure4.png").exists()


def test_each_seed_has_an_index_of_its_own_and_missing_weights_are_no_crash(tmp_path, monkeypatch):
    built = []

    def build(source, model, folder, **_):
        built.append(folder.name)
        if len(built) == 3:
            raise BackboneWeightsError("no network")

    class Stop(Exception):
        pass

    def index(folder):
        if folder.name != "imagenet":
            raise Stop

    monkeypatch.setattr("emotionnet_hf.reproduction.figure.build_index", build)
    monkeypatch.setattr("emotionnet_hf.reproduction.figure.open_searcher", index)
    monkeypatch.setattr(Trainings, "model", lambda *_: tmp_path)
    monkeypatch.setattr(Trainings, "stockemotion", lambda _: tmp_path)
    trainings = Trainings(DataRoot(tmp_path), tmp_path / "work", Path("."), Scale("small"))
    with pytest.raises(Stop):
        draw_figure(trainings, 3, tmp_path / "figure4.png")
    assert built == ["imagenet", "emotionnet-3"]
    assert not draw_figure(trainings, 4, tmp_path / "figure4.png")
