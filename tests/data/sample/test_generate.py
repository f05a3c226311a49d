"""What `generate_sample` writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.sample import EMOTION_KEYWORDS, EMOTIONS, generate, generate_sample


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def read_bytes(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def write(out: Path, **settings: Any) -> Path:
    generate_sample(out, **{"num_images": 12, "image_size": 32, "progress": False, **settings})
    return out


def test_layout(sample: Path) -> None:
    rows, truths = read_lines(sample / "metadata.jsonl"), read_lines(sample / "truth.jsonl")
    names = [f"images/{index:06d}.jpg" for index in range(400)]
    assert [row["file_name"] for row in rows] == names
    assert [truth["file_name"] for truth in truths] == names
    assert set(rows[0]) == {"file_name", "keywords", "group", "source"}
    assert {row["source"] for row in rows} == {"emotionnet_hf generated sample"}
    assert {truth["emotion"] for truth in truths} == set(EMOTIONS)
    assert {truth["category"] for truth in truths} == {"face", "scene", "symbol"}
    words = (sample / "emotion_keywords.txt").read_text("utf-8").splitlines()
    assert words == list(EMOTION_KEYWORDS)


def test_pictures_open(sample: Path) -> None:
    for path in (sample / "images").iterdir():
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))


def test_same_bytes_again(tmp_path: Path) -> None:
    first = read_bytes(write(tmp_path / "a", seed=3))
    assert first == read_bytes(write(tmp_path / "b", seed=3))
    assert first != read_bytes(write(tmp_path / "c", seed=4))


def test_a_larger_sample_begins_with_the_smaller(tmp_path: Path) -> None:
    small = read_bytes(write(tmp_path / "small", near_duplicates=0.4))
    large = read_bytes(write(tmp_path / "large", near_duplicates=0.4, num_images=17))
    for name, content in small.items():
        assert large[name].startswith(content)


def test_noise_and_missing_change_keywords_only(tmp_path: Path) -> None:
    clean = read_bytes(write(tmp_path / "clean", noise=0.0, missing=0.0))
    noisy = read_bytes(write(tmp_path / "noisy", noise=0.5, missing=0.4))
    assert clean.pop("metadata.jsonl") != noisy.pop("metadata.jsonl")
    assert clean == noisy


def test_more_noise_only_adds_words(tmp_path: Path) -> None:
    quiet = read_lines(write(tmp_path / "quiet", noise=0.0) / "metadata.jsonl")
    noisy = read_lines(write(tmp_path / "noisy", noise=0.6) / "metadata.jsonl")
    for few, many in zip(quiet, noisy, strict=True):
        normal = {keyword.strip().lower() for keyword in few["keywords"]}
        assert normal <= {keyword.strip().lower() for keyword in many["keywords"]}


def test_near_copies_resemble_their_original(sample: Path) -> None:
    rows, truths = read_lines(sample / "metadata.jsonl"), read_lines(sample / "truth.jsonl")
    by_name = {truth["file_name"]: truth for truth in truths}
    copies = [truth for truth in truths if truth["near_copy_of"]]
    assert 20 <= len(copies) <= 60
    thumbs = np.stack([_thumbnail(sample / row["file_name"]) for row in rows])
    for copy in copies:
        index = truths.index(copy)
        original = by_name[copy["near_copy_of"]]
        assert original["near_copy_of"] is None
        assert original["clean_keywords"] == copy["clean_keywords"]
        root = truths.index(original)
        assert rows[root]["group"] == rows[index]["group"]
        assert rows[root]["keywords"] != rows[index]["keywords"]
        distance = np.abs(thumbs - thumbs[index]).mean(axis=(1, 2))
        assert distance[root] < 0.5 * np.median(distance)
    assert len({row["group"] for row in rows}) == 400 - len(copies)


def _thumbnail(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((16, 16)), dtype=float)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_images", 0),
        ("image_size", 8),
        ("seed", -1),
        ("noise", -0.1),
        ("noise", 0.9),
        ("missing", 1.0),
        ("near_duplicates", 1.0),
        ("noise", float("nan")),
    ],
)
def test_refuses_arguments_out_of_range(tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        write(tmp_path / "out", **{name: value})
    assert not any(tmp_path.iterdir())


def test_refuses_an_existing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="choose another"):
        write(tmp_path)


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError("no space left on device")

    monkeypatch.setattr(generate, "encode", fail)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path / "out")
    assert not any(tmp_path.iterdir())
