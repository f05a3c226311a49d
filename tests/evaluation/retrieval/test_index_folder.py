import json
import shutil

import numpy as np
import pytest

from emotionnet_hf.evaluation.features import nearest_neighbours
from emotionnet_hf.evaluation.retrieval.index_folder import (
    IndexFolderError,
    IndexNotFoundError,
    SpaceError,
    open_index,
)

pytest.importorskip("faiss")


@pytest.mark.parametrize("space", ["features", "joint"])
def test_search_equals_exact_neighbours(index, space):
    opened = open_index(index)
    dims = opened.facts["spaces"][space]["dims"]
    queries = np.random.default_rng(0).normal(size=(6, dims))
    expected = nearest_neighbours(queries, opened.vectors[space].astype(np.float32), 5)
    found = opened.search(queries, 5, space)
    assert [[hit.row for hit in hits] for hits in found] == expected.tolist()
    best = found[0][0]
    query = queries[0] / np.linalg.norm(queries[0])
    assert best.score == pytest.approx(query @ opened.vector(best.row, space), abs=2e-3)
    assert best.id == f"{best.row:02d}.png"
    assert best.labels == [("fear", "joy")[best.row % 2]]


def test_shortlist_is_ranked_by_the_stored_vectors(index, tmp_path):
    shutil.copytree(index, tmp_path / "i")
    facts = json.loads((index / "index.json").read_text())
    facts["spaces"]["features"]["shortlist"] = 4
    (tmp_path / "i" / "index.json").write_text(json.dumps(facts))
    queries = np.random.default_rng(1).normal(size=(3, facts["spaces"]["features"]["dims"]))
    plain, again = (open_index(folder).search(queries, 3) for folder in (index, tmp_path / "i"))
    assert [[hit.row for hit in hits] for hits in plain] == [
        [hit.row for hit in hits] for hits in again
    ]


def test_more_than_there_are_gives_all(index):
    opened = open_index(index)
    assert len(opened.search(opened.vector(3)[None], 99)[0]) == 12


def test_ids_are_found(index):
    opened = open_index(index)
    assert opened.row_of("05.png") == 5
    assert opened.row_of("nothing") is None


def test_plain_datasets_can_search_it(index):
    opened = open_index(index)
    scores, examples = opened.rows.get_nearest_examples("features", opened.vector(4), k=2)
    (hits,) = opened.search(opened.vector(4)[None], 2)
    assert examples["id"] == [hit.id for hit in hits]
    assert scores.tolist() == pytest.approx([hit.score for hit in hits], abs=1e-3)


def test_wrong_space_or_size_is_named(index):
    opened = open_index(index)
    with pytest.raises(SpaceError, match="'smell', only features, joint"):
        opened.search(np.zeros((1, 3)), 1, "smell")
    with pytest.raises(SpaceError, match=r"\(1, 3\)"):
        opened.search(np.zeros((1, 3)), 1)


def test_folder_that_is_no_whole_index_is_named(index, tmp_path):
    with pytest.raises(IndexNotFoundError, match="emotionnet index"):
        open_index(tmp_path)
    for name, damage in (
        ("features.npy", None),
        ("joint.faiss", b"no faiss"),
        ("rows.arrow", b""),
        ("index.json", b'{"format": 0}'),
    ):
        shutil.rmtree(tmp_path / "i", ignore_errors=True)
        shutil.copytree(index, tmp_path / "i")
        (tmp_path / "i" / name).unlink()
        if damage is not None:
            (tmp_path / "i" / name).write_bytes(damage)
        with pytest.raises(IndexFolderError, match="again"):
            open_index(tmp_path / "i")
