import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset, Image
from PIL import Image as Pillow

from emotionnet_hf.evaluation.embed import (
    EmbedSourceError,
    FeaturesExistError,
    embed,
    read_features,
)
from emotionnet_hf.evaluation.embed.writing import Table
from emotionnet_hf.loading.images import open_image
from emotionnet_hf.models.encoders import open_encoder

REPOSITORY = Path(__file__).resolve().parents[3]


def run(source, model, out, **options):
    return embed(source, model, out, progress=False, device="cpu", num_threads=2, **options)


def test_features_are_those_of_the_model_and_bad_pictures_are_set_aside(
    checkpoint, pictures, tmp_path
):
    report = run(pictures, checkpoint, tmp_path / "f.parquet", joint=True, batch_size=3)
    assert (report.images, report.resumed, report.duplicate_ids) == (20, 0, 0)
    assert report.quarantined == {"not an image": 1, "truncated": 1, "zero bytes": 1}
    ids, features, metadata = read_features(tmp_path / "f.parquet")
    _, joint, _ = read_features(tmp_path / "f.parquet", "joint")
    expected = open_encoder(checkpoint, "cpu").encode([open_image(pictures / i) for i in ids])
    np.testing.assert_allclose(features, expected["features"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(joint, expected["joint"], rtol=1e-4, atol=1e-5)
    assert metadata["precision"] == "fp32" and metadata["versions"]["torch"]
    quarantine = pq.read_table(tmp_path / "f.quarantine.parquet").to_pylist()
    assert [row["id"] for row in quarantine] == ["03-empty.png", "07-text.jpg", "zz-cut.jpg"]
    assert "3 images in quarantine" in report.summary()


def test_rows_of_a_data_set_streamed_and_not(checkpoint, pictures, tmp_path):
    values = [{"bytes": (pictures / f"{n:02d}.png").read_bytes(), "path": None} for n in range(9)]
    rows = Dataset.from_dict({"image": values, "image_id": [*"abcdefgh", "a"]})
    rows.cast_column("image", Image()).to_parquet(tmp_path / "rows.parquet")
    tables = []
    for streaming in (False, True):
        out = tmp_path / f"{streaming}.parquet"
        report = run(tmp_path / "rows.parquet", checkpoint, out, streaming=streaming)
        assert report.duplicate_ids == 1 and "id of an earlier row" in report.summary()
        tables.append(out.read_bytes())
    assert tables[0] == tables[1]


def test_int8_says_what_it_changes(checkpoint, pictures, tmp_path):
    report = run(pictures, checkpoint, tmp_path / "f.parquet", precision="int8", dtype="float16")
    assert report.change.images == 20 and 1e-4 < report.change.mean_relative < 0.3
    assert "against fp32, features change by" in report.summary()
    _, values, metadata = read_features(tmp_path / "f.parquet")
    exact = open_encoder(checkpoint, "cpu").encode([open_image(pictures / "00.png")])["features"]
    assert metadata["change"]["images"] == 20
    assert 0 < np.linalg.norm(values[0] - exact) / np.linalg.norm(exact) < 0.5


def test_refusals(checkpoint, pictures, tmp_path):
    out = tmp_path / "f.parquet"
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"")
    with pytest.raises(EmbedSourceError, match=r"none of 1 pictures can be used: zero bytes"):
        run(tmp_path / "bad", checkpoint, out)
    assert not list(tmp_path.glob("*f.parquet*"))
    with pytest.raises(ValueError, match="batch_size=0"):
        run(pictures, checkpoint, out, batch_size=0)
    with pytest.raises(ValueError, match="has no space 'joint'"):
        run(pictures, "timm:test_resnet=none", out, joint=True)
    run(pictures, checkpoint, out)
    with pytest.raises(FeaturesExistError, match="exists"):
        run(pictures, checkpoint, out)


KILLED = """
import sys, time
from emotionnet_hf.evaluation.embed import embed, encoding
real = encoding.open_image
def slow(data, *, max_pixels):
    time.sleep(0.1)
    return real(data, max_pixels=max_pixels)
encoding.open_image = slow
embed(sys.argv[1], sys.argv[2], sys.argv[3], batch_size=2, rows_per_part=4, num_threads=1,
      precision=sys.argv[4], device="cpu", progress=False)
"""


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_kill_and_resume_ends_with_the_same_bytes(checkpoint, pictures, tmp_path, precision):
    options = {"batch_size": 2, "rows_per_part": 4, "precision": precision}
    whole = run(pictures, checkpoint, tmp_path / "whole.parquet", **options)
    out, parts = tmp_path / "f.parquet", tmp_path / ".f.parquet.parts"
    words = [sys.executable, "-c", KILLED, pictures, checkpoint, out, precision]
    process = subprocess.Popen(words, cwd=REPOSITORY)
    try:
        deadline = time.monotonic() + 300
        while not parts.is_dir() or len(list(parts.glob("part-*"))) < 2:
            assert process.poll() is None, "it was over before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()
    with pytest.raises(FeaturesExistError, match="another batch_size"):
        run(pictures, checkpoint, out, **options | {"batch_size": 4})
    report = run(pictures, checkpoint, out, **options)
    assert 8 <= report.resumed < 23 and report.images == whole.images
    assert f"{report.resumed} of them were embedded by an earlier run" in report.summary()
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    quarantines = (tmp_path / f"{name}.quarantine.parquet" for name in ("f", "whole"))
    assert len({path.read_bytes() for path in quarantines}) == 1
    assert not parts.exists()


def test_picture_that_changed_meanwhile_is_embedded_anew(checkpoint, tmp_path, monkeypatch):
    folder = tmp_path / "p"
    folder.mkdir()
    for number in range(6):
        Pillow.new("RGB", (40, 40), (40 * number, 9, 9)).save(folder / f"{number}.png")
    out = tmp_path / "f.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(Table, "join", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(folder, checkpoint, out, batch_size=2, rows_per_part=2)
    Pillow.new("RGB", (40, 41), (9, 200, 9)).save(folder / "3.png")
    report = run(folder, checkpoint, out, batch_size=2, rows_per_part=2)
    assert report.resumed == 2
    anew = run(folder, checkpoint, tmp_path / "g.parquet", batch_size=2, rows_per_part=2)
    assert anew.resumed == 0
    assert out.read_bytes() == (tmp_path / "g.parquet").read_bytes()


def test_int8_goes_on_only_with_the_ranges_that_it_began_with(checkpoint, tmp_path, monkeypatch):
    folder, out = tmp_path / "p", tmp_path / "f.parquet"
    folder.mkdir()
    for number in range(4):
        Pillow.new("RGB", (40, 40), (40 * number, 9, 9)).save(folder / f"{number}.png")
    with monkeypatch.context() as patch:
        patch.setattr(Table, "join", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(folder, checkpoint, out, batch_size=2, rows_per_part=2, precision="int8")
    with monkeypatch.context() as patch:
        other = not torch.cpu._is_vnni_supported()
        patch.setattr(torch.cpu, "_is_vnni_supported", lambda: other)
        with pytest.raises(FeaturesExistError, match="another kind of CPU"):
            run(folder, checkpoint, out, batch_size=2, rows_per_part=2, precision="int8")
    Pillow.new("RGB", (40, 41), (9, 200, 9)).save(folder / "3.png")
    with pytest.raises(FeaturesExistError, match="another calibration"):
        run(folder, checkpoint, out, batch_size=2, rows_per_part=2, precision="int8")
