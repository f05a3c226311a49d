import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.benchmarks.affectnet import LAYOUTS, read
from emotionnet_hf.data.benchmarks.benchmark import (
    SPLITS,
    BenchmarkError,
    LayoutError,
    benchmark_features,
    open_picture,
)
from emotionnet_hf.emotions import AFFECTNET

HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,"
    "valence,arousal\n"
)


def line(name: str, expression: object, box: str = "2,3,10,12") -> str:
    return f"{name},{box},{';'.join(['1.5'] * 136)},{expression},0.1,-0.2\n"


def write_lists(
    folder: Path, *, lists=".", images="Manually_Annotated_Images", header=True, more=""
) -> None:
    """Twenty training faces a class and four of validation, and rows of the other expressions."""
    for file, count in (("training", 20), ("validation", 4)):
        text = HEADER if file == "training" or header else ""
        for number in range(count * 11):
            name = f"{number % 3}/{file}{number}.{'JPG' if number % 2 else 'png'}"
            path = folder / images / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            text += line(name, number % 11)
        (folder / lists).mkdir(exist_ok=True)
        (folder / lists / f"{file}.csv").write_text(text + (more if file == "training" else ""))


OTHERS = {
    f"expression of no class: {name}": 24 for name in ("contempt", "no-face", "none", "uncertain")
}


@pytest.mark.parametrize("lists", [".", "Manually_Annotated_file_lists"])
@pytest.mark.parametrize("images", [".", "Manually_Annotated_Images"])
@pytest.mark.parametrize("header", [True, False])
def test_lists(tmp_path, lists, images, header):
    write_lists(tmp_path, lists=lists, images=images, header=header)
    benchmark = read(tmp_path)
    assert benchmark.classes == AFFECTNET and benchmark.layout == LAYOUTS[0]
    assert benchmark.dropped == OTHERS
    for split, count in zip(SPLITS, (19, 1, 4), strict=True):
        data = benchmark.splits[split]
        assert data.features == benchmark_features(AFFECTNET)
        assert [data["label"][:].count(k) for k in range(7)] == [count] * 7
        file = "validation" if split == "test" else "training"
        for row in data:
            assert row["box"] == [2, 3, 12, 15]
            number = int(Path(row["image_id"]).stem.removeprefix(file))
            assert number % 11 == row["label"] and Path(row["image"]["path"]).is_file()


def test_face_is_cut_out_of_the_picture(tmp_path):
    write_lists(tmp_path)
    row = read(tmp_path).splits["test"][0]
    picture = Image.new("RGB", (30, 20))
    picture.paste((255, 255, 255), (2, 3, 12, 15))
    picture.save(row["image"]["path"], "PNG")
    face = open_picture(row)
    assert face.size == (10, 12) and np.asarray(face).min() == 255


def test_rows_that_cannot_be_used_are_counted(tmp_path):
    more = [
        line("0/nowhere.jpg", 1),
        line("0/training0.png", 1),
        line("0/validation0.png", 0),
        line("1/training1.JPG", "happy"),
        line("1/training1.JPG", ""),
        line("1/training1.JPG", "NaN"),
        line("1/training1.JPG", 11),
        line("1/training1.JPG", -1),
        line("1/training1.JPG", 1.5),
        line("1/training1.JPG", 1, "NaN,3,10,12"),
        line("1/training1.JPG", 1, "2,3,0,12"),
        line("1/training1.JPG", 1, "2,3,,12"),
        line("1/training1.JPG", 8, "NULL,NULL,NULL,NULL"),
        line("../../outside.jpg", 1),
        "1/training1.JPG,2,3\n",
        "\n",
        line("1/unlisted.jpg", " 1.0 ", " 0.5, -1,10 ,12.25"),
    ]
    write_lists(tmp_path, more="".join(more))
    (tmp_path / "Manually_Annotated_Images/1/unlisted.jpg").touch()
    benchmark = read(tmp_path)
    assert benchmark.dropped == OTHERS | {
        "expression missing or no number": 3,
        "expression of no class: none": 25,
        "listed twice": 2,
        "no face box": 3,
        "no picture on disk": 2,
        "unknown expression: -1": 1,
        "unknown expression: 1.5": 1,
        "unknown expression: 11": 1,
        "unreadable line": 1,
    }
    images = "Manually_Annotated_Images"
    absent = [f"{images}/0/nowhere.jpg", "../../outside.jpg"]
    assert benchmark.absent == {"train": absent} and benchmark.validation_drawn
    # Validation is drawn from the published train.
    assert benchmark.absent_share("train") == 2 / (7 * 20 + 1 + 2)
    rows = {r["image_id"]: r for split in SPLITS for r in benchmark.splits[split]}
    assert len(rows) == 7 * 24 + 1
    row = rows["Manually_Annotated_Images/1/unlisted.jpg"]
    assert row["box"] == [0.5, -1, 10.5, 11.25] and row["label"] == 1
    test = benchmark.splits["test"]["image_id"][:]
    assert "Manually_Annotated_Images/0/validation0.png" in test and len(test) == 28


def test_list_without_pictures_names_one(tmp_path):
    write_lists(tmp_path)
    (tmp_path / "Manually_Annotated_Images").rename(tmp_path / "Pictures")
    with pytest.raises(BenchmarkError, match=r"on disk \(168\), such as 0/validation0\.png"):
        read(tmp_path)


def test_columns_may_stand_in_another_order(tmp_path):
    write_lists(tmp_path)
    for file in ("training", "validation"):
        lines = (tmp_path / f"{file}.csv").read_text().splitlines()
        turned = [", ".join(reversed(text.split(","))) for text in lines]
        (tmp_path / f"{file}.csv").write_text("\ufeff" + "\r\n".join(turned) + "\r\n", "utf-8")
    benchmark = read(tmp_path)
    assert benchmark.dropped == OTHERS
    assert benchmark.splits["test"][0]["box"] == [2, 3, 12, 15]


@pytest.mark.parametrize("text", ["", "path,label\na,1\n", "0/a.jpg,1,2,3\n"])
def test_list_with_other_columns_is_refused_by_name(tmp_path, text):
    write_lists(tmp_path)
    (tmp_path / "training.csv").write_text(text)
    with pytest.raises(BenchmarkError, match=r"training\.csv lacks subDirectory_filePath, face_x"):
        read(tmp_path)


def write_set(folder: Path, count: int, dtype: str = "<U2") -> None:
    """Faces with expressions 0 to 7 in turn."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for number in range(count * 8):
        (folder / "images" / f"{number}.jpg").touch()
        values = {"exp": number % 8, "val": 0.1, "aro": 0.2}
        for name, value in values.items():
            kind = dtype if name == "exp" else "<f8"
            np.save(folder / "annotations" / f"{number}_{name}.npy", np.array(value, kind))


@pytest.mark.parametrize("dtype", ["<U2", "<i8", "<f4"])
def test_two_sets_of_arrays(tmp_path, dtype):
    write_set(tmp_path / "train_set", 20, dtype)
    write_set(tmp_path / "val_set", 3, dtype)
    benchmark = read(tmp_path)
    assert benchmark.layout == LAYOUTS[1]
    assert benchmark.dropped == {"expression of no class: contempt": 23}
    for split, count in zip(SPLITS, (19, 1, 3), strict=True):
        data = benchmark.splits[split]
        assert [data["label"][:].count(k) for k in range(7)] == [count] * 7
        assert set(data["box"][:]) == {None}
        assert all(int(Path(r["image_id"]).stem) % 8 == r["label"] for r in data)
    assert all(name.startswith("val_set/images/") for name in data["image_id"][:])


def test_one_set_of_arrays_is_split(tmp_path):
    write_set(tmp_path, 100)
    benchmark = read(tmp_path)
    assert benchmark.layout == LAYOUTS[2]
    assert [len(benchmark.splits[split]) for split in SPLITS] == [76 * 7, 4 * 7, 20 * 7]
    assert any("one set" in note for note in benchmark.notes)
    again, other = (read(tmp_path, seed=seed).splits["test"]["image_id"][:] for seed in (0, 1))
    assert again == benchmark.splits["test"]["image_id"][:] != other


def test_arrays_that_cannot_be_used_are_counted_and_nothing_is_unpickled(tmp_path):
    write_set(tmp_path / "train_set", 20)
    write_set(tmp_path / "val_set", 3)
    annotations = tmp_path / "train_set" / "annotations"

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    np.save(annotations / "0_exp.npy", np.array(Trap(), object), allow_pickle=True)
    (annotations / "1_exp.npy").write_bytes(pickle.dumps(Trap()))
    (annotations / "2_exp.npy").write_bytes(b"")
    np.save(annotations / "3_exp.npy", np.array([1, 2]))
    np.savez(annotations / "4_exp", np.array(1))
    (annotations / "4_exp.npz").rename(annotations / "4_exp.npy")
    np.save(annotations / "5_exp.npy", np.array("happy"))
    (annotations / "6_exp.npy").unlink()
    (annotations / "8_exp.npy").write_bytes(b"PK\x03\x04 no archive")
    np.save(annotations / "9999_exp.npy", np.array("1"))
    benchmark = read(tmp_path)
    assert benchmark.dropped == {
        "expression missing or no number": 1,
        "expression of no class: contempt": 23,
        "no annotation": 1,
        "no picture on disk": 1,
        "unreadable annotation": 6,
    }
    assert benchmark.absent == {"train": ["train_set/images/9999.jpg"]}
    assert not (tmp_path / "sprung").exists()


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="on request"):
        read(tmp_path / "nowhere")
    write_set(tmp_path / "train_set", 1)
    (tmp_path / "training.csv").write_text(HEADER)
    with pytest.raises(LayoutError) as caught:
        read(tmp_path)
    assert all(layout in str(caught.value) for layout in LAYOUTS)
    assert "Found: train_set/, training.csv." in str(caught.value)
