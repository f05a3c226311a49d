"""The drawn release, read by the reader of the real one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emotionnet_hf.data.sample.benchmark_se30k8 import LOOKS_LIKE, _vote
from emotionnet_hf.data.sample.benchmarks import generate_benchmarks
from emotionnet_hf.data.sample.vocabulary import EMOTION_KEYWORDS
from emotionnet_hf.loading.release import ImageFinder, read_vocabularies
from emotionnet_hf.loading.safe_pickle import load_plain_pickle
from emotionnet_hf.loading.se30k8_rows import CLASSES, SE30K8Release, SE30K8Row


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn") / "benchmarks"
    generate_benchmarks(out, num_images=400, image_size=16, names=["SE30K8"], progress=False)
    return out / "SE30K8"


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[SE30K8Row]:
    found = list(SE30K8Release(folder).rows())
    assert all(isinstance(row, SE30K8Row) for row in found)
    return found


def test_rows_have_the_fields_of_the_release(folder: Path) -> None:
    table = load_plain_pickle(folder / "drawn_annotations.pkl")
    assert isinstance(table, dict)
    assert len(table) == 400
    for cid, row in table.items():
        assert set(row) == {
            *("image_emotion", "image_url", "work_ids", "tags", "emotion_tags", "keys", "re_path"),
        }
        assert row["re_path"] == f"{cid}.jpg"
        assert row["image_url"] == f"https://drawn.example/{cid}.jpg"
        assert len(set(row["work_ids"])) == len(row["image_emotion"]) == 5
        assert all(worker.startswith("drawn-worker-") for worker in row["work_ids"])
        assert set(row["keys"]) <= set(row["emotion_tags"]) <= set(row["tags"])


def test_pictures_are_found(folder: Path, rows: list[SE30K8Row]) -> None:
    finder = ImageFinder(folder)
    assert {finder.find(row.relative_path, row.cid) for row in rows} == {
        path.relative_to(folder).as_posix() for path in (folder / "images").iterdir()
    }


def test_vocabularies_fit(folder: Path, rows: list[SE30K8Row]) -> None:
    vocabularies = read_vocabularies(folder)
    assert vocabularies.emotions == EMOTION_KEYWORDS
    assert {name for row in rows for name in row.keywords} <= set(vocabularies.tags)
    assert all(row.emotion_keywords for row in rows)


def test_workers_agree_as_in_the_paper(rows: list[SE30K8Row]) -> None:
    agreed = [row.label for row in rows if row.label >= 0]
    assert 0.82 < len(agreed) / len(rows) < 0.98
    counts = Counter(agreed)
    assert set(counts) == set(range(8))
    assert min(counts.values()) > 0.6 * max(counts.values())
    assert any(len(worker) > 1 for row in rows for worker in row.annotations)


def test_votes_go_to_the_class_and_to_what_it_is_taken_for() -> None:
    assert set(LOOKS_LIKE) == set(CLASSES)
    rng = np.random.default_rng(0)
    votes = Counter(name for _ in range(3000) for name in _vote("fear", rng))
    first, *others = (name for name, _ in votes.most_common(3))
    assert first == "fear"
    assert set(others) == set(LOOKS_LIKE["fear"])


def test_keywords_tell_the_class(rows: list[SE30K8Row]) -> None:
    """Naive Bayes on the emotion keywords, trained on three quarters, is far above chance."""
    known = [row for row in rows if row.label >= 0]
    present = np.array([[w in row.keywords for w in EMOTION_KEYWORDS] for row in known], float)
    labels = np.array([row.label for row in known])
    train = np.arange(len(known)) % 4 > 0
    ones = np.stack([present[train & (labels == k)].sum(axis=0) for k in range(8)]) + 0.5
    log_p = np.log(ones / ones.sum(axis=1, keepdims=True))
    guess = (present[~train] @ log_p.T).argmax(axis=1)
    assert np.mean(guess == labels[~train]) > 0.45
