import json

import pytest

from emotionnet_hf.cli import main


def run(*words) -> int:
    return main([str(word) for word in words])


def test_export_timm_says_how_to_open_it_and_replaces_only_when_asked(checkpoint, tmp_path, capsys):
    words = ["export", "timm", checkpoint, "--out", tmp_path / "out", "--no-progress"]
    assert run(*words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert f'timm.create_model("local-dir:{tmp_path / "out"}", pretrained=True)' in line
    assert run(*words) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert run(*words, "--overwrite", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["out"] == str(tmp_path / "out")
    assert result["num_classes"] == 5


def test_export_onnx_prints_nothing_but_its_result(checkpoint, tmp_path, capsys):
    words = ["export", "onnx", checkpoint, "--out", tmp_path / "out", "--no-progress", "--json"]
    assert run(*words) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert list(result["files"]) == ["image.onnx", "text.onnx"]
    assert err == ""


def test_a_folder_without_a_model_is_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert run("export", "onnx", tmp_path / "empty", "--out", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no model folder" in line


def test_an_unknown_format_is_bad_usage(checkpoint, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run("export", "coreml", checkpoint, "--out", tmp_path / "out")
    assert ended.value.code == 2
    assert "onnx" in capsys.readouterr().err
