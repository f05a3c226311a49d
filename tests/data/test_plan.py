from collections import Counter

import pytest

from emotionnet_hf.data.plan import BuildSettings, Shard, make_plan, reason_kind, told
from emotionnet_hf.data.sources import Record, Rejected, Source
from emotionnet_hf.keywords import Vocabulary


def settings(**changes) -> BuildSettings:
    values = {
        "emotions": Vocabulary(["fear", "joy"]),
        "validation": 0.2,
        "test": 0.2,
        "seed": 0,
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
    return Source(folder, folder / "metadata.jsonl")


def plan_of(source, folder, versions=None, **changes):
    folder.mkdir(exist_ok=True)
    return make_plan(source, settings(**changes), folder, versions=versions or {}, progress=False)


def test_every_row_is_in_one_shard_or_in_quarantine(source, tmp_path):
    plan = plan_of(source, tmp_path / "plan")
    shards = list(plan.shards())
    rows = [row for shard in shards for row in plan.rows_of(shard)]
    refused = list(plan.quarantine())
    assert sorted([row["row"] for row in rows] + [item.row for item in refused]) == list(range(100))
    assert {item.row: reason_kind(item.reason) for item in refused} == {
        50: "fewer than 1 emotion keywords",
        60: "not JSON",
    }
    for shard in shards:
        assert len(list(plan.rows_of(shard))) == shard.rows <= 10
    by_split = {split: [s for s in shards if s.split == split] for split in plan.rows}
    for split, of_split in by_split.items():
        assert [s.index for s in of_split] == list(range(len(of_split)))
        assert {s.total for s in of_split} == {len(of_split)}
        assert sum(s.rows for s in of_split) == plan.rows[split]


def test_groups_do_not_straddle(source, tmp_path):
    plan = plan_of(source, tmp_path / "plan")
    splits: dict[int, set[str]] = {}
    for shard in plan.shards():
        for row in plan.rows_of(shard):
            splits.setdefault(row["row"] // 5, set()).add(shard.split)
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
