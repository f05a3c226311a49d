"""What W is pulled to, against one keyword at a time through the stock classes."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from emotionnet_hf.training import RecipeError
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.emotionnet import EmotionNetTask
from emotionnet_hf.training.joint_space import _taken_over, keyword_vectors


def naive_features(folder, keyword):
    """ReLU of the convolution of one keyword; None where the model does not know it."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder).get_vocab()
    if keyword not in ids:
        return None
    with torch.no_grad():
        return model.textcnn(torch.tensor([[ids[keyword]]])).last_hidden_state[0, 0]


@pytest.fixture
def make_task(make_variant, se30k8_model):
    def make(**changes):
        torch.manual_seed(0)
        return EmotionNetTask(make_variant(auxiliary_text_model=str(se30k8_model), **changes))

    return make


@pytest.mark.parametrize("target", ["text_model", "auxiliary_text_model"])
def test_the_tower_has_a_text_models_features(make_task, release_model, se30k8_model, target):
    task = make_task(embedding_target=target)
    folder = release_model if target == "text_model" else se30k8_model
    table = task.model.text_tower.keyword_embedding.weight
    ids = task.tokenizer.get_vocab()
    assert task.model.config.joint_space == target
    known = 0
    for keyword in sorted(ids)[:40]:
        expected = None if keyword.startswith("[") else naive_features(folder, keyword)
        if expected is None:
            assert not table[ids[keyword]].any(), keyword
        else:
            torch.testing.assert_close(table[ids[keyword]], expected, rtol=1e-5, atol=1e-6)
            known += bool(expected.any())
    assert known > 3


def test_rows_of_another_vocabulary_are_brought_into_the_order_of_ours():
    ours, theirs = {"joy": 2, "sea": 3, "tree": 4}, {"tree": 2, "joy": 3, "awe": 4}
    rows = torch.tensor([[9.0], [9.0], [5.0], [6.0], [7.0]])
    assert _taken_over(rows, ours, theirs).tolist() == [[0], [0], [6], [0], [5]]


def test_an_auxiliary_text_model_of_other_words_is_refused(make_task, se30k8_model, monkeypatch):
    task = make_task()
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "quite": 2, "other": 3}
    monkeypatch.setattr(task.guide, "tokenizer", SimpleNamespace(get_vocab=lambda: vocabulary))
    task.arguments.embedding_target = "auxiliary_text_model"
    with pytest.raises(RecipeError, match=r"knows none of the \d+ keywords of text_model"):
        keyword_vectors(task.arguments, task.text_model, task.tokenizer, task.guide)


def test_w_is_pulled_to_the_average_of_those_features(make_task):
    task = make_task(embedding_target="text_model")
    task.model.eval()
    rows = task.train_rows
    batch = rows.__getitems__(MicroBatch(0, torch.arange(4).numpy()))
    losses = task.losses(task.model, batch, Accelerator(cpu=True))
    table = task.model.text_tower.keyword_embedding.weight
    pulls = []
    for row, ids in enumerate(batch["keyword_ids"]):
        vectors = [table[i] for i in ids[batch["keyword_mask"][row].bool()] if table[i].any()]
        if vectors:
            with torch.no_grad():
                image = task.model(batch["pixel_values"][row : row + 1]).image_embeds[0]
            text = torch.stack(vectors).mean(dim=0)
            pulls.append(1 - image @ text / image.norm() / text.norm())
    assert len(pulls) > 1
    torch.testing.assert_close(losses["embedding_loss"], torch.stack(pulls).mean())


def test_word_vectors_are_the_default_and_special_tokens_have_none(make_task):
    task = make_task()
    text = task.text_model.textcnn.embedding.weight
    with torch.no_grad():  # as converted text models have it
        text[task.tokenizer.unk_token_id] = 1.0
    table = task._build_model(list(task.model.config.id2label.values())).text_tower
    weight = table.keyword_embedding.weight
    assert not weight[[task.tokenizer.unk_token_id, task.tokenizer.pad_token_id]].any()
    assert torch.equal(weight[2:], text[2:])
    assert task.model.config.joint_space == "word_vectors"


def test_without_the_embedding_loss_w_is_said_to_be_untrained(make_task):
    assert make_task(embedding_weight=0.0).model.config.joint_space == "untrained"


def test_an_auxiliary_target_needs_an_auxiliary_text_model(make_variant):
    with pytest.raises(RecipeError, match="embedding_target is 'auxiliary_text_model'"):
        make_variant(embedding_target="auxiliary_text_model")
