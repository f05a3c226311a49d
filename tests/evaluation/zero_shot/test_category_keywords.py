import json

import pytest

from emotionnet_hf.emotions import AFFECTNET, EMOTIC, MIKELS, SE30K8, UBE
from emotionnet_hf.evaluation.zero_shot.category_keywords import (
    CategoryError,
    categories_of,
    name_keywords,
    origin,
)

CLASSES = ("joy", "fear")
GOOD = {"fear": ["afraid", "Horror", "afraid"], "joy": ["candy  cane"]}


def test_emotic_has_the_published_lists_in_the_order_of_the_benchmark():
    classes = list(reversed(EMOTIC))
    found = categories_of(classes)
    assert list(found) == classes
    assert found == {name: list(EMOTIC[name]) for name in classes}
    assert "published code" in origin(classes, None)


@pytest.mark.parametrize("classes", [MIKELS, UBE, AFFECTNET, SE30K8])
def test_other_classes_are_the_words_of_their_names_and_can_be_told_apart(classes):
    found = categories_of(classes)
    assert list(found) == list(classes)
    assert all(found[name][0] == name.partition("(")[0] for name in classes)
    assert len({tuple(words) for words in found.values()}) == len(classes)
    assert "words of its name" in origin(classes, None)


def test_brackets_and_slashes_separate_the_words_of_a_name():
    assert name_keywords("surprise(positive)") == ["surprise", "positive"]
    assert name_keywords("Doubt/Confusion") == ["doubt", "confusion"]
    assert name_keywords("candy cane") == ["candy cane"]


def test_a_file_and_a_mapping_are_brought_into_normal_form(tmp_path):
    path = tmp_path / "categories.json"
    path.write_text(json.dumps(GOOD))
    expected = {"joy": ["candy cane"], "fear": ["afraid", "horror"]}
    for given in (GOOD, path, str(path)):
        found = categories_of(CLASSES, given)
        assert found == expected and list(found) == list(CLASSES)
        assert "user's own" in origin(CLASSES, given)


BAD = [
    ({"joy": ["joy"]}, "lacks fear: it must be an object"),
    ({**GOOD, "Joy": ["x"]}, "has Joy, of which the benchmark knows nothing"),
    ({"Fear": ["x"]}, "lacks joy, fear and has Fear"),
    ({**GOOD, "fear": "afraid"}, "'fear' has afraid and no list of keywords"),
    ({**GOOD, "fear": {"afraid": 1}}, "no list of keywords"),
    ({**GOOD, "fear": 3}, "no list of keywords"),
    ({**GOOD, "fear": []}, "'fear' has no keyword"),
    ({**GOOD, "fear": [" "]}, "'fear' has no keyword"),
    ({**GOOD, "fear": ["a", 1]}, "'fear' has keywords of the wrong type"),
    ([1], "give an object"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_files_of_another_form_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "categories.json"
    path.write_text(json.dumps(content))
    with pytest.raises(CategoryError, match=message) as error:
        categories_of(CLASSES, path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read"), ('{"joy": [], "joy": []}', "joy .* than once")]
)
def test_files_that_are_no_json_are_refused(tmp_path, text, message):
    path = tmp_path / "categories.json"
    path.write_text(text)
    with pytest.raises(CategoryError, match=message):
        categories_of(CLASSES, path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        categories_of(CLASSES, tmp_path / "none.json")
