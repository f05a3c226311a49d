import math

import pytest
import torch

from emotionnet_hf.losses import (
    classification_loss,
    embedding_loss,
    emotionnet_loss,
    has_text,
    normalized_labels,
    soft_labels,
)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities of a text model, and tags, both (5, 7); the last row has no tag."""
    torch.manual_seed(3)
    predicted = torch.softmax(3 * torch.randn(5, 7, dtype=torch.float64), dim=-1)
    tagged = (torch.rand(5, 7) < 0.4).double()
    tagged[0, 2], tagged[-1] = 1, 0
    return predicted, tagged


def naive_soft_labels(predicted, tagged, form, threshold):
    rows = []
    for y_hat, y in zip(predicted.tolist(), tagged.tolist(), strict=True):
        if form == "printed":
            rows.append([(a + b) / (1 + sum(y_hat)) for a, b in zip(y_hat, y, strict=True)])
            continue
        y = [b / sum(y) if sum(y) else 0.0 for b in y]
        both = [(a if a >= threshold else 0.0) + b for a, b in zip(y_hat, y, strict=True)]
        rows.append([value / sum(both) if sum(both) else 0.0 for value in both])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("form", ["normalized", "printed"])
@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.2, 2.0])
def test_soft_labels_equal_the_naive_oracle(batch, form, threshold):
    expected = naive_soft_labels(*batch, form, threshold)
    torch.testing.assert_close(soft_labels(*batch, form=form, threshold=threshold), expected)


def test_the_default_soft_labels_are_normalized_at_a_hundredth(batch):
    torch.testing.assert_close(
        # Sums are taken in another order on other processors.
        soft_labels(*batch),
        naive_soft_labels(*batch, "normalized", 0.01),
        rtol=0,
        atol=1e-12,
    )


def test_normalized_soft_labels_sum_to_one(batch):
    torch.testing.assert_close(soft_labels(*batch).sum(-1), torch.ones(5, dtype=torch.float64))


def test_printed_soft_labels_sum_to_half_of_one_plus_the_number_of_tags(batch):
    total = soft_labels(*batch, form="printed").sum(-1)
    torch.testing.assert_close(total, (1 + batch[1].sum(-1)) / 2)


def test_the_threshold_itself_is_kept():
    predicted = torch.tensor([[0.25, 0.75]])
    kept = soft_labels(predicted, torch.zeros(1, 2), threshold=0.25)
    torch.testing.assert_close(kept, predicted)


def test_a_row_without_tag_and_prediction_stays_zero():
    zeros = torch.zeros(2, 4)
    assert torch.equal(soft_labels(zeros, zeros), zeros)


def test_tags_may_be_booleans(batch):
    predicted, tagged = batch
    for form in ("normalized", "printed"):
        expected = soft_labels(predicted, tagged, form=form)
        assert torch.equal(soft_labels(predicted, tagged.bool(), form=form), expected)


def test_soft_labels_refuse_different_shapes():
    with pytest.raises(ValueError, match=r"predicted \(2, 3\) and tagged \(2, 1\)"):
        soft_labels(torch.zeros(2, 3), torch.zeros(2, 1))


def test_soft_labels_refuse_an_unknown_form():
    with pytest.raises(ValueError, match=r"'normalised'.*'normalized' or 'printed'"):
        soft_labels(torch.zeros(1, 2), torch.zeros(1, 2), form="normalised")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_normalized_labels_sum_to_one_in_every_precision(dtype):
    rows = normalized_labels(torch.tensor([[0, 2, 2], [1, 0, 0], [0, 0, 0]], dtype=dtype))
    expected = torch.tensor([[0, 0.5, 0.5], [1, 0, 0], [0, 0, 0]], dtype=dtype)
    assert torch.equal(rows, expected)


def naive_classification_loss(logits, targets):
    values = []
    for z, y in zip(logits.tolist(), targets.tolist(), strict=True):
        total = sum(math.exp(value) for value in z)
        values.append(-sum(b * math.log(math.exp(a) / total) for a, b in zip(z, y, strict=True)))
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(("divide", "factor"), [(False, 1), (True, 7)])
def test_classification_loss_equals_the_naive_oracle(batch, divide, factor):
    logits = torch.randn(5, 7, dtype=torch.float64)
    expected = naive_classification_loss(logits, batch[0]) / factor
    torch.testing.assert_close(classification_loss(logits, batch[0], divide), expected)


def test_logits_of_zero_give_log_k():
    targets = normalized_labels(torch.tensor([[1.0, 0, 1, 0, 1], [0, 0, 0, 1, 0]]))
    loss = classification_loss(torch.zeros(2, 5), targets)
    torch.testing.assert_close(loss, torch.full((2,), math.log(5)))


def test_a_sure_and_right_classifier_has_no_loss():
    logits = torch.tensor([[1000.0, 0, 0]])
    assert classification_loss(logits, torch.tensor([[1.0, 0, 0]])).item() == 0


def test_a_sure_and_wrong_classifier_has_a_finite_loss():
    logits = torch.tensor([[1000.0, 0, 0]])
    assert classification_loss(logits, torch.tensor([[0, 1.0, 0]])).item() == 1000


def test_an_image_without_targets_has_no_classification_loss_and_no_gradient():
    logits = torch.randn(1, 4, requires_grad=True)
    loss = classification_loss(logits, torch.zeros(1, 4))
    loss.sum().backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_classification_loss_refuses_what_would_broadcast():
    with pytest.raises(ValueError, match=r"logits \(4, 3\) and targets \(3,\)"):
        classification_loss(torch.zeros(4, 3), torch.zeros(3))


def test_embedding_loss_equals_the_naive_oracle():
    image, text = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    expected = []
    for a, b in zip(image.tolist(), text.tolist(), strict=True):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        expected.append(1 - dot / math.hypot(*a) / math.hypot(*b))
    torch.testing.assert_close(
        embedding_loss(image, text), torch.tensor(expected, dtype=torch.float64)
    )


def test_embedding_loss_of_same_right_angled_and_opposite_directions():
    image = torch.tensor([[2.0, 0], [2.0, 0], [2.0, 0]])
    text = torch.tensor([[5.0, 0], [0, 5.0], [-5.0, 0]])
    torch.testing.assert_close(embedding_loss(image, text), torch.tensor([0.0, 1, 2]))


def test_images_without_known_keywords_are_masked_out():
    image = torch.randn(3, 4, requires_grad=True)
    text = torch.randn(3, 4)
    text[1] = 0
    loss = embedding_loss(image, text)
    loss.sum().backward()
    assert loss[1].item() == 0
    assert not image.grad[1].any()
    assert image.grad[0].any()
    assert image.grad[2].any()


def test_an_image_embedding_of_zero_has_a_finite_gradient():
    image = torch.zeros(1, 4, requires_grad=True)
    embedding_loss(image, torch.ones(1, 4)).sum().backward()
    assert torch.isfinite(image.grad).all()


def test_has_text_tells_rows_of_zeros():
    assert has_text(torch.tensor([[0.0, 0], [0, -1e-30], [1, 0]])).tolist() == [False, True, True]


def test_embedding_loss_refuses_what_would_broadcast():
    with pytest.raises(ValueError, match=r"image_embeds \(4, 3\) and text_embeds \(1, 3\)"):
        embedding_loss(torch.zeros(4, 3), torch.zeros(1, 3))


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_both_losses_are_weighted_by_lambda(weight):
    total = emotionnet_loss(torch.tensor([1.0, 2]), torch.tensor([0.5, 1]), weight)
    torch.testing.assert_close(total, torch.tensor([1 + 0.5 * weight, 2 + weight]))


def test_lambda_is_one_by_default():
    assert emotionnet_loss(torch.tensor(1.0), torch.tensor(0.5)).item() == 1.5


def test_gradients_equal_finite_differences(batch):
    predicted, tagged = batch
    text = torch.randn(5, 3, dtype=torch.float64)
    text[2] = 0

    def loss(logits: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        targets = soft_labels(predicted, tagged)
        return emotionnet_loss(
            classification_loss(logits, targets, divide_by_classes=True),
            embedding_loss(image, text),
            0.7,
        )

    logits = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    image = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (logits, image))
