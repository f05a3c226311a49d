import pytest

from emotionnet_hf import emotions
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.normal_form import normalize_keyword


def test_label_sets_have_their_sizes():
    sets = (emotions.SE30K8, emotions.MIKELS, emotions.UBE, emotions.AFFECTNET)
    assert [len(names) for names in sets] == [8, 8, 6, 7]
    assert all(len(set(names)) == len(names) for names in sets)
    assert list(emotions.SE30K8) == sorted(emotions.SE30K8)
    assert list(emotions.MIKELS) == sorted(emotions.MIKELS)
    assert emotions.AFFECTNET.index("anger") == 6


def test_emotic_has_26_categories_of_single_words():
    assert len(emotions.EMOTIC) == 26
    for keywords in emotions.EMOTIC.values():
        assert keywords
        assert all(word == normalize_keyword(word) and " " not in word for word in keywords)


def test_label_sets_cannot_be_changed():
    with pytest.raises(TypeError):
        emotions.EMOTIC["Peace"] = ("war",)


def test_default_vocabulary_is_the_union():
    vocabulary = emotions.default_vocabulary()
    assert vocabulary.names == emotions.EMOTIONAL_KEYWORDS == tuple(sorted(vocabulary))
    words = [word for keywords in emotions.EMOTIC.values() for word in keywords]
    words += [word.lower() for group in emotions.PAPER_TABLE_1.values() for word in group]
    words += [*emotions.MIKELS, *emotions.UBE, *emotions.AFFECTNET, "christmas", "fury", "bully"]
    assert set(words) <= set(vocabulary)
    assert all(name.isalpha() and name.islower() for name in vocabulary)
    assert "beautiful" not in vocabulary  # the paper's example of what not to take


def test_default_vocabulary_can_be_saved(tmp_path):
    emotions.default_vocabulary().save(tmp_path / "v.json")
    assert Vocabulary.from_file(tmp_path / "v.json") == emotions.default_vocabulary()


def test_keyword_lists_are_those_known_of_the_release(real_data):
    folder = real_data / "release_vocabulary"
    released = Vocabulary.from_file(folder / "etag2idx.pkl.keep")
    tags = Vocabulary.from_file(folder / "tag2idx.pkl.keep")
    entries = [word for keywords in emotions.EMOTIC.values() for word in keywords]
    assert all(word in tags for word in entries)
    # What EMOTIC's descriptions name and the 690 lack, as counted on the release.
    assert sum(word not in released for word in entries) == 27
    paper = [word for group in emotions.PAPER_TABLE_1.values() for word in group]
    assert all(normalize_keyword(word) in released for word in paper)
