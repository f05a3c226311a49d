"""Building the releases, and reading what was built as users do."""

import json
from collections import Counter

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.build import BuildError
from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.duplicates import find_duplicates
from emotionnet_hf.data.load import load_dataset as load_release
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.stockemotion import subset_point


@pytest.fixture(scope="module")
def built(release, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "stockemotion"
    return build_dataset(release, out, rows_per_shard=4, progress=False)


@pytest.fixture
def load(built, tmp_path):
    def load(*words, folder=built.out, **options):
        return load_dataset(str(folder), *words, cache_dir=str(tmp_path), **options)

    return load


def test_built_folder_holds_what_the_release_holds(built, release, load, tmp_path):
    assert built.rows == {"train": 40, "validation": 8, "test": 12}
    assert built.quarantined == {"no such image file": 1, "stock id given before": 2}
    whole = load_release("stockemotion", data_dir=release, cache_dir=tmp_path / "release")
    opened = load()
    for split, rows in whole.items():
        assert opened[split].features == rows.features
        mine = {row["image_id"]: row for row in opened[split]}
        assert len(mine) == len(rows)
        for row in rows:
            other = mine[row["image_id"]]
            assert other.pop("image").tobytes() == row.pop("image").tobytes()
            assert other == row


def test_parts_of_a_split_are_read_as_one(built):
    folder = open_built(built.out)
    assert {split: folder.num_rows(split) for split in folder.files} == built.rows


def test_all_keywords_come_with_the_releases_names(load, release_parts):
    rows = load("all_keywords", split="train")
    labels = rows.features["keyword_ids"].feature
    assert labels.names == [name.lower() for name in release_parts.tags]
    for row in rows:
        assert [labels.int2str(i) for i in row["keyword_ids"]] == row["keywords"]
    streamed = load("all_keywords", split="train", streaming=True)
    assert [row["keyword_ids"] for row in streamed] == rows["keyword_ids"]


def test_subsets_are_nested_and_leave_the_other_splits_alone(load):
    whole = load()
    smaller: set[str] = set()
    for percent in (10, 25, 50, 75):
        subset = load(f"subset_{percent}")
        ids = set(subset["train"]["image_id"])
        wanted = {i for i in whole["train"]["image_id"] if subset_point(i) < percent / 100}
        assert ids == wanted
        assert smaller < ids
        assert subset["test"]["image_id"] == whole["test"]["image_id"]
        assert subset["train"].features == whole["train"].features
        smaller = ids
    assert smaller < set(whole["train"]["image_id"])


def test_each_row_comes_once_an_epoch_whatever_nodes_and_workers(load, monkeypatch):
    # `datasets` lets every worker wait for seconds at its end, for a pyarrow of long ago.
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    stream = load(split="train", streaming=True).select_columns(["image_id"])
    ids = sorted(load(split="train")["image_id"])
    shuffled = stream.shuffle(seed=3, buffer_size=5)
    orders = []
    for epoch in range(2):
        for nodes in (1, 3):
            seen = []
            for node in range(nodes):
                mine = split_dataset_by_node(shuffled, rank=node, world_size=nodes)
                mine.set_epoch(epoch)
                loader = DataLoader(mine, batch_size=None, num_workers=2)
                seen += [row["image_id"] for row in loader]
            assert sorted(seen) == ids
        orders.append(seen)
    assert orders[0] != orders[1]


def test_basic8_becomes_a_configuration(release, load, tmp_path):
    ids = [i for split in load().values() for i in split["image_id"]]
    scores = [[0.125] * 7 + [0.125 + (i % 2) / 8] for i in range(len(ids))]
    pq.write_table(pa.table({"image_id": ids, "scores": scores}), tmp_path / "basic8.parquet")
    out = tmp_path / "out"
    build_dataset(release, out, basic8=tmp_path / "basic8.parquet", progress=False)
    rows = load("basic8", folder=out, split="train")
    place = {image_id: i for i, image_id in enumerate(ids)}
    assert rows["basic8"] == [7 * (place[i] % 2) for i in rows["image_id"]]
    assert "basic8" not in load(folder=out, split="train").column_names
    assert set(load("all_keywords", folder=out)["test"].column_names) >= {"keyword_ids"}


def test_se30k8(se30k8_release, load, tmp_path):
    out = tmp_path / "se30k8"
    report = build_dataset(se30k8_release, out, progress=False)
    assert report.rows == {"train": 37, "validation": 5, "test": 8, "no_majority": 10}
    assert report.quarantined["wrong number of workers"] == 1
    opened = load(folder=out)
    whole = load_release("se30k8", data_dir=se30k8_release, cache_dir=tmp_path / "release")
    for split, rows in whole.items():
        assert opened[split].features == rows.features
        assert opened[split].remove_columns("image")[:] == rows.remove_columns("image")[:]
    text = load("text", folder=out)
    wanted = load_release("se30k8", "text", data_dir=se30k8_release, cache_dir=tmp_path / "release")
    assert {name: split.num_rows for name, split in text.items()} == {"train": 54, "test": 6}
    for split, rows in wanted.items():
        assert text[split].features == rows.features
        assert text[split][:] == rows[:]
    streamed = load("text", folder=out, split="test", streaming=True)
    assert [row["image_id"] for row in streamed] == text["test"]["image_id"]
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "five workers" in card
    assert "depends only on a hash" not in card
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"SECRET" not in everything


def test_release_that_could_write_elsewhere_does_not(tmp_path, release_parts):
    release_parts.draw(tmp_path / "secret.jpg", 5)
    votes = {"image_emotion": [["fear"]] * 5, "tags": ["joy"], "emotion_tags": ["joy"]}
    release_parts.write_pickle(
        tmp_path / "release" / "a.pkl",
        {1: votes | {"re_path": "../secret.jpg"}, 2: votes | {"image_url": "\ud800"}},
    )
    release_parts.draw(tmp_path / "release" / "images" / "2.jpg", 2)
    report = build_dataset(tmp_path / "release", tmp_path / "out", progress=False)
    assert sum(report.rows.values()) == 1
    assert report.quarantined == {"no such image file": 1}


def test_release_has_splits_of_its_own(release, tmp_path):
    with pytest.raises(BuildError, match="splits of its own"):
        build_dataset(release, tmp_path / "out", test=0.5, progress=False)


def test_users_own_emotions_relabel_a_release(release, load, tmp_path):
    emotions = Vocabulary(["tree", "sea"])
    build_dataset(release, tmp_path / "out", emotions=emotions, progress=False)
    for row in load(folder=tmp_path / "out", split="train"):
        assert {emotions.name(i) for i in row["emotion_keywords"]} == {
            word for word in row["keywords"] if word in emotions
        }


def test_folder_of_ones_own_can_have_subsets_too(load, tmp_path, release_parts):
    folder = tmp_path / "pictures"
    rows = []
    for i in range(80):
        release_parts.draw(folder / f"{i}.jpg", i)
        rows.append({"file_name": f"{i}.jpg", "keywords": "joy"})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_dataset(folder, tmp_path / "out", subsets=True, test=0.1, progress=False)
    counts = Counter(
        {
            p: load(f"subset_{p}", folder=tmp_path / "out")["train"].num_rows
            for p in (10, 25, 50, 75)
        }
    )
    assert 0 < counts[10] < counts[25] < counts[50] < counts[75] < 80


def test_folder_of_ones_own_can_number_its_keywords_too(load, tmp_path, release_parts):
    folder = tmp_path / "pictures"
    lists = [["Joy", "tree", "sea"], ["joy", "tree", "once"], ["fear", "sea", "Tree", "twice"]]
    for i, words in enumerate(lists):
        release_parts.draw(folder / f"{i}.jpg", i)
    rows = [{"file_name": f"{i}.jpg", "keywords": words} for i, words in enumerate(lists)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_dataset(
        folder, tmp_path / "out", all_keywords=2, test=0.0, validation=0.0, progress=False
    )
    split = load("all_keywords", folder=tmp_path / "out", split="train")
    names = split.features["keyword_ids"].feature.names
    assert names == ["joy", "sea", "tree"]
    found = [[names[i] for i in ids] for ids in split["keyword_ids"]]
    assert found == [["joy", "tree", "sea"], ["joy", "tree"], ["sea", "tree"]]
    assert "keyword_ids" not in load(folder=tmp_path / "out", split="train").features
    with pytest.raises(ValueError, match=r"no keyword of .* is on 4 images: ask for fewer"):
        build_dataset(folder, tmp_path / "other", all_keywords=4, progress=False)


def test_a_release_numbers_its_keywords_itself(release, tmp_path):
    with pytest.raises(BuildError, match="numbers its keywords itself; leave out all_keywords"):
        build_dataset(release, tmp_path / "out", all_keywords=2, progress=False)


def test_long_and_foreign_keywords_come_through(load, tmp_path, release_parts):
    folder = tmp_path / "release"
    words = ["x" * 10_000, "\u0441\u0447\u0430\u0441\u0442\u044c\u0435", "\U0001f600", "caf\u00e9"]
    release_parts.write_vocabularies(folder)
    release_parts.write_pickle(folder / "train.pkl", [["1.jpg", [3]]])
    release_parts.write_pickle(folder / "words.pkl", {"1": words})
    release_parts.draw(folder / "images" / "1.jpg", 1)
    build_dataset(folder, tmp_path / "out", progress=False)
    (row,) = load(folder=tmp_path / "out", split="train")
    (streamed,) = load_release("stockemotion", data_dir=folder, split="train", streaming=True)
    assert row["keywords"] == streamed["keywords"] == [*words, "joy"]


def test_near_duplicates_are_left_out_and_told(load, tmp_path, release_parts):
    folder = tmp_path / "release"
    release_parts.write_vocabularies(folder)
    annotations = [[f"{i}.jpg", [i % 3], [(4, 5, 8)[i % 3]]] for i in range(6)]
    release_parts.write_pickle(folder / "train.pkl", annotations)
    for i in range(6):
        release_parts.draw(folder / "images" / f"{i}.jpg", i // 2)
    found = find_duplicates(folder, tmp_path / "duplicates.parquet", progress=False)
    assert (found.images, found.kept, found.largest_group) == (6, 3, 2)
    report = build_dataset(
        folder, tmp_path / "out", duplicates=tmp_path / "duplicates.parquet", progress=False
    )
    assert (report.rows, report.quarantined) == ({"train": 3}, {"near-duplicate": 3})
    rows = load(folder=tmp_path / "out", split="train")
    kept = {row["image_id"]: row["keywords"] for row in rows}
    assert set(kept) == {"0", "2", "4"}
    # What the dropped ones were tagged with is not among the keywords of those that stay.
    assert all(len(words) == 2 for words in kept.values())
