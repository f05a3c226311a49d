import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from transformers import AutoImageProcessor

from emotionnet_hf.data.benchmarks.benchmark import benchmark_features
from emotionnet_hf.evaluation.linear_probe.rows import Pool
from emotionnet_hf.evaluation.zero_shot.pictures import embed_pictures
from emotionnet_hf.models import EmotionNetForPreTraining


@pytest.fixture(scope="module")
def net(make_emotionnet):
    folder = make_emotionnet(auxiliary_dim=4)
    model = EmotionNetForPreTraining.from_pretrained(folder)
    return model, AutoImageProcessor.from_pretrained(folder)


def embedded(toy, rows, net, embedding="image_embeds", **options):
    """What `embed_pictures` finds, and the picture of each row."""
    pool = Pool()
    data = Dataset.from_list(rows, features=benchmark_features(toy.classes))
    part = pool.part(data, len(toy.classes))
    places = np.unique(part.place)
    return embed_pictures(pool, places, *net, embedding, progress=False, **options), part.place


@pytest.mark.parametrize("embedding", ["image_embeds", "auxiliary_embeds"])
@pytest.mark.parametrize("batch_size", [1, 5, 32])
def test_embeddings_equal_the_model_picture_by_picture(net, toy, rows, embedding, batch_size):
    model, processor = net
    found, place = embedded(toy, rows, (model.train(), processor), embedding, batch_size=batch_size)
    assert place.tolist() == list(range(len(rows))) and not found.unreadable
    for row, vector in zip(rows, found.of(place), strict=True):
        with torch.no_grad(), Image.open(row["image"]["path"]) as image:
            output = model(processor(images=image, return_tensors="pt")["pixel_values"])
        np.testing.assert_allclose(vector, output[embedding][0].numpy(), rtol=1e-4, atol=1e-4)


def test_rows_of_one_picture_share_it_and_crops_do_not(net, toy, rows, monkeypatch):
    path = rows[0]["image"]["path"]
    box, other = [0.0, 0.0, 20.0, 20.0], [10.0, 5.0, 40.0, 30.0]
    data = [
        {**rows[0], "image_id": "a"},
        {**rows[0], "image_id": "b", "box": box},
        {**rows[1], "image_id": "c"},
        {**rows[0], "image_id": "d"},
        {**rows[0], "image_id": "e", "box": other},
        {**rows[0], "image_id": "f", "box": box},
    ]
    opened, own = [], Pool.open
    monkeypatch.setattr(Pool, "open", lambda pool, n: opened.append(n) or own(pool, n))
    found, place = embedded(toy, data, net)
    assert opened == [0, 1, 2, 3] and place.tolist() == [0, 1, 2, 0, 3, 1]
    assert len(np.unique(found.of(place).numpy().round(4), axis=0)) == 4
    with Image.open(path) as image:
        pixels = net[1](images=image.crop((0, 0, 20, 20)), return_tensors="pt")["pixel_values"]
    expected = net[0].eval()(pixels).image_embeds[0].numpy(force=True)
    np.testing.assert_allclose(found.features[1], expected, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_opened_is_named_and_the_rest_keeps_its_place(net, toy, rows, tmp_path):
    broken, gone = tmp_path / "broken.png", tmp_path / "gone.png"
    shutil.copy(rows[0]["image"]["path"], broken)
    broken.write_bytes(broken.read_bytes()[:400])
    data = [
        toy.row(broken, [0]),
        rows[0],
        toy.row(gone, [1]),
        rows[1],
        toy.row(broken, [2], name="again"),
        {**rows[2], "box": [900.0, 900.0, 950.0, 950.0]},
    ]
    found, place = embedded(toy, data, net, batch_size=2)
    assert found.row[place].tolist() == [-1, 0, -1, 1, -1, -1]
    reasons = [found.unreadable.get(number) for number in place]
    assert "truncated" in reasons[0] and "cannot be read" in reasons[2]
    assert reasons[4] == reasons[0] and reasons[1] is reasons[3] is None
    assert "outside of the picture" in reasons[5]
    expected, _ = embedded(toy, rows[:2], net)
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-4, atol=1e-4)


def test_nothing_that_can_be_opened_is_no_vector(net, toy, tmp_path):
    found, place = embedded(toy, [toy.row(tmp_path / "gone.png", [0])], net)
    assert len(found.features) == 0 and found.row[place].tolist() == [-1]
