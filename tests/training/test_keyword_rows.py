import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value, load_dataset

from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.models import keyword_tokenizer
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.keyword_rows import KeywordRows
from emotionnet_hf.training.targets import read_targets


def test_rows_hold_only_the_keywords_that_name_no_emotion(data):
    split = load_dataset(str(data))["train"]
    emotions = emotion_vocabulary(split.features)
    names = sorted({name for row in split["keywords"] for name in row})
    targets = read_targets("emotion_keywords", split)
    rows = KeywordRows(split, keyword_tokenizer(names), targets)
    batch = rows.__getitems__(MicroBatch(0, np.array([3, 0])))
    for place, row in enumerate([3, 0]):
        expected = [name for name in split[row]["keywords"] if name not in emotions]
        ids = batch["input_ids"][place][batch["attention_mask"][place].bool()]
        assert [names[i - 2] for i in ids.tolist()] == expected
        hot = batch["labels"][place].nonzero().flatten().tolist()
        assert hot == sorted(split[row]["emotion_keywords"])


@pytest.fixture
def split():
    """Emotions joy and fear; whatever else is context."""
    rows = [["joy", "sea", "fear", "zzz"], ["fear"], ["zzz", "zzz"], [], ["sea"] * 300]
    names = Vocabulary(["joy", "fear"])
    return Dataset.from_dict(
        {"keywords": rows, "emotion_keywords": [names.encode(row) for row in rows]},
        features=Features(
            {
                "keywords": List(Value("string")),
                "emotion_keywords": List(ClassLabel(names=list(names))),
            }
        ),
    )


def context(rows):
    batch = rows.__getitems__(MicroBatch(0, np.arange(len(rows))))
    return [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]


@pytest.mark.parametrize("known", [["sea"], ["fear", "sea"], ["fear", "joy", "sea"]])
def test_emotion_keywords_leave_the_input_whether_they_have_a_vector_or_not(split, known):
    tokenizer = keyword_tokenizer(known)
    rows = KeywordRows(split, tokenizer, read_targets("emotion_keywords", split))
    sea, unknown = tokenizer.convert_tokens_to_ids("sea"), tokenizer.unk_token_id
    assert context(rows) == [[sea, unknown], [], [unknown] * 2, [], [sea] * 300]
    assert rows.with_text() == 2


def test_unknown_emotion_keywords_stay_among_all_keywords(split):
    rows = KeywordRows(
        split, keyword_tokenizer(["sea"]), read_targets("emotion_keywords", split), everything=True
    )
    assert context(rows) == [[1, 2, 1, 1], [1], [1, 1], [], [2] * 300]
    assert rows.with_text() == 2


def test_everything_is_read_where_asked_for(data):
    split = load_dataset(str(data))["train"]
    names = sorted({name for row in split["keywords"] for name in row})
    targets = read_targets("emotion_keywords", split)
    rows = KeywordRows(split, keyword_tokenizer(names), targets, everything=True)
    batch = rows.__getitems__(MicroBatch(0, np.array([2])))
    assert [names[i - 2] for i in batch["input_ids"][0].tolist()] == split[2]["keywords"]
