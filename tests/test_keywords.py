import json
import pickle
import random
import unicodedata

import numpy as np
import pytest

from emotionnet_hf.keywords import (
    KeywordError,
    Vocabulary,
    VocabularyError,
    normalize_keyword,
    parse_keywords,
)
from emotionnet_hf.safe_pickle import UnsafePickleError


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Candy  Cane", "candy cane"),
        ("\tcandy\u00a0cane\n", "candy cane"),
        ("candy_cane", "candy_cane"),
        ('"joy"', "joy"),
        ("\u201cjoy\u201d;", "joy"),
        ("' joy '", "joy"),
        ("o'clock", "o'clock"),
        ("d'", "d'"),
        ("rock 'n' roll", "rock 'n' roll"),
        ("\uff2a\uff4f\uff59", "joy"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ufb01re", "fire"),
        ("jo\u200by", "joy"),
        ("jo\x00y", "jo y"),
        ("STRASSE", "strasse"),
        ("Stra\u00dfe", "stra\u00dfe"),
        ("a.k.a.", "a.k.a."),
        ("100%", "100%"),
        ('  " " ', ""),
    ],
)
def test_normal_form(written, normal):
    assert normalize_keyword(written) == normal


def test_normal_form_is_its_own_normal_form():
    generator = random.Random(0)
    alphabet = "aB \u00a0\t\"',;\u0130\u0301\u03a3\u03c3\ufb01\uff21\u201c\u2019\u200b\u00df\u212a"
    for _ in range(5000):
        text = "".join(generator.choices(alphabet, k=generator.randint(0, 8)))
        once = normalize_keyword(text)
        assert normalize_keyword(once) == once, ascii(text)
        assert unicodedata.is_normalized("NFKC", once)
        again = parse_keywords(text)
        assert parse_keywords(again) == again
        assert parse_keywords(",".join(again)) == again


def test_normal_form_is_what_a_fast_tokenizer_does():
    tokenizers = pytest.importorskip("tokenizers")
    normalizers = tokenizers.normalizers
    fast = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Strip()])
    for text in (
        " Joy ",
        "\u039f\u0394\u039f\u03a3",
        "Stra\u00dfe",
        "\uff2a\uff4f\uff59",
        "\u00c9",
    ):
        assert fast.normalize_str(text) == normalize_keyword(text)


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(KeywordError, match="Unicode"):
        normalize_keyword("joy \ud83d")


def test_keywords_in_order_without_repetitions():
    expected = ["joy", "candy cane", "fear"]
    assert parse_keywords(" Joy,candy  cane,,JOY, fear,") == expected
    assert parse_keywords(["Joy", "candy cane", "", " ", "joy", "fear"]) == expected
    assert parse_keywords(("Joy, Candy Cane", "fear")) == expected
    assert parse_keywords(np.array(["Joy", "candy cane", "fear"])) == expected
    assert parse_keywords(np.array(["Joy", "candy cane", "fear"], dtype=object)) == expected
    assert parse_keywords("joy\uff0c fear") == ["joy", "fear"]
    assert parse_keywords("'joy', 'fear'") == ["joy", "fear"]
    assert parse_keywords("") == parse_keywords([]) == []


@pytest.mark.parametrize(
    "value",
    [None, 3, 2.5, b"joy", {"joy": 1}, {"joy"}, ["joy", 3], ["joy", None], [["joy"]], np.arange(3)],
)
def test_keywords_of_the_wrong_type_are_refused(value):
    with pytest.raises(KeywordError, match="wrong type"):
        parse_keywords(value)


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
