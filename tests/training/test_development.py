"""Development rows, on a release with and without the table of its validation keywords."""

import json
import shutil

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, load_dataset

from emotionnet_hf.data import build_dataset
from emotionnet_hf.training import RecipeError, train_textcnn
from emotionnet_hf.training.development import with_development_rows
from emotionnet_hf.training.textcnn import _TextCNNTask

EMOTIONS = ["joy", "fear"]
WITH_TEXT, WITHOUT = ["joy", "sea"], ["joy", "fear"]


def split_of(rows):
    features = Features(
        {
            "number": Value("int64"),
            "keywords": List(Value("string")),
            "emotion_keywords": List(ClassLabel(names=EMOTIONS)),
        }
    )
    columns = {"number": list(range(len(rows))), "keywords": rows}
    return Dataset.from_dict({**columns, "emotion_keywords": [[0]] * len(rows)}, features=features)


def splits_of(train, validation):
    splits = {"train": split_of(train)}
    if validation is not None:
        splits["validation"] = split_of(validation)
    return DatasetDict(splits)


@pytest.mark.parametrize(
    ("rows", "wanted", "held"),
    [
        (30_000, None, 2000),
        (19_000, None, 1900),  # a tenth
        (50, None, 5),
        (3, None, 1),
        (50, 20, 20),
        (50, 0, 0),
    ],
)
def test_rows_are_held_out_where_validation_has_no_text(rows, wanted, held):
    splits = splits_of([WITH_TEXT] * rows, [WITHOUT] * 40)
    found = with_development_rows(splits, wanted)
    if held == 0:
        assert found["validation"]["keywords"] == splits["validation"]["keywords"]
        return
    numbers = {name: np.array(found[name]["number"]) for name in found}
    assert len(numbers["validation"]) == held
    both = np.concatenate([numbers["train"], numbers["validation"]])
    assert sorted(both.tolist()) == list(range(rows))
    assert found["validation"]["keywords"][0] == WITH_TEXT
    if held > 100:  # at random, not the first ones or the last
        assert abs(numbers["validation"].mean() / rows - 0.5) < 0.05
    again = with_development_rows(splits, wanted)
    assert again["validation"]["number"] == found["validation"]["number"]


@pytest.mark.parametrize(
    ("validation", "everything"),
    [
        ([WITH_TEXT] * 5 + [WITHOUT] * 5, False),  # half of it can be read
        ([WITHOUT] * 10, True),  # emotion keywords are read too
        ([], False),
        (None, False),
    ],
)
def test_other_validation_splits_are_left_as_they_are(validation, everything):
    splits = splits_of([WITH_TEXT] * 50, validation)
    assert with_development_rows(splits, None, everything) is splits


def test_asked_for_rows_are_held_out_whatever_the_validation_split():
    for validation in ([WITH_TEXT] * 10, None):
        found = with_development_rows(splits_of([WITH_TEXT] * 50, validation), 7)
        assert (len(found["train"]), len(found["validation"])) == (43, 7)
    with pytest.raises(RecipeError, match="train has only 50 rows: hold out fewer"):
        with_development_rows(splits_of([WITH_TEXT] * 50, None), 50)


@pytest.fixture(scope="module")
def without_table(release, tmp_path_factory):
    """The release of most people: no keywords for validation and test, but the emotion keywords."""
    folder = tmp_path_factory.mktemp("no_table")
    shutil.copytree(release, folder / "release")
    (folder / "release" / "full_keywords.pkl").unlink()
    build_dataset(folder / "release", folder / "built", progress=False)
    return folder / "built"


def test_a_release_without_the_table_validates_on_rows_of_train(make_textcnn, without_table):
    arguments = make_textcnn(epochs=3, batch_size=12)
    arguments.data = str(without_table)
    splits = load_dataset(str(without_table))
    rows = dict(with_development_rows(splits, None))
    task = _TextCNNTask(arguments, rows)
    assert len(task.validation_rows) == 4
    assert task.validation_rows.with_text() == 4
    held = set(rows["validation"]["image_id"])
    assert held < set(splits["train"]["image_id"])
    assert not held & set(rows["train"]["image_id"])
    folder = train_textcnn(arguments)
    records = [json.loads(line) for line in (folder.parent / "metrics.jsonl").open()]
    losses = [r["validation"]["loss"] for r in records if "validation" in r]
    assert len(set(losses)) == 3  # an empty list says the same in every row, and hardly changes


def test_a_validation_without_text_is_refused(make_textcnn, without_table):
    arguments = make_textcnn(development_rows=0)
    arguments.data = str(without_table)
    with pytest.raises(RecipeError, match=r"no row of validation has a keyword.*--development_row"):
        train_textcnn(arguments)


def test_a_train_split_without_text_is_refused(make_textcnn, without_table, tmp_path):
    words = ["2 16", *(f"{name} {' '.join(['1'] * 16)}" for name in ("fear", "awe"))]
    (tmp_path / "v.txt").write_text("\n".join(words) + "\n")
    arguments = make_textcnn(word_vectors=str(tmp_path / "v.txt"))
    arguments.data = str(without_table)
    with pytest.raises(RecipeError, match=r"no row of train has a keyword.*nothing to learn from"):
        train_textcnn(arguments)


def test_a_negative_number_of_rows_is_refused(make_textcnn):
    with pytest.raises(RecipeError, match="development_rows is -1"):
        make_textcnn(development_rows=-1)
