from pathlib import Path

import pytest

from emotionnet_hf.data.benchmarks.benchmark import (
    SPLITS,
    BenchmarkError,
    LayoutError,
    benchmark_features,
)
from emotionnet_hf.data.benchmarks.deepemotion import LAYOUTS, read
from emotionnet_hf.emotions import MIKELS


def pictures(place: Path, count: int, *, name="{emotion}_{number}.JPG") -> None:
    for emotion in MIKELS:
        (place / emotion).mkdir(parents=True)
        for number in range(count):
            (place / emotion / name.format(emotion=emotion, number=number)).touch()


def sizes(benchmark) -> dict[str, int]:
    return {split: len(benchmark.splits[split]) for split in SPLITS}


def ids(benchmark) -> dict[str, list[str]]:
    return {split: benchmark.splits[split]["image_id"][:] for split in SPLITS}


def votes(emotion: str, number: int, disagree: int = 1, agree: int = 4) -> str:
    return f"{emotion},https://host.example/7/{emotion}_{number}.jpg?size=b,{disagree},{agree}\n"


def test_folders_of_classes_are_split(tmp_path):
    pictures(tmp_path, 20)
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "x.jpg").touch()
    benchmark = read(tmp_path)
    assert benchmark.classes == MIKELS and benchmark.layout == LAYOUTS[2]
    assert sizes(benchmark) == {"train": 112, "validation": 16, "test": 32}
    for split, of_class in zip(SPLITS, (14, 2, 4), strict=True):
        data = benchmark.splits[split]
        assert data.features == benchmark_features(MIKELS)
        assert [data["label"][:].count(k) for k in range(8)] == [of_class] * 8
        assert all(MIKELS.index(r["image_id"].split("/")[0]) == r["label"] for r in data)
    assert benchmark.validation_drawn and benchmark.absent == {}
    assert benchmark.dropped == {"passed over, __MACOSX": 1}
    assert len(benchmark.notes) == 2 and all("seed 0" in note for note in benchmark.notes)
    assert "160 pictures" in benchmark.release
    assert ids(read(tmp_path)) == ids(benchmark) != ids(read(tmp_path, seed=1))


@pytest.mark.parametrize("validation", ["val", "Valid", "validation", None])
def test_split_of_the_folder_is_kept(tmp_path, validation):
    pictures(tmp_path / "Train", 10)
    pictures(tmp_path / "test", 3)
    if validation:
        pictures(tmp_path / validation, 2)
    benchmark = read(tmp_path)
    assert benchmark.layout == LAYOUTS[0]
    expected = {"train": 80, "validation": 16} if validation else {"train": 72, "validation": 8}
    assert sizes(benchmark) == expected | {"test": 24}
    assert all(name.startswith("test/") for name in ids(benchmark)["test"])
    assert any("10 % of train" in note for note in benchmark.notes) == (validation is None)
    assert benchmark.validation_drawn == (validation is None)


def test_two_folders_for_one_split_are_refused(tmp_path):
    for name in ("train", "val", "valid", "test"):
        pictures(tmp_path / name, 2)
    with pytest.raises(BenchmarkError, match="val and valid, both for validation"):
        read(tmp_path)


@pytest.mark.parametrize("place", ["agg", "."])
@pytest.mark.parametrize("pictures_at", ["images", "."])
def test_votes_decide_which_rows_count(tmp_path, place, pictures_at):
    pictures(tmp_path / pictures_at, 20)
    (tmp_path / place).mkdir(exist_ok=True)
    for emotion in MIKELS[1:]:
        text = "".join(votes(emotion, number) for number in range(20))
        (tmp_path / place / f"{emotion}_agg.CSV").write_text(text)
    odd = [
        votes("amusement", 0, 2, 2),  # agree not > 2
        votes("amusement", 1, 3, 3),  # agree not > disagree
        votes("amusement", 2, 2, 3),
        votes("amusement", 2, 1, 4),
        votes("amusement", 99),
        votes("joy", 1),
        "amusement,https://[bad/amusement_4.jpg,0,5\n",
        "amusement,too,few\n",
        "amusement,https://host.example/amusement_3.jpg,one,5\n",
        "\n",
        *(votes("Amusement", number) for number in range(5, 20)),
    ]
    header = "\ufeffemotion,url,disagree,agree\n"
    (tmp_path / place / "amusement_agg.csv").write_text(header + "".join(odd), "utf-8")
    benchmark = read(tmp_path)
    assert benchmark.layout == LAYOUTS[1]
    assert benchmark.dropped == {
        "listed twice": 1,
        "no picture on disk": 2,
        "rejected by the votes": 2,
        "unknown class: joy": 1,
        "unreadable line": 2,
    }
    labels = [k for split in SPLITS for k in benchmark.splits[split]["label"][:]]
    assert [labels.count(k) for k in range(8)] == [16] + [20] * 7
    rows = {r["image_id"]: r for split in SPLITS for r in benchmark.splits[split]}
    prefix = "" if pictures_at == "." else "images/"
    row = rows[f"{prefix}amusement/amusement_2.JPG"]
    assert row["image"]["path"] == str(tmp_path / row["image_id"])
    assert row["target"] == [1.0] + [0.0] * 7


def test_one_picture_with_two_emotions_is_one_group(tmp_path):
    (tmp_path / "images").mkdir()
    lines = []
    for number in range(40):
        (tmp_path / "images" / f"{number}.jpg").touch()
        lines += [f"{emotion},http://host.example/{number}.jpg,0,5\n" for emotion in MIKELS[:2]]
    pictures(tmp_path / "images", 10)
    lines += [votes(emotion, n) for emotion in MIKELS[2:] for n in range(10)]
    (tmp_path / "all.csv").write_text("".join(lines))
    benchmark = read(tmp_path)
    groups = [set(benchmark.splits[split]["group"][:]) for split in SPLITS]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    found = [name for names in ids(benchmark).values() for name in names]
    assert len(set(found)) == len(found) == 140
    assert {"images/7.jpg#amusement", "images/7.jpg#anger"} <= set(found)
    assert [benchmark.splits["test"]["label"][:].count(k) for k in (0, 1)] == [8, 8]


def test_picture_of_a_name_in_two_folders_is_taken_from_its_class(tmp_path):
    pictures(tmp_path, 20, name="{number}.jpg")
    lines = [f"{e},http://host.example/{n}.jpg,0,5\n" for e in MIKELS for n in range(20)]
    (tmp_path / "all.csv").write_text("".join(lines))
    benchmark = read(tmp_path)
    assert sum(sizes(benchmark).values()) == 160 and benchmark.dropped == {}
    (tmp_path / "fear" / "copy").mkdir()
    (tmp_path / "fear" / "copy" / "3.jpg").touch()
    assert read(tmp_path).dropped == {"several pictures of that name": 1}


def test_lists_without_their_pictures_are_refused(tmp_path):
    (tmp_path / "all.csv").write_text(votes("fear", 1))
    with pytest.raises(BenchmarkError, match=r"on disk \(1\), such as fear,http.*or move the CSV"):
        read(tmp_path)


@pytest.mark.parametrize("header", ["emotion,image_url,disagree,agree", "Label, Link, No, Yes"])
def test_header_may_have_other_names(tmp_path, header):
    pictures(tmp_path, 20)
    lines = [votes(emotion, n, agree=n % 10) for emotion in MIKELS for n in range(20)]
    (tmp_path / "all.csv").write_text("".join([header + "\n", *lines]))
    benchmark = read(tmp_path)
    assert benchmark.layout == LAYOUTS[1]
    assert benchmark.dropped == {"rejected by the votes": 8 * 2 * 3}


def test_first_line_about_an_emotion_is_no_header(tmp_path):
    pictures(tmp_path, 20)
    lines = [votes(emotion, n) for emotion in MIKELS for n in range(20)]
    (tmp_path / "all.csv").write_text("".join(["fear,http://host.example/x.jpg,one,5\n", *lines]))
    assert read(tmp_path).dropped == {"unreadable line": 1}


@pytest.mark.parametrize("with_folders", [True, False])
@pytest.mark.parametrize(
    ("change", "encoding", "begin"),
    [
        (lambda vote: f"0,{vote}", "utf-8", r"'0,fear,https://"),
        (lambda vote: vote.replace("4\n", "4.0\n"), "utf-8", r",1,4\.0'"),
        (lambda vote: vote.replace(",", ";"), "utf-8", r"'fear;https://"),
        (lambda vote: "file,label\n1.jpg,fear\n", "utf-8", "'file,label'"),
        (lambda vote: "", "utf-8", "''"),
    ],
)
def test_csv_files_without_votes_are_refused(tmp_path, with_folders, change, encoding, begin):
    pictures(tmp_path / ("." if with_folders else "images"), 20)
    (tmp_path / "agg").mkdir()
    lines = "".join(change(votes("fear", number)) for number in range(20))
    (tmp_path / "agg" / "a.csv").write_bytes(lines.encode(encoding))
    told = rf"agg/a\.csv has no votes: it begins with .*{begin}.*EMOTION,URL.*move the CSV files"
    with pytest.raises(BenchmarkError, match=told):
        read(tmp_path)


def test_split_of_the_folder_needs_no_votes(tmp_path):
    pictures(tmp_path / "train", 10)
    pictures(tmp_path / "test", 3)
    (tmp_path / "labels.csv").write_text("file,label\n1.jpg,fear\n")
    assert read(tmp_path).layout == LAYOUTS[0]


def test_pictures_outside_of_class_folders_are_counted(tmp_path):
    pictures(tmp_path / "all", 10)
    for number in range(5):
        (tmp_path / "all" / f"loose{number}.jpg").touch()
    assert read(tmp_path / "all").dropped == {"picture outside of a class folder": 5}
    pictures(tmp_path / "own" / "train", 10)
    pictures(tmp_path / "own" / "test", 3)
    pictures(tmp_path / "own" / "extra", 1)
    (tmp_path / "own" / "test" / "loose.jpg").touch()
    assert read(tmp_path / "own").dropped == {"picture outside of a class folder": 9}


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not exist.*on request"):
        read(tmp_path / "nowhere")
    for name in ("train", "labels.csv"):
        (tmp_path / name).mkdir()
    (tmp_path / "train" / "x").mkdir()
    with pytest.raises(LayoutError) as caught:
        read(tmp_path)
    assert all(line in str(caught.value) for line in LAYOUTS)
    assert "Found: labels.csv/, train/." in str(caught.value)
    pictures(tmp_path / "other", 1)
    with pytest.raises(LayoutError, match="Found: labels"):
        read(tmp_path)


def test_folder_of_an_unknown_class_is_refused(tmp_path):
    pictures(tmp_path, 10)
    (tmp_path / "fear").rename(tmp_path / "scared")
    with pytest.raises(BenchmarkError, match=r"scared has pictures \(10\).*amusement, anger, awe"):
        read(tmp_path)
