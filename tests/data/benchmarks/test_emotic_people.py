import pytest

from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.data.benchmarks.emotic_people import (
    CATEGORIES,
    category_counts,
    category_id,
    find_below,
    picture_path,
)


@pytest.mark.parametrize(
    "name", ["Doubt/Confusion", "doubt confusion", "DoubtConfusion", "DOUBT - CONFUSION"]
)
def test_spellings_of_a_category_are_one(name):
    assert CATEGORIES[category_id(name, "x")] == "Doubt/Confusion"


def test_unknown_category_is_named_with_its_row():
    with pytest.raises(BenchmarkError, match=r"train\.csv: row 3: 'Bliss' is none.*Peace"):
        category_id("Bliss", "train.csv: row 3")


def test_an_annotator_counts_once_a_category():
    counts = category_counts([["Peace", "peace"], ["Peace", "Fear"], []], "x")
    assert dict(zip(CATEGORIES, counts, strict=True)) == dict.fromkeys(CATEGORIES, 0) | {
        "Peace": 2,
        "Fear": 1,
    }


@pytest.mark.parametrize(("folder", "name"), [("a", "../../b.jpg"), ("/etc", "b"), ("a", " ")])
def test_path_that_leads_out_is_refused(folder, name):
    with pytest.raises(BenchmarkError, match=r"row 1: .* is no path"):
        picture_path(folder, name, "row 1")


def test_nearest_file_comes_first_and_what_macos_leaves_behind_never(tmp_path):
    for place in ("__MACOSX/x", "b/c/x", "a/x", "a/b/c/x"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    assert find_below(tmp_path, "x") == [tmp_path / "a/x", tmp_path / "b/c/x"]
