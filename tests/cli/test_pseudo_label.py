import json

import pytest

from emotionnet_hf.cli import main
from emotionnet_hf.training.pseudo_labels import PseudoLabelReport


def test_command_is_one_call(monkeypatch, capsys, tmp_path):
    asked = {}

    def write(source, model, out, *, progress):
        asked.update(source=source, model=model, progress=progress)
        return PseudoLabelReport(out, {"anger": 1, "fear": 2}, {"no such image file": 4})

    monkeypatch.setattr("emotionnet_hf.training.pseudo_labels.write_pseudo_labels", write)
    words = ["pseudo-label", str(tmp_path), "--model", "m", "--out", "x.parquet", "--no-progress"]
    assert main(words) == 0
    assert capsys.readouterr().out == (
        "x.parquet: 3 images\nanger 1, fear 2\nnot usable: no such image file (4)\n"
    )
    assert asked == {"source": tmp_path, "model": "m", "progress": False}
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "out": "x.parquet",
        "rows": {"anger": 1, "fear": 2},
        "rejected": {"no such image file": 4},
    }


def test_bad_usage_is_exit_code_two():
    with pytest.raises(SystemExit) as stopped:
        main(["pseudo-label", "x", "--model", "m"])
    assert stopped.value.code == 2
