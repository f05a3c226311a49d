import json

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.cli import main
from emotionnet_hf.data.dropped import read_dropped


def run(*words) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for i in range(6):
        noise = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((80, 60))
        noise.save(folder / f"{i}.png")
        noise.save(folder / f"{i}.jpg", quality=60)
        rows += [{"file_name": f"{i}.{kind}", "keywords": ["joy"]} for kind in ("png", "jpg")]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_duplicates_are_found_and_told(source, tmp_path, capsys):
    out = tmp_path / "duplicates.parquet"
    assert run("dedup", source, "--out", out, "--no-progress") == 0
    text = capsys.readouterr().out
    assert "12 images; 6 are near-duplicates of the 6 that stay (radius 4, single" in text
    assert read_dropped(out) == {f"{i}.jpg": f"{i}.png" for i in range(6)}


def test_json(source, tmp_path, capsys):
    out = tmp_path / "duplicates.parquet"
    words = ["--radius", 0, "--linkage", "representative", "--json", "--no-progress"]
    assert run("dedup", source, "--out", out, *words) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["out"] == str(out)
    assert (report["radius"], report["linkage"]) == (0, "representative")
    assert report["images"] == 12


def test_errors_are_one_line(source, tmp_path, capsys):
    out = tmp_path / "duplicates.parquet"
    assert run("dedup", source, "--out", out, "--radius", 40) == 1
    assert "radius=40 has to be" in capsys.readouterr().err
    assert run("dedup", tmp_path / "none", "--out", out) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("emotionnet: there is no folder")
    assert run("dedup", source, "--out", out, "--no-progress") == 0
    assert run("dedup", source, "--out", out) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert run("dedup", source, "--out", out, "--overwrite", "--no-progress") == 0


def test_bad_usage(source, tmp_path):
    with pytest.raises(SystemExit) as caught:
        run("dedup", source, "--out", tmp_path / "d.parquet", "--linkage", "average")
    assert caught.value.code == 2
