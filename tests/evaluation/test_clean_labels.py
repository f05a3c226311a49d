import itertools
import json

import numpy as np
import pytest
from datasets import Dataset
from sklearn.metrics import average_precision_score

from emotionnet_hf.evaluation.clean_labels import (
    SoftLabels,
    best_labels,
    clean_labels,
    keyword_scores,
    listed_labels,
    predict_soft_labels,
    read_truth,
    restoration,
)
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.schema import stockemotion_features
from emotionnet_hf.models import (
    TextCNNConfig,
    TextCNNForSequenceClassification,
    keyword_tokenizer,
)

EMOTIONS = Vocabulary(["joy", "fear", "awe", "calm"])
# name, keywords, clean keywords
ROWS = [
    ("a.jpg", ["joy", "tree"], ["joy", "calm"]),
    ("b.jpg", ["tree", "awe", "fear"], ["fear"]),
    ("c.jpg", ["sea"], []),
    ("d.jpg", ["calm"], ["calm", "awe", "joy"]),
]


@pytest.fixture
def split() -> Dataset:
    features = stockemotion_features(EMOTIONS)
    del features["image"]
    rows = [
        {
            "image_id": name,
            "keywords": keywords,
            "emotion_keywords": EMOTIONS.encode(keywords),
            "phash": "0" * 16,
            "source": None,
        }
        for name, keywords, _ in ROWS
    ]
    return Dataset.from_list(rows, features=features)


@pytest.fixture
def truth(tmp_path):
    lines = [json.dumps({"file_name": name, "clean_keywords": words}) for name, _, words in ROWS]
    (tmp_path / "truth.jsonl").write_text("\n".join(lines) + "\n")
    return read_truth(tmp_path)


def lists(seed: int, rows=40, classes=9) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.random((rows, classes)) < 0.3, random.random((rows, classes)) < 0.3


def soft(seed: int, rows=40, classes=9) -> SoftLabels:
    draw = np.random.default_rng(seed).dirichlet(np.ones(classes), size=(3, rows))
    return SoftLabels(*draw)


def naive_multi_hot(lists_of_words):
    return [[name in words for name in EMOTIONS] for words in lists_of_words]


def test_truth_is_found_by_file_name(truth):
    assert set(truth) == {"a.jpg", "b.jpg", "c.jpg", "d.jpg"}
    assert truth["b.jpg"]["clean_keywords"] == ["fear"]


def test_clean_labels_are_the_truths(split, truth):
    expected = naive_multi_hot(words for _, _, words in ROWS)
    assert clean_labels(split, truth).tolist() == expected


def test_listed_labels_are_the_uploaders(split):
    assert listed_labels(split).tolist() == naive_multi_hot(words for _, words, _ in ROWS)


def test_labels_follow_the_order_of_the_split(split, truth):
    shuffled = split.select([3, 1])
    assert clean_labels(shuffled, truth).tolist() == clean_labels(split, truth)[[3, 1]].tolist()
    assert listed_labels(shuffled).tolist() == listed_labels(split)[[3, 1]].tolist()


def test_picture_without_truth_is_an_error(split, truth):
    del truth["c.jpg"]
    with pytest.raises(KeyError, match=r"c\.jpg"):
        clean_labels(split, truth)


def naive_hit(scores, labels) -> float:
    hits = []
    for values, right in zip(scores.tolist(), labels.tolist(), strict=True):
        if any(right):
            hits.append(right[values.index(max(values))])
    return sum(hits) / len(hits)


def test_scores_are_hit_and_precision_against_both_lists_and_chance():
    clean, listed = lists(0)
    scores = np.random.default_rng(5).normal(size=clean.shape)
    result = keyword_scores(scores, clean, listed)
    constant = np.array([clean.mean(axis=0)] * len(clean))
    for name, values, labels in (
        ("clean", scores, clean),
        ("listed", scores, listed),
        ("chance", constant, clean),
    ):
        precision = [
            average_precision_score(labels[:, c], values[:, c]) for c in range(labels.shape[1])
        ]
        assert result[name]["hit_at_1"] == pytest.approx(naive_hit(values, labels))
        assert result[name]["mean_average_precision"] == pytest.approx(np.mean(precision))


def test_no_constant_guess_hits_more_often_than_chance():
    clean, listed = lists(1)
    chance = keyword_scores(np.zeros(clean.shape), clean, listed)["chance"]["hit_at_1"]
    rows = clean.any(axis=1)
    assert chance == pytest.approx(clean[rows].mean(axis=0).max())


def naive_restoration(labels, clean, listed, k):
    restored = missing = 0
    for row in range(len(clean)):
        open_ = [c for c in range(clean.shape[1]) if not listed[row, c]]
        best = sorted(open_, key=lambda c: -labels.predicted[row, c])[:k]
        for c in open_:
            missing += clean[row, c]
            restored += clean[row, c] and c in best
    return restored / missing


@pytest.mark.parametrize("k", [1, 3, 5, 9])
def test_restored_share_equals_a_naive_count(k):
    clean, listed = lists(2)
    labels = soft(3)
    result = restoration(labels, clean, listed, k)
    assert result["missing_restored"] == pytest.approx(naive_restoration(labels, clean, listed, k))


def test_chance_is_the_mean_over_all_orders():
    clean, listed = lists(4, rows=6, classes=5)
    shares = []
    for order in itertools.permutations(range(5)):
        predicted = np.tile(np.array(order) / 5, (6, 1))
        shares.append(
            naive_restoration(SoftLabels(predicted, predicted, predicted), clean, listed, 2)
        )
    result = restoration(soft(0, 6, 5), clean, listed, 2)
    assert result["missing_restored_by_chance"] == pytest.approx(np.mean(shares))


def test_mass_is_what_lies_on_clean_and_on_missing_keywords():
    clean, listed = lists(6)
    labels = soft(7)
    result = restoration(labels, clean, listed)
    cells = [(r, c) for r in range(40) for c in range(9) if clean[r, c]]
    assert result["clean_mass_tagged"] == pytest.approx(sum(labels.tagged[x] for x in cells) / 40)
    assert result["clean_mass_soft"] == pytest.approx(sum(labels.soft[x] for x in cells) / 40)
    lost = sum(labels.tagged[x] - labels.soft[x] for x in cells) / 40
    assert result["clean_mass_lost"] == pytest.approx(lost)
    missing = sum(labels.soft[x] for x in cells if not listed[x])
    assert result["missing_mass_soft"] == pytest.approx(missing / 40)


@pytest.mark.filterwarnings("error")
def test_nothing_missing_gives_nan_and_no_warning():
    clean, _ = lists(8)
    result = restoration(soft(9), clean, clean)
    assert np.isnan(result["missing_restored"])
    assert np.isnan(result["missing_restored_by_chance"])
    assert result["missing_mass_soft"] == 0


@pytest.mark.filterwarnings("error")
def test_list_of_every_keyword_has_no_place_for_a_missing_one():
    clean, listed = lists(10)
    listed[0] = True
    assert 0 <= restoration(soft(11), clean, listed)["missing_restored_by_chance"] <= 1


def test_best_labels_are_the_names_by_score():
    scores = np.array([[0.1, 0.4, 0.3, 0.2], [0.5, 0.5, 0.0, 0.9]])
    assert best_labels(scores, list(EMOTIONS), 2) == [["fear", "awe"], ["calm", "joy"]]


def test_soft_labels_come_from_the_other_keywords_alone(split, tmp_path):
    config = TextCNNConfig(
        vocab_size=5, embedding_dim=4, hidden_size=3, id2label=dict(enumerate(EMOTIONS))
    )
    model = TextCNNForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "model")
    tokenizer = keyword_tokenizer(["tree", "sea", "joy"])
    tokenizer.save_pretrained(tmp_path / "model")
    labels = predict_soft_labels(tmp_path / "model", split)
    for row, text in enumerate(["tree", "tree", "sea", None]):
        if text is not None:
            logits = model(**tokenizer([text], return_tensors="pt")).logits
            expected = logits.softmax(-1)[0].detach().numpy()
            np.testing.assert_allclose(labels.predicted[row], expected, rtol=1e-5)
    np.testing.assert_allclose(labels.tagged[1], [0, 0.5, 0.5, 0])
    assert labels.soft.shape == labels.tagged.shape == (4, 4)
    np.testing.assert_allclose(labels.soft.sum(axis=1)[[0, 1, 3]], 1, rtol=1e-5)
