from collections import Counter

from emotionnet_hf.data.load import load_dataset


def test_every_image_is_in_one_split_and_those_without_a_majority_are_apart(
    se30k8_release, tmp_path
):
    dataset = load_dataset("se30k8", data_dir=se30k8_release, cache_dir=tmp_path)
    assert {name: split.num_rows for name, split in dataset.items()} == {
        "train": 37,
        "validation": 5,
        "test": 8,
        "no_majority": 10,
    }
    ids = Counter(row for split in dataset.values() for row in split["image_id"])
    assert len(ids) == ids.total() == 60
    for name, split in dataset.items():
        assert all((label < 0) == (name == "no_majority") for label in split["label"])


def test_split_that_would_be_empty_is_none(tmp_path, release_parts):
    votes = {"image_emotion": [["fear"]] * 5, "tags": ["joy"], "emotion_tags": ["joy"]}
    release_parts.write_pickle(tmp_path / "a.pkl", {cid: votes for cid in range(1, 4)})
    for cid in range(1, 4):
        release_parts.draw(tmp_path / "images" / f"{cid}.jpg", cid)
    dataset = load_dataset("se30k8", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert sum(split.num_rows for split in dataset.values()) == 3
    assert "no_majority" not in dataset


def test_text_configuration_needs_no_pictures(se30k8_release, tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "annotations").symlink_to(se30k8_release / "annotations")
    text = load_dataset("se30k8", "text", data_dir=folder, cache_dir=tmp_path / "cache")
    assert {name: split.num_rows for name, split in text.items()} == {"train": 54, "test": 6}
    assert not {"image", "phash"} & set(text["train"].column_names)
