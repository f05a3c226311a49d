import numpy as np
import pytest
from scipy.io import savemat

from emotionnet_hf.data.benchmarks import emotic_mat
from emotionnet_hf.data.benchmarks.benchmark import BenchmarkError
from emotionnet_hf.data.benchmarks.emotic_people import CATEGORIES


def read(folder):
    return emotic_mat.read(folder, emotic_mat.find(folder))


def counted(person):
    return {name: n for name, n in zip(CATEGORIES, person.counts, strict=True) if n}


@pytest.mark.parametrize("place", ["", "Annotations", "Annotations/Annotations"])
def test_all_people_are_read_with_their_counts(tmp_path, emotic_parts, place):
    emotic_parts.save_mat(tmp_path / place / "Annotations.mat", emotic_parts.pictures())
    found = read(tmp_path)
    assert found.images == 5
    assert [p.picture for p in found.people["train"]] == [
        *["mscoco/images/a.jpg"] * 2,
        "framesdb/images/a.jpg",
    ]
    assert [counted(p) for p in found.people["train"]] == [
        {"Peace": 1, "Affection": 1},
        {"Fear": 1},
        {"Doubt/Confusion": 1},
    ]
    assert [counted(p) for p in found.people["validation"]] == [{"Pain": 2, "Anger": 1, "Peace": 1}]
    assert [counted(p) for p in found.people["test"]] == [
        {"Esteem": 2},
        {"Pain": 1, "Fear": 1},
        {"Yearning": 1},
    ]
    assert found.people["test"][0].box == emotic_parts.box
    assert found.people["test"][0].size == (60, 50)
    assert found.notes == ()


def test_several_annotators_in_train_are_counted(tmp_path, emotic_parts):
    data = emotic_parts.pictures()
    data["train"][0][2][0] = emotic_parts.person(["Peace"], ["Peace", "Fear"], [])
    emotic_parts.save_mat(tmp_path / "Annotations.mat", data)
    assert counted(read(tmp_path).people["train"][0]) == {"Peace": 2, "Fear": 1}


def test_combined_categories_stand_in_for_annotators_and_else_the_union_wins(
    tmp_path, emotic_parts
):
    data = emotic_parts.pictures()
    people = data["test"][1][2]
    people[0] = emotic_parts.person([], []) | {"combined": ["Peace", "Fear"]}
    people[1] = emotic_parts.person(["Pain"], ["Fear"]) | {"combined": ["Pain"]}
    emotic_parts.save_mat(tmp_path / "Annotations.mat", data)
    found = read(tmp_path)
    assert [counted(p) for p in found.people["test"][1:]] == [
        {"Peace": 1, "Fear": 1},
        {"Pain": 1, "Fear": 1},
    ]
    (note,) = found.notes
    assert "of 1 people" in note


def test_person_without_anything_is_read_for_others_to_judge(tmp_path, emotic_parts):
    data = emotic_parts.pictures()
    data["val"][0][2][0] = emotic_parts.person([], []) | {"box": ()}
    emotic_parts.save_mat(tmp_path / "Annotations.mat", data)
    (person,) = read(tmp_path).people["validation"]
    assert (person.box, counted(person)) == ((), {})


def test_unknown_category_is_named_with_its_place(tmp_path, emotic_parts):
    data = emotic_parts.pictures()
    data["test"][1][2][1] = emotic_parts.person(["Bliss"])
    emotic_parts.save_mat(tmp_path / "Annotations.mat", data)
    with pytest.raises(BenchmarkError, match=r"Annotations.mat: test\(2\)\.person\(2\): 'Bliss'"):
        read(tmp_path)


def test_what_is_no_mat_file_of_emotic_is_one_error(tmp_path, emotic_parts):
    path = tmp_path / "Annotations.mat"
    emotic_parts.save_mat(path, emotic_parts.pictures())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BenchmarkError, match="download it again"):
        read(tmp_path)
    savemat(path, {"train": np.zeros(3), "extra": 1})
    with pytest.raises(BenchmarkError, match=r"train\(1\) has no field filename"):
        read(tmp_path)
    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(BenchmarkError, match="no field train; it has other"):
        read(tmp_path)
    # The header of MATLAB 7.3: 116 bytes of text, then the version 0x0200 behind 8 bytes.
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x00" * 400)
    with pytest.raises(BenchmarkError, match="-v7"):
        read(tmp_path)


def test_folder_without_the_file_has_another_layout(tmp_path):
    assert emotic_mat.find(tmp_path) is None
