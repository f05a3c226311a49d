"""The layouts that are folders, tables and JSON."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from emotionnet_hf.data.sample.benchmarks import generate_benchmarks
from emotionnet_hf.emotions import MIKELS, UBE

NAMES = ("DeepEmotion", "UnBiasedEmotion", "AffectNet", "EmoSet")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "benchmarks"
    generate_benchmarks(out, num_images=200, image_size=16, names=NAMES, progress=False)
    return out


def test_deepemotion_has_a_folder_a_class(drawn: Path) -> None:
    folders = [path for path in (drawn / "DeepEmotion").iterdir() if path.is_dir()]
    assert {path.name for path in folders} == set(MIKELS)
    assert {len(list(path.glob("*.jpg"))) for path in folders} == {25}


def test_unbiasedemotion_has_a_folder_an_object(drawn: Path) -> None:
    folders = list((drawn / "UnBiasedEmotion" / "images").glob("*/*"))
    assert {path.parent.name for path in folders} == set(UBE)
    assert {path.name for path in folders} == {"face", "scene", "symbol"}
    assert sum(len(list(path.glob("*.jpg"))) for path in folders) == 200


def test_affectnet_has_two_tables(drawn: Path) -> None:
    folder = drawn / "AffectNet"
    counts = {}
    for name, size in (("training", 160), ("validation", 40)):
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as table:
            rows = list(csv.DictReader(table))
        assert len(rows) == size
        for row in rows:
            path = folder / "Manually_Annotated_Images" / row["subDirectory_filePath"]
            with Image.open(path) as image:
                assert image.size == (24, 24)
            left, top, width, height = (
                int(row[f"face_{side}"]) for side in ("x", "y", "width", "height")
            )
            assert 0 <= left < left + width <= 24
            assert 0 <= top < top + height <= 24
            rated = float(row["valence"]), float(row["arousal"])
            assert (rated == (-2, -2)) == (int(row["expression"]) > 7)
        counts[name] = Counter(int(row["expression"]) for row in rows)
    assert set(counts["training"]) == set(counts["validation"]) == set(range(11))
    assert all(counts[name][expression] == 1 for name in counts for expression in range(7, 11))
    assert counts["training"][1] > 4 * counts["training"][5]
    assert {counts["validation"][expression] for expression in range(7)} == {5, 6}


def test_emoset_has_splits_and_annotations(drawn: Path) -> None:
    folder = drawn / "EmoSet"
    seen = []
    for split, size in (("train", 160), ("val", 10), ("test", 30)):
        rows = json.loads((folder / f"{split}.json").read_text("utf-8"))
        assert len(rows) == size
        seen += [image for _, image, _ in rows]
        for emotion, image, annotation in rows:
            assert image.startswith(f"image/{emotion}/")
            told = json.loads((folder / annotation).read_text("utf-8"))
            assert (told["emotion"], told["image_id"]) == (emotion, Path(image).stem)
            assert 0 <= told["brightness"] <= 1
    assert len(set(seen)) == 200
    assert all((folder / path).is_file() for path in seen)
    info = json.loads((folder / "info.json").read_text("utf-8"))
    assert info["label2idx"]["contentment"] == 2
