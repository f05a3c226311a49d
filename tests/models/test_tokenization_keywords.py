# ruff: noqa: RUF001  (look-alike letters are what is tested)
import random

import pytest
from transformers import AutoTokenizer

from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.normal_form import normalize_keyword, parse_keywords
from emotionnet_hf.models import keyword_tokenizer

KEYWORDS = ["joy", "candy cane", "fear", "st. john's wort", "u.s.a.", "größe", "rock 'n' roll"]


@pytest.fixture
def tokenizer():
    return keyword_tokenizer(KEYWORDS)


SPACES = [
    "joy",
    " Joy ",
    "\tCandy \n Cane\r\n",
    "candy\u00a0cane",
    "a\u1680b",
    "a\u2003b",
    "\u2028a",
]
LETTERS = [
    "ＪＯＹ",
    "ﬁne",
    "e\u0301te\u0301",
    "ⅷ",
    "½",
    "Straße",
    "GRÖSSE",
    "İstanbul",
    "ΟΔΟΣ",
    "ẞ",
]
SCRIPTS = ["日本\u3000語", "สวัสดี", "नमस्ते", "😀 smile", "ﷺ", "ǅ", "x\u0323\u0307", "\u1e9b\u0323"]
STOPS = ["joy.", "u.s.a.", "st. john's wort", "a-b", "a_b", "#joy", "50%", "this is joy.", "joy;"]
QUOTES = ['"joy"', "'joy'", "''joy''", "\"'joy'\"", "'\"joy\"'", "“joy”", "‘joy’", "«joy»", "„joy“"]
STRAY_QUOTES = ["'joy", "joy'", "'", "''", '"', " ' joy ' ", 'joy"', "o'clock", "‘tis", "'n'"]
INVISIBLE = ["so\u00adft", "joy\u200b", "\ufeffjoy", "a\x00b", "a\x1fb", "a\x85b", "a\x7fb"]
STRINGS = SPACES + LETTERS + SCRIPTS + STOPS + QUOTES + STRAY_QUOTES + INVISIBLE


@pytest.mark.parametrize("text", STRINGS)
def test_one_keyword_gets_its_normal_form(tokenizer, text):
    normalizer = tokenizer.backend_tokenizer.normalizer
    assert normalizer.normalize_str(text) == normalize_keyword(text)


def test_random_strings_get_their_normal_form(tokenizer):
    normalizer = tokenizer.backend_tokenizer.normalizer
    rng = random.Random(0)
    alphabet = (
        "aAbßÉé\u0301\u0130\u03a3 .;'\"\u00a0\u200b\t\u2018\u2019\u201c\u201d\u00ab\u00ad-ﬁ\uff21"
    )
    for _ in range(3000):
        text = "".join(rng.choices(alphabet, k=rng.randint(0, 10)))
        assert normalizer.normalize_str(text) == normalize_keyword(text), ascii(text)


@pytest.mark.parametrize(
    "text",
    [
        *["joy, fear", "Joy,Candy  Cane ,fear", "joy,,fear", ",joy,", "joy, 'fear', \"u.s.a.\""],
        *["joy\n,\nfear", "joy\uff0cfear", "'joy', 'fear'", " , ", "joy, u.s.a.", "joy;, fear", ""],
    ],
)
def test_a_list_is_split_as_the_data_is(tokenizer, text):
    assert tokenizer.tokenize(text) == [
        name if name in KEYWORDS else "[UNK]" for name in parse_keywords(text)
    ]


def test_a_phrase_is_one_token_and_ids_follow_the_vocabulary(tokenizer):
    assert tokenizer("Candy  Cane").input_ids == [3]
    assert tokenizer(", ".join(KEYWORDS)).input_ids == list(range(2, 9))
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (0, 1)
    assert len(tokenizer) == len(KEYWORDS) + 2


def test_a_phrase_is_not_known_by_its_words(tokenizer):
    assert tokenizer("candy, cane").input_ids == [1, 1]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("This is a photo of joy.", ["joy"]),
        ("This is a photo of Candy Cane.", ["candy cane"]),
        ("This is a photo of joy, fear.", ["joy", "fear"]),
        ("This is a photo of u.s.a..", ["u.s.a."]),
        ("  this is a  photo of 'joy'. ", ["joy"]),
        ("This is a photo of nothing.", ["[UNK]"]),
    ],
)
def test_the_template_of_zero_shot_pipelines_is_unwrapped(tokenizer, text, names):
    assert tokenizer.tokenize(text) == names


@pytest.mark.parametrize("text", ["this is a photo of joy", "and this is a photo of joy."])
def test_what_only_looks_like_the_template_is_left_alone(tokenizer, text):
    assert tokenizer.tokenize(text) == ["[UNK]"]


def test_a_batch_is_padded_and_masked(tokenizer):
    batch = tokenizer(["joy", "joy, fear, zzz", ""], padding=True)
    assert batch["input_ids"] == [[2, 0, 0], [2, 4, 1], [0, 0, 0]]
    assert batch["attention_mask"] == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert set(batch) == {"input_ids", "attention_mask"}


def test_long_lists_are_cut_where_asked():
    tokenizer = keyword_tokenizer(["joy"], max_keywords=3)
    assert tokenizer("joy," * 5, truncation=True).input_ids == [2] * 3
    whole = keyword_tokenizer(["joy"])("joy," * 500, truncation=True)
    assert whole.input_ids == [2] * 500


@pytest.mark.parametrize("ids", [[2], [3], [2, 3, 4], [5, 6, 8]])
def test_decoding_gives_the_list_that_encodes_to_the_same(tokenizer, ids):
    text = tokenizer.decode(ids)
    assert text == ", ".join(KEYWORDS[i - 2] for i in ids)
    assert tokenizer(text).input_ids == ids


def test_decoding_can_leave_special_tokens_out(tokenizer):
    assert tokenizer.decode([2, 1, 3, 0], skip_special_tokens=True) == "joy, candy cane"


def test_a_saved_tokenizer_is_a_stock_one(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*STRINGS, ", ".join(KEYWORDS), "This is a photo of joy."]
    assert loaded(texts).input_ids == tokenizer(texts).input_ids
    assert loaded.decode([2, 3]) == "joy, candy cane"
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.model_max_length == tokenizer.model_max_length
    assert (loaded.pad_token, loaded.unk_token) == ("[PAD]", "[UNK]")


def test_doubles_are_named():
    with pytest.raises(ValueError, match=r"twice.*\['joy'\]"):
        keyword_tokenizer(["joy", "fear", "joy"])


def test_commas_are_named():
    with pytest.raises(ValueError, match=r"comma.*\['joy, fear'\]"):
        keyword_tokenizer(["joy, fear", "awe"])


def test_the_real_release_vocabulary_encodes_to_itself(real_data):
    path = next((real_data / "release_vocabulary").glob("tag2idx.pkl*"))
    names = Vocabulary.from_file(path).names
    tokenizer = keyword_tokenizer(names)
    assert tokenizer(list(names)).input_ids == [[i + 2] for i in range(len(names))]
