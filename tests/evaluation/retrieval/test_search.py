import shutil
from itertools import pairwise

import numpy as np
import pytest
from datasets import Dataset, Image

from emotionnet_hf.evaluation.embed import embed
from emotionnet_hf.evaluation.features import nearest_neighbours
from emotionnet_hf.evaluation.retrieval import (
    GalleryError,
    QueryError,
    ask,
    build_index,
    open_searcher,
)
from emotionnet_hf.loading.images import open_image
from emotionnet_hf.models import EmotionNetForPreTraining
from emotionnet_hf.models.encoders import open_encoder

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def searcher(index):
    return open_searcher(index)


def test_row_finds_its_neighbours_and_not_itself(searcher):
    found = searcher.search("03.png", 4)
    vectors = searcher.index.vectors["features"].astype(np.float32)
    cosines = np.delete(vectors @ vectors[3], 3)
    assert (found.kind, found.space, found.row) == ("row", "features", 3)
    # Features of so small a network are all but equal: the order of rows is a matter of rounding.
    best = np.sort(cosines)[::-1][:4]
    np.testing.assert_allclose([hit.score for hit in found.hits], best, atol=1e-3)
    assert 3 not in [hit.row for hit in found.hits]
    assert (found.keywords, found.labels) == (["joy", "tree"], ["joy"])
    assert all(a.score >= b.score for a, b in pairwise(found.hits))


def test_file_of_the_data_set_finds_what_its_row_finds(searcher, folder):
    by_file, by_row = searcher.search(str(folder / "03.png"), 4), searcher.search("03.png", 4)
    assert by_file.kind == "image"
    assert by_file.row == 3
    assert by_file.labels == ["joy"]
    assert {hit.row for hit in by_file.hits} == {hit.row for hit in by_row.hits}


def test_file_from_elsewhere_is_encoded(searcher, drawing, tmp_path, checkpoint):
    drawing.draw(tmp_path / "new.png", drawing.colours["fear"], 99)
    found = searcher.search(str(tmp_path / "new.png"), 12)
    assert found.row is None
    assert len(found.hits) == 12
    encoder = open_encoder(checkpoint, "cpu")
    (vector,) = encoder.encode([open_image(tmp_path / "new.png")])["features"]
    best = found.hits[0]
    cosine = vector / np.linalg.norm(vector) @ searcher.index.vector(best.row)
    assert best.score == pytest.approx(cosine, abs=2e-3)


def test_words_search_in_the_joint_space(searcher, checkpoint):
    found = searcher.search("joy, zzz , fear", 5)
    assert (found.kind, found.space) == ("words", "joint")
    assert (found.keywords, found.unknown) == (["joy", "fear"], ["zzz"])
    vectors = open_encoder(checkpoint, "cpu").text(["joy", "fear"])
    gallery = searcher.index.vectors["joint"].astype(np.float32)
    expected = nearest_neighbours(vectors.mean(axis=0, keepdims=True), gallery, 5)
    assert [hit.row for hit in found.hits] == expected[0].tolist()


def test_words_are_looked_up_by_other_forms_and_parts(searcher, caplog):
    found = searcher.search("Joys, calm zebra, zzz", 5)
    assert (found.keywords, found.unknown) == (["Joys", "calm zebra"], ["zzz"])
    expected = searcher.search("joy, calm", 5)
    assert [hit.row for hit in found.hits] == [hit.row for hit in expected.hits]
    assert [hit.score for hit in found.hits] == pytest.approx([h.score for h in expected.hits])
    assert "'calm zebra' is compared by ['calm']; no word vector for ['zebra']" in caplog.text


@pytest.mark.parametrize("query", ["zzz", "zzz, yyy", "nowhere.png", " , "])
def test_query_that_stands_for_nothing_is_named(searcher, query):
    with pytest.raises(QueryError, match="no image file and no id"):
        searcher.search(query)


def test_one_bad_query_does_not_stop_the_others(searcher, folder):
    answers = list(ask([searcher], ["joy", str(folder / "bad.png"), "zzz", "01.png"], 2))
    assert [answer.error is None for answer in answers] == [True, False, False, True]
    assert answers[1].error == f"{folder / 'bad.png'}: not an image"
    assert len(answers[3].found[0].hits) == 2


def test_many_words_are_no_name_of_a_file(searcher):
    found = searcher.search(", ".join(f"word {n}" for n in range(60)) + ", joy", 2)
    assert found.keywords == ["joy"] and len(found.unknown) == 60


def test_index_of_one_file_is_told_where_the_file_is_now(folder, checkpoint, tmp_path):
    pictures = {"image": [str(folder / f"{n:02d}.png") for n in range(3)]}
    data = Dataset.from_dict(pictures).cast_column("image", Image())
    data.to_parquet(tmp_path / "t.parquet")
    build_index(tmp_path / "t.parquet", checkpoint, tmp_path / "index", progress=False)
    (tmp_path / "there").mkdir()
    (tmp_path / "t.parquet").rename(tmp_path / "there" / "t.parquet")
    assert not open_searcher(tmp_path / "index").has_pictures
    for place in ("there", "there/t.parquet"):
        searcher = open_searcher(tmp_path / "index", tmp_path / place)
        assert searcher.has_pictures
        assert searcher.picture(2).tobytes() == open_image(folder / "02.png").tobytes()


def test_data_set_that_was_moved_is_found_where_it_is_now(index, folder, tmp_path):
    moved = tmp_path / "index"
    shutil.copytree(index, moved)
    facts = (moved / "index.json").read_text().replace(str(folder), str(tmp_path / "gone"))
    (moved / "index.json").write_text(facts)
    with pytest.raises(GalleryError, match="--pictures"):
        open_searcher(moved).picture(0)
    here = open_searcher(moved, folder).picture(0)
    assert here.tobytes() == open_image(folder / "00.png").tobytes()


def test_searching_by_a_file_does_without_the_pictures(index, folder, tmp_path):
    moved = tmp_path / "index"
    shutil.copytree(index, moved)
    facts = (moved / "index.json").read_text().replace(str(folder), str(tmp_path / "gone"))
    (moved / "index.json").write_text(facts)
    found = open_searcher(moved).search(str(folder / "03.png"), 3)
    assert found.row is None and len(found.hits) == 3


def test_words_need_the_space_that_they_share(folder, checkpoint, tmp_path):
    embed(folder, checkpoint, tmp_path / "f.parquet", progress=False)
    options = {"features": tmp_path / "f.parquet", "progress": False}
    build_index(folder, checkpoint, tmp_path / "index", **options)
    answers = list(ask([open_searcher(tmp_path / "index")], ["joy", "01.png"], 2))
    assert "features without the space 'joint' (--joint)" in answers[0].error
    assert answers[1].error is None


def test_model_that_was_trained_anew_is_not_asked(index, checkpoint, tmp_path):
    model, moved = tmp_path / "model", tmp_path / "index"
    shutil.copytree(checkpoint, model)
    shutil.copytree(index, moved)
    facts = (moved / "index.json").read_text().replace(str(checkpoint), str(model))
    (moved / "index.json").write_text(facts)
    assert open_searcher(moved).search("joy", 1).hits
    trained = EmotionNetForPreTraining.from_pretrained(model)
    trained.emotionnet.visual_projection.weight.data.mul_(2)
    trained.save_pretrained(model)
    answers = list(ask([open_searcher(moved)], ["joy", "01.png"], 2))
    assert "has other weights than when" in answers[0].error
    assert answers[1].error is None
    shutil.rmtree(model)
    answers = list(ask([open_searcher(moved)], ["joy", "01.png"], 2))
    assert "its model cannot be opened" in answers[0].error
    assert answers[1].error is None
