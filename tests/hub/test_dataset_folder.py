import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.built_folder import BuiltFolderError
from emotionnet_hf.files import unfinished_name
from emotionnet_hf.hub.dataset_folder import (
    DatasetFolderError,
    DatasetFolderNotFoundError,
    open_dataset,
)
from emotionnet_hf.hub.privacy import PrivateTextError
from emotionnet_hf.lock import one_run


def shard(folder):
    return min((folder / "data").glob("train-*"))


def rewrite(path, name, values):
    """Put a column into a Parquet file."""
    table = pq.read_table(path)
    column = pa.array([values] * len(table), pa.string())
    if name in table.column_names:
        table = table.set_column(table.column_names.index(name), name, column)
    else:
        table = table.append_column(name, column)
    pq.write_table(table, path)


def test_built_folder_is_opened_with_all_that_is_published(built):
    (built / "statistics.json").write_text("{}")
    (built / ".cache").mkdir()
    (built / ".cache" / "x").touch()
    opened = open_dataset(built)
    shards = sorted(f"data/{path.name}" for path in (built / "data").iterdir())
    assert opened.files == ("build.json", "quarantine.parquet", *shards)
    assert opened.left_out == ("statistics.json",)
    assert sum(opened.rows.values()) == 39
    assert dict(opened.contents())["build.json"] == built / "build.json"


def test_locks_and_what_is_unfinished_stay_here(built):
    before = open_dataset(built)
    shard = next((built / "data").iterdir()).name
    with one_run(built, inside=True), one_run(built / "data" / shard):
        (built / unfinished_name("README.md")).touch()
        (built / "data" / unfinished_name(shard)).touch()
        assert open_dataset(built) == before


def test_release_is_refused(release, se30k8_release, built):
    for folder in (release, se30k8_release):
        with pytest.raises(DatasetFolderError, match=r"pickles .*worker ids.*emotionnet build"):
            open_dataset(folder)
    (built / "more").mkdir()
    (built / "more" / "mturk.pkl.keep").touch()
    with pytest.raises(DatasetFolderError, match=r"holds mturk.pkl.keep"):
        open_dataset(built)


def test_other_folders_are_refused(tmp_path, built):
    with pytest.raises(DatasetFolderNotFoundError, match="There is no folder"):
        open_dataset(tmp_path / "nowhere")
    (built / "README.md").unlink()
    with pytest.raises(DatasetFolderError, match=r"no README.md.*build it again"):
        open_dataset(built)
    (built / "build.json").unlink()
    with pytest.raises(DatasetFolderError, match=r"no build.json.*emotionnet build"):
        open_dataset(built)


def test_folder_that_is_not_whole_is_refused(built):
    path = shard(built)
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(BuiltFolderError, match="shards of 'train'"):
        open_dataset(built)
    path.write_bytes(content[:-9])
    with pytest.raises(BuiltFolderError, match="not a whole Parquet file"):
        open_dataset(built)
    pq.write_table(pq.read_table(pa.BufferReader(content)).slice(1), path)
    with pytest.raises(DatasetFolderError, match=r"build.json counts .* the shards hold"):
        open_dataset(built)
    for lost in (built / "data").glob("train-*"):
        lost.unlink()
    with pytest.raises(DatasetFolderError, match="is not what was built"):
        open_dataset(built)


def test_subsets_count_as_training(release, tmp_path):
    from emotionnet_hf.data import build_dataset

    out = tmp_path / "stockemotion"
    build_dataset(release, out, progress=False)
    assert len({path.name.split("-")[1] for path in (out / "data").glob("train-*")}) > 1
    assert open_dataset(out).rows == json.loads((out / "build.json").read_text())["rows"]


def test_worker_ids_are_refused(built):
    for path in (built / "data").iterdir():
        rewrite(path, "work_ids", "A1B2C3")
    with pytest.raises(DatasetFolderError, match=r"has the column work_ids.*personal data"):
        open_dataset(built)


@pytest.mark.parametrize("column", ["source", "image_id"])
def test_paths_in_the_data_are_refused(built, column):
    rewrite(shard(built), column, "/home/me/pictures/1.png")
    with pytest.raises(PrivateTextError, match=r"train-.*'/home/me/pictures/1.png'.*build"):
        open_dataset(built)


def test_path_inside_an_image_is_refused(built):
    path = shard(built)
    table = pq.read_table(path)
    images = [{**image, "path": "file:///disk/1.png"} for image in table["image"].to_pylist()]
    column = pa.array(images, table.schema.field("image").type)
    pq.write_table(table.set_column(0, table.schema.field("image"), column), path)
    with pytest.raises(PrivateTextError, match=r"file:///disk/1.png"):
        open_dataset(built)


def test_paths_in_the_quarantine_are_refused(built):
    assert open_dataset(built)
    rewrite(built / "quarantine.parquet", "reason", "cannot open '/home/me/x.png': gone")
    with pytest.raises(PrivateTextError, match=r"quarantine.*/home/me/x.png.*remove it"):
        open_dataset(built)
    (built / "quarantine.parquet").unlink()
    assert "quarantine.parquet" not in open_dataset(built).files


def test_damaged_record_of_the_build_is_named(built):
    path = built / "build.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(DatasetFolderError, match=r"build\.json is no whole JSON file.*copy"):
        open_dataset(built)


@pytest.mark.parametrize("name", ["build.json", "README.md"])
def test_path_of_another_machine_is_refused(built, name):
    path = built / name
    if name == "build.json":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"x": "from=/mnt/nfs/words"}))
    else:
        path.write_text(f"{path.read_text()}\nBuilt from `/mnt/nfs/words`.\n")
    with pytest.raises(PrivateTextError, match=rf"{name} holds a path of a machine \('/mnt/nfs/w"):
        open_dataset(built)


def test_path_in_the_card_is_refused(built):
    text = (built / "README.md").read_text()
    (built / "README.md").write_text(f"{text}\nBuilt in {built.parent}.\n")
    with pytest.raises(PrivateTextError, match=r"README.md holds a path of this machine"):
        open_dataset(built)


@pytest.fixture
def se30k8(se30k8_release, tmp_path):
    build_dataset(se30k8_release, tmp_path / "sets" / "se30k8", progress=False)
    return tmp_path / "sets" / "se30k8"


def test_files_of_every_configuration_are_published_and_checked(se30k8):
    opened = open_dataset(se30k8)
    texts = [f"text/{path.name}" for path in sorted((se30k8 / "text").iterdir())]
    assert texts and set(texts) <= set(opened.files) and not opened.left_out
    rewrite(se30k8 / texts[0], "source", "/home/me/a.jpg")
    with pytest.raises(PrivateTextError, match="/home/me"):
        open_dataset(se30k8)
    rewrite(se30k8 / texts[0], "worker_ids", "A1")
    with pytest.raises(DatasetFolderError, match="worker_ids"):
        open_dataset(se30k8)
    (se30k8 / texts[0]).unlink()
    with pytest.raises(DatasetFolderError, match=rf"lacks {texts[0]}.*'text'"):
        open_dataset(se30k8)


def test_files_that_no_build_writes_are_not_published(built):
    readme = built / "README.md"
    readme.write_text(readme.read_text().replace("path: data/train-*", "path: '*.json'"))
    with pytest.raises(DatasetFolderError, match=r"build.json, which no build writes"):
        open_dataset(built)
