import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from emotionnet_hf.evaluation.linear_probe.fast import (
    SoftmaxRegression,
    balancing_weights,
    fit_path,
)


def data(rows=300, dim=12, classes=4, seed=0):
    chance = np.random.default_rng(seed)
    label = chance.integers(classes, size=rows)
    means = chance.normal(size=(classes, dim))
    features = (means[label] + chance.normal(size=(rows, dim))) * chance.uniform(0.1, 5, dim) + 3
    return torch.from_numpy(features.astype(np.float32)), label


def standardised(features):
    x = features.double().numpy()
    return (x - x.mean(axis=0)) / x.std(axis=0)


@pytest.mark.parametrize("strength", [1e-3, 1e-1])
@pytest.mark.parametrize("balanced", [False, True])
def test_hard_labels_give_scikit_learns_solution(strength, balanced):
    features, label = data()
    keep = np.random.default_rng(1).permutation(300)[:250]
    label = np.where(label == 3, np.where(np.arange(300) % 4 == 0, 3, 0), label)
    weights = balancing_weights(label[keep]) if balanced else None
    targets = np.eye(4, dtype=np.float32)[label]
    problem = SoftmaxRegression(features, keep, targets[keep], weights)
    head = problem.head(problem.fit(strength))
    model = LogisticRegression(
        C=1 / (strength * len(keep)),
        tol=1e-8,
        max_iter=5000,
        class_weight="balanced" if balanced else None,
    )
    x = standardised(features[torch.from_numpy(keep)])
    expected = model.fit(x, label[keep]).predict_proba(x)
    np.testing.assert_allclose(head.scores(features, keep), expected, atol=2e-4)


def test_soft_targets_are_hard_ones_in_their_proportions():
    features, label = data(rows=120)
    other = (label + 1) % 4
    soft = 0.75 * np.eye(4, dtype=np.float32)[label] + 0.25 * np.eye(4, dtype=np.float32)[other]
    rows = np.arange(120)
    problem = SoftmaxRegression(features, rows, soft)
    # Each row three times with its class and once with the other.
    model = LogisticRegression(C=1 / (0.01 * 480), tol=1e-8, max_iter=5000)
    x = standardised(features)
    model.fit(np.tile(x, (4, 1)), np.concatenate([label, label, label, other]))
    head = problem.head(problem.fit(0.01))
    np.testing.assert_allclose(head.scores(features), model.predict_proba(x), atol=2e-4)


def test_gradient_is_autograds():
    features, _ = data(rows=50)
    weights = np.random.default_rng(2).uniform(0.5, 2, 50)
    targets = np.random.default_rng(3).dirichlet(np.ones(4), 50).astype(np.float32)
    problem = SoftmaxRegression(features, np.arange(50), targets, weights)
    values = np.random.default_rng(4).normal(size=4 * 13)
    loss, gradient = problem._objective(values, 0.3)
    free = torch.tensor(values, requires_grad=True)
    by_class = free.view(4, 13)
    x = torch.from_numpy(standardised(features))
    logits = x @ by_class[:, :-1].T + by_class[:, -1]
    shares = torch.from_numpy(weights / weights.sum())
    cross = -(torch.from_numpy(targets) * logits.log_softmax(1)).sum(dim=1)
    expected = (shares * cross).sum() + 0.15 * by_class[:, :-1].square().sum()
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-6)
    np.testing.assert_allclose(gradient, free.grad.numpy(), atol=1e-6)


def test_a_feature_that_never_changes_does_no_harm():
    features, label = data(rows=60)
    features[:, 3] = 7.0
    problem = SoftmaxRegression(features, np.arange(60), np.eye(4, dtype=np.float32)[label])
    assert np.isfinite(problem.head(problem.fit(0.01)).scores(features)).all()


def test_a_path_ends_where_single_fits_do():
    features, label = data()
    problem = SoftmaxRegression(features, np.arange(300), np.eye(4, dtype=np.float32)[label])
    path = list(fit_path(problem, (1e-3, 1.0, 1e-1)))
    assert [strength for strength, _ in path] == [1.0, 1e-1, 1e-3]
    for strength, head in path:
        alone = problem.head(problem.fit(strength))
        np.testing.assert_allclose(head.scores(features), alone.scores(features), atol=1e-3)


def test_balancing_weights():
    weights = balancing_weights(np.array([0, 0, 0, 2, -1]))
    np.testing.assert_allclose(weights, [4 / 6, 4 / 6, 4 / 6, 2, 0])
