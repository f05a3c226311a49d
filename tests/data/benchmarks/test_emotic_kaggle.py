import numpy as np
import pytest

from emotionnet_hf.data.benchmarks import emotic_kaggle
from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.data.benchmarks.emotic_people import CATEGORIES, ArrayPlace


@pytest.fixture
def folder(tmp_path, emotic_parts):
    emotic_parts.save_kaggle(tmp_path, emotic_parts.pictures())
    return tmp_path


def read(folder):
    return emotic_kaggle.read(folder, emotic_kaggle.find(folder))


def rewrite(folder, old, new):
    path = folder / "annots_arrs" / "annot_arrs_train.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def chosen(person):
    return {CATEGORIES[place] for place in np.flatnonzero(person.counts)}


def test_columns_are_read_by_their_names(folder, emotic_parts):
    found = read(folder)
    assert [chosen(person) for person in found.people["train"]] == [
        {"Peace", "Affection"},
        {"Fear"},
        {"Doubt/Confusion"},
    ]
    person = found.people["test"][1]
    assert (person.picture, person.box, person.size) == ("test_e.jpg", emotic_parts.box, None)
    assert person.whole == ArrayPlace(folder / "img_arrs" / "img_arr_test_1.npy")
    assert person.body == ArrayPlace(folder / "img_arrs" / "crop_arr_test_1.npy")


def test_counts_stay_counts_and_empty_cells_are_zero(folder, emotic_parts):
    order = emotic_parts.alphabetical[13:] + emotic_parts.alphabetical[:13]
    hot = ",".join(str(float(name in ("Peace", "Affection"))) for name in order)
    counts = ",".join({"Peace": "3", "Affection": "1"}.get(name, "") for name in order)
    rewrite(folder, hot, counts)
    person = read(folder).people["train"][0]
    assert person.counts[CATEGORIES.index("Peace")] == 3
    assert sum(person.counts) == 4


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("Yearning", "Longing", r"lacks columns of the categories Yearning.*Longing"),
        ("X_min", "Left", "lacks X_min"),
        ("1.0", "-1.0", r"annot_arrs_train\.csv: row 1: \w+ is '-1\.0'"),
        ("1.0", "yes", r"row 1: \w+ is 'yes', not 0, 1 or a count"),
        ("crop_arr_train_0.npy", "../x.npy", "row 1: '../x.npy' is no name"),
    ],
)
def test_what_cannot_be_read_is_named(folder, old, new, error):
    rewrite(folder, old, new)
    with pytest.raises(BenchmarkError, match=error):
        read(folder)


def test_file_that_is_not_read_is_noted(folder):
    (folder / "annots_arrs" / "annot_arrs_extra_train.csv").touch()
    assert read(folder).notes == ("annot_arrs_extra_train.csv is not read.",)


def test_pictures_that_are_nowhere_are_an_error(folder):
    (folder / "img_arrs").rename(folder / "arrs")
    with pytest.raises(BenchmarkError, match="no folder img_arrs"):
        read(folder)
