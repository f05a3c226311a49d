import json
from pathlib import Path

import pytest

from emotionnet_hf.data.benchmarks.benchmark import SPLITS, BenchmarkError, LayoutError
from emotionnet_hf.data.benchmarks.emoset import CLASSES, LAYOUTS, read
from emotionnet_hf.emotions import MIKELS

FILES = {"train": "train.json", "validation": "val.json", "test": "test.json"}
COUNTS = {"train": 5, "validation": 1, "test": 2}


def row(emotion: str, number: int, fields: int = 3) -> list:
    name = f"{emotion}_{number:05}"
    paths = [f"image/{emotion}/{name}.jpg", f"annotation/{emotion}/{name}.json"]
    return [emotion, *([number] if fields == 4 else []), *paths]


def write(folder: Path, fields: int = 3) -> dict[str, list]:
    lists: dict[str, list] = {split: [] for split in SPLITS}
    for emotion in CLASSES:
        (folder / "image" / emotion).mkdir(parents=True)
        numbers = iter(range(99))
        for split, count in COUNTS.items():
            lists[split] += [row(emotion, next(numbers), fields) for _ in range(count)]
        for number in range(8):
            (folder / row(emotion, number)[1]).touch()
    store(folder, lists)
    return lists


def store(folder: Path, lists: dict[str, list]) -> None:
    for split, name in FILES.items():
        (folder / name).write_text(json.dumps(lists[split]))


@pytest.mark.parametrize("fields", [3, 4])
def test_both_kinds_of_rows(tmp_path, fields):
    lists = write(tmp_path, fields)
    benchmark = read(tmp_path)
    assert benchmark.classes == CLASSES and sorted(CLASSES) == sorted(MIKELS)
    assert benchmark.layout == LAYOUTS[fields - 3] and benchmark.dropped == {}
    for split, count in COUNTS.items():
        data = benchmark.splits[split]
        assert [data["label"][:].count(k) for k in range(8)] == [count] * 8
        images = {entry[-2]: entry[0] for entry in lists[split]}
        assert {r["image_id"]: CLASSES[r["label"]] for r in data} == images
        assert all(Path(r["image"]["path"]).is_file() for r in data)
    assert read(tmp_path, seed=1).splits["test"].to_list() == benchmark.splits["test"].to_list()


def test_rows_that_cannot_be_used_are_counted(tmp_path):
    lists = write(tmp_path)
    lists["test"].append(row("fear", 98))
    lists["train"] += [
        row("fear", 99),
        row("joy", 1),
        ["fear", "annotation/fear/1.json"],
        {"emotion": "fear"},
        [],
        lists["test"][0],
        lists["train"][0],
    ]
    store(tmp_path, lists)
    benchmark = read(tmp_path)
    assert benchmark.dropped == {
        "listed twice": 2,
        "no picture on disk": 2,
        "row of the wrong shape": 2,
        "row without a picture": 1,
        "unknown class: joy": 1,
    }
    assert benchmark.absent == {
        "test": ["image/fear/fear_00098.jpg"],
        "train": ["image/fear/fear_00099.jpg"],
    }
    assert not benchmark.validation_drawn and benchmark.absent_share("test") == 1 / 17
    assert len(benchmark.splits["test"]) == 16 and len(benchmark.splits["train"]) == 40


@pytest.mark.parametrize("text", ["[[", '{"rows": []}', "\udcff"])
def test_list_that_is_none_is_refused_by_name(tmp_path, text):
    write(tmp_path)
    (tmp_path / "val.json").write_text(text, errors="surrogateescape")
    with pytest.raises(BenchmarkError, match=r"val\.json (is not JSON|holds no list)"):
        read(tmp_path)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="home page of EmoSet"):
        read(tmp_path / "nowhere")
    write(tmp_path)
    (tmp_path / "test.json").unlink()
    with pytest.raises(LayoutError) as caught:
        read(tmp_path)
    assert all(line in str(caught.value) for line in LAYOUTS)
    assert "Found: image/, train.json, val.json." in str(caught.value)


def test_cut_off_download_is_refused(tmp_path):
    write(tmp_path)
    for path in (tmp_path / "image" / "awe").iterdir():
        path.unlink()
    with pytest.raises(
        BenchmarkError, match=r"no picture of awe.*on disk \(8\), such as image/awe/awe"
    ):
        read(tmp_path)
