import io
import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from transformers import AutoImageProcessor

from emotionnet_hf.data.benchmarks.benchmark import benchmark_features
from emotionnet_hf.evaluation.zero_shot.pictures import embed_pictures
from emotionnet_hf.models import EmotionNetForPreTraining


@pytest.fixture(scope="module")
def net(make_emotionnet):
    folder = make_emotionnet(auxiliary_dim=4)
    model = EmotionNetForPreTraining.from_pretrained(folder)
    return model, AutoImageProcessor.from_pretrained(folder)


def split(toy, rows):
    return Dataset.from_list(rows, features=benchmark_features(toy.classes))


@pytest.mark.parametrize("embedding", ["image_embeds", "auxiliary_embeds"])
@pytest.mark.parametrize("batch_size", [1, 5, 32])
def test_embeddings_equal_the_model_picture_by_picture(net, toy, rows, embedding, batch_size):
    model, processor = net
    found = embed_pictures(
        split(toy, rows), model.train(), processor, embedding, batch_size=batch_size, progress=False
    )
    assert found.place.tolist() == list(range(len(rows))) and not found.reasons
    for row, vector in zip(rows, found.vectors, strict=True):
        with torch.no_grad(), Image.open(row["image"]["path"]) as image:
            output = model(processor(images=image, return_tensors="pt")["pixel_values"])
        np.testing.assert_allclose(vector, output[embedding][0].numpy(), rtol=1e-4, atol=1e-4)


def test_rows_of_one_picture_share_it_and_crops_do_not(net, toy, rows, monkeypatch):
    import emotionnet_hf.evaluation.zero_shot.pictures as module

    path = rows[0]["image"]["path"]
    box, other = [0.0, 0.0, 20.0, 20.0], [10.0, 5.0, 40.0, 30.0]
    data = split(
        toy,
        [
            {**rows[0], "image_id": "a"},
            {**rows[0], "image_id": "b", "box": box},
            {**rows[1], "image_id": "c"},
            {**rows[0], "image_id": "d"},
            {**rows[0], "image_id": "e", "box": other},
            {**rows[0], "image_id": "f", "box": box},
        ],
    )
    opened = []

    def opening(row, open_picture=module.open_picture):
        opened.append(row["image_id"])
        return open_picture(row)

    monkeypatch.setattr(module, "open_picture", opening)
    found = embed_pictures(data, *net, "image_embeds", progress=False)
    assert opened == ["a", "b", "c", "e"]
    assert found.place.tolist() == [0, 1, 2, 0, 3, 1]
    assert len(np.unique(found.vectors.round(4), axis=0)) == 4
    with Image.open(path) as image:
        pixels = net[1](images=image.crop((0, 0, 20, 20)), return_tensors="pt")["pixel_values"]
    expected = net[0].eval()(pixels).image_embeds[0].numpy(force=True)
    np.testing.assert_allclose(found.vectors[1], expected, rtol=1e-4, atol=1e-4)


def test_pictures_as_bytes_are_told_apart_by_their_bytes(net, toy, rows):
    def as_bytes(row):
        buffer = io.BytesIO()
        with Image.open(row["image"]["path"]) as image:
            image.save(buffer, "PNG")
        return {**row, "image": {"bytes": buffer.getvalue(), "path": None}}

    data = split(toy, [as_bytes(rows[0]), as_bytes(rows[1]), as_bytes(rows[0])])
    found = embed_pictures(data, *net, "image_embeds", progress=False)
    assert found.place.tolist() == [0, 1, 0]
    expected = embed_pictures(split(toy, rows[:2]), *net, "image_embeds", progress=False)
    np.testing.assert_allclose(found.vectors, expected.vectors, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_opened_is_named_and_the_rest_keeps_its_place(net, toy, rows, tmp_path):
    broken, gone = tmp_path / "broken.png", tmp_path / "gone.png"
    whole = shutil.copy(rows[0]["image"]["path"], broken)
    broken.write_bytes(broken.read_bytes()[:400])
    data = split(
        toy,
        [
            toy.row(broken, [0]),
            rows[0],
            toy.row(gone, [1]),
            rows[1],
            toy.row(broken, [2], name="again"),
            {**rows[2], "box": [900.0, 900.0, 950.0, 950.0]},
        ],
    )
    assert whole == broken
    found = embed_pictures(data, *net, "image_embeds", batch_size=2, progress=False)
    assert found.place.tolist() == [-1, 0, -1, 1, -1, -1]
    assert sorted(found.reasons) == [0, 2, 4, 5]
    assert "truncated" in found.reasons[0] and "cannot be read" in found.reasons[2]
    assert found.reasons[4] == found.reasons[0]
    assert "outside of the picture" in found.reasons[5]


def test_nothing_that_can_be_opened_is_no_vector(net, toy, tmp_path):
    data = split(toy, [toy.row(tmp_path / "gone.png", [0])])
    found = embed_pictures(data, *net, "image_embeds", progress=False)
    assert len(found.vectors) == 0 and found.place.tolist() == [-1]
