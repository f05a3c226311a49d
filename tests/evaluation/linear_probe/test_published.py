import numpy as np
import pytest
import torch

from emotionnet_hf.data.transforms import augment
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeError
from emotionnet_hf.evaluation.linear_probe.published import (
    AugmentedBatches,
    augmented,
    batch_norms,
    own_statistics,
    restore_statistics,
    statistics,
)
from emotionnet_hf.models.encoders import Encoder

BATCHES = [np.array([3, 0, 7, 11, 2]), np.array([1, 5])]


def by_hand(encoder, pool, part, seed, epoch, rows):
    """One picture after the other, through the frozen trunk."""
    features = []
    for row in rows:
        pixels = augment(
            pool.open(part.place[row]), encoder.size[0], np.random.default_rng([seed, epoch, row])
        )
        mean, std = torch.tensor(encoder.mean), torch.tensor(encoder.std)
        values = (pixels.float().permute(1, 2, 0) / 255 - mean) / std
        with torch.no_grad():
            features.append(encoder.model(values.permute(2, 0, 1)[None])["features"][0])
    return torch.stack(features)


@pytest.mark.parametrize("workers", [1, 3])
def test_equals_one_picture_after_the_other(pooled, encoder, workers):
    pool, parts = pooled
    source = AugmentedBatches(encoder, pool, parts["train"], seed=4, num_workers=workers)
    found = list(source(2, BATCHES))
    for features, rows in zip(found, BATCHES, strict=True):
        expected = by_hand(encoder, pool, parts["train"], 4, 2, rows)
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    other = next(source(3, BATCHES))
    assert not torch.allclose(other, found[0], atol=1e-3)


def test_frozen_statistics_stay_to_the_bit(pooled, encoder):
    pool, parts = pooled
    before = {name: tensor.clone() for name, tensor in encoder.model.state_dict().items()}
    list(AugmentedBatches(encoder, pool, parts["train"], seed=0)(0, BATCHES))
    for name, tensor in encoder.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_adapting_moves_the_statistics_and_nothing_else(pooled, encoder):
    pool, parts = pooled
    before = {name: tensor.clone() for name, tensor in encoder.model.state_dict().items()}
    source = AugmentedBatches(encoder, pool, parts["train"], seed=0, adapt=True)
    features = list(source(0, BATCHES))
    names = set(statistics(encoder.model))
    assert len(names) == 3 * len(batch_norms(encoder.model)) > 0
    for name, tensor in encoder.model.state_dict().items():
        assert torch.equal(tensor, before[name]) != (name in names), name
    # Only while training pictures pass does BatchNorm look at the batch.
    assert not any(module.training for module in encoder.model.modules())
    with own_statistics(encoder.model):
        encoder.model.load_state_dict(before)
        frozen = list(AugmentedBatches(encoder, pool, parts["train"], seed=0)(0, BATCHES))
    assert not torch.allclose(features[0], frozen[0], atol=1e-3)


def test_adapting_equals_the_published_train_mode(pooled, encoder):
    """`model.train()` on a network without dropout, as the published code has it."""
    pool, parts = pooled
    source = AugmentedBatches(encoder, pool, parts["train"], seed=0, adapt=True)
    with own_statistics(encoder.model):
        found = list(source(0, BATCHES))
        after = statistics(encoder.model)
    encoder.model.train()
    with torch.no_grad():
        for features, rows in zip(found, BATCHES, strict=True):
            pixels = [
                augmented(
                    encoder, pool.open(parts["train"].place[r]), np.random.default_rng([0, 0, r])
                )
                for r in rows
            ]
            expected = encoder.model(torch.stack(pixels))["features"]
            torch.testing.assert_close(features, expected)
    for name, tensor in statistics(encoder.model).items():
        torch.testing.assert_close(tensor, after[name])


def test_statistics_come_back(pooled, encoder):
    pool, parts = pooled
    before = statistics(encoder.model)
    source = AugmentedBatches(encoder, pool, parts["train"], seed=0, adapt=True)
    with pytest.raises(KeyboardInterrupt), own_statistics(encoder.model):
        list(source(0, BATCHES))
        moved = statistics(encoder.model)
        raise KeyboardInterrupt
    now = statistics(encoder.model)
    assert all(torch.equal(now[name], before[name]) for name in before)
    restore_statistics(encoder.model, moved)
    assert all(torch.equal(t, moved[name]) for name, t in statistics(encoder.model).items())


def test_square_pictures_only(encoder, pooled):
    pool, _ = pooled
    wide = Encoder(**{**vars(encoder), "size": (160, 320)})
    with pytest.raises(LinearProbeError, match=r"takes pictures of \(160, 320\)"):
        augmented(wide, pool.open(0), np.random.default_rng(0))
