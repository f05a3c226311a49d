import random
import unicodedata

import numpy as np
import pytest

from emotionnet_hf.loading.normal_form import KeywordError, brief, normalize_keyword, parse_keywords


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


def doubled(times: int) -> list:
    value: list = [1]
    for _ in range(times):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\ud800", "?"),
        ("x" * 10_000, "x" * 57 + "..."),
        (10**5000, "a huge number"),
        ([10**5000], "[a huge number]"),
        ({"\u00fc": 1}, "{'\u00fc': 1}"),
        (doubled(60), "[[[...], [...]], [[...], [...]]]"),
    ],
    ids=["half a pair", "long", "huge", "huge inside", "accent", "shared"],
)
def test_texts_for_messages_are_short_and_soon_made(value, text):
    assert brief(value) == text


def test_deep_values_have_a_text_too():
    value: list = []
    for _ in range(100_000):
        value = [value]
    assert brief(value) == "[[[...]]]"
    while value:  # taken apart by hand, for Python's own way is recursive
        value = value[0]


@pytest.mark.parametrize(
    "text",
    [
        '["candy cane", "it\'s", "joy"]',
        "['candy cane', \"it's\", 'joy']",
        "('candy cane', \"it's\", 'joy')",
        "['candy cane' \"it's\" 'joy']",
        "['candy cane'\n \"it's\"\n 'joy']",
        "array(['candy cane', \"it's\", 'joy'], dtype=object)",
        "[candy cane, it's, joy]",
        "{candy cane,it's,joy}",
        " ['candy cane', 'it\\'s', 'joy',] ",
        """[u'candy cane', u"it's", u'joy']""",
        "candy cane; it's; joy",
        "candy cane, it's; joy",
    ],
)
def test_a_list_written_as_text_is_that_list(text):
    assert parse_keywords(text) == ["candy cane", "it's", "joy"]


@pytest.mark.parametrize(
    "text",
    [
        "['joy' 'fear' ... 'sky']",
        "[joy fear]",
        "['joy', None]",
        "['joy', nan]",
        "['joy''fear']",
        "['joy', fear]",
        "{'joy': 0.9}",
        "[b'joy', b'fear']",
        "[['joy', 'fear'], ['sky']]",
        "['joy', 'fear'], ['sky']",
        "[array(['joy', 'fear'], dtype=object)]",
        "Index(['joy', 'fear'])",
        '["joy", "fear"; sky',
        ["['joy', 'fear']"],
    ],
)
def test_a_list_that_cannot_be_told_is_refused(text):
    with pytest.raises(KeywordError, match="notation that is not known"):
        parse_keywords(text)


def test_a_text_in_brackets_need_not_be_a_list():
    assert parse_keywords("(c) joy, sky (blue)") == ["(c) joy", "sky (blue)"]
    assert parse_keywords("o'clock [clock's], 'joy'") == ["o'clock [clock's]", "joy"]
    assert parse_keywords("[sky], [sea]") == ["[sky]", "[sea]"]
    assert parse_keywords("{joy}") == ["{joy}"]
    assert parse_keywords("[]") == parse_keywords("") == []
    assert parse_keywords("rock &amp; roll, joy") == ["rock &amp; roll", "joy"]


def test_arrays_as_numpy_and_datasets_print_them():
    words = np.array(["fear", "it's", 'a "b"', "candy cane"] * 30)
    assert parse_keywords(str(words)) == ["fear", "it's", 'a "b', "candy cane"]
    assert parse_keywords(str(words.astype(object))) == parse_keywords(list(words))
    assert parse_keywords(repr(words[:4])) == parse_keywords(list(words))
