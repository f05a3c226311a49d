import pytest
from datasets import ClassLabel, Features, Image, List, Value

from emotionnet_hf.data.schema import SchemaError, emotion_vocabulary
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.schema import stockemotion_features

EMOTIONS = Vocabulary(["joy", "fear"])


def test_vocabulary_comes_back():
    assert emotion_vocabulary(stockemotion_features(EMOTIONS)) == EMOTIONS
    old_style = Features({"emotion_keywords": [ClassLabel(names=["joy", "fear"])]})
    assert emotion_vocabulary(old_style) == EMOTIONS


def test_missing_column_is_named():
    with pytest.raises(SchemaError, match="no column 'emotion_keywords', only image"):
        emotion_vocabulary(Features({"image": Image()}))


@pytest.mark.parametrize(
    "column", [Value("string"), List(Value("int64")), ClassLabel(names=["joy"])]
)
def test_wrong_type_is_named(column):
    with pytest.raises(SchemaError, match="not a list of ClassLabel"):
        emotion_vocabulary(Features({"emotion_keywords": column}))
