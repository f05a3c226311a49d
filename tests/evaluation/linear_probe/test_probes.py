from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn
from torch.nn import functional as F

from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments
from emotionnet_hf.evaluation.linear_probe.fast import SoftmaxRegression
from emotionnet_hf.evaluation.linear_probe.features import FeatureExtractor, PictureFeatures
from emotionnet_hf.evaluation.linear_probe.probes import Probe
from emotionnet_hf.evaluation.linear_probe.published import (
    augmented,
    batch_norms,
    own_statistics,
    statistics,
)
from emotionnet_hf.evaluation.linear_probe.scoring import Scored
from emotionnet_hf.models.encoders import Encoder

DIM = 6


@pytest.fixture
def known(pooled, encoder):
    """A probe on features that are noise around the class, with some labels of validation wrong."""
    pool, parts = pooled
    chance = np.random.default_rng(0)
    labels = np.concatenate([parts[n].label for n in ("train", "validation", "test")])
    features = np.eye(DIM)[labels] * 0.7 + chance.normal(size=(len(pool), DIM))
    small = Encoder(**{**vars(encoder), "dims": {"features": DIM}})

    def make(checkpoints=None, **changes):
        return Probe(
            arguments=LinearProbeArguments(**changes).resolved("Drawn"),
            task="single-label",
            extractor=FeatureExtractor(small, progress=False),
            pool=pool,
            features=PictureFeatures(
                torch.from_numpy(features.astype(np.float32)), np.arange(len(pool)), {}
            ),
            checkpoints=checkpoints,
            progress=False,
        )

    return make, parts


def regression(probe, part, strength):
    problem = SoftmaxRegression(probe.features.features, part.place, part.target)
    return problem.head(problem.fit(strength))


STRENGTHS = (1e-4, 1e-2, 1.0, 100.0)


@pytest.mark.parametrize("select_on", ["validation", "test"])
def test_strength_is_chosen_where_asked(known, select_on):
    make, parts = known
    probe = make(strengths=STRENGTHS, select_on=select_on, refit=False)
    found = probe.run(parts, seed=0)
    on = parts[select_on]
    qualities = {
        s: -log_loss(
            on.label,
            regression(probe, parts["train"], s).scores(probe.features.features, on.place),
            labels=[0, 1, 2],
        )
        for s in STRENGTHS
    }
    tried = {float(s): q for s, q in found.qualities.items()}
    assert tried == pytest.approx({s: qualities[s] for s in tried}, abs=1e-3)
    assert list(tried) == sorted(STRENGTHS, reverse=True)[: len(tried)]
    assert found.choice == max(qualities, key=lambda s: qualities[s])
    head = regression(probe, parts["train"], found.choice)
    expected = head.scores(probe.features.features, parts["test"].place)
    np.testing.assert_allclose(found.scores, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("values", "tried", "choice"),
    [
        ((0.3, 0.3, 0.3, 0.5, 0.4, 0.4), 6, 1e-3),  # equal ones are not worse
        ((0.3, 0.5, 0.4, 0.4, 0.9, 0.9), 4, 10.0**-1),
        ((0.3, 0.5, 0.4, 0.5, 0.4, 0.6), 6, 1e-5),
    ],
)
def test_search_ends_when_two_in_a_row_are_worse(known, monkeypatch, values, tried, choice):
    make, parts = known
    left = list(values)
    monkeypatch.setattr(Probe, "_likelihood", lambda *_: left.pop(0))
    found = make(strengths=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0), refit=False).run(parts, 0)
    assert len(found.qualities) == tried and found.choice == pytest.approx(choice)


def test_an_epoch_that_diverged_is_worst(known):
    make, parts = known
    probe, validation = make(), parts["validation"]
    scores = np.full((len(validation), 3), np.nan)
    assert np.isnan(probe._quality(scores, validation))


def test_refit_takes_validation_too_and_keeps_the_choice(known):
    make, parts = known
    alone = make(strengths=STRENGTHS[:2], refit=False).run(parts, seed=0)
    probe = make(strengths=STRENGTHS[:2], refit=True)
    found = probe.run(parts, seed=0)
    assert (found.choice, found.qualities) == (alone.choice, alone.qualities)
    whole = parts["train"].plus(parts["validation"])
    expected = regression(probe, whole, found.choice).scores(
        probe.features.features, parts["test"].place
    )
    np.testing.assert_allclose(found.scores, expected, atol=1e-3)
    assert not np.allclose(found.scores, alone.scores, atol=1e-2)


def heads_by_epoch(probe, part, epochs, seed, batch_size, rate):
    """The heads of SGD on features that stay, written by hand."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer = nn.Linear(DIM, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=rate, momentum=0.9, weight_decay=1e-5)
    features = probe.features.features[torch.from_numpy(part.place)]
    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(part))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            loss = F.cross_entropy(layer(features[rows]), torch.from_numpy(part.target[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        yield lambda p: layer(probe.features.features[p.place]).softmax(1).detach().numpy()


@pytest.mark.parametrize("select_on", ["validation", "test", "last"])
@pytest.mark.parametrize("refit", [True, False])
def test_epoch_is_chosen_where_asked(known, select_on, refit):
    make, parts = known
    settings = {"epochs": 8, "batch_size": 5, "learning_rate": 0.05, "lr_drop_epochs": ()}
    probe = make(solver="sgd", select_on=select_on, refit=refit, **settings)
    found = probe.run(parts, seed=2)
    whole = parts["train"].plus(parts["validation"]) if refit else parts["train"]
    part = parts["train"] if select_on == "validation" else whole
    epoch = 8
    if select_on != "last":
        on = parts[select_on]
        heads = heads_by_epoch(probe, part, 8, 2, 5, 0.05)
        values = [Scored(head(on), on).metric("accuracy") for head in heads]
        assert list(found.qualities.values()) == pytest.approx(values)
        assert len(set(values)) > 1
        epoch = 1 + int(np.argmax(values))
    assert found.choice == epoch
    *_, last = heads_by_epoch(probe, whole, epoch, 2, 5, 0.05)
    np.testing.assert_allclose(found.scores, last(parts["test"]), atol=1e-5)


def test_balanced_training_selects_by_macro_recall(known):
    make, parts = known
    few = np.flatnonzero(parts["train"].label != 2)
    uneven = parts | {"train": parts["train"].take(np.append(few, [2]))}
    found = make(balanced=True, refit=False, strengths=(0.1,)).run(uneven, 0)
    validation = uneven["validation"]
    plain = make(balanced=False, refit=False, strengths=(0.1,)).run(uneven, 0)
    assert found.scores[:, 2].mean() > plain.scores[:, 2].mean()
    probe = make(balanced=True)
    scores = np.eye(3)[np.zeros(len(validation), int)]
    assert probe._quality(scores, validation) == pytest.approx(1 / 3)
    # Cross entropy with all classes counting alike: the rare one as much as the others.
    even = np.full((len(validation), 3), 1 / 3)
    rare = validation.take(np.append(np.flatnonzero(validation.label != 2), [2]))
    sure = np.where(rare.label[:, None] == 2, [0.01, 0.01, 0.98], [1 / 3, 1 / 3, 1 / 3])
    assert probe._likelihood(even, validation) == pytest.approx(-np.log(3))
    assert probe._likelihood(sure, rare) == pytest.approx((np.log(0.98) - 2 * np.log(3)) / 3)


def published(pooled, encoder, checkpoints=None, features=True, **changes):
    pool, parts = pooled
    settings = {"epochs": 2, "batch_size": 7, "refit": False} | changes
    extractor = FeatureExtractor(encoder, progress=False)
    arguments = LinearProbeArguments(protocol="published", **settings).resolved("Drawn")
    adapt = arguments.bn_mode == "adapt"
    places = np.unique(np.concatenate([parts["validation"].place, parts["test"].place]))
    known = None if adapt else extractor.run(pool, places)
    return Probe(arguments, "single-label", extractor, pool, known, checkpoints, progress=False)


@pytest.mark.parametrize("bn_mode", ["frozen", "adapt"])
def test_published_equals_a_loop_written_by_hand(pooled, encoder, bn_mode):
    pool, parts = pooled
    probe = published(pooled, encoder, bn_mode=bn_mode, select_on="last", learning_rate=0.01)
    before = statistics(encoder.model)
    found = probe.run(parts, seed=5)
    after = statistics(encoder.model)
    assert all(torch.equal(after[name], before[name]) for name in before)

    train, test, model = parts["train"], parts["test"], encoder.model
    torch.manual_seed(5)
    layer = nn.Linear(encoder.dims["features"], 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-5)
    for epoch in range(2):
        order = np.random.default_rng([5, epoch]).permutation(len(train))
        for start in range(0, len(order), 7):
            rows = order[start : start + 7]
            pixels = torch.stack(
                [
                    augmented(
                        *(encoder, pool.open(train.place[row])),
                        np.random.default_rng([5, epoch, row]),
                    )
                    for row in rows
                ]
            )
            for _, norm in batch_norms(model):
                norm.train(bn_mode == "adapt")
            with torch.no_grad():
                features = model(pixels)["features"]
            optimizer.zero_grad()
            F.cross_entropy(layer(features), torch.from_numpy(train.target[rows])).backward()
            optimizer.step()
    model.eval()
    features = encoder.encode([pool.open(place) for place in test.place])["features"]
    expected = layer(torch.from_numpy(features)).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(found.scores, expected, atol=2e-4)
    moved = statistics(model)
    assert all(torch.equal(moved[n], before[n]) for n in before) == (bn_mode == "frozen")


def test_adapted_statistics_are_those_of_the_chosen_epoch(pooled, encoder, monkeypatch):
    _, parts = pooled
    short = published(pooled, encoder, bn_mode="adapt", select_on="last", epochs=1)
    expected = short.run(parts, seed=0)
    probe = published(pooled, encoder, bn_mode="adapt", epochs=3)
    left = [0.5, 0.3, 0.2]
    monkeypatch.setattr(Probe, "_quality", lambda *_: left.pop(0))
    found = probe.run(parts, seed=0)
    assert found.choice == 1
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)


@pytest.mark.parametrize("bn_mode", ["frozen", "adapt"])
def test_training_goes_on_from_its_checkpoint(pooled, encoder, tmp_path, monkeypatch, bn_mode):
    pool, parts = pooled
    probe = published(pooled, encoder, tmp_path, bn_mode=bn_mode)
    whole = published(pooled, encoder, None, bn_mode=bn_mode).run(parts, seed=1)
    opened, own = [], type(pool).open
    limit = 24 + 10 + (9 if bn_mode == "adapt" else 0)  # in the second epoch

    def fragile(self, place):
        opened.append(place)
        if len(opened) == limit:
            raise KeyboardInterrupt
        return own(self, place)

    monkeypatch.setattr(type(pool), "open", fragile)
    with pytest.raises(KeyboardInterrupt):
        probe.run(parts, seed=1)
    assert len(list(tmp_path.glob("head-*.safetensors"))) == 1
    limit, before = 0, statistics(encoder.model)
    opened.clear()
    found = probe.run(parts, seed=1)
    assert found.choice == whole.choice and found.qualities == whole.qualities
    np.testing.assert_allclose(found.scores, whole.scores, atol=1e-6)
    opened.clear()
    again = probe.run(parts, seed=1)
    assert not [place for place in opened if place in set(parts["train"].place)]
    np.testing.assert_array_equal(again.scores, found.scores)
    after = statistics(encoder.model)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_checkpoints_of_other_trainings_are_other_files(pooled, encoder, tmp_path):
    _, parts = pooled
    probe = published(pooled, encoder, tmp_path)
    train, on = parts["train"], parts["validation"]

    def name(part=train, on=on, seed=0, **changes):
        return probe._checkpoint(replace(probe.arguments, **changes), part, on, seed)

    relabelled = train.take(np.arange(len(train)))
    relabelled.target[0] = 1 / 3
    others = [name(seed=1), name(epochs=7), name(on=None), name(on=parts["test"])]
    others += [name(train.take(np.arange(9))), name(relabelled), name(learning_rate=1.0)]
    assert len({name(), *others}) == 8
    assert name() == name(seeds=(5, 6)) == name(bootstrap_samples=7)
    assert replace(probe, checkpoints=None)._checkpoint(probe.arguments, train, on, 0) is None


def test_own_statistics_of_a_model_without_batch_norm_are_none():
    with own_statistics(nn.Linear(2, 2)):
        assert batch_norms(nn.Linear(2, 2)) == []
