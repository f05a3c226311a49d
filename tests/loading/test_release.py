import pickle
import shutil

import pytest

from emotionnet_hf.loading.release import (
    ImageFinder,
    ReleaseError,
    ReleaseNotFoundError,
    RowError,
    inside,
    pair,
    read_vocabularies,
    stock_id,
    whole_numbers,
)
from emotionnet_hf.loading.safe_pickle import CorruptPickleError, UnsafePickleError


@pytest.fixture
def folder(release, tmp_path):
    shutil.copytree(release / "idx2name", tmp_path / "release" / "idx2name")
    return tmp_path / "release"


def tables(names, forward="tag2idx", backward="idx2tag"):
    ids = {name: index for index, name in enumerate(names)}
    return {forward: ids, backward: {index: name for name, index in ids.items()}}


def test_vocabularies_keep_the_releases_ids(release, release_parts):
    vocabularies = read_vocabularies(release)
    assert list(vocabularies.emotions) == release_parts.emotions
    assert list(vocabularies.tags) == release_parts.tags


def test_real_vocabularies_come_out_whole_with_their_own_ids(real_data):
    folder = real_data / "release_vocabulary"
    vocabularies = read_vocabularies(folder)
    assert (len(vocabularies.emotions), len(vocabularies.tags)) == (690, 36534)
    emotions = pickle.loads((folder / "etag2idx.pkl.keep").read_bytes())["key2idx"]
    tags = pickle.loads((folder / "tag2idx.pkl.keep").read_bytes())["tag2idx"]
    assert {name: i for i, name in enumerate(vocabularies.emotions)} == emotions
    assert {name: i for i, name in enumerate(vocabularies.tags)} == tags
    assert set(vocabularies.emotions) < set(vocabularies.tags)


def test_keywords_are_optional_and_emotions_are_not(folder):
    (folder / "idx2name" / "etag2tagidx.pkl.keep").unlink()
    (folder / "idx2name" / "tag2idx.pkl.keep").unlink()
    assert read_vocabularies(folder).tags == ()
    (folder / "idx2name" / "etag2idx.pkl.keep").unlink()
    with pytest.raises(ReleaseNotFoundError, match=r"no etag2idx\.pkl"):
        read_vocabularies(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("etag2idx", [1, 2], "does not hold the two tables"),
        ("etag2idx", {"key2idx": {"joy": 0}}, "does not hold the two tables"),
        ("etag2idx", {"key2idx": {"joy": "0"}, "idx2key": {}}, "not with an int"),
        ("etag2idx", {"key2idx": {"joy": True}, "idx2key": {1: "joy"}}, "not with an int"),
        ("etag2idx", {"key2idx": {"joy": 0}, "idx2key": {0: "fear"}}, "contradicts itself"),
        ("etag2idx", {"key2idx": {"a": 0}, "idx2key": {0: "a", 1: "b"}}, "has 2 entries"),
        ("etag2idx", {"key2idx": {"joy": 1}, "idx2key": {1: "joy"}}, r"not 0 \.\. 0"),
        ("etag2idx", {"key2idx": {}, "idx2key": {}}, r"not 0 \.\. -1"),
        ("etag2idx", tables(["Joy", "joy"], "key2idx", "idx2key"), "one keyword in normal form"),
        ("etag2idx", tables(["glee"], "key2idx", "idx2key"), "not of one release.*'glee'"),
        ("etag2tagidx", tables(["awe", "calm", "fear", "joy"]), "says otherwise of 'awe'"),
        ("etag2tagidx", {"tag2idx": {"awe": 2}, "idx2tag": {2: "awe"}}, "otherwise of 'calm'"),
    ],
)
def test_vocabulary_that_contradicts_is_named(folder, name, content, message):
    (folder / "idx2name" / f"{name}.pkl.keep").write_bytes(pickle.dumps(content))
    with pytest.raises(ReleaseError, match=message) as caught:
        read_vocabularies(folder)
    assert name in str(caught.value)


def test_vocabulary_given_twice_is_refused(folder):
    shutil.copy(folder / "idx2name" / "etag2idx.pkl.keep", folder / "etag2idx.pkl")
    with pytest.raises(ReleaseError, match="keep one of them"):
        read_vocabularies(folder)


def test_hostile_and_truncated_vocabularies_are_named_and_nothing_runs(folder, tmp_path):
    path = folder / "idx2name" / "etag2idx.pkl.keep"
    whole = path.read_bytes()
    path.write_bytes(b"cos\nsystem\n(S'touch %s'\ntR." % str(tmp_path / "ran").encode())
    with pytest.raises(UnsafePickleError, match="etag2idx"):
        read_vocabularies(folder)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(whole[:-20])
    with pytest.raises(CorruptPickleError, match="etag2idx"):
        read_vocabularies(folder)


@pytest.mark.parametrize("value", ["a.jpg", "1_2.jpg", "", None, 1.5, True, -1, 10**19, "9" * 19])
def test_what_holds_no_stock_id_is_refused(value):
    with pytest.raises(RowError, match="no stock id"):
        stock_id(value)


@pytest.mark.parametrize(
    "value",
    ["/etc/1.jpg", "../1.jpg", "a/../../1.jpg", "C:\\1.jpg", "..\\1.jpg", "\\\\host\\share\\1"],
)
def test_paths_that_lead_out_are_refused(value):
    with pytest.raises(RowError, match="leads out"):
        inside(value)


@pytest.mark.parametrize(
    "value", ["a.png", "./a.png", "x//../a.png", "./././a.png", "x\\..\\a.png"]
)
def test_names_of_one_file_are_one_name(value):
    assert inside(value) == "a.png"


def test_a_backslash_is_a_slash_unless_a_file_has_it(tmp_path):
    assert inside("x\\a.png", tmp_path) == "x/a.png"
    (tmp_path / "x\\a.png").touch()
    assert inside("x\\a.png", tmp_path) == "x\\a.png"


def test_an_absolute_path_is_good_inside_of_the_folder(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for place in ("real", "link"):
        assert inside(str(tmp_path / "real/x/a.png"), tmp_path / place) == "x/a.png"
        with pytest.raises(RowError, match="leads out"):
            inside(str(tmp_path / "real/../a.png"), tmp_path / place)
    with pytest.raises(RowError, match="leads out"):
        inside(f"{tmp_path}/real2/a.png", tmp_path / "real")


@pytest.mark.parametrize(
    ("value", "reason"),
    [("a\0", "zero byte"), ("\udcf1", "Unicode"), (".", "no file"), ("x/..", "no")],
)
def test_names_of_no_file_are_refused(value, reason):
    with pytest.raises(RowError, match=reason):
        inside(value)


def test_path_that_is_no_unicode_is_refused():
    with pytest.raises(RowError, match="not valid Unicode"):
        inside("a/\ud8001.jpg")


@pytest.mark.parametrize("value", ["", ".", None, 3, ["1.jpg"]])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(RowError, match="no file name"):
        inside(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("12", "wrong type"),
        (None, "wrong type"),
        ([1, "2"], "wrong type: one is 2"),
        ([True], "wrong type"),
        ([1.0], "wrong type"),
        ([0, 7], "outside of the vocabulary: 7 of 7"),
        ([-1], "outside of the vocabulary: -1"),
    ],
)
def test_bad_ids_are_refused(value, message):
    with pytest.raises(RowError, match=message):
        whole_numbers(value, 7, "emotion")


def test_ids_come_once_and_in_order():
    assert whole_numbers((3, 1, 3, 0), 7, "emotion") == [3, 1, 0]


def test_picture_is_found_in_three_places(tmp_path):
    finder = ImageFinder(tmp_path)
    with pytest.raises(RowError, match=r"^no such image file$"):
        finder.find("a/5.jpg", 5)
    with pytest.raises(RowError, match=r"^no such image file$"):
        finder.find("x" * 5000, 5)
    (tmp_path.parent / "secret.jpg").touch()
    with pytest.raises(RowError, match="leads out"):
        finder.find("../../secret.jpg", 5)
    for place in ("images/5.jpg", "a/5.jpg", "images/a/5.jpg"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
        assert finder.find("a/5.jpg", 5) == place


@pytest.mark.parametrize("item", [[1], (1, 2, 3), "ab", 5, None])
def test_what_is_no_pair_is_refused(item):
    with pytest.raises(RowError, match="wrong shape"):
        pair(item)
