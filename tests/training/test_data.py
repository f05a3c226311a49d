import pytest
from datasets import Dataset

from emotionnet_hf.training import RecipeError
from emotionnet_hf.training.data import load_splits


def save(folder, split, **columns):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(columns).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return str(folder)


def test_a_built_folder_opens_with_its_splits(data):
    assert set(load_splits(str(data))) == {"train", "validation"}


def test_without_training_split_the_error_names_what_is_there(tmp_path):
    folder = save(tmp_path, "test", keywords=[["a"]], emotion_keywords=[[0]])
    with pytest.raises(RecipeError, match=r"no train split, only \['test'\]"):
        load_splits(folder)


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"lacks the columns \['emotion_keywords'\]"):
        load_splits(save(tmp_path, "train", image=["a"], keywords=[["a"]]))
