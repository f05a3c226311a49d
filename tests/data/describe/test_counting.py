from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from emotionnet_hf.data.built_folder import BuiltFolderError, open_built
from emotionnet_hf.data.describe.counting import Histogram, tally_dataset

EMOTIONS = ["awe", "calm", "fear", "joy", "never"]


def random_rows(seed: int, count: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        emotions = rng.permutation(4)[: rng.integers(0, 5)].tolist()
        others = [f"word {i}" for i in rng.permutation(9)[: rng.integers(0, 10)]]
        rows.append(
            {
                "keywords": [EMOTIONS[i] for i in emotions] + others,
                "emotion_keywords": emotions,
                "people": None if rng.random() < 0.2 else int(rng.integers(0, 4)),
                "faces": int(rng.integers(0, 3)),
                "annotations": [[int(rng.integers(3))] for _ in range(rng.integers(3, 7))],
                "label": int(rng.integers(-1, 3)),
            }
        )
    return rows


@pytest.fixture(scope="module")
def splits():
    return {"train": random_rows(0, 40), "test": random_rows(1, 11)}


@pytest.fixture(scope="module")
def tally(splits, write_built, tmp_path_factory):
    folder = write_built(tmp_path_factory.mktemp("counting") / "out", splits)
    return tally_dataset(open_built(folder), progress=False)


def test_every_count_is_the_one_by_hand(splits, tally):
    rows = [row for part in splits.values() for row in part]
    assert {name: split.images for name, split in tally.splits.items()} == {"train": 40, "test": 11}
    assert tally.keywords == Counter(word for row in rows for word in row["keywords"])
    for name, part in splits.items():
        numbers = tally.splits[name].numbers
        for column in ("keywords", "emotion_keywords"):
            assert numbers[column].counts == Counter(len(row[column]) for row in part)
        for column in ("people", "faces"):
            known = [row[column] for row in part if row[column] is not None]
            assert numbers[column].counts == Counter(known)
            assert numbers[column].unknown == len(part) - len(known)
    labels = Counter(row["label"] for row in rows)
    assert tally.labels.tolist() == [labels[0], labels[1], labels[2], labels[-1]]
    assert tally.classes == ["anger", "fear", "joy"]
    assert tally.votes.workers.tolist() == [len(row["annotations"]) for row in rows]


def test_co_occurrence_is_the_one_by_hand(splits, tally):
    wanted = np.zeros((5, 5), int)
    for row in (row for part in splits.values() for row in part):
        for a in row["emotion_keywords"]:
            for b in row["emotion_keywords"]:
                wanted[a, b] += 1
    assert (tally.together == wanted).all()
    assert tally.emotions == EMOTIONS


def test_columns_that_are_not_there_are_not_counted(write_built, tmp_path):
    folder = write_built(tmp_path / "out", {"train": [{"keywords": ["a"]}, {"keywords": None}]})
    tally = tally_dataset(open_built(folder), progress=False)
    assert tally.keywords == Counter(a=1)
    assert tally.splits["train"].numbers["keywords"].counts == Counter({1: 1, 0: 1})
    assert (tally.together, tally.votes, tally.labels, tally.emotions) == (None, None, None, [])


def test_id_given_twice_and_missing_values_count_once(write_built, tmp_path):
    rows = [
        {"keywords": ["joy", None], "emotion_keywords": [3, 3, 0]},
        {"keywords": None, "emotion_keywords": None},
    ]
    tally = tally_dataset(
        open_built(write_built(tmp_path / "out", {"train": rows})), progress=False
    )
    assert tally.together[3, 3] == 1
    assert tally.together[3, 0] == 1
    assert tally.keywords == Counter(joy=1)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("emotion_keywords", [5]),
        ("emotion_keywords", [-1]),
        ("annotations", [[3]]),
        ("label", 3),
        ("label", -2),
    ],
)
def test_id_without_a_name_names_the_file(write_built, tmp_path, column, value):
    rows = random_rows(0, 10)
    rows[8][column] = value
    folder = write_built(tmp_path / "out", {"train": rows})
    with pytest.raises(BuiltFolderError, match=r"train-00001-of-00002\.parquet"):
        tally_dataset(open_built(folder), progress=False)


def test_quantiles_and_mean_are_numpys():
    rng = np.random.default_rng(3)
    for size in (1, 2, 51, 100):
        values = rng.integers(0, 12, size)
        histogram = Histogram()
        for part in np.array_split(values, 3):
            histogram.add(pa.array(part))
        assert histogram.mean == pytest.approx(values.mean())
        for share in (0, 0.25, 0.5, 0.999, 1):
            wanted = np.quantile(values, share, method="inverted_cdf")
            assert histogram.quantile(share) == wanted
    assert (Histogram().mean, Histogram().quantile(0.5), Histogram().total) == (None, None, 0)


def test_a_huge_count_costs_no_memory():
    histogram = Histogram()
    histogram.add(pa.array([0, 2**31 - 1], pa.int32()))
    assert histogram.quantile(1) == 2**31 - 1
