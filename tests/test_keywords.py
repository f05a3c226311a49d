import json
import pickle

import pytest

from emotionnet_hf.keywords import (
    Vocabulary,
    VocabularyError,
    normalize_keyword,
)
from emotionnet_hf.loading.safe_pickle import UnsafePickleError


def test_vocabulary_numbers_its_names():
    vocabulary = Vocabulary(["Joy", "fear", "candy cane"])
    assert vocabulary.names == tuple(vocabulary) == ("joy", "fear", "candy cane")
    assert len(vocabulary) == 3
    assert [vocabulary[name] for name in vocabulary] == [0, 1, 2]
    assert [vocabulary.name(index) for index in range(3)] == list(vocabulary)
    assert "fear" in vocabulary
    assert "tree" not in vocabulary
    assert vocabulary.encode(["tree", "fear", "joy", "fear"]) == [1, 0]
    assert vocabulary == Vocabulary(["joy", "FEAR", "candy  cane"])
    assert vocabulary != Vocabulary(["fear", "joy", "candy cane"])
    assert len({vocabulary, Vocabulary(vocabulary)}) == 1
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary


def test_vocabulary_look_ups_that_fail_say_so():
    vocabulary = Vocabulary(["joy"])
    with pytest.raises(KeyError, match="tree"):
        vocabulary["tree"]
    for index in (-1, 1):
        with pytest.raises(IndexError, match="no id"):
            vocabulary.name(index)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "at least one"),
        (["joy", " "], "empty"),
        (["joy", "JOY"], "more than once: joy"),
        (["joy, fear"], "comma"),
        (["joy", 3], "not a string"),
        (["\ud83d"], "Unicode"),
    ],
)
def test_bad_names_are_refused(names, message):
    with pytest.raises(VocabularyError, match=message):
        Vocabulary(names)


def test_saved_vocabulary_comes_back(tmp_path):
    vocabulary = Vocabulary(["joy", "caf\u00e9", "candy cane"])
    vocabulary.save(tmp_path / "names.json")
    assert Vocabulary.from_file(tmp_path / "names.json") == vocabulary
    assert [path.name for path in tmp_path.iterdir()] == ["names.json"]


@pytest.mark.parametrize(
    "content",
    [
        "# emotions\n\nJoy\n  fear \n",
        "\ufeffjoy\r\nfear\r\n",
        '["joy", "fear"]',
        '{"fear": 1, "joy": 0}',
        '{"key2idx": {"joy": 0, "fear": 1}, "idx2key": {"0": "joy", "1": "fear"}}',
        pickle.dumps({"key2idx": {"joy": 0, "fear": 1}, "idx2key": {0: "joy", 1: "fear"}}),
        pickle.dumps({"tag2idx": {"joy": 0, "fear": 1}}, protocol=2),
        pickle.dumps(["joy", "fear"]),
    ],
)
def test_vocabulary_files_are_told_by_content(tmp_path, content):
    path = tmp_path / "vocabulary.dat"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert Vocabulary.from_file(path).names == ("joy", "fear")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "at least one"),
        (b"# nothing\n", "at least one"),
        (b"joy\nJoy\n", "more than once"),
        (b"[1, 2]", "not a string"),
        (b'["joy"', "JSON does not parse"),
        (b'{"joy": 0, "fear": 2}', "etag2idx"),
        (b'{"joy": 0, "fear": 0}', "not 0"),
        (b'{"joy": "0"}', "whole numbers"),
        (b'{"joy": true}', "whole numbers"),
        (b"\xff\xfe\x00", "neither UTF-8"),
        (pickle.dumps(3), "not names"),
        (pickle.dumps({0: 0}), "not a string"),
    ],
)
def test_bad_vocabulary_files_are_named(tmp_path, content, message):
    path = tmp_path / "vocabulary.dat"
    path.write_bytes(content)
    with pytest.raises(VocabularyError, match=message) as caught:
        Vocabulary.from_file(path)
    assert str(path) in str(caught.value)


def test_hostile_vocabulary_is_refused(tmp_path):
    path = tmp_path / "etag2idx.pkl"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UnsafePickleError):
        Vocabulary.from_file(path)


def test_release_vocabularies_keep_their_ids(real_data):
    folder = real_data / "release_vocabulary"
    emotions = Vocabulary.from_file(folder / "etag2idx.pkl.keep")
    tags = Vocabulary.from_file(folder / "tag2idx.pkl.keep")
    assert (len(emotions), len(tags)) == (690, 36534)
    released = pickle.loads((folder / "etag2idx.pkl.keep").read_bytes())["key2idx"]
    assert {name: emotions[name] for name in emotions} == released
    released = pickle.loads((folder / "tag2idx.pkl.keep").read_bytes())["tag2idx"]
    assert [tags[normalize_keyword(name)] for name in released] == list(released.values())
    assert set(emotions) <= set(tags)
    with pytest.raises(VocabularyError, match="mapping"):
        Vocabulary.from_file(folder / "etag2tagidx.pkl.keep")


def test_vocabulary_is_json_that_others_read(tmp_path):
    Vocabulary(["joy", "fear"]).save(tmp_path / "v.json")
    assert json.loads((tmp_path / "v.json").read_text()) == ["joy", "fear"]
