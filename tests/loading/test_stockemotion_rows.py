import random

import pytest

from emotionnet_hf.loading.release import Rejected, ReleaseError, ReleaseNotFoundError
from emotionnet_hf.loading.safe_pickle import CorruptPickleError, UnsafePickleError
from emotionnet_hf.loading.stockemotion_rows import StockEmotionRelease, annotation_lists

AWE, CALM, FEAR, JOY = range(4)


@pytest.fixture
def write(tmp_path, release_parts):
    """Write a release of the given pickles and read the rows of one split."""
    release_parts.write_vocabularies(tmp_path)

    def write(split="train", **pickles):
        for name, content in pickles.items():
            release_parts.write_pickle(tmp_path / f"{name}.pkl", content)
        release = StockEmotionRelease(tmp_path)
        return list(release.rows(split, set())), release

    return write


def test_ids_become_the_keywords_that_they_stand_for(write):
    (row,), _ = write(train=[["a/12.jpg", [JOY, AWE], [4, 2, 0, 7, 1]]])
    assert row.keywords == ["candy cane", "awe", "malian", "joy", "san crist\u00f3bal"]
    assert (row.emotion_ids, row.keyword_ids) == ([AWE, JOY], [4, 2, 0, 7, 1])
    assert (row.row, row.cid, row.relative_path, row.url) == (0, 12, "a/12.jpg", None)


def test_emotion_that_the_keywords_lack_is_added_and_one_that_only_they_have_counts(write):
    (row,), _ = write(train=[["12.jpg", [JOY], [10, 6]]])
    assert row.keywords == ["tree", "fear", "joy"]
    assert row.emotion_ids == [FEAR, JOY]
    assert row.keyword_ids == [10, 6, 7]


@pytest.mark.parametrize("ids", [[4, 6], ["candy cane", "FEAR", "Candy  Cane", "rare, rarer"]])
@pytest.mark.parametrize("as_dict", [True, False])
def test_keyword_table_and_urls_by_id_or_path(write, ids, as_dict):
    table = [["12.jpg", ids], ["7", [3]], ["13.jpg", ids]]
    urls = [[12, "https://x.example/12"], ["9/9.jpg", "http://x.example/9"]]
    (row, other), release = write(
        val=[["a/12.jpg", [JOY]], ["b/9.jpg", [AWE]]],
        split="validation",
        tags=dict(map(tuple, table)) if as_dict else table,
        urls=dict(map(tuple, urls)) if as_dict else urls,
    )
    more = ["rare", "rarer"] if isinstance(ids[0], str) else []
    assert row.keywords == ["candy cane", "fear", *more, "joy"]
    assert (row.emotion_ids, row.keyword_ids) == ([FEAR, JOY], [4, 6, 7])
    assert row.url == "https://x.example/12"
    assert (other.keywords, other.url) == (["awe"], "http://x.example/9")
    assert release.problems() == []


def test_table_answers_for_every_id_whatever_their_order(write):
    cids = random.Random(0).sample(range(10**9), 300)
    rows, _ = write(
        train=[[f"{cid}.jpg", [JOY]] for cid in sorted(cids)],
        urls={cid: f"https://x.example/{cid}" for cid in cids},
    )
    assert all(row.url == f"https://x.example/{row.cid}" for row in rows)


def test_every_bad_row_is_told_and_the_good_ones_stay(write):
    good = ["1.jpg", [JOY], [7]]
    bad = {
        "row of the wrong shape": [5, [], ["2.jpg"], ["2.jpg", [0], [1], [2]], "2.jpg", None],
        "no file name": [["", [0]], [None, [0]], [7, [0]]],
        "file name leads out of the folder": [["../2.jpg", [0]]],
        "no stock id": [["picture.jpg", [0]], ["1_2.jpg", [0]]],
        "emotion ids of the wrong type": [["2.jpg", ["joy"]], ["2.jpg", 3], ["2.jpg", "01"]],
        "emotion id outside of the vocabulary": [["2.jpg", [4]], ["2.jpg", [0, -1]]],
        "keyword id outside of the vocabulary": [["2.jpg", [0], [12]]],
        "stock id given before": [["other/1.jpg", [0], [7]], ["01.jpg", [0]]],
    }
    rows, _ = write(train=[good, *(row for rows in bad.values() for row in rows)])
    assert rows[0].cid == 1
    assert all(isinstance(row, Rejected) for row in rows[1:])
    kinds = [row.reason.split(":")[0].split(" (")[0] for row in rows[1:]]
    assert kinds == [kind for kind, rows in bad.items() for _ in rows]
    assert [row.row for row in rows] == list(range(len(rows)))
    assert all("train.pkl" in row.reason for row in rows[1:])


def test_an_image_of_an_earlier_split_is_not_taken_again(write):
    _, release = write(train=[["1.jpg", [0]], ["2.jpg", [0]]], test=[["a/2.jpg", [0]]])
    seen: set[int] = set()
    assert [row.cid for row in release.rows("train", seen)] == [1, 2]
    (row,) = release.rows("test", seen)
    assert row.reason == "stock id given before: 2 (test.pkl)"


def test_table_entries_that_cannot_be_used_are_told(write):
    _, release = write(
        train=[["1.jpg", [0]]],
        table=[["1.jpg", ["sea"]], ["2.jpg", 5], ["x.jpg", ["sea"]], [1], ["3.jpg", "ftp://x"]],
        tags={4: [7, 99], 5: [7, "joy"], 6: ["joy", 7]},
    )
    assert [problem.row for problem in release.problems()] == [1, 2, 3, 4, 0, 1, 2]
    assert all(".pkl)" in problem.reason for problem in release.problems())


def test_long_and_foreign_keywords_pass(write):
    long, foreign = "x" * 10_000, "\u0441\u0447\u0430\u0441\u0442\u044c\u0435"
    (row,), _ = write(train=[["1.jpg", [0]]], tags={1: [long, foreign, "\U0001f600"]})
    assert row.keywords == [long, foreign, "\U0001f600", "awe"]


def test_mixed_ids_of_one_image_are_one(write):
    (row,), release = write(train=[["007.jpg", [0]]], tags={"7": ["sea"], 7: ["night"]})
    assert row.keywords == ["sea", "awe"]
    (problem,) = release.problems()
    assert problem.reason == "stock id given before: 7, the first entry counts (tags.pkl)"


def test_rows_that_only_a_hostile_hand_writes_are_told_like_others(write):
    deep: list = [0]
    for _ in range(100):
        deep = [deep]
    bad = [["2.jpg", [10**5000]], ["3.jpg", deep], deep, ["\ud800999.jpg", [0]], [10**5000, [0]]]
    rows, _ = write(train=[["1.jpg", [0]], *bad])
    assert [isinstance(row, Rejected) for row in rows] == [False] + [True] * 5
    for row in rows[1:]:
        assert len(row.file_name) <= 60
        f"{row.file_name} {row.reason}".encode()


def test_each_release_has_a_folder_of_its_own(write):
    with pytest.raises(ReleaseError, match="annotations of SE30K8; give each release"):
        write(train=[["1.jpg", [0]]], mturk={1: {"image_emotion": [["joy"]] * 5}})


def test_lists_are_told_by_their_names(release, tmp_path, release_parts):
    found = annotation_lists(release)
    assert list(found) == ["train", "validation", "test"]
    assert found["validation"].name == "CNNsplit_val.pkl"
    release_parts.write_pickle(tmp_path / "a_train.pkl", [])
    release_parts.write_pickle(tmp_path / "b_train.pkl.keep", [])
    with pytest.raises(ReleaseError, match=r"a_train\.pkl and b_train\.pkl\.keep"):
        annotation_lists(tmp_path)


def test_release_without_annotations_is_refused(write):
    with pytest.raises(ReleaseNotFoundError, match="no annotation list"):
        write(tags={1: ["joy"]})


def test_keyword_ids_need_their_vocabulary(tmp_path, write):
    for path in (tmp_path / "idx2name").glob("*tag*idx.pkl*"):
        if not path.name.startswith("etag2idx"):
            path.unlink()
    (with_ids, without), _ = write(train=[["1.jpg", [0], [7]], ["2.jpg", [0]]])
    assert "lacks tag2idx.pkl" in with_ids.reason
    assert without.keywords == ["awe"]


def test_hostile_and_truncated_lists_are_named(tmp_path, write):
    with pytest.raises(UnsafePickleError, match=r"train\.pkl"):
        write(train=[["1.jpg", [0]], {1, 2}])
    write(train=[["1.jpg", [0]]])
    path = tmp_path / "train.pkl"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CorruptPickleError, match=r"train\.pkl"):
        list(StockEmotionRelease(tmp_path).rows("train", set()))
