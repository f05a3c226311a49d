import os
import shutil

import pytest
from datasets import List

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.load import UnknownDatasetError, load_dataset, load_dataset_builder
from emotionnet_hf.loading.release import ReleaseError, ReleaseNotFoundError
from emotionnet_hf.loading.safe_pickle import UnsafePickleError
from emotionnet_hf.loading.schema import se30k8_features, stockemotion_features


@pytest.fixture
def load(tmp_path):
    def load(name, config=None, **options):
        return load_dataset(name, config, cache_dir=tmp_path / "cache", **options)

    return load


def test_stockemotion_in_memory_and_streaming(release, load, release_parts):
    dataset = load("stockemotion", data_dir=release)
    counts = {name: split.num_rows for name, split in dataset.items()}
    assert counts == {"train": 40, "validation": 8, "test": 12}
    assert dataset["train"].features == stockemotion_features(release_parts.emotions)
    stream = load("stockemotion", data_dir=release, streaming=True, split="train")
    for row, streamed in zip(dataset["train"], stream, strict=True):
        assert row.pop("image").tobytes() == streamed.pop("image").tobytes()
        assert row == streamed


def test_one_split_and_a_configuration(release, load):
    keywords = load("stockemotion", "all_keywords", data_dir=release, split="test")
    labels = keywords.features["keyword_ids"]
    assert labels == List(labels.feature)
    assert labels.feature.names[0] == "malian"
    for row in keywords:
        known = [k for k in row["keywords"] if k != "rare word"]
        assert [labels.feature.int2str(i) for i in row["keyword_ids"]] == known


def test_se30k8(se30k8_release, load, release_parts):
    dataset = load("se30k8", data_dir=se30k8_release)
    assert sum(split.num_rows for split in dataset.values()) == 60
    assert dataset["test"].features == se30k8_features(release_parts.emotions)
    other = load("se30k8", data_dir=se30k8_release, seed=1)
    assert other["test"]["image_id"] != dataset["test"]["image_id"]
    more = load("se30k8", data_dir=se30k8_release, workers=None)
    assert sum(split.num_rows for split in more.values()) == 60  # the picture is not there


def test_builder_tells_of_a_data_set_before_it_is_read(release, tmp_path):
    builder = load_dataset_builder("stockemotion", data_dir=release, cache_dir=tmp_path)
    assert builder.info.features["emotion_keywords"].feature.num_classes == 4
    assert not list(tmp_path.rglob("*.arrow"))


def test_changed_release_is_read_anew(release, load, tmp_path, release_parts):
    folder = tmp_path / "release"
    shutil.copytree(release, folder)
    assert load("stockemotion", data_dir=folder, split="validation").num_rows == 8
    release_parts.write_pickle(folder / "CNNsplit_val.pkl", [["1/1280.jpg", [1]]])
    os.utime(folder / "CNNsplit_val.pkl", ns=(1, 1))
    assert load("stockemotion", data_dir=folder, split="validation").num_rows == 1


def test_picture_that_comes_later_is_seen(release, load, tmp_path):
    folder = tmp_path / "release"
    shutil.copytree(release, folder)
    picture = folder / "images" / "1" / "1280.jpg"
    picture.rename(tmp_path / "away.jpg")
    assert load("stockemotion", data_dir=folder, split="validation").num_rows == 7
    (tmp_path / "away.jpg").rename(picture)
    assert load("stockemotion", data_dir=folder, split="validation").num_rows == 8


def test_hostile_pickle_is_named(release, load, tmp_path):
    folder = tmp_path / "release"
    shutil.copytree(release, folder)
    (folder / "CNNsplit_test.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UnsafePickleError, match=r"CNNsplit_test\.pkl"):
        load("stockemotion", data_dir=folder)


def test_built_folder_is_opened_as_what_it_is(release, load, tmp_path):
    build_dataset(release, tmp_path / "out", progress=False)
    rows = load("stockemotion", "all_keywords", data_dir=tmp_path / "out", split="test")
    assert rows.num_rows == 12
    with pytest.raises(ReleaseError, match="built of another data set than se30k8"):
        load("se30k8", data_dir=tmp_path / "out")
    with pytest.raises(ReleaseError, match="leave out seed"):
        load("stockemotion", data_dir=tmp_path / "out", seed=7)
    with pytest.raises(UnknownDatasetError):
        load("imagenet", data_dir=tmp_path / "out")


def test_what_is_no_release_is_named(release, se30k8_release, load, tmp_path):
    with pytest.raises(UnknownDatasetError, match="'imagenet' is none of stockemotion, se30k8"):
        load("imagenet", data_dir=release)
    with pytest.raises(ReleaseNotFoundError, match="no folder"):
        load("stockemotion", data_dir=tmp_path / "nowhere")
    with pytest.raises(ReleaseError, match="no annotation list"):
        load("stockemotion", data_dir=se30k8_release)
    with pytest.raises(ReleaseError, match="no SE30K8 annotations"):
        load("se30k8", data_dir=release)
    with pytest.raises(ValueError, match="subset_33"):
        load("stockemotion", "subset_33", data_dir=release)
