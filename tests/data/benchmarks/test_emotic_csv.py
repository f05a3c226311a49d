import numpy as np
import pytest

from emotionnet_hf.data.benchmarks import emotic_csv
from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.data.benchmarks.emotic_people import CATEGORIES, ArrayPlace


@pytest.fixture
def folder(tmp_path, emotic_parts):
    emotic_parts.save_csv(tmp_path / "annot_csv", emotic_parts.pictures())
    return tmp_path


def read(folder):
    return emotic_csv.read(folder, emotic_csv.find(folder))


def rewrite(folder, old, new, split="train"):
    path = folder / "annot_csv" / f"{split}.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_rows_become_people(folder, emotic_parts):
    found = read(folder)
    assert found.images == 5
    first, second, third = found.people["train"]
    assert (first.picture, first.box, first.size) == (
        "mscoco/images/a.jpg",
        emotic_parts.box,
        (60, 50),
    )
    assert {CATEGORIES[i] for i in np.flatnonzero(first.counts)} == {"Peace", "Affection"}
    assert third.picture == "framesdb/images/a.jpg"
    assert second.whole is None and second.body is None


def test_arrays_are_found_wherever_they_lie(folder, emotic_parts):
    (folder / "annot_arrs").mkdir()
    emotic_parts.save_arrays(folder / "annot_arrs", emotic_parts.pictures())
    person = read(folder).people["test"][2]
    assert person.whole == ArrayPlace(folder / "annot_arrs" / "test_context_arr.npy", 2)
    assert person.body == ArrayPlace(folder / "annot_arrs" / "test_body_arr.npy", 2)


def test_cells_are_read_and_never_run(folder, tmp_path):
    rewrite(folder, "['Fear']", f"[open('{tmp_path}/ran', 'w').name]".replace(",", ""))
    with pytest.raises(BenchmarkError, match=r"train\.csv: row 2: Categorical_Labels is"):
        read(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("['Fear']", "['Bliss']", r"train\.csv: row 2: 'Bliss' is none"),
        ("['Fear']", "'Fear'", "row 2: Categorical_Labels is .*, not a list"),
        ("['Fear']", "[3]", "row 2: Categorical_Labels is no list of names"),
        ("BBox", "Box", "lacks BBox; the columns found are: Index"),
        ("framesdb/images", "../..", "row 3: '../../a.jpg' is no path"),
    ],
)
def test_what_cannot_be_read_is_named(folder, old, new, error):
    rewrite(folder, old, new)
    with pytest.raises(BenchmarkError, match=error):
        read(folder)


def test_missing_split_is_named(folder):
    (folder / "annot_csv" / "val.csv").unlink()
    with pytest.raises(BenchmarkError, match=r"val\.csv is missing"):
        read(folder)


def test_box_that_is_none_is_left_for_others_to_judge(folder):
    rewrite(folder, "[5, 6, 45, 46]", "[5, None, 45, 46]")
    assert read(folder).people["train"][0].box == ()


def test_arrays_of_another_run_are_refused(folder, emotic_parts):
    made = emotic_parts.save_arrays(folder / "annot_csv", emotic_parts.pictures())
    place = folder / "annot_csv" / "test_cat_arr.npy"
    np.save(place, made["test"]["cat"][::-1])
    with pytest.raises(BenchmarkError, match="other categories in 2 rows, the first is row 1"):
        read(folder)
    np.save(place, made["test"]["cat"][:2])
    with pytest.raises(BenchmarkError, match=r"shape \(2, 26\), not \(3, 26\)"):
        read(folder)
    np.save(folder / "annot_csv" / "test_body_arr.npy", made["test"]["body"][:2])
    with pytest.raises(BenchmarkError, match=r"not 3 pictures as test\.csv has rows"):
        read(folder)


def test_other_csvs_of_that_name_are_another_layout(tmp_path):
    (tmp_path / "train.csv").write_text("emotion,url\njoy,x\n")
    assert emotic_csv.find(tmp_path) is None
