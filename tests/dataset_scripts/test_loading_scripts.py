"""The loading scripts under `datasets` 3, without this package: `make test-scripts`."""

import importlib
import json
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import datasets
import imagehash
import pytest
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCard
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "dataset_scripts"
BUILDERS = {"stockemotion": "StockEmotion", "se30k8": "SE30K8"}
old_datasets = pytest.mark.skipif(
    int(datasets.__version__.split(".")[0]) >= 4,
    reason="datasets 4 and later run no loading scripts; see `make test-scripts`",
)


def load(name: str, release: Path, tmp_path: Path, config=None, **options):
    return datasets.load_dataset(
        str(SCRIPTS / name),
        config,
        data_dir=str(release),
        cache_dir=str(tmp_path / "cache"),
        trust_remote_code=True,
        **options,
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_script_folder_holds_all_that_its_files_import(name):
    folder = SCRIPTS / name
    for path in folder.glob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("from ."):
                module = line.split()[1].removeprefix(".")
                assert (folder / f"{module}.py").is_file(), line
                # What stands behind it would be taken for an address.
                assert "#" not in line
                # datasets copies what the script itself names.
                assert f"from .{module} import" in (folder / f"{name}.py").read_text("utf-8")


@old_datasets
def test_stockemotion(release, tmp_path, caplog):
    dataset = load("stockemotion", release, tmp_path)
    assert {n: s.num_rows for n, s in dataset.items()} == {"train": 40, "validation": 8, "test": 12}
    row = dataset["validation"][0]
    names = dataset["validation"].features["emotion_keywords"].feature
    assert names.names == ["awe", "calm", "fear", "joy"]
    assert row["source"] == f"https://stock.example/{row['image_id']}.jpg"
    assert "rare word" in row["keywords"]
    assert set(map(names.int2str, row["emotion_keywords"])) <= set(row["keywords"])
    with Image.open(release / "images" / "1" / "1280.jpg") as image:
        assert row["image_id"] == "1280"
        assert row["phash"] == str(imagehash.phash(image))
        assert row["image"].tobytes() == image.tobytes()
    (report,) = (tmp_path / "cache").rglob("quarantine-train.jsonl")
    reasons = [json.loads(line)["reason"] for line in report.read_text("utf-8").splitlines()]
    assert reasons == [
        "no such image file",
        "stock id given before: 1000 (CNNsplit_train.pkl)",
    ]


@old_datasets
def test_stockemotion_configurations(release, tmp_path):
    keywords = load("stockemotion", release, tmp_path, "all_keywords", split="train")
    labels = keywords.features["keyword_ids"].feature
    assert len(labels.names) == 12
    for row in keywords:
        assert [labels.int2str(i) for i in row["keyword_ids"]] == row["keywords"]
    ids = [
        set(load("stockemotion", release, tmp_path, name, split="train")["image_id"])
        for name in ("subset_10", "subset_25", "subset_50", "subset_75", "default")
    ]
    assert all(small <= large for small, large in pairwise(ids))
    assert len(ids[2]) < len(ids[4])


@old_datasets
def test_stockemotion_streams(release, tmp_path):
    stream = load("stockemotion", release, tmp_path, streaming=True)
    whole = load("stockemotion", release, tmp_path)
    for split in whole:
        assert [r["image_id"] for r in stream[split]] == whole[split]["image_id"]


@old_datasets
def test_se30k8(se30k8_release, tmp_path):
    dataset = load("se30k8", se30k8_release, tmp_path)
    counts = {name: split.num_rows for name, split in dataset.items()}
    assert counts == {"train": 37, "validation": 5, "test": 8, "no_majority": 10}
    for row in dataset["train"]:
        assert row["label"] == max(range(8), key=row["votes"].__getitem__)
        assert sum(row["votes"]) == pytest.approx(1)
        assert len(row["annotations"]) == 5
    assert set(dataset["no_majority"]["label"]) == {-1}
    text = load("se30k8", se30k8_release, tmp_path, "text")
    assert {name: split.num_rows for name, split in text.items()} == {"train": 54, "test": 6}
    assert "SECRET" not in "".join(map(str, [*text["train"], *dataset["train"]]))


@old_datasets
def test_nothing_of_the_package_was_imported(release, tmp_path):
    load("stockemotion", release, tmp_path, split="test")
    assert not [name for name in sys.modules if name.split(".")[0] in ("emotionnet_hf", "torch")]


def builder_class(name: str, folder: Path) -> type:
    """The builder from a copy of the folder of links, as a package: ours may not be at hand."""
    package = ModuleType(f"scripts_of_{name}")
    package.__path__ = [str(shutil.copytree(SCRIPTS / name, folder / name))]
    sys.modules[package.__name__] = package
    return getattr(importlib.import_module(f"{package.__name__}.{name}"), BUILDERS[name])


@pytest.mark.parametrize("name", BUILDERS)
def test_card_gives_the_columns_of_every_configuration(name, release, se30k8_release, tmp_path):
    data = DatasetCard.load(SCRIPTS / name / "README.md").data
    written = DatasetInfosDict.from_dataset_card_data(data)
    builder = builder_class(name, tmp_path)
    assert set(written) == {config.name for config in builder.BUILDER_CONFIGS}
    folder = release if name == "stockemotion" else se30k8_release
    for config, info in written.items():
        if config == "basic8":  # asks for a file of scores
            continue
        made = builder(config_name=config, data_dir=str(folder), cache_dir=str(tmp_path))
        assert list(info.features) == list(made.info.features)
        for column in ("annotations", "votes", "label", "keywords", "phash"):
            assert info.features.get(column) == made.info.features.get(column)
