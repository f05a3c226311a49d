import json
from statistics import mean, median_low

import pytest

from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.describe.co_occurrence import CoOccurrence
from emotionnet_hf.data.describe.counting import tally_dataset
from emotionnet_hf.data.describe.statistics import emotion_frequency, make_statistics, per_image

ROWS = [
    {
        "keywords": ["joy", "tree"],
        "emotion_keywords": [3],
        "people": 1,
        "faces": 1,
        "annotations": [[0], [0], [0, 1], [2], [2]],
        "label": 0,
    },
    {
        "keywords": ["joy", "fear", "dog"],
        "emotion_keywords": [3, 2],
        "people": 2,
        "faces": 0,
        "annotations": [[1], [1], [1], [2]],
        "label": 1,
    },
    {
        "keywords": ["awe"],
        "emotion_keywords": [0],
        "people": 0,
        "faces": None,
        "annotations": [[0], [1], [2], [], []],
        "label": -1,
    },
    {
        "keywords": ["joy", "tree", "calm", "dog"],
        "emotion_keywords": [3, 1],
        "people": 0,
        "faces": 1,
        "annotations": [[0, 2], [0, 2], [0, 2], [0, 2], [0], [1]],
        "label": 0,
    },
]


@pytest.fixture(scope="module")
def tally(write_built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("statistics") / "out"
    splits = {"train": ROWS[:3], "test": ROWS[3:]}
    return tally_dataset(open_built(write_built(folder, splits)), progress=False)


@pytest.fixture(scope="module")
def statistics(tally):
    together = CoOccurrence.of(tally.emotions, tally.together, len(ROWS))
    return make_statistics("small", tally, together)


def test_splits_are_summed_up(statistics):
    assert statistics["images"] == 4
    train, test, everything = (statistics["splits"][name] for name in ("train", "test", "all"))
    assert (train["images"], test["images"], everything["images"]) == (3, 1, 4)
    assert train["keywords_per_image"] == {
        "mean": 2.0,
        "median": 2,
        "min": 1,
        "max": 3,
        "distribution": {"1": 1, "2": 1, "3": 1},
    }
    lengths = [len(row["emotion_keywords"]) for row in ROWS]
    assert everything["emotion_keywords_per_image"]["mean"] == mean(lengths)
    assert everything["emotion_keywords_per_image"]["median"] == median_low(lengths)


def test_keywords_are_ranked(tally, statistics):
    assert statistics["keywords"] == {
        "occurrences": 10,
        "distinct": 6,
        "used_once": 3,
        "top": {"joy": 3, "dog": 2, "tree": 2, "awe": 1, "calm": 1, "fear": 1},
    }
    assert list(statistics["keywords"]["top"]) == ["joy", "dog", "tree", "awe", "calm", "fear"]
    emotions = statistics["emotion_keywords"]
    assert emotions["never_used"] == ["never"]
    assert emotions["vocabulary_size"] == 5
    assert next(iter(emotions["frequency"].items())) == ("joy", 3)
    assert emotion_frequency(tally) == emotions["frequency"]


def test_people_and_faces_count_what_is_known(statistics):
    faces = statistics["faces"]
    assert (faces["known"], faces["unknown"]) == (3, 1)
    assert (faces["images_with_any"], faces["images_with_one"]) == (2, 2)
    assert faces["share_with_one"] == pytest.approx(2 / 3, abs=1e-6)
    people = statistics["people"]
    assert (people["images_with_any"], people["images_with_one"], people["max"]) == (2, 1, 2)


def test_agreement_counts_both_readings(statistics):
    agreement = statistics["agreement"]
    assert agreement["images"] == 4
    assert agreement["workers_per_image"] == {"4": 1, "5": 2, "6": 1}
    assert agreement["votes"] == {"anger": 9, "fear": 6, "joy": 8}
    # Three of one class on all but the third image; three of the same set on the second (fear)
    # and the fourth (anger and joy).
    assert agreement["share_with_a_class_chosen_by_three"] == 0.75
    assert agreement["share_with_the_same_classes_chosen_by_three"] == 0.5
    assert set(agreement["krippendorff_alpha"]) == {"anger", "fear", "joy"}
    alphas = agreement["krippendorff_alpha"].values()
    assert agreement["krippendorff_alpha_mean_of_classes"] == pytest.approx(mean(alphas), abs=2e-6)
    assert statistics["labels"] == {
        "images": {"anger": 2, "fear": 1, "joy": 0},
        "no_majority": 1,
        "share_with_majority": 0.75,
    }


def test_the_papers_numbers_stand_beside(statistics):
    paper = statistics["paper"]
    assert paper["keywords_per_image"] == 48.9
    assert paper["emotion_keywords_per_image"] == 7.04
    assert sum(paper["images_per_split"].values()) == pytest.approx(paper["images"], rel=0.01)
    assert set(statistics["versions"]) >= {"numpy", "scipy", "krippendorff", "emotionnet_hf"}


def test_all_of_it_is_json(statistics):
    assert json.loads(json.dumps(statistics, allow_nan=False)) == statistics


def test_parts_without_columns_are_left_out(write_built, tmp_path):
    rows = [{"keywords": ["a", "b"]}]
    built = open_built(write_built(tmp_path / "out", {"train": rows}))
    statistics = make_statistics("plain", tally_dataset(built, progress=False), None)
    assert set(statistics) == {"data_set", "images", "splits", "keywords", "paper", "versions"}
    assert per_image(tally_dataset(built, progress=False), "people") == {}


def test_nothing_at_all_gives_no_nan(write_built, tmp_path):
    empty = {"train": [{**ROWS[0], "annotations": [], "people": None}]}
    built = open_built(write_built(tmp_path / "out", empty))
    statistics = make_statistics("one", tally_dataset(built, progress=False), None)
    assert statistics["people"]["share_with_any"] is None
    assert statistics["agreement"]["krippendorff_alpha_pooled"] is None
    json.dumps(statistics, allow_nan=False)
