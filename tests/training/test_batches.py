import numpy as np
import pytest

from emotionnet_hf.training.arguments import RecipeError
from emotionnet_hf.training.batches import EpochBatches


def global_batches(num_processes: int, **options) -> list[list[int]]:
    """The rows of each step, over all processes and parts, sorted."""
    dealt = [
        list(EpochBatches(process=p, num_processes=num_processes, **options))
        for p in range(num_processes)
    ]
    parts = options.get("accumulation", 1)
    return [
        sorted(
            row
            for micro in dealt
            for part in micro[step * parts : (step + 1) * parts]
            for row in part.rows.tolist()
        )
        for step in range(len(dealt[0]) // parts)
    ]


@pytest.mark.parametrize("num_processes", [1, 2, 4])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_row_comes_at_most_once_an_epoch(num_processes, accumulation):
    batches = global_batches(
        num_processes, num_rows=53, batch_size=8, seed=3, accumulation=accumulation
    )
    rows = [row for batch in batches for row in batch]
    assert [len(batch) for batch in batches] == [8] * 6
    assert len(set(rows)) == 48
    assert set(rows) <= set(range(53))


@pytest.mark.parametrize("num_processes", [2, 4])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_any_number_of_processes_sees_the_same_batches(num_processes, accumulation):
    options = {"num_rows": 53, "batch_size": 8, "seed": 3, "epoch": 2}
    alone = global_batches(1, **options)
    assert global_batches(num_processes, accumulation=accumulation, **options) == alone


def test_processes_get_equal_shares():
    for process in range(4):
        batches = EpochBatches(
            num_rows=53, batch_size=8, accumulation=2, process=process, num_processes=4
        )
        assert [len(micro.rows) for micro in batches] == [1] * 12


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        a.epoch == b.epoch and (a.rows == b.rows).all() for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("first_step", [0, 1, 5, 6])
def test_a_resumed_epoch_is_the_tail_of_the_whole(first_step):
    options = {"num_rows": 53, "batch_size": 8, "accumulation": 2, "num_processes": 2}
    whole = list(EpochBatches(**options))
    tail = EpochBatches(first_step=first_step, **options)
    assert same(list(tail), whole[2 * first_step :])
    assert len(tail) == len(list(tail)) == 2 * (6 - first_step)


def test_the_order_depends_on_seed_and_epoch_alone():
    def rows(**options):
        batches = EpochBatches(num_rows=64, batch_size=8, **options)
        return np.concatenate([micro.rows for micro in batches]).tolist()

    assert rows(seed=1, epoch=2) == rows(seed=1, epoch=2)
    orders = [rows(seed=s, epoch=e) for s in range(3) for e in range(3)]
    assert len({tuple(order) for order in orders}) == 9


def test_the_random_state_of_others_is_not_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    list(EpochBatches(num_rows=10, batch_size=5))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_rows_left_over_in_one_epoch_come_in_another():
    seen = set()
    for epoch in range(20):
        for micro in EpochBatches(num_rows=11, batch_size=4, epoch=epoch):
            assert micro.epoch == epoch
            seen |= set(micro.rows.tolist())
    assert seen == set(range(11))


def test_a_batch_can_be_as_large_as_the_split():
    batches = EpochBatches(num_rows=8, batch_size=8)
    assert batches.steps == 1
    assert sorted(next(iter(batches)).rows.tolist()) == list(range(8))


def test_it_can_be_iterated_again():
    batches = EpochBatches(num_rows=20, batch_size=4)
    assert same(list(batches), list(batches))


def test_a_batch_that_does_not_divide_names_a_size_that_does():
    with pytest.raises(RecipeError, match=r"batch_size 10 .* 2 processes x 2 .* multiple of 4"):
        EpochBatches(num_rows=100, batch_size=10, accumulation=2, num_processes=2)


def test_fewer_rows_than_a_batch_are_refused():
    with pytest.raises(RecipeError, match=r"has 7 rows, fewer than one batch of 8"):
        EpochBatches(num_rows=7, batch_size=8)
