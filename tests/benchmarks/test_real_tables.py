from pathlib import Path

import pytest

from benchmarks.real_tables import Root, ideas_table, of_class, scale, split_of, words_of
from emotionnet_hf.data.benchmarks import load_benchmark
from emotionnet_hf.emotions import AFFECTNET, MIKELS, SE30K8, UBE
from emotionnet_hf.reproduction.data_root import DataRoot
from emotionnet_hf.reproduction.trainings import Scale


def test_every_class_has_words_and_shares_none_within_a_benchmark():
    for classes in (MIKELS, UBE, AFFECTNET, SE30K8):
        words = [words_of(label) for label in classes]
        assert all(words)
        if classes != MIKELS:  # a party is amusement and excitement, and so belongs to neither
            assert len(set().union(*words)) == sum(map(len, words))


def test_a_picture_of_two_classes_belongs_to_none():
    rows = [{"keywords": ["sad face", "x"]}, {"keywords": ["sad", "angry"]}, {"keywords": ["y"]}]
    assert [(row, label, words) for row, label, words in of_class(rows, UBE)] == [
        (rows[0], "sadness", {"sad"})
    ]


def test_splits_depend_on_the_concept_alone():
    found = [split_of(str(number)) for number in range(2000)]
    assert found == [split_of(str(number)) for number in range(2000)]
    assert 0.5 < found.count("train") / 2000 < 0.6 and 0.28 < found.count("test") / 2000 < 0.38


@pytest.fixture(scope="module")
def root(real_data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    Root(real_data, folder).make(real_data)
    return folder


@pytest.mark.parametrize(
    "name", ["DeepEmotion", "UnBiasedEmotion", "AffectNet", "EMOTIC-B", "EMOTIC-I", "SE30K8"]
)
def test_every_benchmark_is_read_and_keeps_training_pictures_out(root, name):
    benchmark = load_benchmark(name, DataRoot(root).find(name))
    counts = {split: len(rows) for split, rows in benchmark.splits.items()}
    assert all(counts.values()) and counts["test"] >= 20, counts
    assert "stand-ins" in DataRoot(root).about


def test_its_scale_can_be_read(root, tmp_path):
    (tmp_path / "emoji.yaml").write_text(scale(root))
    read = Scale.read(tmp_path / "emoji.yaml")
    assert Path(read.changes["emotionnet"]["backbone_weights"]).is_file()
    assert read.baseline == "untrained" and read.changes["emotionnet"]["image_size"] == 64


def test_ideas_are_gains_of_the_same_seeds_with_intervals():
    rows = {
        "- Embed & Soft": [0.2, 0.3, 0.4],
        "- Embed loss": [0.3, 0.4, 0.5],
        "- Soft loss": [0.2, 0.2, 0.5],
        "EmotionNet": [0.1, 0.2, 0.3],
    }
    cells = [
        {"row": row, "column": column, "values": values}
        for row, values in rows.items()
        for column in ("EMOTIC-B", "EMOTIC-I")
    ]
    lines = ideas_table({"cells": cells}).splitlines()
    assert lines[0] == "| real emoji | EMOTIC-B |"  # EMOTIC-I says the same
    assert lines[2] == "| neither | 30.0 |"
    assert lines[3] == "| soft labels | +10.0 (+10.0 to +10.0) |"
    # Gains -0.0, -0.1, 0.1: t(2 degrees) 4.303 times 0.1 / sqrt 3.
    assert lines[4] == "| embedding loss | +0.0 (-24.8 to +24.8) |"
    assert lines[-1] == "*Of 3 gains, 1 have an interval above 0 and 1 one below.*"
