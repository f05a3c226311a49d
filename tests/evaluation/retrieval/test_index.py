import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.evaluation.embed import embed
from emotionnet_hf.evaluation.retrieval import BuildIndexError, build_index, open_index
from emotionnet_hf.loading.images import open_image
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
