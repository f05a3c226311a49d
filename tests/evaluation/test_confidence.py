import math

import numpy as np
import pytest

from emotionnet_hf.evaluation.confidence import bootstrap_interval


def mean(values):
    return float(values.mean())


def test_interval_of_a_mean_is_that_of_the_normal_approximation():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = bootstrap_interval(mean, [values], np.arange(400), samples=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_equals_a_naive_loop_over_the_same_draws():
    generator = np.random.default_rng(7)
    values, groups = generator.random(30), generator.integers(0, 9, 30)
    low, high = bootstrap_interval(mean, [values], groups, samples=50, seed=3, level=0.8)
    draws, names, numbers = np.random.default_rng(3), sorted(set(groups.tolist())), []
    for _ in range(50):
        picked = []
        for place in draws.integers(len(names), size=len(names)):
            picked += [v for v, g in zip(values, groups, strict=True) if g == names[place]]
        numbers.append(np.mean(picked))
    assert (low, high) == pytest.approx(tuple(np.quantile(numbers, [0.1, 0.9])), abs=1e-12)


def test_rows_of_a_group_come_together():
    """Ten copies of each picture say no more than one: a row-wise bootstrap would narrow by 3."""
    values = np.random.default_rng(2).random(50)
    single = bootstrap_interval(mean, [values], range(50))
    copies = bootstrap_interval(mean, [np.repeat(values, 10)], np.repeat(np.arange(50), 10))
    apart = bootstrap_interval(mean, [np.repeat(values, 10)], range(500))
    assert copies == pytest.approx(single, abs=1e-12)
    assert apart[1] - apart[0] < 0.5 * (single[1] - single[0])


def test_arrays_are_resampled_together():
    rows = np.arange(40)
    statistic = lambda a, b: float((a != b[:, 0]).sum())  # noqa: E731
    assert bootstrap_interval(statistic, [rows, np.stack([rows, rows], 1)], rows) == (0, 0)


def test_repeats_with_the_seed_and_changes_with_another():
    values, groups = np.random.default_rng(0).random(20), [f"picture {i % 7}" for i in range(20)]
    first = bootstrap_interval(mean, [values], groups)
    assert first == bootstrap_interval(mean, [values], groups)
    assert first != bootstrap_interval(mean, [values], groups, seed=1)


def test_a_wider_level_is_a_wider_interval():
    values = np.random.default_rng(0).random(20)
    narrow = bootstrap_interval(mean, [values], range(20), level=0.5)
    wide = bootstrap_interval(mean, [values], range(20), level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_undefined_resamples_are_left_out():
    defined = lambda values: float("nan") if values.max() < 1 else 1.0  # noqa: E731
    values = np.array([0.0, 0.0, 1.0])
    assert bootstrap_interval(defined, [values], range(3)) == (1, 1)
    low, high = bootstrap_interval(defined, [np.zeros(3)], range(3))
    assert math.isnan(low) and math.isnan(high)


@pytest.mark.parametrize(
    ("arrays", "groups"), [([], [1, 2]), ([np.ones(3)], [1, 2]), ([np.ones(0)], [])]
)
def test_arrays_and_groups_of_other_lengths_are_refused(arrays, groups):
    with pytest.raises(ValueError, match="a group for every row"):
        bootstrap_interval(mean, arrays, groups)


@pytest.mark.parametrize("options", [{"samples": 0}, {"level": 0}, {"level": 1.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="at least one sample"):
        bootstrap_interval(mean, [np.ones(2)], [0, 1], **options)
