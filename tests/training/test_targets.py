import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value, load_dataset

from emotionnet_hf.emotions import SE30K8
from emotionnet_hf.training import RecipeError
from emotionnet_hf.training.targets import class_names, read_targets
from emotionnet_hf.training.validation import class_metrics, keyword_metrics

ROWS = np.array([3, 0, 7])


@pytest.fixture
def pseudo_labelled(release_data):
    return load_dataset(str(release_data), "basic8")["train"]


@pytest.fixture
def all_keywords(release_data):
    return load_dataset(str(release_data), "all_keywords")["train"]


def test_emotion_keywords_are_a_row_of_ones(data):
    split = load_dataset(str(data))["train"]
    targets = read_targets("emotion_keywords", split)
    labels = targets.labels(ROWS)
    assert labels.dtype == np.float32
    for hot, row in zip(labels, ROWS.tolist(), strict=True):
        assert np.flatnonzero(hot).tolist() == sorted(split[row]["emotion_keywords"])
    names = class_names("emotion_keywords", split.features)
    assert names == split.features["emotion_keywords"].feature.names
    assert targets.metrics is keyword_metrics


def test_all_keywords_are_a_row_of_ones_over_the_whole_vocabulary(all_keywords):
    names = class_names("all_keywords", all_keywords.features)
    assert len(names) == 12
    labels = read_targets("all_keywords", all_keywords).labels(ROWS)
    for hot, row in zip(labels, ROWS.tolist(), strict=True):
        listed = {name for name in all_keywords[row]["keywords"] if name in names}
        assert {names[i] for i in np.flatnonzero(hot)} == listed


def test_of_all_keywords_the_emotional_ones_are_kept_for_the_metrics(all_keywords):
    targets = read_targets("all_keywords", all_keywords)
    names = class_names("all_keywords", all_keywords.features)
    emotions = class_names("emotion_keywords", all_keywords.features)
    scores = np.random.default_rng(0).normal(size=(3, len(names))).astype(np.float32)
    found = targets.judged(scores, ROWS)
    expected = read_targets("emotion_keywords", all_keywords).labels(ROWS)
    assert np.array_equal(found["labels"], expected)
    assert np.array_equal(found["scores"], scores[:, [names.index(name) for name in emotions]])
    hits = [
        names[int(row_scores.argmax())] in all_keywords[row]["keywords"]
        for row_scores, row in zip(scores, ROWS.tolist(), strict=True)
    ]
    assert found["all_keywords_hit_at_1"].tolist() == hits


def test_votes_are_the_target_and_the_majority_the_right_class(se30k8_data):
    split = load_dataset(str(se30k8_data), "text")["train"]
    targets = read_targets("se30k8", split)
    assert class_names("se30k8", split.features) == list(SE30K8)
    rows = np.arange(len(split))
    assert np.allclose(targets.labels(rows), split["votes"])
    right = targets.judged(np.zeros((len(rows), 8)), rows)["labels"]
    for one_hot, label in zip(right, split["label"], strict=True):
        assert np.flatnonzero(one_hot).tolist() == ([label] if label >= 0 else [])
    assert -1 in split["label"]
    assert targets.metrics is class_metrics


def test_pseudo_labels_are_hard_or_soft(pseudo_labelled):
    soft = read_targets("basic8", pseudo_labelled).labels(ROWS)
    hard = read_targets("basic8", pseudo_labelled, hard=True).labels(ROWS)
    for shares, one_hot, row in zip(soft, hard, ROWS.tolist(), strict=True):
        assert np.allclose(shares, pseudo_labelled[row]["basic8_scores"])
        assert one_hot.sum() == 1
        assert one_hot[pseudo_labelled[row]["basic8"]] == 1
    assert class_names("basic8", pseudo_labelled.features) == list(SE30K8)


def labelled(names, votes):
    features = Features(
        {
            "emotion_keywords": Sequence(ClassLabel(names=["joy"])),
            "label": ClassLabel(names=names) if names else Value("int64"),
            "votes": Sequence(Value("float32")),
        }
    )
    return Dataset.from_dict(
        {"emotion_keywords": [[0]], "label": [0], "votes": [votes]}, features=features
    )


@pytest.mark.parametrize(
    ("names", "votes", "complaint"),
    [
        (list(reversed(SE30K8)), [0.125] * 8, "not those of SE30K8 in their order"),
        (["a", "b"], [0.5, 0.5], "has the classes a, b, not those"),
        (None, [0.125] * 8, "has no ClassLabel"),
        (list(SE30K8), [0.5, 0.5], "does not have 8 shares in every row"),
        (list(SE30K8), [float("nan")] * 8, "does not have 8 shares in every row"),
    ],
)
def test_other_classes_than_se30k8s_are_refused(names, votes, complaint):
    with pytest.raises(RecipeError, match=complaint):
        read_targets("se30k8", labelled(names, votes))


def test_all_keywords_without_an_emotion_among_them_are_refused():
    features = Features(
        {
            "emotion_keywords": Sequence(ClassLabel(names=["joy"])),
            "keyword_ids": Sequence(ClassLabel(names=["tree", "sea"])),
        }
    )
    split = Dataset.from_dict({"emotion_keywords": [[0]], "keyword_ids": [[1]]}, features=features)
    with pytest.raises(RecipeError, match="none of the emotion keywords"):
        read_targets("all_keywords", split)
