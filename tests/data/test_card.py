import yaml
from datasets import Features

from emotionnet_hf.data.card import dataset_card
from emotionnet_hf.data.sources import Source
from emotionnet_hf.data.writing import ShardResult
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.schema import stockemotion_features

FEATURES = stockemotion_features(Vocabulary(["joy", "fear"]), people=True)
SPLITS = {"train": ShardResult(4, 40, 8, 1000, 900), "test": ShardResult(1, 3, 1, 200, 100)}


def parts():
    _, header, body = dataset_card("my pictures", FEATURES, SPLITS, 2, Source).split("---\n", 2)
    return yaml.safe_load(header), body


def test_header_is_what_datasets_reads():
    header, _ = parts()
    info = header["dataset_info"]
    assert Features._from_yaml_list(info["features"]) == FEATURES
    assert [(s["name"], s["num_examples"]) for s in info["splits"]] == [("train", 4), ("test", 1)]
    assert (info["download_size"], info["dataset_size"]) == (1000, 1200)
    assert header["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "data/train-*"},
                {"split": "test", "path": "data/test-*"},
            ],
        }
    ]
    assert "license" not in header


def test_body_has_the_counts():
    _, body = parts()
    assert body.startswith("\n# my pictures\n")
    assert "| train | 4 | 10.00 | 2.00 |" in body
    assert "| `people` |" in body
    assert "| `faces` |" not in body
    assert "(2)" in body
    assert "depends only on a hash" in body
