import numpy as np
from datasets import load_dataset

from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.models import keyword_tokenizer
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.keyword_rows import KeywordRows, emotion_tokens
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


def test_emotion_tokens_marks_exactly_the_emotions():
    ids = {"[PAD]": 0, "[UNK]": 1, "joy": 2, "boat": 3, "fear": 4}
    marked = emotion_tokens(ids, Vocabulary(["fear", "joy", "rage"]))
    assert marked.tolist() == [False, False, True, False, True]


def test_everything_is_read_where_asked_for(data):
    split = load_dataset(str(data))["train"]
    names = sorted({name for row in split["keywords"] for name in row})
    targets = read_targets("emotion_keywords", split)
    rows = KeywordRows(split, keyword_tokenizer(names), targets, everything=True)
    batch = rows.__getitems__(MicroBatch(0, np.array([2])))
    assert [names[i - 2] for i in batch["input_ids"][0].tolist()] == split[2]["keywords"]
