import pytest

from emotionnet_hf.data.benchmarks.benchmark import (
    SPLITS,
    BenchmarkError,
    LayoutError,
    benchmark_features,
    open_picture,
)
from emotionnet_hf.data.benchmarks.se30k8 import LAYOUTS, read
from emotionnet_hf.data.build import build_dataset
from emotionnet_hf.data.built_folder import BuiltFolderError
from emotionnet_hf.data.load import load_dataset
from emotionnet_hf.emotions import SE30K8


@pytest.fixture(scope="module")
def built(se30k8_release, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "se30k8"
    build_dataset(se30k8_release, out, progress=False, rows_per_shard=16)
    return out


def without_pictures(benchmark, split):
    return benchmark.splits[split].remove_columns(["image", "group"]).sort("image_id").to_list()


def test_release(se30k8_release):
    benchmark = read(se30k8_release)
    assert benchmark.classes == SE30K8 and benchmark.layout == LAYOUTS[0]
    assert [len(benchmark.splits[split]) for split in SPLITS] == [37, 5, 8]
    assert benchmark.dropped == {
        "no majority": 10,
        "unknown class": 1,
        "wrong number of workers": 1,
        "no stock id": 1,
    }
    for split in SPLITS:
        data = benchmark.splits[split]
        assert data.features == benchmark_features(SE30K8)
        for row in data:
            assert sum(row["target"]) == pytest.approx(1)
            assert row["target"][row["label"]] == max(row["target"]) >= 3 / 6 - 1e-6
            assert row["labels"] == [row["label"]] and row["box"] is None
    assert open_picture(benchmark.splits["test"][0]).size == (40, 30)
    assert "SECRET" not in str(benchmark.splits["train"].to_list())


def test_release_and_built_folder_are_one_benchmark(se30k8_release, built):
    release, folder = read(se30k8_release), read(built)
    assert folder.layout == LAYOUTS[1] and folder.dropped == release.dropped
    for split in SPLITS:
        assert folder.splits[split].features == benchmark_features(SE30K8)
        assert without_pictures(folder, split) == without_pictures(release, split)
    row = folder.splits["test"][0]
    assert row["image"]["bytes"] and row["group"] == row["image_id"]
    assert open_picture(row).size == (40, 30)


def test_split_is_that_of_the_evaluation(se30k8_release, tmp_path):
    theirs = load_dataset("se30k8", data_dir=se30k8_release, cache_dir=tmp_path, seed=4)
    ours = read(se30k8_release, seed=4)
    for split in SPLITS:
        assert set(ours.splits[split]["image_id"][:]) == set(theirs[split]["image_id"][:])
    other = read(se30k8_release).splits["test"]["image_id"][:]
    assert ours.splits["test"]["image_id"][:] != other


def test_folder_of_which_only_the_data_was_fetched(built, tmp_path):
    (tmp_path / "data").symlink_to(built / "data")
    assert read(tmp_path).dropped == {"no majority": 10}


def test_built_folder_of_something_else_is_refused(release, built, tmp_path):
    build_dataset(release, tmp_path / "stock", progress=False)
    with pytest.raises(BenchmarkError, match=r"stock was not built of SE30K8.*keywords"):
        read(tmp_path / "stock")
    (tmp_path / "part" / "data").mkdir(parents=True)
    shard = next((built / "data").glob("train-*0-of-*.parquet"))
    (tmp_path / "part" / "data" / shard.name).symlink_to(shard)
    with pytest.raises(BuiltFolderError, match="1 of the"):
        read(tmp_path / "part")


def test_other_folders_are_refused(release_parts, tmp_path):
    with pytest.raises(FileNotFoundError, match="authors' repository"):
        read(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    release_parts.write_vocabularies(tmp_path)
    with pytest.raises(LayoutError) as caught:
        read(tmp_path)
    assert all(layout in str(caught.value) for layout in LAYOUTS)
    assert "Found: idx2name/, notes.txt." in str(caught.value)
