import json

import pytest
from PIL import Image

from emotionnet_hf.cli import main
from emotionnet_hf.data import detection


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    rows = []
    for i in range(4):
        Image.new("RGB", (30 + i, 30)).save(folder / f"{i}.png")
        rows.append(json.dumps({"file_name": f"{i}.png", "keywords": "joy"}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(rows))
    return folder


class Fake:
    """Stands in for both detectors and tells what it was made with."""

    made: list = []  # noqa: RUF012

    def __init__(self, *words, **options):
        self.options = (words, options)
        self.made.append(self.options)

    def settings(self):
        return {"options": repr(self.options)}

    def count(self, images):
        return [image.width - 30 for image in images]


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.setattr(Fake, "made", [])
    monkeypatch.setattr(detection, "ModelDetector", Fake)
    monkeypatch.setattr(detection, "FrontalFaces", Fake)
    return Fake.made


def run(*words) -> int:
    return main([str(word) for word in words])


def test_people_and_faces_are_counted(source, tmp_path, capsys, fakes):
    out = tmp_path / "counts.parquet"
    assert run("count-people", source, "--out", out, "--no-progress") == 0
    output = capsys.readouterr().out
    assert "4 images counted" in output
    assert "3 (75.0%) with one or more people" in output
    model, faces = fakes
    assert model == (
        (detection.PEOPLE_MODEL, "person"),
        {"threshold": 0.5, "batch_size": 8, "device": None},
    )
    assert faces == ((), {"threshold": 0.0})


def test_options_reach_the_detectors(source, tmp_path, capsys, fakes):
    words = ["--people-model", "a/b", "--people-threshold", 0.7, "--batch-size", 3]
    words += ["--face-model", "c/d", "--face-threshold", 0, "--device", "cpu", "--json"]
    assert run("count-people", source, "--out", tmp_path / "c", "--no-progress", *words) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["with_one_face"]) == (4, 1)
    assert fakes == [
        (("a/b", "person"), {"threshold": 0.7, "batch_size": 3, "device": "cpu"}),
        (("c/d", "face"), {"threshold": 0.0, "batch_size": 3, "device": "cpu"}),
    ]


def test_one_of_the_two_needs_one_detector(source, tmp_path, fakes):
    words = ["count-people", source, "--no-progress", "--out"]
    assert run(*words, tmp_path / "a", "--only", "faces") == 0
    assert fakes == [((), {"threshold": 0.0})]
    assert run(*words, tmp_path / "a", "--only", "people") == 1
    assert run(*words, tmp_path / "a", "--only", "people", "--overwrite") == 0


def test_faces_are_counted_by_the_real_detector(source, tmp_path, capsys):
    pytest.importorskip("dlib")
    words = ["--only", "faces", "--json", "--no-progress"]
    assert run("count-people", source, "--out", tmp_path / "counts.parquet", *words) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["with_one_face"], report["with_people"]) == (4, 0, None)


def test_model_that_cannot_be_had_is_one_line(source, tmp_path, capsys):
    words = ["--only", "people", "--people-model", str(tmp_path / "nowhere")]
    assert run("count-people", source, "--out", tmp_path / "counts.parquet", *words) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("emotionnet: ")
    assert "nowhere" in line
