import math

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from emotionnet_hf.evaluation import extract_features, nearest_neighbours
from emotionnet_hf.evaluation.features import best_first
from emotionnet_hf.models import EmotionNetForPreTraining


def pictures(count: int) -> list[Image.Image]:
    values = np.random.default_rng(0).integers(0, 256, (count, 36, 50, 3), dtype=np.uint8)
    return [Image.fromarray(value) for value in values]


@pytest.fixture(scope="module")
def model(checkpoint):
    return EmotionNetForPreTraining.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def processor(checkpoint):
    return AutoImageProcessor.from_pretrained(checkpoint)


def naive_neighbours(queries, gallery, k):
    def cosine(a, b):
        lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
        return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths else 0.0

    return [
        sorted(range(len(gallery)), key=lambda i: -cosine(query, gallery[i]))[:k]
        for query in queries
    ]


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_features_equal_the_model_image_by_image(model, processor, batch_size):
    images = pictures(5)
    features = extract_features(model, processor, iter(images), batch_size=batch_size)
    assert features.pooled.dtype == features.embeds.dtype == features.logits.dtype == np.float32
    for row, image in enumerate(images):
        with torch.no_grad():
            output = model(processor(images=image, return_tensors="pt")["pixel_values"])
        for ours, theirs in (
            (features.pooled, output.pooler_output),
            (features.embeds, output.image_embeds),
            (features.logits, output.logits),
        ):
            np.testing.assert_allclose(ours[row], theirs[0].numpy(), rtol=1e-4, atol=1e-4)


def test_model_in_training_mode_is_put_into_evaluation_mode(model, processor):
    expected = extract_features(model, processor, pictures(3))
    model.train()
    np.testing.assert_array_equal(
        extract_features(model, processor, pictures(3)).pooled, expected.pooled
    )


def test_model_in_half_precision_gives_float32(checkpoint, model, processor):
    half = EmotionNetForPreTraining.from_pretrained(checkpoint, dtype=torch.bfloat16)
    features = extract_features(half, processor, pictures(2))
    assert features.logits.dtype == np.float32
    expected = extract_features(model, processor, pictures(2)).pooled
    np.testing.assert_allclose(features.pooled, expected, rtol=0.1, atol=0.1)


def test_no_image_is_an_error(model, processor):
    with pytest.raises(ValueError, match="no image"):
        extract_features(model, processor, [])


def test_neighbours_equal_a_naive_search():
    random = np.random.default_rng(1)
    queries, gallery = random.normal(size=(7, 5)), random.normal(size=(20, 5))
    for k in (1, 4, 20):
        found = nearest_neighbours(queries, gallery, k)
        assert found.tolist() == naive_neighbours(queries, gallery, k)


def test_row_is_its_own_nearest_neighbour_whatever_its_length():
    rows = np.random.default_rng(2).normal(size=(9, 4))
    assert nearest_neighbours(1000 * rows, rows, 1)[:, 0].tolist() == list(range(9))


def test_equal_rows_come_in_their_order():
    rows = np.array([[1.0, 0], [0, 1], [2, 0], [3, 0]])
    assert nearest_neighbours(rows[:1], rows, 4).tolist() == [[0, 2, 3, 1]]


def test_rows_of_zeros_are_no_ones_neighbour_before_the_others():
    gallery = np.array([[0.0, 0], [1, 1], [-1, -1]])
    assert nearest_neighbours(np.array([[1.0, 1]]), gallery, 3).tolist() == [[1, 0, 2]]
    assert np.isfinite(nearest_neighbours(np.zeros((1, 2)), gallery, 3)).all()


def test_chunks_of_queries_give_what_one_matrix_gives(monkeypatch):
    random = np.random.default_rng(4)
    queries, gallery = (
        random.normal(size=(11, 3)),
        random.integers(-1, 2, size=(30, 3)).astype(float),
    )
    whole = nearest_neighbours(queries, gallery, 8)
    monkeypatch.setattr("emotionnet_hf.evaluation.features._SIMILARITIES", 70)
    assert nearest_neighbours(queries, gallery, 8).tolist() == whole.tolist()
    assert whole.tolist() == naive_neighbours(queries, gallery, 8)


@pytest.mark.parametrize("k", [0, 1, 4, 6])
def test_best_first_equals_a_stable_sort(k):
    values = np.array([1.0, 3, 2, 3, -1, 2])
    assert best_first(values, k).tolist() == np.argsort(-values, kind="stable")[:k].tolist()
