import json

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.emotions import SE30K8
from emotionnet_hf.hub.results import PAPER, read_results
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.metrics import mean_average_precision
from emotionnet_hf.text import WordVectorError, train_word_vectors
from emotionnet_hf.training import RecipeError, TextCNNArguments, textcnn, train_textcnn
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.keyword_rows import KeywordRows
from emotionnet_hf.training.targets import read_targets
from emotionnet_hf.training.textcnn import _TextCNNTask, build_text_vocabulary


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
    targets = read_targets("emotion_keywords", split)
    rows = KeywordRows(split, AutoTokenizer.from_pretrained(folder), targets)
    batch = rows.__getitems__(MicroBatch(0, np.arange(len(rows))))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    logits = model(batch["input_ids"], batch["attention_mask"]).logits.detach().numpy()
    kept = mean_average_precision(logits, batch["labels"].numpy())
    assert kept == pytest.approx(best)
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        *("arguments.json", "environment.json"),
        *("metrics.jsonl", "model", "processes"),
    ]


def test_model_runs_in_the_stock_pipeline(text_model):
    tagger = pipeline("text-classification", model=str(text_model), top_k=3)
    found = tagger(["party, sunday, balloon", "rain, grey"])
    assert [len(row) for row in found] == [3, 3]
    classes = AutoModelForSequenceClassification.from_pretrained(text_model).config.id2label
    assert {tag["label"] for row in found for tag in row} <= set(classes.values())


@pytest.mark.parametrize("variant", ["paper", "published_code", "published_code_nlt"])
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
    assert model.config.hidden_layer == (variant != "published_code_nlt")


def test_word2vec_is_trained_as_the_arguments_say(make_textcnn, monkeypatch):
    options = {
        **{"word_vector_window": 50, "word_vector_negative": 15, "word_vector_copies": 5},
        **{"word_vector_dropout": 0.1, "word_vector_min_count": 7},
    }
    seen = {}

    def train(lists, **given):
        seen.update(given)
        return train_word_vectors(lists, **given)

    monkeypatch.setattr(textcnn, "train_word_vectors", train)
    arguments = make_textcnn(**options)
    lists = list(load_dataset(arguments.data)["train"]["keywords"])
    build_text_vocabulary(lists, Vocabulary(["joy"]), arguments)
    wanted = {key.removeprefix("word_vector_"): value for key, value in options.items()}
    assert wanted | {"dim": 16, "seed": 0, "epochs": 1} == seen
    build_text_vocabulary(lists, Vocabulary(["joy"]), make_textcnn())
    assert (seen["copies"], seen["min_count"], seen["window"]) == (0, 2, None)


def test_phrases_are_looked_up_as_written_where_asked(make_textcnn, tmp_path):
    (tmp_path / "v.txt").write_text("3 2\ncandy_cane 1 0\ncandy 0 1\nsea 1 1\n")
    files = {"word_vectors": str(tmp_path / "v.txt"), "embedding_dim": 2, "min_count": 1}
    lists, emotions = [["candy cane", "sea", "candy"]], Vocabulary(["joy"])
    ours, _ = build_text_vocabulary(lists, emotions, make_textcnn(**files))
    assert {"candy cane", "sea", "candy"} <= {*ours.get_vocab()}
    theirs, matrix = build_text_vocabulary(
        lists, emotions, make_textcnn(**files, keyword_lookup="as_written")
    )
    assert {*theirs.get_vocab()} - {"[PAD]", "[UNK]"} == {"sea", "candy"}
    assert matrix.tolist() == [[0, 0], [0, 0], [0, 1], [1, 1]]


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


# --- the eight classes of SE30K8


def naive_accuracies(folder, split):
    """One row at a time through the stock classes, from all keywords."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    first = second = counted = 0
    for row in split:
        if row["label"] < 0:
            continue
        # As keywords, not as text: an empty list is one padding token that does not count.
        ids = tokenizer.convert_tokens_to_ids(row["keywords"]) or [tokenizer.pad_token_id]
        mask = torch.tensor([[int(bool(row["keywords"]))] * len(ids)])
        with torch.no_grad():
            logits = model(torch.tensor([ids]), mask).logits[0].tolist()
        order = sorted(range(8), key=lambda c: -logits[c])
        counted += 1
        first += order[0] == row["label"]
        second += row["label"] in order[:2]
    return {"accuracy": first / counted, "top_2_accuracy": second / counted}


@pytest.mark.parametrize("config", [None, "text"])
def test_se30k8_run_measures_its_test_split(make_textcnn, se30k8_data, config):
    arguments = make_textcnn(classes="se30k8", config=config, min_count=1, epochs=4)
    arguments.data = str(se30k8_data)
    folder = train_textcnn(arguments)
    config_of = AutoModelForSequenceClassification.from_pretrained(folder).config
    assert [config_of.id2label[i] for i in range(8)] == list(SE30K8)
    results = json.loads((folder.parent / "results.json").read_text())
    split = load_dataset(str(se30k8_data), config)["test"]
    expected = naive_accuracies(folder, split)
    assert {name: results["metrics"][name] for name in expected} == pytest.approx(expected)
    assert results["config"] == (config or "default")
    measured = read_results(folder.parent / "results.json", "textcnn")
    (cells,) = [row.row(measured) for row in PAPER["textcnn"]]
    assert cells["here"] == f"{expected['top_2_accuracy']:.3f}"
    # The text configuration has no validation split: the last epoch is kept.
    validated = [r["validation"] for r in records(folder) if "validation" in r]
    assert len(validated) == (0 if config else 4)
    assert all({"accuracy", "top_2_accuracy", "loss"} == set(v) for v in validated)


def test_se30k8_is_read_from_all_keywords_and_its_votes_are_the_target(make_textcnn, se30k8_data):
    arguments = make_textcnn(classes="se30k8", config="text", min_count=1)
    arguments.data = str(se30k8_data)
    split = load_dataset(str(se30k8_data), "text")["train"]
    task = _TextCNNTask(arguments, {"train": split})
    batch = task.train_rows.__getitems__(MicroBatch(0, np.arange(5)))
    names = task.tokenizer.convert_ids_to_tokens
    for ids, mask, row in zip(batch["input_ids"], batch["attention_mask"], split, strict=False):
        assert names(ids[mask.bool()].tolist()) == row["keywords"]
    task.model.eval()
    with torch.no_grad():
        logits = task.model(batch["input_ids"], batch["attention_mask"]).logits
        loss = task.losses(task.model, dict(batch), Accelerator(cpu=True))["loss"]
    votes = np.array(split["votes"][:5])
    log_p = logits.double().numpy()
    log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    assert loss.item() == pytest.approx(-(votes * log_p).sum(axis=1).mean(), rel=1e-5)


def test_a_finished_run_that_was_killed_before_its_test_measures_it_then(make_textcnn, se30k8_data):
    arguments = make_textcnn(classes="se30k8", min_count=1, epochs=1)
    arguments.data = str(se30k8_data)
    path = train_textcnn(arguments).parent / "results.json"
    before = json.loads(path.read_text())
    path.unlink()
    train_textcnn(arguments)
    assert json.loads(path.read_text()) == before


def test_keywords_and_vectors_of_another_textcnn_are_taken(
    make_textcnn, se30k8_data, release_model
):
    arguments = make_textcnn(classes="se30k8", epochs=1, word_vectors=str(release_model))
    arguments.data = str(se30k8_data)
    folder = train_textcnn(arguments)
    models = [
        AutoModelForSequenceClassification.from_pretrained(f) for f in (folder, release_model)
    ]
    mine, other = (model.get_input_embeddings().weight for model in models)
    assert torch.equal(mine, other)
    vocabularies = [AutoTokenizer.from_pretrained(f).get_vocab() for f in (folder, release_model)]
    assert vocabularies[0] == vocabularies[1]
    arguments = make_textcnn("narrow", word_vectors=str(release_model), embedding_dim=8)
    with pytest.raises(RecipeError, match="16 dimensions: set embedding_dim"):
        train_textcnn(arguments)


def test_se30k8_wants_votes(make_textcnn):
    with pytest.raises(RecipeError, match=r"lacks the columns \['votes', 'label'\]"):
        train_textcnn(make_textcnn(classes="se30k8"))
