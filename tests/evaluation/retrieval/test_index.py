import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Image

from emotionnet_hf.evaluation.embed import embed
from emotionnet_hf.evaluation.retrieval import (
    BuildIndexError,
    build_index,
    open_index,
    open_searcher,
)
from emotionnet_hf.loading.images import open_image
from emotionnet_hf.models import EmotionNetForPreTraining
from emotionnet_hf.models.encoders import open_encoder

pytest.importorskip("faiss")
REPOSITORY = Path(__file__).resolve().parents[3]


def test_index_holds_the_features_of_every_good_picture(index, folder, checkpoint):
    opened = open_index(index)
    assert opened.rows["id"][:] == [f"{number:02d}.png" for number in range(12)]
    assert opened.rows["labels"][:] == [["fear"], ["joy"]] * 6
    assert opened.rows["keywords"][0] == ["fear", "tree"]
    encoder = open_encoder(checkpoint, "cpu")
    for row in (0, 7):
        for space, vectors in encoder.encode([open_image(folder / f"{row:02d}.png")]).items():
            expected = vectors[0] / np.linalg.norm(vectors[0])
            np.testing.assert_allclose(opened.vector(row, space), expected, atol=2e-3)


def test_facts_tell_what_was_built_and_what_was_left_out(index, folder, checkpoint):
    facts = json.loads((index / "index.json").read_text())
    assert facts["model"] == str(checkpoint)
    assert facts["kind"] == "emotionnet"
    assert facts["pictures"] == str(folder)
    assert facts["label"] == "label"
    assert facts["rows"] == 12
    assert facts["quarantined"] == {"not an image": 1}
    assert pq.read_table(index / "quarantine.parquet")["id"].to_pylist() == ["bad.png"]
    for space, dims in open_encoder(checkpoint, "cpu").dims.items():
        assert facts["spaces"][space] == {
            "dims": dims,
            "factory": "Flat",
            "shortlist": 0,
            "recall_at_10": 1.0,
        }
    assert not list(index.parent.glob(".*"))


def test_features_that_were_embedded_before_give_the_same_index(
    index, folder, checkpoint, tmp_path
):
    embed(folder, checkpoint, tmp_path / "f.parquet", joint=True, progress=False)
    options = {"features": tmp_path / "f.parquet", "progress": False}
    build_index(folder, checkpoint, tmp_path / "out", **options)
    for name in ("rows.arrow", "features.npy", "features.faiss", "joint.faiss"):
        assert (tmp_path / "out" / name).read_bytes() == (index / name).read_bytes()
    assert (tmp_path / "f.parquet").is_file()


def test_features_of_another_model_are_refused(folder, checkpoint, tmp_path):
    other = "timm:test_resnet=none"
    embed(folder, other, tmp_path / "f.parquet", progress=False)
    with pytest.raises(BuildIndexError, match="another model"):
        build_index(folder, checkpoint, tmp_path / "o", features=tmp_path / "f.parquet")
    assert not (tmp_path / "o").exists()


def test_existing_index_is_replaced_only_when_asked(folder, checkpoint, tmp_path):
    out = tmp_path / "out"
    build_index(folder, checkpoint, out, progress=False)
    with pytest.raises(BuildIndexError, match="overwrite"):
        build_index(folder, checkpoint, out, progress=False)
    build_index(folder, checkpoint, out, overwrite=True, progress=False)
    (out / "index.json").unlink()
    with pytest.raises(BuildIndexError, match=r"no index\.json"):
        build_index(folder, checkpoint, out, overwrite=True, progress=False)


def test_recall_out_of_range_is_refused(folder, checkpoint, tmp_path):
    with pytest.raises(BuildIndexError, match="recall"):
        build_index(folder, checkpoint, tmp_path / "out", recall=1.5)


def test_missing_faiss_names_the_extra(folder, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"emotionnet-hf\[retrieval\]"):
        build_index(folder, checkpoint, tmp_path / "out")


def test_killed_build_goes_on_and_gives_the_same_index(
    index, folder, checkpoint, tmp_path, monkeypatch
):
    """Killed once the features are there and the index is not."""
    out = tmp_path / "out"
    code = (
        "import os, signal, sys\n"
        "from emotionnet_hf.evaluation.retrieval import index\n"
        "index._write_rows = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "index.build_index(*sys.argv[1:], progress=False)\n"
    )
    words = [sys.executable, "-c", code, str(folder), str(checkpoint), str(out)]
    killed = subprocess.run(words, cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    # Nothing is embedded a second time.
    monkeypatch.setattr("emotionnet_hf.evaluation.retrieval.index.embed", None)
    build_index(folder, checkpoint, out, progress=False)
    for name in ("rows.arrow", "features.npy", "features.faiss", "joint.faiss"):
        assert (out / name).read_bytes() == (index / name).read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_features_left_by_a_build_with_another_model_are_made_anew(folder, checkpoint, tmp_path):
    embed(
        folder, "timm:test_resnet=none", tmp_path / ".out.features/features.parquet", progress=False
    )
    build_index(folder, checkpoint, tmp_path / "out", progress=False)
    assert open_index(tmp_path / "out").facts["spaces"].keys() == {"features", "joint"}


def test_pictures_that_came_after_a_kill_are_in_the_index(
    folder, checkpoint, tmp_path, monkeypatch
):
    source, out = tmp_path / "pictures", tmp_path / "out"
    shutil.copytree(folder, source)
    with monkeypatch.context() as patch:
        patch.setattr("emotionnet_hf.evaluation.retrieval.index._write_rows", None)
        with pytest.raises(TypeError):
            build_index(source, checkpoint, out, progress=False)
    shutil.copy(folder / "03.png", source / "98.png")
    shutil.copy(folder / "04.png", source / "05.png")
    build_index(source, checkpoint, out, progress=False)
    opened = open_index(out)
    ids = opened.rows["id"][:]
    assert "98.png" in ids
    for changed, same in (("98.png", "03.png"), ("05.png", "04.png")):
        vectors = [opened.vector(ids.index(name)) for name in (changed, same)]
        np.testing.assert_array_equal(*vectors)


def test_features_of_an_earlier_state_of_the_model_are_refused(folder, checkpoint, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(checkpoint, model)
    embed(folder, model, tmp_path / "f.parquet", progress=False)
    trained = EmotionNetForPreTraining.from_pretrained(model)
    next(trained.emotionnet.backbone.parameters()).data.mul_(1.01)
    trained.save_pretrained(model)
    with pytest.raises(BuildIndexError, match="an earlier state of it; embed"):
        build_index(folder, model, tmp_path / "o", features=tmp_path / "f.parquet")


def test_features_of_other_pictures_are_refused(folder, checkpoint, drawing, tmp_path):
    other = tmp_path / "other"
    drawing.draw(other / "a.png", drawing.colours["joy"], 1)
    embed(other, checkpoint, tmp_path / "f.parquet", progress=False)
    with pytest.raises(BuildIndexError, match=r"another data set .* a\.png is not there"):
        build_index(folder, checkpoint, tmp_path / "o", features=tmp_path / "f.parquet")


def test_ids_that_are_not_unique_are_refused(folder, checkpoint, tmp_path):
    data = (folder / "00.png").read_bytes()
    rows = {"image": [{"bytes": data, "path": None}] * 3, "image_id": ["a", "b", "a"]}
    Dataset.from_dict(rows).cast_column("image", Image()).to_parquet(tmp_path / "r.parquet")
    with pytest.raises(BuildIndexError, match="1 ids are on more than one row, such as 'a'"):
        build_index(tmp_path / "r.parquet", checkpoint, tmp_path / "o", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["r.parquet"]  # nothing was embedded


def test_table_of_features_may_lie_among_the_pictures(folder, checkpoint, tmp_path):
    source = tmp_path / "pictures"
    shutil.copytree(folder, source)
    embed(source, checkpoint, source / "features.parquet", progress=False)
    embed(source, checkpoint, source / "again.parquet", progress=False)
    options = {"features": source / "features.parquet", "progress": False}
    facts = build_index(source, checkpoint, tmp_path / "out", **options)
    assert (facts["rows"], facts["label"]) == (12, "label")


def test_index_is_searched_from_any_folder(folder, checkpoint, tmp_path, monkeypatch):
    shutil.copytree(checkpoint, tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    build_index(folder, "m", "out", progress=False)
    monkeypatch.chdir(folder)
    assert open_searcher(tmp_path / "out").search("joy", 1).hits
