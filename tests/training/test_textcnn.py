import json

import numpy as np
import pytest
import torch
from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.metrics import mean_average_precision
from emotionnet_hf.models import keyword_tokenizer
from emotionnet_hf.text import WordVectorError
from emotionnet_hf.training import TextCNNArguments, train_textcnn
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.textcnn import KeywordRows, build_text_vocabulary, emotion_tokens


def records(folder):
    return [json.loads(line) for line in (folder.parent / "metrics.jsonl").open()]


def test_the_paper_recipe_is_the_default():
    arguments = TextCNNArguments(data="d", output_dir="o")
    assert (arguments.optimizer, arguments.learning_rate, arguments.epochs) == ("adagrad", 1.0, 30)
    assert (arguments.lr_schedule, arguments.lr_drop_epochs) == ("step", [10, 20])
    assert (arguments.lr_drop_factor, arguments.embedding_dim, arguments.variant) == (
        *(0.1, 300),
        "paper",
    )


def test_rows_hold_only_the_keywords_that_name_no_emotion(data):
    split = load_dataset(str(data))["train"]
    emotions = emotion_vocabulary(split.features)
    names = sorted({name for row in split["keywords"] for name in row})
    rows = KeywordRows(split, keyword_tokenizer(names), emotions)
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


def test_vocabulary_leaves_out_rare_keywords_and_those_without_a_vector():
    lists = [["sun", "joy", "beach"], ["sun", "joy"], ["rain", "once"], ["rain", "joy"]] * 3
    lists.append(["single"])
    arguments = TextCNNArguments(data="d", output_dir="o", embedding_dim=8, min_count=2)
    tokenizer, embedding = build_text_vocabulary(lists, Vocabulary(["joy"]), arguments)
    words = set(tokenizer.get_vocab())
    assert {"sun", "joy", "beach", "rain", "once"} <= words
    assert not {"single", "anguish"} & words
    assert embedding.shape == (len(tokenizer), 8)
    assert not embedding[:2].any()
    assert embedding[2:].any(axis=1).all()


def test_training_learns_and_keeps_the_best_epoch(make_textcnn):
    arguments = make_textcnn(epochs=8)
    folder = train_textcnn(arguments)
    losses = [r["train"]["loss"] for r in records(folder) if "train" in r]
    assert losses[-1] < losses[0] - 0.1
    validation = [r["validation"] for r in records(folder) if "validation" in r]
    best = max(v["mean_average_precision"] for v in validation)
    split = load_dataset(arguments.data)["validation"]
    emotions = emotion_vocabulary(split.features)
    rows = KeywordRows(split, AutoTokenizer.from_pretrained(folder), emotions)
    batch = rows.__getitems__(MicroBatch(0, np.arange(len(rows))))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    logits = model(batch["input_ids"], batch["attention_mask"]).logits.detach().numpy()
    kept = mean_average_precision(logits, batch["labels"].numpy())
    assert kept == pytest.approx(best)
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        *("arguments.json", "environment.json"),
        *("metrics.jsonl", "model"),
    ]


def test_model_runs_in_the_stock_pipeline(text_model):
    tagger = pipeline("text-classification", model=str(text_model), top_k=3)
    found = tagger(["party, sunday, balloon", "rain, grey"])
    assert [len(row) for row in found] == [3, 3]
    classes = AutoModelForSequenceClassification.from_pretrained(text_model).config.id2label
    assert {tag["label"] for row in found for tag in row} <= set(classes.values())


@pytest.mark.parametrize("variant", ["paper", "published_code"])
def test_word_vectors_stay_as_they_were(make_textcnn, variant):
    arguments = make_textcnn(variant=variant, keyword_dropout=0.2, targets="multi_hot")
    folder = train_textcnn(arguments)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    split = load_dataset(arguments.data)["train"]
    lists, emotions = list(split["keywords"]), emotion_vocabulary(split.features)
    tokenizer, embedding = build_text_vocabulary(lists, emotions, arguments)
    assert torch.equal(model.get_input_embeddings().weight, torch.from_numpy(embedding))
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == tokenizer.get_vocab()
    assert model.config.pooling == ("masked" if variant == "paper" else "padded")


def test_word_vectors_of_another_size_are_refused(make_textcnn, tmp_path):
    (tmp_path / "v.txt").write_text("2 3\nsun 1 0 0\nrain 0 1 0\n")
    with pytest.raises(WordVectorError, match="3 dimensions, 16 are needed"):
        train_textcnn(make_textcnn(word_vectors=str(tmp_path / "v.txt")))


def test_a_file_of_word_vectors_is_used(make_textcnn, data, tmp_path):
    names = sorted({n for row in load_dataset(str(data))["train"]["keywords"] for n in row})
    lines = [f"{name.replace(' ', '_')} {i} 1" for i, name in enumerate(names)]
    (tmp_path / "v.txt").write_text(f"{len(names)} 2\n" + "\n".join(lines) + "\n")
    folder = train_textcnn(
        make_textcnn(word_vectors=str(tmp_path / "v.txt"), embedding_dim=2, epochs=1)
    )
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    token = tokenizer.convert_tokens_to_ids(names[5])
    expected = [5.0, 1.0] if token != tokenizer.unk_token_id else [0.0, 0.0]
    assert model.get_input_embeddings().weight[token].tolist() == expected
