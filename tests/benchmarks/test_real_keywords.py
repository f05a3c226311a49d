import sys

import numpy as np
import pytest

from benchmarks import real_keywords


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_keywords_that_no_training_picture_has_do_not_count():
    trained = np.array([[1, 1, 0]], dtype=bool)
    labels = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1]], dtype=bool)
    scores = np.array([[0.1, 0.2, 0.9], [0.3, 0.4, -np.inf], [0.0, 0.0, 0.0]])
    # Row 0 is wrong among the two keywords, row 1 right, row 2 has none of them.
    assert real_keywords.keyword_scores(scores, labels, trained) == {"hit@1": 0.5, "mAP": 0.75}


@pytest.mark.parametrize("kind", ["ridge", "softmax"])
def test_linear_layer_learns_several_keywords_a_picture(rng, kind):
    labels = rng.random((300, 5)) < 0.4
    labels[:, 4] = False
    features = labels @ rng.normal(size=(5, 8)) + 0.05 * rng.normal(size=(300, 8))
    train = labels[:200]
    scores = real_keywords.linear_scores(kind, 1e-3, features[:200], train, features[200:])
    assert np.isneginf(scores[:, 4]).all()
    found = real_keywords.keyword_scores(scores, labels[200:], train)
    assert found["hit@1"] == 1.0
    assert found["mAP"] > 0.95


def test_r2_is_of_pictures_whose_group_was_not_trained_on(rng):
    groups = np.repeat(np.arange(60), 2)
    x = rng.normal(size=(120, 4))
    memorable = rng.normal(size=60)[groups]
    y = np.column_stack([x[:, 0], memorable])
    # The group's identity is in the features: of use only to who saw the group's other picture.
    x = np.hstack([x, np.eye(60)[groups]])
    linear, leaked = real_keywords.cross_validated_r2(x, y, groups, seed=0)
    assert linear > 0.9
    assert leaked < 0.05


def test_gain_interval_is_above_zero_for_a_clear_gain_and_zero_for_none(rng, monkeypatch):
    monkeypatch.setattr(real_keywords, "BOOTSTRAPS", 20)
    labels = np.eye(4, dtype=bool)[rng.integers(4, size=80)]
    base, concepts = rng.random((80, 4)), np.arange(80) // 2
    for run, expected in [(labels.astype(float), True), (base, False)]:
        interval = real_keywords.gain_interval([run], [base], labels, labels, concepts)
        assert {low > 0 for low, _ in interval.values()} == {expected}


def test_table_has_a_spread_only_where_there_are_seeds():
    rows = {
        "ours": real_keywords.spread([{"mAP": 0.1}, {"mAP": 0.3}]),
        "theirs": real_keywords.spread([{"mAP": 0.2}]),
    }
    assert real_keywords.table(rows)[2:] == ["| ours | 0.200 ± 0.141 |", "| theirs | 0.200 |"]


def test_absent_data_is_told_and_is_no_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["real_keywords.py", "--data", str(tmp_path)])
    real_keywords.main()
    assert "has no emoji, no bass" in capsys.readouterr().out
