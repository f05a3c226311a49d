import datetime

import pytest
from datasets import ClassLabel, List

from emotionnet_hf.evaluation.retrieval.words import keyword_list, label_list
from emotionnet_hf.loading.normal_form import KeywordError


def test_keywords_are_read_as_a_build_reads_them():
    assert keyword_list("['joy' 'candy  cane']") == keyword_list("Joy; candy cane")
    assert keyword_list(["Joy", None]) == ["Joy"]  # as they are in a list
    assert keyword_list(None) == keyword_list("") == keyword_list(float("nan")) == []
    with pytest.raises(KeywordError):
        keyword_list(5)


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("007", ["007"]),
        ("None", ["None"]),
        ("nan", ["nan"]),
        ("a, b", ["a, b"]),
        ("['a', 'b']", ["a", "b"]),
        ("['a' 'b']", ["a", "b"]),
        (["a", None, "b"], ["a", "b"]),
        (datetime.date(2020, 2, 1), ["2020-02-01"]),
        (7, ["7"]),
        (None, []),
        ("", []),
    ],
)
def test_labels_are_as_they_are_written(value, labels):
    assert label_list(value) == labels


def test_numbers_of_a_class_label_are_its_names():
    label = ClassLabel(names=["fear", "joy"])
    assert label_list(1, label) == label_list([1, -1, None], List(label)) == ["joy"]
    for value in (2, -2, "joy"):
        with pytest.raises(KeywordError, match="no class"):
            label_list(value, label)


@pytest.mark.parametrize("value", ["['a', None]", "a\udcf1"])
def test_labels_that_cannot_be_told_are_refused(value):
    with pytest.raises(KeywordError):
        label_list(value)
