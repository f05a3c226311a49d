import json

import pytest

from emotionnet_hf.data.benchmarks import emotic
from emotionnet_hf.data.benchmarks.description import describe
from emotionnet_hf.data.benchmarks.near_duplicates import checked


@pytest.fixture
def benchmark(tmp_path, emotic_parts):
    data = emotic_parts.pictures()
    data["train"].append(("mscoco/images", "gone.jpg", [emotic_parts.person(["Peace"])]))
    data["test"].append(("mscoco/images", "twin.jpg", [emotic_parts.person(["Pain"])]))
    emotic_parts.save_mat(tmp_path / "Annotations.mat", data)
    emotic_parts.draw_all(tmp_path, data)
    (tmp_path / "mscoco/images/gone.jpg").unlink()
    emotic_parts.draw(tmp_path / "mscoco/images/twin.jpg", 0, size=(90, 75))
    (tmp_path / "framesdb/images/a.jpg").write_bytes(b"")
    return emotic.read_image(tmp_path)


def test_counts_are_those_of_people_pictures_and_labels(benchmark):
    told = describe(benchmark).as_dict()
    train, test = told["splits"]["train"], told["splits"]["test"]
    assert (train["rows"], train["pictures"]) == (3, 2)
    assert (test["rows"], test["pictures"]) == (4, 3)
    assert {k: n for k, n in test["classes"].items() if n} == {
        "Esteem": 1,
        "Pain": 2,
        "Fear": 1,
        "Yearning": 1,
    }
    assert list(train["classes"]) == list(benchmark.classes)
    assert told["dropped"] == {"the picture is not there": 1}
    assert told["absent"] == {"train": 1}
    assert (told["metric"], told["release"]) == ("mean_average_precision", benchmark.release)
    assert told["near_duplicates"] is None


def test_report_is_told_with_the_counts(benchmark):
    told = describe(*checked(benchmark, progress=False)).as_dict()
    assert told["splits"]["train"]["rows"] == 2
    assert told["dropped"] == {"the picture is not there": 1, "zero bytes": 1}
    overlap = told["near_duplicates"]["overlaps"][0]
    assert (overlap["split"], overlap["other"]) == ("test", "train")
    assert (overlap["with_twin"], overlap["with_another_label"]) == (1, 1)
    assert told["near_duplicates"]["test_twins_in_train"] == 1
    assert json.loads(json.dumps(told))["near_duplicates"]["pictures"]["test"] == 3


def test_page_has_a_table_and_says_what_is_wrong(benchmark):
    page = describe(*checked(benchmark, progress=False)).summary()
    assert page.startswith("# EMOTIC-I\n")
    assert "|  | train | validation | test | total |" in page
    assert "| rows | 2 | 1 | 4 | 7 |" in page
    assert "| Pain | 0 | 1 | 2 | 3 |" in page
    assert "- the picture is not there: 1" in page
    assert "1 of 3 pictures of test have a twin in train, 1 of them only with other labels" in page
    assert "mscoco/images/twin.jpg#1 (Pain) and mscoco/images/a.jpg#1" in page
    assert "not usable: framesdb/images/a.jpg#1: zero bytes" in page
    assert f"Release: {benchmark.release}" in page


def test_page_without_a_check_says_nothing_of_twins(benchmark):
    assert "twin in" not in describe(benchmark).summary()
