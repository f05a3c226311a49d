import math
import random
from collections import Counter

import pytest

from emotionnet_hf.loading.release import Rejected, ReleaseError, ReleaseNotFoundError
from emotionnet_hf.loading.se30k8_rows import (
    CLASSES,
    SE30K8Release,
    evaluation_splits,
    majority_label,
    text_splits,
)

JOYFUL = [["happiness"], ["happiness"], ["happiness", "neutral"], ["neutral"], ["fear"]]


@pytest.fixture
def write(tmp_path, release_parts):
    """Write a release of the given rows and read it."""

    def write(rows, vocabulary=True, **options):
        if vocabulary:
            release_parts.write_vocabularies(tmp_path)
        release_parts.write_pickle(tmp_path / "annotations.pkl", rows)
        return SE30K8Release(tmp_path, **options)

    return write


def row(**changes):
    values = {
        "image_emotion": JOYFUL,
        "image_url": "https://x.example/1.jpg",
        "work_ids": ["A", "B", "C", "D", "E"],
        "tags": ["Tree", "joy", "candy  cane"],
        "emotion_tags": ["joy", "awe"],
        "keys": ["joy"],
        "re_path": "a/1.jpg",
    }
    return values | changes


def test_a_row(write):
    (found,) = write({1: row()}).rows()
    assert found.keywords == ["tree", "joy", "candy cane", "awe"]
    assert found.emotion_keywords == ["joy", "awe"]
    assert found.annotations == [[3], [3], [3, 4], [4], [2]]
    assert found.votes == [0, 0, 1 / 6, 3 / 6, 2 / 6, 0, 0, 0]
    assert (found.label, found.cid, found.url) == (3, 1, "https://x.example/1.jpg")


def test_worker_ids_are_nowhere(write):
    (found,) = write({1: row(work_ids=["SECRET"] * 5)}).rows()
    assert "SECRET" not in repr(found)


def test_votes_equal_a_naive_count(write):
    chance = random.Random(0)
    annotations = {
        cid: [chance.sample(CLASSES, chance.randrange(0, 4)) for _ in range(5)]
        for cid in range(200)
    }
    rows = write({cid: row(image_emotion=value) for cid, value in annotations.items()}).rows()
    for found in rows:
        value = annotations[found.row]
        counts = Counter(name for worker in value for name in worker)
        if not counts:
            assert "no vote" in found.reason
            continue
        assert found.votes == [counts[name] / counts.total() for name in CLASSES]
        assert math.isclose(sum(found.votes), 1)
        name, most = counts.most_common(1)[0]
        assert found.label == (CLASSES.index(name) if most >= 3 else -1)


def test_a_class_counts_once_a_worker(write):
    (found,) = write({1: row(image_emotion=[["joy"] and ["fear"] * 3, *[[]] * 4])}).rows()
    assert (found.annotations[0], found.label) == ([2], -1)


def test_of_two_majorities_the_first_met_counts():
    assert majority_label([[4, 2], [2, 4], [4, 2], [], []]) == 4
    assert majority_label([[2, 4], [2, 4], [4, 2], [], []]) == 2
    assert majority_label([[1], [1], [2], [2], [3]]) == -1


BAD = [
    ("x", row(), "no stock id"),
    ("1_2", row(), "no stock id"),
    (5, [1, 2], "row of the wrong shape"),
    (5, row(image_emotion="fear"), "image_emotion of the wrong type"),
    (5, row(image_emotion=["fear"] * 5), "image_emotion of the wrong type"),
    (5, row(image_emotion=None), "image_emotion of the wrong type"),
    (5, row(image_emotion=JOYFUL[:4]), "wrong number of workers: 4 instead of 5"),
    (5, row(image_emotion=[*JOYFUL, ["fear"]]), "wrong number of workers: 6 instead of 5"),
    (5, row(image_emotion=[["joy"]] * 5), "unknown class: joy"),
    (5, row(image_emotion=[[3]] * 5), "unknown class: 3"),
    (5, row(image_emotion=[[]] * 5), "no vote"),
    (5, row(tags="joy, sea"), "tags of the wrong type: joy, sea, not a list"),
    (5, row(tags=None), "tags of the wrong type"),
    (5, row(tags=["joy", 3]), "keywords of the wrong type"),
    (5, row(emotion_tags=3), "emotion_tags of the wrong type"),
    ("1.jpg", row(), "stock id given before: 1"),
]


@pytest.mark.parametrize(("key", "value", "reason"), BAD)
def test_bad_rows_are_told_and_the_others_stay(write, key, value, reason):
    first, bad, last = write({1: row(), key: value, 7: row()}).rows()
    assert (first.cid, last.cid) == (1, 7)
    assert isinstance(bad, Rejected)
    assert bad.reason.startswith(reason)
    assert bad.reason.endswith("(annotations.pkl)")
    assert bad.row == 1


def test_any_number_of_workers_on_demand(write):
    rows = {1: row(image_emotion=JOYFUL[:4]), 2: row(image_emotion=[*JOYFUL, ["fear"]])}
    four, six = write(rows, workers=None).rows()
    assert (len(four.annotations), len(six.annotations)) == (4, 6)


def test_text_and_integer_ids_are_one_kind(write):
    assert [found.cid for found in write({"3": row(), 4: row(), "a/5.jpg": row()}).rows()] == [
        3,
        4,
        5,
    ]


def test_emotions_are_numbered_here_where_the_release_has_no_vocabulary(write):
    release = write({1: row(), 2: row(emotion_tags=["Fear"]), 3: 5}, vocabulary=False)
    assert release.emotions == ("awe", "fear", "joy")
    assert next(release.rows()).emotion_keywords == ["joy", "awe"]


def test_path_that_leads_out_is_no_path_and_bad_unicode_harms_nobody(write):
    strange = row(re_path="../secret.jpg", image_url="https://x.example/\ud800.jpg")
    first, second = write({1: strange, 2: row(re_path="a/\ud800.jpg")}).rows()
    assert (first.relative_path, second.relative_path) == ("", "")
    assert first.url == "https://x.example/?.jpg"


def test_bad_emotion_tag_costs_its_row_where_emotions_are_numbered_here(write):
    release = write({1: row(), 2: row(emotion_tags=["\ud800"])}, vocabulary=False)
    good, bad = release.rows()
    assert good.cid == 1
    assert "not valid Unicode" in bad.reason


def test_folder_without_or_with_two_annotations_is_refused(tmp_path, write, release_parts):
    with pytest.raises(ReleaseNotFoundError, match="no SE30K8 annotations"):
        SE30K8Release(tmp_path)
    write({1: row()})
    release_parts.write_pickle(tmp_path / "more.pkl", {2: row()})
    with pytest.raises(ReleaseError, match=r"annotations\.pkl and more\.pkl"):
        SE30K8Release(tmp_path)


def test_evaluation_split_is_22_3_5_and_depends_on_ids_and_seed_alone():
    labels = {cid: (-1 if cid % 11 == 0 else cid % 8) for cid in range(33_000)}
    splits = evaluation_splits(labels)
    counts = Counter(splits.values())
    assert counts == {"train": 22_000, "validation": 3_000, "test": 5_000, "no_majority": 3_000}
    backwards = dict(reversed(labels.items()))
    assert evaluation_splits({cid: min(label, 0) for cid, label in backwards.items()}) == splits
    assert evaluation_splits(labels, seed=1) != splits
    assert all((splits[cid] == "no_majority") == (label < 0) for cid, label in labels.items())


def test_text_split_is_the_published_codes():
    cids = [50, 3, 99, 7, 12, 8, 21, 40, 33, 2, 1, 60, 61, 62, 63, 64, 65, 66, 67, 68]
    random.seed(0)
    shuffled = list(cids)
    random.shuffle(shuffled)
    splits = text_splits(cids)
    assert {cid for cid in cids if splits[cid] == "test"} == set(shuffled[:2])
    assert Counter(splits.values()) == {"train": 18, "test": 2}
