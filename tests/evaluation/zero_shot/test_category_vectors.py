import math

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from emotionnet_hf.evaluation.zero_shot.category_keywords import CategoryError
from emotionnet_hf.evaluation.zero_shot.category_vectors import (
    CategoryVectors,
    in_text_model,
    in_word_vectors,
)
from emotionnet_hf.models import (
    EmotionNetForPreTraining,
    TextCNNConfig,
    TextCNNForSequenceClassification,
)

CATEGORIES = {"Joy": ["joy", "candy cane", "sweet"], "Fear": ["fear"], "Rest": ["tree", "calm"]}
IDS = {"joy": 2, "fear": 3, "candy cane": 4, "awe": 5, "calm": 6, "tree": 7}


def cosine(a, b):
    lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0


def naive_scores(images, groups, pooling):
    table = []
    for image in images.tolist():
        line = []
        for group in groups:
            cosines = [cosine(image, vector) for vector in group]
            middle = [sum(values) / len(group) for values in zip(*group, strict=True)]
            line.append(
                {
                    "mean": sum(cosines) / len(cosines),
                    "max": max(cosines),
                    "centroid": cosine(image, middle),
                }[pooling]
            )
        table.append(line)
    return table


@pytest.mark.parametrize("pooling", ["mean", "max", "centroid"])
def test_scores_equal_the_naive_oracle(pooling):
    random = np.random.default_rng(0)
    images, vectors = random.normal(size=(7, 4)), random.normal(size=(6, 4)).astype(np.float32)
    images[2] = 0
    category = np.array([1, 0, 0, 2, 1, 0])
    names = {name: ["w"] for name in "abc"}
    found = CategoryVectors(vectors, category, names, {}).scores(images, pooling)
    groups = [vectors[category == c].tolist() for c in range(3)]
    np.testing.assert_allclose(found, naive_scores(images, groups, pooling), atol=1e-12)
    assert not found[2].any()


def test_poolings_agree_on_one_keyword_and_differ_on_several():
    vectors = np.array([[1.0, 0], [0, 2]], dtype=np.float32)
    alone = CategoryVectors(vectors, np.array([0, 1]), {"a": ["x"], "b": ["y"]}, {})
    together = CategoryVectors(vectors, np.array([0, 0]), {"a": ["x", "y"]}, {})
    image = np.array([[3.0, 0]])
    for pooling in ("mean", "max", "centroid"):
        assert alone.scores(image, pooling).tolist() == [[1, 0]]
    found = [together.scores(image, p)[0, 0] for p in ("mean", "max", "centroid")]
    assert found == pytest.approx([0.5, 1, 1 / math.sqrt(5)])


@pytest.fixture(scope="module")
def net(make_emotionnet):
    folder = make_emotionnet()
    return EmotionNetForPreTraining.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def test_word_vectors_are_the_rows_of_the_keyword_tower(net):
    found = in_word_vectors(CATEGORIES, *net)
    table = net[0].text_tower.keyword_embedding.weight.numpy(force=True)
    words = ["joy", "candy cane", "fear", "tree", "calm"]
    np.testing.assert_array_equal(found.vectors, table[[IDS[word] for word in words]])
    assert found.category.tolist() == [0, 0, 1, 2, 2]
    assert found.known == {**CATEGORIES, "Joy": ["joy", "candy cane"]}
    assert found.unknown == {"Joy": ["sweet"], "Fear": [], "Rest": []}


def test_a_keyword_without_a_vector_is_unknown(checkpoint):
    net = EmotionNetForPreTraining.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    found = in_word_vectors({"a": ["nameless", "joy"]}, net, tokenizer)
    assert (found.known, found.unknown) == ({"a": ["joy"]}, {"a": ["nameless"]})
    wanted = {"a": ["joy"], "b": ["nameless"], "c": ["zzz"]}
    found = in_word_vectors(wanted, net, tokenizer)
    assert found.uncovered == ["b", "c"]
    with pytest.raises(CategoryError, match=r"m knows no keyword of: b \(nameless\); c \(zzz\)\."):
        found.check_covered(wanted, "m")
    in_word_vectors({"a": ["joy"]}, net, tokenizer).check_covered({"a": ["joy"]}, "m")


def test_other_forms_of_a_keyword_stand_for_it_once_and_are_told(net):
    found = in_word_vectors({"Joy": ["joys", "joyful", "joy", "calm tree"], "b": ["zzz"]}, *net)
    table = net[0].text_tower.keyword_embedding.weight.numpy(force=True)
    rows = [IDS[word] for word in ("joy", "calm", "tree")]
    np.testing.assert_array_equal(found.vectors, table[rows])
    assert found.category.tolist() == [0, 0, 0]
    assert found.known == {"Joy": ["joys", "joyful", "joy", "calm tree"], "b": []}
    assert found.unknown == {"Joy": [], "b": ["zzz"]}
    forms = {"joys": ("joy",), "joyful": ("joy",), "calm tree": ("calm", "tree")}
    assert found.other_forms == forms


@pytest.mark.parametrize("pooling", ["mean", "max", "centroid"])
def test_a_category_without_a_known_keyword_is_scored_lowest(net, pooling):
    images = np.random.default_rng(2).normal(size=(4, 6))
    scores = in_word_vectors({**CATEGORIES, "Bad": ["zzz"]}, *net).scores(images, pooling)
    known = in_word_vectors(CATEGORIES, *net).scores(images, pooling)
    np.testing.assert_array_equal(scores[:, :-1], known)
    assert (scores[:, -1] == -1).all()


def test_centroid_is_the_zero_shot_class_of_transformers(net):
    """f_t of Eq. 3, as the keyword tower averages it."""
    model, tokenizer = net
    images = np.random.default_rng(1).normal(size=(3, 6))
    found = in_word_vectors(CATEGORIES, model, tokenizer).scores(images, "centroid")
    lists = [", ".join(words) for words in CATEGORIES.values()]
    tokens = tokenizer(lists, padding=True, return_tensors="pt")
    text = model.text_tower(**tokens).numpy(force=True)
    expected = [[cosine(i, t) for t in text.tolist()] for i in images.tolist()]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module", params=[TextCNNConfig, TextCNNConfig.published_code])
def text(request, make_text_model):
    folder = make_text_model(request.param)
    model = TextCNNForSequenceClassification.from_pretrained(folder)
    return model, AutoTokenizer.from_pretrained(folder)


def conv(model, word):
    """ReLU of the convolution, with the tensors themselves."""
    body = model.textcnn
    vector = body.embedding.weight[IDS[word]]
    return torch.relu(body.conv.weight[:, :, 0] @ vector + body.conv.bias)


@torch.no_grad()
def naive_features(model, words):
    body, config = model.textcnn, model.config
    parts = [conv(model, word) for word in words]
    if config.pooling == "padded":  # padding goes through the convolution and counts
        padding = torch.relu(body.conv.weight[:, :, 0] @ body.embedding.weight[0] + body.conv.bias)
        parts += [padding] * (config.max_keywords - len(parts))
    average = torch.stack(parts).mean(dim=0)
    if config.batch_norm:
        norm = body.norm
        average = (average - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps)
        average = average * norm.weight + norm.bias
    features = body.fc.weight @ average + body.fc.bias
    return torch.relu(features) if config.activation == "relu" else features


def test_keywords_are_the_convolutions_features_of_each(text):
    model, tokenizer = text
    found = in_text_model(CATEGORIES, model.train(), tokenizer, "keywords")
    words = ["joy", "candy cane", "fear", "tree", "calm"]
    expected = torch.stack([conv(model, word) for word in words]).numpy(force=True)
    np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
    assert found.category.tolist() == [0, 0, 1, 2, 2]
    assert found.unknown["Joy"] == ["sweet"]


def test_a_category_is_the_representation_of_its_known_keywords(text):
    model, tokenizer = text
    lists = [["joy", "candy cane"], ["fear"], ["tree", "calm"]]
    features = torch.stack([naive_features(model, words) for words in lists])
    found = in_text_model(CATEGORIES, model.train(), tokenizer, "category")
    np.testing.assert_allclose(found.vectors, features.numpy(), atol=1e-5)
    assert found.category.tolist() == [0, 1, 2]
    logits = in_text_model(CATEGORIES, model, tokenizer, "logits")
    expected = features @ model.classifier.weight.T + model.classifier.bias
    np.testing.assert_allclose(logits.vectors, expected.numpy(force=True), atol=1e-5)


@pytest.mark.parametrize("representation", ["category", "keywords", "logits"])
def test_a_category_of_unknown_keywords_is_scored_lowest(text, representation):
    found = in_text_model({**CATEGORIES, "Bad": ["zzz", "yyy"]}, *text, representation)
    known = in_text_model(CATEGORIES, *text, representation)
    assert found.uncovered == ["Bad"] and not known.uncovered
    images = np.random.default_rng(2).normal(size=(4, known.vectors.shape[1]))
    scores = found.scores(images)
    np.testing.assert_allclose(scores[:, :-1], known.scores(images), atol=1e-12)
    assert (scores[:, -1] == -1).all()
