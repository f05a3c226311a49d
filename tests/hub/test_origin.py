import json
from pathlib import Path

import pytest

from emotionnet_hf.hub.model_folder import TrainingRun, open_model
from emotionnet_hf.hub.origin import data_name, origin, table


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def said(run_folder, **arguments):
    edit(run_folder / "arguments.json", **arguments)
    return origin(open_model(run_folder))


@pytest.mark.parametrize(
    ("arguments", "name", "text"),
    [
        ({"data": "alice/words"}, "alice/words", "Data: `alice/words`."),
        ({"data": "/mnt/nfs/words"}, "words", 'Data: local folder "words".'),
        ({"data": r"C:\sets\words"}, "words", 'Data: local folder "words".'),
        ({"data": "a/b/words"}, "words", 'Data: local folder "words".'),
        ({"data": "words"}, "words", 'Data: local folder "words".'),
        ({"data": "./alice/words"}, "words", 'Data: local folder "words".'),
        # The run lies beside it, so it was a folder, wherever this process runs.
        ({"data": "out/words", "output_dir": "out/run"}, "words", 'local folder "words".'),
        ({"data": "out/words", "text_model": "/x/out/t"}, "words", 'local folder "words".'),
        ({"data": ""}, "data set not recorded", "Data: `data set not recorded`."),
    ],
)
def test_folder_is_not_shown_as_a_repository(run_folder, arguments, name, text):
    assert data_name(TrainingRun(arguments)) == name
    assert text in said(run_folder, **arguments)


def test_relative_folder_that_is_there_is_no_repository(run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out/stockemotion").mkdir(parents=True)
    assert 'local folder "stockemotion"' in said(run_folder, data="out/stockemotion")
    # Gone, but the folder that it was in is there.
    Path("out/stockemotion").rmdir()
    assert 'local folder "stockemotion"' in said(run_folder, data="out/stockemotion")
    assert "out/" not in said(run_folder, data="out/stockemotion")


def test_paths_in_lists_and_options_are_names(run_folder):
    text = said(
        run_folder,
        more=["/mnt/nfs/a", {"b": ["--x=/mnt/nfs/c"]}],
        word_vectors="vectors/news.bin",
        pipe="a|b",
    )
    assert "/mnt" not in text
    assert '`["a", {"b": ["--x=c"]}]`' in text
    assert "| `word_vectors` | `news.bin` |" in text
    assert "| `pipe` | `a\\|b` |" in text


def test_kept_epoch(run_folder):
    assert "Kept: epoch 2 of 3, the best by validation `mean_average" in said(run_folder)
    assert "Kept: epoch 3 of 3, the last." in said(run_folder, select_on="last")


def test_conversion_is_told_and_never_not_recorded(model, run_folder):
    record = {
        **{"checkpoint": "best.pth.tar", "sha256": "ab" * 32, "kind": "two-branch"},
        **{"tensors": 323, "arch": "resnet50", "epoch": 29, "emotionnet_hf": "0.1"},
    }
    (model / "conversion.json").write_text(json.dumps(record))
    text = origin(open_model(model))
    assert "converted from the authors' published checkpoint" in text
    assert "not recorded" not in text
    for name in ("checkpoint", "kind", "arch", "epoch", "sha256"):
        assert f"| `{name}` | `{record[name]}` |" in text


def test_cells_of_a_table_stay_cells():
    assert table(["a", "b"], [["x|y", "1\n2"]]) == "| a | b |\n| --- | --- |\n| x\\|y | 1 2 |"
