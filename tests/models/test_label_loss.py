"""Losses of labels: what transformers' own classifiers give, against naive formulas."""

import math

import pytest
import torch
from transformers import AutoModelForImageClassification, ResNetConfig, ResNetForImageClassification

from emotionnet_hf.models import EmotionNetForImageClassification

IDS = torch.tensor([[2, 3, 0], [4, 8, 5]])
SINGLE, MULTI, REGRESSION = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)


@pytest.fixture(params=["EmotionNetForImageClassification", "TextCNNForSequenceClassification"])
def classifier(request, tiny_config, tiny_textcnn, pictures):
    """Makes a model, and a function from labels to (loss, logits)."""

    def make(**changes):
        torch.manual_seed(2)
        if request.param == "TextCNNForSequenceClassification":
            model, inputs = tiny_textcnn(**changes), {"input_ids": IDS}
        else:
            model = EmotionNetForImageClassification(tiny_config(**changes)).eval()
            inputs = {"pixel_values": pictures()}

        def run(labels):
            with torch.no_grad():
                output = model(**inputs, labels=labels)
            return output.loss.item(), output.logits.double().tolist()

        return model, run

    return make


def stock(labels, logits, **changes):
    """The loss of a classifier of transformers' own whose logits are these."""
    kwargs = {"num_labels": len(logits[0]), "hidden_sizes": [8], "depths": [1]}
    config = ResNetConfig(embedding_size=8, **{**kwargs, **changes})
    model = ResNetForImageClassification(config)
    model.classifier = torch.nn.Identity()
    model.resnet.forward = lambda *args, **kwargs: type(
        "Output",
        (),
        {"pooler_output": torch.tensor(logits, dtype=torch.float32), "hidden_states": None},
    )()
    return model(torch.zeros(2, 3, 8, 8), labels=labels).loss.item(), config.problem_type


def pairs(labels, logits):
    """Each label with its logit."""
    rows = zip(labels, logits, strict=True)
    return [pair for row in rows for pair in zip(*row, strict=True)]


def log_softmax(row):
    return [value - math.log(sum(math.exp(other) for other in row)) for value in row]


def cross_entropy(labels, logits):
    return -sum(log_softmax(row)[i] for i, row in zip(labels, logits, strict=True)) / len(labels)


def soft_cross_entropy(labels, logits):
    terms = [y * p for y, p in pairs(labels, [log_softmax(row) for row in logits])]
    return -sum(terms) / len(labels)


def binary_cross_entropy(labels, logits):
    terms = [math.log(1 + math.exp(-x if y == 1 else x)) for y, x in pairs(labels, logits)]
    return sum(terms) / len(terms)


def squared_error(labels, logits):
    terms = [(y - x) ** 2 for y, x in pairs(labels, logits)]
    return sum(terms) / len(terms)


CLASSES = [2, 0]
HOT = [[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
VALUES = [[0.3, -2.0, 1.5, 0.0], [4.0, 0.1, 0.2, 0.3]]


@pytest.mark.parametrize("given", [True, False], ids=["given", "inferred"])
@pytest.mark.parametrize(
    ("problem", "labels", "naive"),
    [
        (SINGLE, CLASSES, cross_entropy),
        (MULTI, HOT, binary_cross_entropy),
        (REGRESSION, VALUES, squared_error),
    ],
)
def test_the_problem_type_says_which_loss(classifier, problem, labels, naive, given):
    if problem == REGRESSION and not given:
        pytest.skip("of several labels it has to be said")
    changes = {"problem_type": problem if given else None}
    model, run = classifier(**changes)
    loss, logits = run(torch.tensor(labels))
    assert loss == pytest.approx(naive(labels, logits), rel=1e-4)
    expected, kept = stock(torch.tensor(labels), logits, **changes)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert model.config.problem_type == kept == problem


@pytest.mark.parametrize("problem", [REGRESSION, None])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_one_label_is_a_regression(classifier, problem, shape):
    _, run = classifier(id2label={0: "valence"}, problem_type=problem)
    labels = torch.tensor([0.5, -1.0]).reshape(shape)
    loss, logits = run(labels)
    assert loss == pytest.approx(squared_error([[0.5], [-1.0]], logits), rel=1e-4)
    expected, _ = stock(labels, logits, num_labels=1, problem_type=problem)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_images_without_a_class_do_not_count(classifier):
    _, run = classifier(problem_type=SINGLE)
    loss, logits = run(torch.tensor([2, -100]))
    assert loss == pytest.approx(cross_entropy([2], logits[:1]), rel=1e-4)


@pytest.mark.parametrize("labels", [[[0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75]], HOT])
def test_a_single_label_may_be_a_distribution(classifier, labels):
    _, run = classifier(problem_type=SINGLE)
    loss, logits = run(torch.tensor(labels))
    assert loss == pytest.approx(soft_cross_entropy(labels, logits), rel=1e-4)


def test_class_ids_and_one_hot_distributions_say_the_same(classifier):
    _, run = classifier(problem_type=SINGLE)
    one_hot = torch.nn.functional.one_hot(torch.tensor(CLASSES), 4).float()
    assert run(torch.tensor(CLASSES))[0] == pytest.approx(run(one_hot)[0], rel=1e-6)


def test_without_labels_there_is_no_loss(classifier, pictures):
    model, _ = classifier()
    text = "TextCNN" in type(model).__name__
    assert model(IDS if text else pictures()).loss is None
    assert model.config.problem_type is None


def test_fine_tuning_on_many_labels_survives_saving(checkpoint, pictures, tmp_path):
    model = AutoModelForImageClassification.from_pretrained(
        checkpoint, num_labels=3, problem_type=MULTI, ignore_mismatched_sizes=True
    )
    labels = [[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    output = model(pictures(), labels=torch.tensor(labels))
    assert output.loss.item() == pytest.approx(
        binary_cross_entropy(labels, output.logits.tolist()), rel=1e-4
    )
    model.save_pretrained(tmp_path / "tuned")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "tuned")
    assert again.config.problem_type == MULTI
    torch.testing.assert_close(again(pictures(), labels=torch.tensor(labels)).loss, output.loss)
