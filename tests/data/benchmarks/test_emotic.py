from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.benchmarks import emotic
from emotionnet_hf.data.benchmarks.benchmark import (
    SPLITS,
    BenchmarkError,
    LayoutError,
    benchmark_features,
    open_picture,
)
from emotionnet_hf.emotions import EMOTIC

CATEGORIES = tuple(EMOTIC)


@pytest.fixture
def mat_folder(tmp_path, emotic_parts):
    """The authors' layout."""
    data = emotic_parts.pictures()
    emotic_parts.save_mat(tmp_path / "Annotations" / "Annotations.mat", data)
    emotic_parts.draw_all(tmp_path / "emotic", data)
    return tmp_path


def save(folder, emotic_parts, data):
    emotic_parts.save_mat(folder / "Annotations" / "Annotations.mat", data)


def named(row):
    return {CATEGORIES[place] for place in row["labels"]}


def pixels(row):
    with Image.open(BytesIO(row["image"]["bytes"])) as opened:
        return np.asarray(opened)


def test_body_is_the_picture_cut_to_the_box(mat_folder):
    benchmark = emotic.read_body(mat_folder)
    assert (benchmark.name, benchmark.task) == ("EMOTIC-B", "multi-label")
    assert tuple(benchmark.splits) == SPLITS
    assert benchmark.classes == CATEGORIES
    train = benchmark.splits["train"]
    assert train.features == benchmark_features(CATEGORIES)
    assert train["image_id"] == [
        "mscoco/images/a.jpg#1",
        "mscoco/images/a.jpg#2",
        "framesdb/images/a.jpg#1",
    ]
    assert train["group"][:2] == ["mscoco/images/a.jpg"] * 2
    assert open_picture(train[0]).size == (40, 40)
    path = mat_folder / "emotic" / "mscoco/images/a.jpg"
    with Image.open(path) as whole:
        assert (np.asarray(open_picture(train[0])) == np.asarray(whole)[6:46, 5:45]).all()
    assert benchmark.dropped == {}
    assert benchmark.release == "unknown (5 images, 7 people)"


def test_image_is_the_whole_picture_once_a_person(mat_folder):
    body, image = emotic.read_body(mat_folder), emotic.read_image(mat_folder)
    assert image.name == "EMOTIC-I"
    for split in SPLITS:
        assert image.splits[split]["box"] == [None] * len(body.splits[split])
        for column in ("image_id", "labels", "target"):
            assert image.splits[split][column] == body.splits[split][column]
    assert open_picture(image.splits["test"][2]).size == (60, 50)


def test_targets_are_counts_scaled_to_one_and_labels_their_union(mat_folder):
    (row,) = emotic.read_body(mat_folder).splits["validation"]
    # One annotator says Pain, the other Pain, Anger and Peace.
    wanted = {"Pain": 2 / 4, "Anger": 1 / 4, "Peace": 1 / 4}
    assert row["target"] == [wanted.get(name, 0) for name in CATEGORIES]
    assert named(row) == wanted.keys()
    assert row["label"] == -1
    assert row["labels"] == sorted(row["labels"])


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((5, 6, 5, 46), "the body box has no size"),
        ((45, 6, 5, 46), "the body box has no size"),
        ((60, 6, 90, 46), "the body box lies outside of the picture"),
        ((-30, 6, 0, 46), "the body box lies outside of the picture"),
        ((5, float("nan"), 45, 46), "the body box is not four numbers"),
        ((), "the body box is not four numbers"),
    ],
)
def test_person_whose_box_cannot_be_cut_is_dropped_from_both(mat_folder, emotic_parts, box, reason):
    data = emotic_parts.pictures()
    data["train"][0][2][0] = emotic_parts.person(["Peace"], box=box)
    save(mat_folder, emotic_parts, data)
    for read in (emotic.read_body, emotic.read_image):
        benchmark = read(mat_folder)
        assert benchmark.dropped == {reason: 1}
        # The others keep their ids.
        assert benchmark.splits["train"]["image_id"][0] == "mscoco/images/a.jpg#2"


def test_box_over_the_edge_is_kept(mat_folder, emotic_parts):
    data = emotic_parts.pictures()
    data["train"][0][2][0] = emotic_parts.person(["Peace"], box=(-10, 20, 30, 80))
    save(mat_folder, emotic_parts, data)
    assert open_picture(emotic.read_body(mat_folder).splits["train"][0]).size == (30, 30)


def test_missing_pictures_and_categories_are_counted(mat_folder, emotic_parts):
    data = emotic_parts.pictures()
    data["train"][0][2][1] = emotic_parts.person([])
    save(mat_folder, emotic_parts, data)
    (mat_folder / "emotic" / "emodb_small/images/e.jpg").unlink()
    benchmark = emotic.read_body(mat_folder)
    assert benchmark.dropped == {"no category": 1, "the picture is not there": 2}
    assert benchmark.splits.num_rows == {"train": 2, "validation": 1, "test": 1}
    # The release is told by the annotations, and what is missing of it.
    assert benchmark.release == (
        "unknown (5 images, 7 people; the pictures of 2 people are missing here)"
    )
    path = str(mat_folder / "emotic" / "emodb_small/images/e.jpg")
    assert benchmark.absent == {"test": [path, path]}
    assert benchmark.absent_share("test") == pytest.approx(2 / 3)
    assert not benchmark.validation_drawn


def test_split_without_anybody_is_an_error(mat_folder):
    (mat_folder / "emotic" / "ade20k/images/c.jpg").unlink()
    with pytest.raises(
        BenchmarkError, match=r"no person of validation.*not there \(1\), such as .*c\.jpg"
    ):
        emotic.read_body(mat_folder)


def test_annotations_without_any_picture_are_an_error(tmp_path, emotic_parts):
    emotic_parts.save_mat(tmp_path / "Annotations.mat", emotic_parts.pictures())
    with pytest.raises(BenchmarkError, match=r"but not the picture mscoco/images/a.jpg"):
        emotic.read_body(tmp_path)


@pytest.mark.parametrize("place", ["", "emotic", "emotic/emotic"])
def test_csv_goes_without_arrays_where_the_pictures_are(tmp_path, emotic_parts, place):
    data = emotic_parts.pictures()
    emotic_parts.save_csv(tmp_path / "emotic_pre", data)
    emotic_parts.draw_all(tmp_path / place, data)
    benchmark = emotic.read_body(tmp_path)
    assert benchmark.layout.startswith("train.csv")
    assert [named(row) for row in benchmark.splits["test"]] == [
        {"Esteem"},
        {"Pain", "Fear"},
        {"Yearning"},
    ]
    # This layout keeps the union only.
    assert max(benchmark.splits["validation"][0]["target"]) == pytest.approx(1 / 3)
    assert open_picture(benchmark.splits["train"][0]).size == (40, 40)
    assert not any("array" in note for note in benchmark.notes)


def test_csv_takes_files_first_and_arrays_for_the_rest(tmp_path, emotic_parts):
    data = emotic_parts.pictures()
    emotic_parts.save_csv(tmp_path, data)
    made = emotic_parts.save_arrays(tmp_path, data)
    emotic_parts.draw_all(tmp_path, data)
    (tmp_path / "framesdb/images/a.jpg").unlink()
    body, image = emotic.read_body(tmp_path), emotic.read_image(tmp_path)
    first, _, third = body.splits["train"]
    assert first["image"]["path"] == str(tmp_path / "mscoco/images/a.jpg")
    assert (third["image"]["path"], third["box"]) == (None, None)
    assert (pixels(third) == made["train"]["body"][2]).all()
    assert (pixels(image.splits["train"][2]) == made["train"]["context"][2]).all()
    assert open_picture(third).size == (12, 12)
    assert body.notes[-1].startswith("Of 1 people")


def test_kaggle_is_read_from_its_arrays(tmp_path, emotic_parts):
    arrays = emotic_parts.save_kaggle(tmp_path, emotic_parts.pictures())
    body, image = emotic.read_body(tmp_path), emotic.read_image(tmp_path)
    assert body.layout.startswith("annot_arrs_train.csv")
    for place in range(3):
        row = body.splits["test"][place]
        assert (pixels(row) == arrays[f"crop_arr_test_{place}.npy"]).all()
        assert row["box"] is None
        whole = pixels(image.splits["test"][place])
        assert (whole == arrays[f"img_arr_test_{place}.npy"]).all()
    assert [named(row) for row in body.splits["test"]] == [
        {"Esteem"},
        {"Pain", "Fear"},
        {"Yearning"},
    ]
    assert body.splits["test"]["image_id"] == ["test_d.jpg#1", "test_e.jpg#1", "test_e.jpg#2"]


def test_bad_arrays_are_counted(tmp_path, emotic_parts):
    emotic_parts.save_kaggle(tmp_path, emotic_parts.pictures())
    (tmp_path / "img_arrs" / "crop_arr_train_0.npy").unlink()
    np.save(tmp_path / "img_arrs" / "crop_arr_train_1.npy", np.zeros((4, 4)))
    benchmark = emotic.read_body(tmp_path)
    assert benchmark.splits["train"]["image_id"] == ["train_a.jpg#3"]
    assert benchmark.dropped == {
        "the picture is not there": 1,
        "the array is no picture of (H, W, 3) uint8: it is (4, 4) float64": 1,
    }
    arrays = [str(tmp_path / "img_arrs" / f"crop_arr_train_{number}.npy") for number in (0, 1)]
    assert benchmark.absent == {"train": arrays}
    for path in (tmp_path / "img_arrs").glob("img_arr_train_*.npy"):
        path.unlink()
    told = r"no person of train.*the picture is not there \(3\), such as .*img_arr_train_0\.npy"
    with pytest.raises(BenchmarkError, match=told):
        emotic.read_image(tmp_path)


def test_arrays_are_taken_where_the_pictures_to_the_mat_file_are_missing(tmp_path, emotic_parts):
    data = emotic_parts.pictures()
    emotic_parts.save_mat(tmp_path / "Annotations.mat", data)
    emotic_parts.save_kaggle(tmp_path, data)
    assert emotic.read_body(tmp_path).layout.startswith("annot_arrs")


def test_release_is_told_by_its_counts(mat_folder, monkeypatch):
    monkeypatch.setattr(emotic, "_RELEASES", {(5, 7): "2019"})
    assert emotic.read_body(mat_folder).release == "2019 (5 images, 7 people)"


def test_releases_are_those_of_the_papers():
    assert emotic._RELEASES == {(18_316, 23_788): "2017", (23_571, 34_320): "2019"}


def test_unknown_layout_tells_what_was_expected_and_found(tmp_path):
    (tmp_path / "readme.txt").touch()
    with pytest.raises(LayoutError, match=r"Annotations\.mat.*BBox.*img_arrs.*readme\.txt"):
        emotic.read_body(tmp_path)


def test_missing_folder_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="EMOTIC-I"):
        emotic.read_image(tmp_path / "nowhere")
