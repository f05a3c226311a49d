import pytest
from datasets import ClassLabel, Image, List, Value

from emotionnet_hf.loading.schema import se30k8_features, stockemotion_features
from emotionnet_hf.loading.se30k8_rows import CLASSES

EMOTIONS = ["joy", "fear"]


def test_columns():
    assert stockemotion_features(EMOTIONS) == {
        "image": Image(),
        "image_id": Value("string"),
        "keywords": List(Value("string")),
        "emotion_keywords": List(ClassLabel(names=["joy", "fear"])),
        "phash": Value("string"),
        "source": Value("string"),
    }


def test_counts_are_added_on_demand():
    features = stockemotion_features(EMOTIONS, people=True, faces=True)
    assert features["people"] == features["faces"] == Value("int32")
    assert "people" not in stockemotion_features(EMOTIONS, faces=True)


def test_labels_of_table_4_are_added_on_demand():
    features = stockemotion_features(EMOTIONS, all_keywords=["tree", "joy"], basic8=True)
    assert features["keyword_ids"] == List(ClassLabel(names=["tree", "joy"]))
    assert features["basic8"].names == list(CLASSES)
    assert features["basic8_scores"] == List(Value("float32"), length=8)


def test_se30k8_adds_annotations_votes_and_a_label_that_may_be_missing():
    features = se30k8_features(EMOTIONS)
    added = set(features) - set(stockemotion_features(EMOTIONS))
    assert added == {"annotations", "votes", "label"}
    assert features["annotations"] == List(List(ClassLabel(names=list(CLASSES))))
    assert features["label"].encode_example(-1) == -1
    with pytest.raises(ValueError):
        features["label"].encode_example(8)
    assert set(features) - set(se30k8_features(EMOTIONS, pictures=False)) == {"image", "phash"}
