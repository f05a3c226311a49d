"""How words that a model does not have are found by those that it has."""

import logging

import numpy as np
import pytest
import torch

from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.models import keyword_tokenizer
from emotionnet_hf.models.modeling_words import (
    KnownWords,
    UnknownCandidatesError,
    _bases,
    checked_candidates,
)

NAMES = [
    *("joy", "fear", "happy", "dog", "candy cane", "love", "sky", "sadness", "surprised", "hope"),
    *("haunted house", "café", "st. john's wort", "woman", "gentle", "excitement", "leaf", "hop"),
    *("new year", "year", "glass", "e-mail", "größe", "peace", "news", "photo", "mother's day"),
    *("the end", "dreadful", "boxes", "日本語", "u.s.a."),
]


@pytest.fixture(scope="module")
def words() -> KnownWords:
    return KnownWords(keyword_tokenizer(NAMES))


def found(words: KnownWords, text: str) -> list[str]:
    return list(words.look_up(text).keywords)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_known_is_taken_as_written(words, name):
    look = words.look_up(name.upper() if name != "größe" else name)
    assert (look.keywords, look.unknown, look.as_written) == ((name,), (), True)
    assert words.as_known(name) == name


LETTERS = {
    "JOY!": "joy",
    "joy...": "joy",
    "#joy": "joy",
    "(joy)": "joy",
    "joy?!": "joy",
    "Cafe": "café",
    "Caf\u00e9s": "café",
    "candy-cane": "candy cane",
    "candy_cane": "candy cane",
    "candy/cane": "candy cane",
    "st johns wort": "st. john's wort",
    "St. John\u2019s Wort": "st. john's wort",
    "email": "e-mail",
    "e mail": "e-mail",
    "grosse": "größe",
    "usa": "u.s.a.",
    "mothers day": "mother's day",
}


@pytest.mark.parametrize(("text", "name"), LETTERS.items())
def test_punctuation_case_and_accents_do_not_matter(words, text, name):
    look = words.look_up(text)
    assert look.keywords == (name,) and not look.unknown and not look.as_written
    assert words.as_known(text) == name


FORMS = {
    **{"dogs": "dog", "skies": "sky", "women": "woman", "leaves": "leaf", "glasses": "glass"},
    **{"loving": "love", "loved": "love", "loves": "love", "hoping": "hope", "hopping": "hop"},
    **{"happily": "happy", "happier": "happy", "happiest": "happy", "happiness": "happy"},
    **{"gently": "gentle", "lovingly": "love", "joyfully": "joy", "peaceful": "peace"},
    **{"candy canes": "candy cane", "haunted houses": "haunted house", "dog's": "dog"},
    # The vocabulary has the longer form,
    **{"sad": "sadness", "dread": "dreadful", "box": "boxes"},
    # or another one of the same word.
    **{"surprising": "surprised", "excited": "excitement", "dreading": "dreadful"},
}


@pytest.mark.parametrize(("text", "name"), FORMS.items())
def test_other_forms_of_a_word_are_found(words, text, name):
    assert found(words, text) == [name]
    assert found(words, text.title()) == [name]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "hopeless",
            "loveless",
            "unhappy",
            "new",
            "hopper",
            "doge",
            "jo",
            "s",
            "ing",
        ),
        *("zzz", "", "!!!", ",", "\u2665", "sadist", "e", "日本", "the", "of the"),
    ],
)
def test_other_words_are_not(words, text):
    look = words.look_up(text)
    assert not look.keywords and look.as_written
    assert words.as_known(text) == text


def test_the_best_form_comes_first():
    assert KnownWords(keyword_tokenizer(["but", "butt"])).look_up("butting").keywords == ("butt",)
    assert KnownWords(keyword_tokenizer(["car", "care"])).look_up("caring").keywords == ("care",)
    assert KnownWords(keyword_tokenizer(["hop", "hope"])).look_up("hopping").keywords == ("hop",)
    assert KnownWords(keyword_tokenizer(["dogs", "dog"])).look_up("dog's").keywords == ("dogs",)
    assert KnownWords(keyword_tokenizer(["scars", "scare"])).look_up("scar").keywords == ("scars",)
    # Of two that fit as well, the first of the vocabulary.
    assert KnownWords(keyword_tokenizer(["loved", "loving"])).look_up("love").keywords == ("loved",)


@pytest.mark.parametrize(
    ("word", "base"),
    [
        *(("cities", "city"), ("movies", "movie"), ("stopped", "stop"), ("walked", "walk")),
        *(("tried", "try"), ("dying", "die"), ("running", "run"), ("singing", "sing")),
        *(("making", "make"), ("visiting", "visit"), ("exciting", "excite"), ("falling", "fall")),
        *(("basically", "basic"), ("horribly", "horrible"), ("nicely", "nice"), ("boxes", "box")),
        *(("watches", "watch"), ("wishes", "wish"), ("heroes", "hero"), ("horses", "horse")),
        *(("knives", "knife"), ("amusement", "amuse"), ("darkness", "dark"), ("feet", "foot")),
        *(("loneliness", "lonely"), ("beautiful", "beauty"), ("children", "child")),
        *(("kissing", "kiss"), ("playing", "play"), ("scariest", "scary"), ("gifts", "gift")),
    ],
)
def test_an_ending_is_taken_away(word, base):
    assert base in _bases(word)


@pytest.mark.parametrize(
    "word",
    [
        *("king", "thing", "red", "bed", "seed", "agreed", "bus", "glass", "tennis", "fly", "news"),
        *("evening", "early", "witness", "pigment", "apartment", "curly", "string"),
        *("joy", "fear", "awe", "日本語", "", "50s!"),
    ],
)
def test_what_is_no_ending_stays(word):
    assert _bases(word) == []


PHRASES = {
    "happy dog": (["happy", "dog"], []),
    "Happy Dogs!": (["happy", "dog"], []),
    "happy zebra": (["happy"], ["zebra"]),
    "a photo of the happy dogs": (["photo", "happy", "dog"], []),
    "happy new year": (["happy", "new year"], []),
    "candy canes and love": (["candy cane", "love"], []),
    "loving candy-cane": (["love", "candy cane"], []),
    "the end of joy": (["the end", "joy"], []),
    "joy/fear": (["joy", "fear"], []),
    "dog dog": (["dog", "dog"], []),
    "zebra zzz": ([], ["zebra zzz"]),
    "not happy": ([], ["not happy"]),
    "a day without joy": ([], ["a day without joy"]),
    "isn't happy": ([], ["isn't happy"]),
}


@pytest.mark.parametrize(("text", "expected"), PHRASES.items())
def test_a_phrase_is_known_by_its_parts(words, text, expected):
    look = words.look_up(text)
    assert (list(look.keywords), list(look.unknown)) == expected


def test_words_that_say_nothing_are_left_out_of_a_phrase_but_are_words():
    words = KnownWords(keyword_tokenizer(["of", "the", "joy", "end"]))
    assert found(words, "the joys of endings") == ["joy", "end"]
    assert (found(words, "the"), found(words, "the, of")) == (["the"], ["the", "of"])


def test_each_keyword_of_a_list_is_looked_up(words):
    look = words.look_up("Joy, dogs, zzz, happy zebra, , fear")
    assert look.keywords == ("joy", "dog", "happy", "fear")
    assert look.unknown == ("zzz", "zebra")
    assert words.as_known("joy, dogs") == "joy, dog"
    assert words.as_known("joy, zzz") == "joy, zzz"
    assert found(words, "This is a photo of dogs.") == ["dog"]


def test_the_tokenizer_makes_of_the_text_what_was_found(words):
    tokenizer = keyword_tokenizer(NAMES)
    texts = [*LETTERS, *FORMS, *PHRASES, *NAMES, "joy, dogs, happy zebra"]
    for text in texts:
        ids = [i for i in tokenizer(words.as_known(text)).input_ids if i != tokenizer.unk_token_id]
        assert tokenizer.convert_ids_to_tokens(ids) == found(words, text), text


def test_a_keyword_without_a_vector_is_not_known():
    vectors = torch.ones(5, 3)
    vectors[[0, 1, 3]] = 0
    words = KnownWords(keyword_tokenizer(["dog", "dogs", "joy"]), vectors)
    assert list(words.names) == ["dog", "joy"]
    assert found(words, "dogs") == ["dog"]
    # A vocabulary that is longer than the table.
    assert list(KnownWords(keyword_tokenizer(["joy", "dog"]), vectors[:3] + 1).names) == ["joy"]


def test_special_tokens_are_no_words(words):
    assert not found(words, "[PAD]") and not found(words, "[UNK]") and not found(words, "pad")


def test_candidates_are_turned_into_known_keywords(words, caplog):
    with caplog.at_level(logging.WARNING, logger="emotionnet_hf.models.modeling_words"):
        texts = words.candidates(["joy", "dogs", "happy dogs", "candy-cane, fear"])
    assert texts == ["joy", "dog", "happy, dog", "candy cane, fear"]
    assert not caplog.records


def test_unknown_candidates_and_lost_words_are_told(words, caplog):
    with caplog.at_level(logging.WARNING, logger="emotionnet_hf.models.modeling_words"):
        assert words.candidates(["joy", "zzz", "happy zebra"]) == ["joy", "zzz", "happy"]
    assert [record.message for record in caplog.records] == [
        "no word vector for ['zzz']: they get cosine 0",
        "'happy zebra' is compared by ['happy']; no word vector for ['zebra']",
    ]


def test_only_unknown_candidates_are_an_error_that_names_them(words):
    with pytest.raises(
        UnknownCandidatesError, match=r"none of the candidates \['zzz', 'a b'\].*32"
    ):
        words.candidates(["zzz", "a b"])
    with pytest.raises(UnknownCandidatesError, match=r"'w19'\] and 5 more"):
        words.candidates([f"w{i}" for i in range(25)])
    with pytest.raises(UnknownCandidatesError, match=r"for 0 keywords\."):
        KnownWords(keyword_tokenizer(["joy"]), torch.zeros(3, 2)).candidates(["joy"])


@pytest.mark.parametrize("kind", [list, tuple, np.array, iter, dict.fromkeys])
def test_candidates_are_a_list_of_any_kind(kind):
    checked = checked_candidates(kind(["joy", "fear"]))
    assert checked == ["joy", "fear"] and {type(word) for word in checked} == {str}


@pytest.mark.parametrize("candidates", [None, "", "joy", [], (), np.array([]), [1], ["joy", None]])
def test_what_is_no_list_of_words_is_refused(candidates):
    with pytest.raises(ValueError, match=r"labels must be a list of words, such as"):
        checked_candidates(candidates, "labels")


def test_the_real_vocabulary_is_known_as_written_and_by_other_forms(real_data):
    path = next((real_data / "release_vocabulary").glob("tag2idx.pkl*"))
    names = Vocabulary.from_file(path).names
    words = KnownWords(keyword_tokenizer(names))
    assert all(words.look_up(name).keywords == (name,) for name in names[::50])
    for text, expected in {
        "dread": ["dreadful"],
        "Café": ["cafe"],
        "happy doggies": ["happy", "doggy"],
        "glumly": ["glum"],
        "ecstatically": ["ecstatic"],
        "zumbas": [],
    }.items():
        assert text.lower() not in names and found(words, text) == expected
