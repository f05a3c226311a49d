"""Extra supervision: the loss against numpy, the text against the text model itself."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from emotionnet_hf.training import RecipeError
from emotionnet_hf.training.auxiliary import Guide
from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.emotionnet import EmotionNetTask

LISTS = [["joy", "tree"], ["fear", "zzz", "sea"], ["zzz"], ["candy cane"]]


@pytest.fixture(params=["features", "logits"])
def representation(request):
    return request.param


@pytest.fixture
def guide(make_variant, se30k8_model, representation):
    return Guide(
        make_variant(
            auxiliary_text_model=str(se30k8_model), auxiliary_representation=representation
        )
    )


def batch_of(guide):
    split = Dataset.from_dict({"keywords": LISTS})
    return guide.batch(guide.keywords(split), np.arange(len(LISTS)))


def naive_representation(folder, keywords, representation):
    """One list at a time through the stock classes."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(", ".join(keywords), return_tensors="pt")
    with torch.no_grad():
        output = model(tokens["input_ids"], tokens["attention_mask"])
    found = output.logits if representation == "logits" else output.pooler_output
    return found[0].numpy()


def test_representation_is_the_text_models_own(guide, se30k8_model, representation):
    found = guide.representation(batch_of(guide)).numpy()
    assert found.shape == (4, guide.dim) == (4, 8 if representation == "logits" else 16)
    for row, keywords in zip(found, LISTS, strict=True):
        if keywords == ["zzz"]:
            assert not row.any()
            continue
        expected = naive_representation(se30k8_model, keywords, representation)
        np.testing.assert_allclose(row, expected, atol=1e-5)
        assert expected.any()


def test_loss_is_one_minus_the_cosine(guide):
    batch = batch_of(guide)
    embeds = torch.randn(4, guide.dim, generator=torch.Generator().manual_seed(0))
    found = guide.losses(embeds, batch)
    text, image = guide.representation(batch).double().numpy(), embeds.double().numpy()
    for row, keywords in enumerate(LISTS):
        if keywords == ["zzz"]:
            assert found["auxiliary_loss"][row] == 0
            assert not found["has_auxiliary_text"][row]
            continue
        norms = np.sqrt((image[row] ** 2).sum() * (text[row] ** 2).sum())
        expected = 1 - (image[row] * text[row]).sum() / norms
        assert found["auxiliary_loss"][row].item() == pytest.approx(expected, abs=1e-5)
        assert found["has_auxiliary_text"][row]


@pytest.mark.parametrize("threshold", [0.01, 0.13])
def test_the_published_form_is_the_cross_entropy_of_the_guides_probabilities(
    make_variant, se30k8_model, threshold
):
    guide = Guide(
        make_variant(
            auxiliary_text_model=str(se30k8_model),
            auxiliary_loss="cross_entropy",
            soft_label_threshold=threshold,
        )
    )
    assert guide.dim == 8
    logits = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    found = guide.losses(logits, batch_of(guide))
    dropped = 0
    for row, keywords in enumerate(LISTS):
        if keywords == ["zzz"]:
            assert found["auxiliary_loss"][row] == 0
            assert not found["has_auxiliary_text"][row]
            continue
        scores = np.exp(naive_representation(se30k8_model, keywords, "logits").astype(np.float64))
        target = scores / scores.sum()
        dropped += (target < threshold).sum()
        target[target < threshold] = 0  # and not scaled again
        predicted = np.exp(logits[row].double().numpy())
        expected = -(target * np.log(predicted / predicted.sum())).sum()
        assert found["auxiliary_loss"][row].item() == pytest.approx(expected, abs=1e-5)
        assert found["has_auxiliary_text"][row]
    assert (dropped > 0) == (threshold == 0.13)


def test_the_guide_itself_learns_nothing(guide):
    embeds = torch.randn(4, guide.dim, requires_grad=True)
    guide.losses(embeds, batch_of(guide))["auxiliary_loss"].sum().backward()
    assert embeds.grad.abs().sum() > 0
    assert not embeds.grad[2].any()  # no known keyword, no pull
    assert all(p.grad is None for p in guide.model.parameters())


def test_a_text_model_of_other_classes_is_refused(make_variant, release_model):
    with pytest.raises(RecipeError, match=r"not the 8 that are needed.*se30k8_textcnn\.yaml"):
        Guide(make_variant(auxiliary_text_model=str(release_model)))


def test_the_whole_loss_has_the_weighted_term(make_variant, se30k8_model):
    def task(**changes):
        torch.manual_seed(0)
        return EmotionNetTask(make_variant(auxiliary_text_model=str(se30k8_model), **changes))

    def losses(task):
        task.model.eval()
        batch = task.train_rows.__getitems__(MicroBatch(0, np.arange(6)))
        return task.losses(task.model, batch, Accelerator(cpu=True))

    light, heavy = losses(task()), losses(task(auxiliary_weight=3.0))
    torch.testing.assert_close(
        light["loss"],
        light["classification_loss"] + light["embedding_loss"] + light["auxiliary_loss"],
    )
    torch.testing.assert_close(heavy["loss"], light["loss"] + 2 * light["auxiliary_loss"])


def test_images_without_text_for_the_guide_do_not_dilute_its_loss(make_variant, se30k8_model):
    task = EmotionNetTask(make_variant(auxiliary_text_model=str(se30k8_model)))
    task.model.eval()
    batch = task.train_rows.__getitems__(MicroBatch(0, np.arange(4)))
    whole = task.losses(task.model, dict(batch), Accelerator(cpu=True))["auxiliary_loss"]
    doubled = {name: torch.cat([value, value]) for name, value in batch.items()}
    doubled["auxiliary_ids"][4:] = task.guide.tokenizer.unk_token_id
    found = task.losses(task.model, doubled, Accelerator(cpu=True))["auxiliary_loss"]
    torch.testing.assert_close(found, whole)


def test_the_guide_reads_whole_lists(guide, se30k8_model, representation):
    keywords = ["joy"] * 150 + ["fear"] * 150
    split = Dataset.from_dict({"keywords": [keywords]})
    found = guide.representation(guide.batch(guide.keywords(split), np.array([0])))[0].numpy()
    np.testing.assert_allclose(
        found, naive_representation(se30k8_model, keywords, representation), atol=1e-5
    )
