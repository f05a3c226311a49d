import numpy as np
import pytest
import torch
from torch import nn

from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments
from emotionnet_hf.evaluation.linear_probe.rows import Part
from emotionnet_hf.evaluation.linear_probe.sgd import HeadTraining, epoch_rows

N, D, K = 50, 6, 3
FEATURES = torch.from_numpy(np.random.default_rng(0).normal(size=(N, D)).astype(np.float32))
TARGET = np.random.default_rng(1).dirichlet(np.ones(K), N).astype(np.float32)


def part():
    label = TARGET.argmax(axis=1).astype(np.int64)
    names = np.arange(N).astype(str).astype(object)
    return Part(np.arange(N), TARGET, label, np.eye(K, dtype=bool)[label], names)


def batches(epoch, rows):
    return (FEATURES[torch.from_numpy(batch)] for batch in rows)


def training(quality=None, seed=0, checkpoint=None, batches=batches, **changes):
    values = {"protocol": "published", "epochs": 5, "batch_size": 8, "lr_drop_epochs": (2, 4)}
    arguments = LinearProbeArguments(**{**values, **changes}).resolved("Drawn")
    return HeadTraining(
        part(), batches, arguments, seed, quality, checkpoint=checkpoint, progress=False
    )


def test_equals_a_loop_written_by_hand():
    found = training(seed=3).run(D)
    torch.manual_seed(3)
    layer = nn.Linear(D, K)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    speed = [torch.zeros_like(weight), torch.zeros_like(bias)]
    for epoch, rate in enumerate((1e-3, 1e-3, 1e-4, 1e-4, 1e-5)):
        order = np.random.default_rng([3, epoch]).permutation(N)
        for start in range(0, N, 8):
            rows = order[start : start + 8]  # the last batch has two
            x, y = FEATURES[rows], torch.from_numpy(TARGET[rows])
            error = ((x @ weight.T + bias).softmax(dim=1) - y) / len(rows)
            for value, gradient, v in zip(
                (weight, bias), (error.T @ x, error.sum(dim=0)), speed, strict=True
            ):
                v.mul_(0.9).add_(gradient + 1e-5 * value)
                value.sub_(rate * v)
    torch.testing.assert_close(found.kept.weight, weight)
    torch.testing.assert_close(found.kept.bias, bias)


@pytest.mark.parametrize(
    ("values", "epoch"),
    [
        ((0.2, 0.5, 0.4, 0.5, 0.1), 2),  # the first of equal ones
        ((0.2, 0.1, 0.1, 0.1, 0.3), 5),
        ((np.nan, 0.0, 0.1, np.nan, 0.05), 3),
        ((np.nan,) * 5, 1),
    ],
)
def test_the_best_epoch_is_kept(values, epoch):
    heads, left = [], list(values)

    def quality(head):
        heads.append(head)
        return left.pop(0)

    found = training(quality).run(D)
    assert found.epoch == epoch and found.done == 5
    torch.testing.assert_close(found.kept.weight, heads[epoch - 1].weight, rtol=0, atol=0)
    np.testing.assert_array_equal(found.qualities, values)


def test_without_a_selection_the_last_epoch_is_kept():
    found = training().run(D)
    assert found.epoch == 5 and found.kept.weight is found.head.weight


def test_seeds_differ_and_repeat():
    one, again, two = (training(seed=seed).run(D).kept.weight for seed in (0, 0, 1))
    assert torch.equal(one, again) and not torch.equal(one, two)
    state = torch.random.get_rng_state()
    training().run(D)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("killed_in", [0, 1, 3])
def test_a_killed_training_ends_with_the_same_head(tmp_path, killed_in):
    qualities = [0.1, 0.4, 0.3, 0.2, 0.35]
    seen, dead = [], {killed_in}

    class Killed(Exception):
        pass

    def fragile(epoch, rows):
        seen.append(epoch)
        for number, features in enumerate(batches(epoch, rows)):
            if number == 3 and epoch in dead:
                raise Killed
            yield features

    def quality(head):
        return qualities[seen[-1]]

    path = tmp_path / "head.safetensors"
    with pytest.raises(Killed):
        training(quality, checkpoint=path, batches=fragile).run(D)
    dead.clear()
    found = training(quality, checkpoint=path, batches=fragile).run(D)
    assert seen == [*range(killed_in + 1), *range(killed_in, 5)]
    seen.clear()
    whole = training(quality, batches=fragile).run(D)
    assert found.epoch == whole.epoch == 2 and found.qualities == whole.qualities
    assert torch.equal(found.kept.weight, whole.kept.weight)
    assert torch.equal(found.head.bias, whole.head.bias)
    seen.clear()
    training(quality, checkpoint=path, batches=fragile).run(D)
    assert seen == []  # finished


def test_a_damaged_checkpoint_is_no_checkpoint(tmp_path):
    path = tmp_path / "head.safetensors"
    expected = training(checkpoint=path).run(D).kept.weight
    path.write_bytes(path.read_bytes()[:-30])
    assert torch.equal(training(checkpoint=path).run(D).kept.weight, expected)


def test_an_epoch_has_every_row_once():
    arguments = LinearProbeArguments(protocol="published").resolved("Drawn")
    labels = np.zeros(70, int)
    first, second = (epoch_rows(labels, arguments, 0, epoch) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(70)) and list(first) != list(second)


def test_balanced_epochs_draw_a_class_and_then_an_image():
    labels = np.repeat([0, 1, 2, -1], [20_000, 300, 7, 50])
    np.random.default_rng(5).shuffle(labels)
    arguments = LinearProbeArguments(protocol="published").resolved("AffectNet-7")
    rows = epoch_rows(labels, arguments, 0, 0)
    assert len(rows) == 30_000
    drawn = labels[rows]
    assert not (drawn == -1).any()
    # Binomial: the standard deviation of a class is 82.
    counts = np.bincount(drawn)
    assert (abs(counts - 10_000) < 4 * 82).all()
    # Within a class each image alike: about 1,429 of each of the seven, 33 of each of the 300.
    _, seen = np.unique(rows[drawn == 2], return_counts=True)
    assert len(seen) == 7 and (abs(seen - counts[2] / 7) < 4 * 35).all()
    _, seen = np.unique(rows[drawn == 1], return_counts=True)
    assert len(seen) == 300
    chi_square = ((seen - counts[1] / 300) ** 2 / (counts[1] / 300)).sum()
    assert 299 - 5 * 24.5 < chi_square < 299 + 5 * 24.5
    assert not np.array_equal(rows, epoch_rows(labels, arguments, 0, 1))
    assert not np.array_equal(rows, epoch_rows(labels, arguments, 1, 0))
    np.testing.assert_array_equal(rows, epoch_rows(labels, arguments, 0, 0))
