import pytest
from datasets import Dataset

from emotionnet_hf.training import RecipeError
from emotionnet_hf.training.data import load_splits

NEEDED = ("image", "keywords", "emotion_keywords")


def save(folder, split, **columns):
    (folder / "data").mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(columns).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return str(folder)


def test_a_built_folder_opens_with_its_splits(data):
    assert set(load_splits(str(data), columns=NEEDED)) == {"train", "validation"}


@pytest.mark.parametrize(("folder", "config"), [("nowhere", None), ("nowhere", "all"), ("", None)])
def test_what_is_no_data_set_is_named(tmp_path, folder, config):
    data = str(tmp_path / folder)
    with pytest.raises(RecipeError, match=rf"{data} opens as no data set \(.+`emotionnet build`"):
        load_splits(data, config, columns=NEEDED)


def test_what_is_damaged_is_named_and_not_that_there_was_an_error(tmp_path):
    (tmp_path / "train.jsonl").write_text("{no json\n")
    with pytest.raises(RecipeError, match="opens as no data set") as told:
        load_splits(str(tmp_path), columns=NEEDED)
    assert "An error occurred" not in str(told.value)


def test_without_training_split_the_error_names_what_is_there(tmp_path):
    folder = save(tmp_path, "test", keywords=[["a"]], emotion_keywords=[[0]])
    with pytest.raises(RecipeError, match=r"no train split, only \['test'\]"):
        load_splits(folder, columns=NEEDED)


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"lacks the columns \['emotion_keywords'\]"):
        load_splits(save(tmp_path, "train", image=["a"], keywords=[["a"]]), columns=NEEDED)


CONFIGS = """---
configs:
- config_name: default
  data_files: data/train-*
- config_name: subset_50
  data_files: data/train-00000-*
---
"""


@pytest.fixture
def configured(tmp_path):
    (tmp_path / "data").mkdir()
    for i in range(2):
        columns = {"keywords": [["a"]], "emotion_keywords": [[0]]}
        path = tmp_path / "data" / f"train-0000{i}-of-00002.parquet"
        Dataset.from_dict(columns).to_parquet(path)
    (tmp_path / "README.md").write_text(CONFIGS)
    return str(tmp_path)


def test_a_configuration_is_opened_by_its_name(configured):
    sizes = {
        config: len(load_splits(configured, config, columns=NEEDED[1:])["train"])
        for config in (None, "default", "subset_50")
    }
    assert sizes == {None: 2, "default": 2, "subset_50": 1}


def test_an_unknown_configuration_gets_the_list_of_those_there_are(configured):
    with pytest.raises(RecipeError, match=r"no configuration 'subset_5', only default, subset_50"):
        load_splits(configured, "subset_5", columns=NEEDED)


@pytest.mark.parametrize(
    ("columns", "remedy"),
    [
        (["votes", "label"], "build it of an SE30K8 release"),
        (["basic8", "basic8_scores"], "--basic8, config: basic8"),
        (["keyword_ids"], "release or with --all-keywords, and set config: all_keywords"),
    ],
)
def test_a_column_of_another_configuration_comes_with_the_remedy(configured, columns, remedy):
    with pytest.raises(RecipeError, match=remedy):
        load_splits(configured, columns=("keywords", *columns))


def test_images_are_not_asked_for_where_they_are_not_needed(configured):
    load_splits(configured, columns=("keywords", "emotion_keywords"))
    with pytest.raises(RecipeError, match=r"lacks the columns \['image'\]"):
        load_splits(configured, columns=NEEDED)
