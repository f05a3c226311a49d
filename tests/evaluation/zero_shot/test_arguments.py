import pytest

from emotionnet_hf.evaluation.zero_shot import ZeroShotArguments, ZeroShotError


def test_without_a_text_model_categories_are_word_vectors():
    resolved = ZeroShotArguments().resolved()
    assert (resolved.space, resolved.representation, resolved.pooling) == (
        *("word_vectors", None, "mean"),
    )
    assert resolved.split == "test"


def test_with_a_text_model_the_paper_is_the_default():
    resolved = ZeroShotArguments(text_model="m").resolved()
    assert (resolved.space, resolved.representation, resolved.pooling) == (
        *("text_model", "category", None),
    )
    assert "(the paper, section 5.4)" in resolved.sentences()[0]


def test_the_published_code_is_an_option():
    resolved = ZeroShotArguments(text_model="m", representation="keywords").resolved()
    assert resolved.pooling == "mean"
    assert "as in the published code" in resolved.sentences()[0]


def test_what_is_not_used_is_not_in_the_settings():
    resolved = ZeroShotArguments(text_model="m", space="word_vectors").resolved()
    assert resolved.text_model is None and resolved.pooling == "mean"


def test_resolving_twice_changes_nothing():
    for arguments in (ZeroShotArguments(), ZeroShotArguments(text_model="m")):
        assert arguments.resolved().resolved() == arguments.resolved()


@pytest.mark.parametrize("pooling", ["mean", "max", "centroid"])
def test_each_choice_has_a_sentence_of_its_own(pooling):
    said = ZeroShotArguments(pooling=pooling).resolved().sentences()
    others = {"mean", "max", "centroid"} - {pooling}
    assert all(ZeroShotArguments(pooling=p).resolved().sentences() != said for p in others)


BAD = [
    ({"space": "clip"}, "space is 'clip'; choose from word_vectors, text_model"),
    ({"pooling": "sum"}, "choose from mean, max, centroid"),
    ({"representation": "x", "text_model": "m"}, "choose from category, keywords, logits"),
    ({"space": "text_model"}, "give the folder of a TextCNN"),
    ({"representation": "keywords"}, "only a text model can give"),
    ({"text_model": "m", "pooling": "max"}, "takes all keywords of a category at once"),
    ({"text_model": "m", "pooling": "max", "representation": "logits"}, "at once"),
    ({"batch_size": 0}, "batch_size is 0"),
    ({"samples": 0}, "samples is 0"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_what_contradicts_itself_is_refused(options, message):
    with pytest.raises(ZeroShotError, match=message):
        ZeroShotArguments(**options)
