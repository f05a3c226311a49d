"""`Annotations.mat`, as others read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from emotionnet_hf.data.sample.benchmarks import generate_benchmarks
from emotionnet_hf.emotions import EMOTIC


@pytest.fixture(scope="module")
def emotic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "benchmarks"
    generate_benchmarks(out, num_images=200, image_size=16, names=["EMOTIC"], progress=False)
    return out / "EMOTIC"


@pytest.fixture(scope="module")
def table(emotic: Path) -> dict[str, Any]:
    return loadmat(emotic / "Annotations" / "Annotations.mat")


def test_the_date_is_not_in_the_file(emotic: Path) -> None:
    header = (emotic / "Annotations" / "Annotations.mat").read_bytes()[:128]
    assert header[:116].rstrip() == b"MATLAB 5.0 MAT-file, drawn by emotionnet_hf, not EMOTIC"
    assert header[124:] == b"\x00\x01IM"


def test_splits_and_fields(table: dict[str, Any], emotic: Path) -> None:
    assert [table[split].shape for split in ("train", "val", "test")] == [
        *((1, 140), (1, 20), (1, 40)),
    ]
    assert table["train"].dtype.names == (
        *("filename", "folder", "image_size", "original_database", "person"),
    )
    common = ("body_bbox", "annotations_categories", "annotations_continuous")
    combined = ("combined_categories", "combined_continuous")
    for split, names in (("train", ()), ("val", combined), ("test", combined)):
        for image in table[split][0]:
            assert image["person"].dtype.names == (*common, *names, "gender", "age")
            path = emotic / image["folder"][0] / image["filename"][0]
            with Image.open(path) as picture:
                size = image["image_size"][0, 0]
                assert picture.size == (size["n_col"][0, 0], size["n_row"][0, 0]) == (32, 32)


def test_people(table: dict[str, Any]) -> None:
    for split, annotators in (("train", {1, 2, 3}), ("val", {5}), ("test", {3})):
        people = [person for image in table[split][0] for person in image["person"][0]]
        images = table[split].shape[1]
        assert 1.05 * images < len(people) < 1.6 * images
        assert {person["annotations_categories"].shape[1] for person in people} == annotators
        for person in people:
            left, top, right, bottom = person["body_bbox"][0]
            assert 0 <= left < right <= 32
            assert 0 <= top < bottom <= 32
            assert person["gender"][0] in ("Male", "Female")
            given = person["annotations_continuous"][0]
            assert len(given) == person["annotations_categories"].shape[1]
            assert all(1 <= row[name][0, 0] <= 10 for row in given for name in row.dtype.names)


def test_combined_annotations_are_the_union_and_the_mean(table: dict[str, Any]) -> None:
    for image in table["test"][0]:
        for person in image["person"][0]:
            answers = [_texts(row["categories"]) for row in person["annotations_categories"][0]]
            assert all(1 <= len(answer) == len(set(answer)) <= 3 for answer in answers)
            union = {name for answer in answers for name in answer}
            assert set(_texts(person["combined_categories"])) == union <= set(EMOTIC)
            valences = [row["valence"][0, 0] for row in person["annotations_continuous"][0]]
            mean = person["combined_continuous"][0, 0]["valence"][0, 0]
            assert mean == pytest.approx(np.mean(valences))


def _texts(cell: np.ndarray) -> list[str]:
    return [text[0] for text in cell[0]]


def test_it_reads_the_way_scripts_read_the_real_one(emotic: Path) -> None:
    """With structs squeezed, as most published code does."""
    path = emotic / "Annotations" / "Annotations.mat"
    data = loadmat(path, squeeze_me=True, struct_as_record=False)
    alone = [image.person for image in data["val"] if not isinstance(image.person, np.ndarray)]
    assert alone
    for person in alone:
        assert person.body_bbox.shape == (4,)
        assert 1 <= person.combined_continuous.arousal <= 10
        assert np.atleast_1d(person.combined_categories)[0] in EMOTIC
