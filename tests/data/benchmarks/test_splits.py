import hashlib
import random

import numpy as np
import pytest

from emotionnet_hf.data.benchmarks.rows import Rows
from emotionnet_hf.data.benchmarks.splits import draw

SIZES = (1, 7, 75, 400)


def rows(sizes=SIZES, name="{label}/{number}.jpg"):
    made = [
        (name.format(label=k, number=n), k) for k, size in enumerate(sizes) for n in range(size)
    ]
    random.Random(5).shuffle(made)
    return Rows([path for path, _ in made], np.array([label for _, label in made]))


@pytest.mark.parametrize("share", [0, 0.05, 0.2, 0.5, 1])
def test_each_class_has_its_share_to_the_row(share):
    drawn, rest = draw(rows(), share, seed=3)
    assert sorted([*drawn.paths, *rest.paths]) == sorted(rows().paths)
    counts = np.bincount(drawn.labels, minlength=len(SIZES))
    assert (np.abs(counts - share * np.array(SIZES)) <= 0.5).all()


def test_no_class_gives_more_than_the_most():
    drawn, _ = draw(rows(), 0.5, most=30)
    assert np.bincount(drawn.labels, minlength=4).tolist()[1:] == [3, 30, 30]


def test_order_of_the_rows_says_nothing_and_the_seed_does():
    shuffled = rows()
    order = np.random.default_rng(0).permutation(len(shuffled))
    first = draw(shuffled, 0.2, seed=1)[0]
    assert set(draw(shuffled.take(order), 0.2, seed=1)[0].paths) == set(first.paths)
    assert set(draw(shuffled, 0.2, seed=2)[0].paths) != set(first.paths)


def test_drawn_are_the_first_of_each_class_by_hash():
    def rank(path):
        return hashlib.blake2b(f"7\0{path}".encode(), digest_size=8).digest()

    expected = []
    for label, size in ((0, 10), (1, 45)):
        of_class = sorted((f"{label}/{number}.jpg" for number in range(size)), key=rank)
        expected += of_class[: size // 5]
    assert sorted(draw(rows((10, 45)), 0.2, seed=7)[0].paths) == sorted(expected)


def test_a_picture_that_goes_moves_hardly_any_other():
    before = rows()
    after = before.take(np.arange(1, len(before)))
    moved = set(draw(before, 0.2)[0].paths) ^ set(draw(after, 0.2)[0].paths)
    assert len(moved - {before.paths[0]}) <= 1


def test_groups_are_never_divided_even_across_classes():
    chance = random.Random(0)
    paths = [f"{chance.randrange(60)}.jpg" for _ in range(300)]
    many = Rows(paths, np.array([chance.randrange(3) for _ in paths]))
    drawn, rest = draw(many, 0.2)
    assert not set(drawn.paths) & set(rest.paths)
    wanted = 0.2 * np.bincount(many.labels)
    assert (np.abs(np.bincount(drawn.labels, minlength=3) - wanted) <= 3).all()


def test_nothing_is_drawn_of_nothing():
    drawn, rest = draw(Rows([], np.zeros(0, np.int64)), 0.2)
    assert len(drawn) == len(rest) == 0
