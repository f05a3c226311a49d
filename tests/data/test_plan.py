from collections import Counter

import pytest

from emotionnet_hf.data.additions import Additions
from emotionnet_hf.data.plan import (
    BuildSettings,
    Shard,
    make_plan,
    part_of,
    parts,
    reason_kind,
    split_of,
    told,
)
from emotionnet_hf.data.sources import FolderSource, Record
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.release import Rejected
from emotionnet_hf.loading.stockemotion import SUBSETS, subset_point


def settings(**changes) -> BuildSettings:
    values = {
        "emotions": Vocabulary(["fear", "joy"]),
        "validation": 0.2,
        "test": 0.2,
        "seed": 0,
        "subsets": False,
        "all_keywords": None,
        "min_emotion_keywords": 1,
        "max_pixels": 10**6,
        "rows_per_shard": 10,
        "shorter_side": None,
    }
    return BuildSettings(**(values | changes))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    lines = []
    for i in range(100):
        (folder / f"{i}.png").write_bytes(b"x" * i)
        keywords = "tree" if i == 50 else "joy, tree, fear"
        lines.append(f'{{"file_name": "{i}.png", "keywords": "{keywords}", "group": "g{i // 5}"}}')
    lines[60] = "oops"
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return FolderSource(folder, folder / "metadata.jsonl")


def plan_of(source, folder, versions=None, additions=None, **changes):
    folder.mkdir(exist_ok=True)
    return make_plan(
        source,
        settings(**changes),
        folder,
        additions=additions or Additions(),
        versions=versions or {},
        progress=False,
    )


def test_every_row_is_in_one_shard_or_in_quarantine(source, tmp_path):
    plan = plan_of(source, tmp_path / "plan")
    shards = list(plan.shards())
    rows = [row for shard in shards for row in plan.rows_of(shard)]
    refused = list(plan.quarantine())
    assert sorted([row["row"] for row in rows] + [item.row for item in refused]) == list(
        range(-1, 100)
    )
    assert {item.row: reason_kind(item.reason) for item in refused} == {
        -1: "picture without a row in the metadata",
        50: "fewer than 1 emotion keywords",
        60: "not JSON",
    }
    for shard in shards:
        assert len(list(plan.rows_of(shard))) == shard.rows <= 10
    by_split = {split: [s for s in shards if s.part == split] for split in plan.rows}
    for split, of_split in by_split.items():
        assert [s.index for s in of_split] == list(range(len(of_split)))
        assert {s.total for s in of_split} == {len(of_split)}
        assert sum(s.rows for s in of_split) == plan.rows[split]


def test_groups_do_not_straddle(source, tmp_path):
    plan = plan_of(source, tmp_path / "plan")
    splits: dict[int, set[str]] = {}
    for shard in plan.shards():
        for row in plan.rows_of(shard):
            splits.setdefault(row["row"] // 5, set()).add(shard.part)
    assert all(len(split) == 1 for split in splits.values())
    assert len(set.union(*splits.values())) == 3


def test_rows_hold_ids_and_keywords(source, tmp_path):
    plan = plan_of(source, tmp_path / "plan")
    row = next(plan.rows_of(next(plan.shards())))
    assert row["keywords"] == ["joy", "tree", "fear"]
    assert row["emotion_keywords"] == [1, 0]
    assert row["file_name"] == row["image_id"] == f"{row['row']}.png"
    assert (plan.people, plan.faces) == (False, False)


def test_fingerprint_follows_what_matters(source, tmp_path):
    base = plan_of(source, tmp_path / "plan").fingerprint
    assert plan_of(source, tmp_path / "again").fingerprint == base
    changes = [
        {"seed": 1},
        {"shorter_side": 32},
        {"rows_per_shard": 11},
        {"emotions": Vocabulary(["fear", "joy", "hope"])},
        {"versions": {"pillow": "0"}},
        {"subsets": True},
        {"additions": Additions(duplicates={"4.png": "3.png"})},
        {"additions": Additions(counts={"4.png": (1, 0)})},
    ]
    prints = {plan_of(source, tmp_path / "again", **change).fingerprint for change in changes}
    (source.folder / "3.png").write_bytes(b"grown")
    prints.add(plan_of(source, tmp_path / "again").fingerprint)
    assert len(prints | {base}) == len(changes) + 2


def test_shard_names():
    shard = Shard("train", 3, 12, 4096)
    assert shard.name == "train-00003-of-00012"


def test_reasons_are_told_by_frequency():
    assert told(Counter({"b": 1, "a": 1, "c": 2})) == "c (2), a (1), b (1)"


def test_quarantine_of_a_plan_comes_back(source, tmp_path):
    assert all(isinstance(item, Rejected) for item in plan_of(source, tmp_path / "p").quarantine())
    assert isinstance(next(iter(source)), Record)


def test_parts_complete_the_subsets_one_after_the_other():
    splits = ("train", "test")
    assert parts(splits, False) == ["train", "test"]
    names = parts(splits, True)
    assert names == ["train-010", "train-025", "train-050", "train-075", "train-100", "test"]
    assert {split_of(name) for name in names} == set(splits)
    assert part_of("5", "test", True) == "test"
    assert part_of("5", "train", False) == "train"
    for i in range(500):
        within = [p for p in (*SUBSETS, 100) if subset_point(str(i)) < p / 100]
        assert part_of(str(i), "train", True) == f"train-{min(within):03d}"


def test_subsets_change_neither_the_split_nor_what_is_in_a_row(source, tmp_path):
    plain, dealt = plan_of(source, tmp_path / "a"), plan_of(source, tmp_path / "b", subsets=True)

    def rows(plan):
        found = [(split_of(s.part), row) for s in plan.shards() for row in plan.rows_of(s)]
        return sorted(found, key=lambda pair: pair[1]["row"])

    assert rows(plain) == rows(dealt)
    assert len(dealt.rows) == 7


def test_near_duplicates_and_counts_from_other_commands(source, tmp_path):
    additions = Additions(duplicates={"4.png": "3.png"}, counts={"5.png": (2, None)})
    plan = plan_of(source, tmp_path / "plan", additions=additions)
    assert {r.row: r.reason for r in plan.quarantine()}[4] == "near-duplicate: of 3.png"
    # The row 50 has no emotion keyword: who was to go for it stays, and stands for the others.
    unusable = {"51.png": "50.png", "52.png": "50.png"}
    other = plan_of(source, tmp_path / "b", additions=Additions(duplicates=unusable))
    reasons = {r.row: r.reason for r in other.quarantine()}
    assert 51 not in reasons
    assert reasons[52] == "near-duplicate: of 51.png"
    rows = {row["row"]: row for shard in plan.shards() for row in plan.rows_of(shard)}
    assert (rows[5]["people"], rows[5]["faces"], rows[6]["people"]) == (2, None, None)
    assert (plan.people, plan.faces) == (True, False)
