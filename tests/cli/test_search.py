import argparse
import json

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.cli import search as search_command
from emotionnet_hf.environment import DirtyTreeError
from emotionnet_hf.evaluation.retrieval import build_index
from emotionnet_hf.hub.results import read_results

pytest.importorskip("faiss")


def run(*words) -> int:
    parser = argparse.ArgumentParser()
    search_command.add_command(parser.add_subparsers())
    arguments = parser.parse_args(["search", *map(str, words)])
    return arguments.run(arguments)


@pytest.fixture(scope="module")
def index(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    for number in range(12):
        values = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        path = folder / "pictures" / ("joy" if number % 2 else "fear") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    build_index(folder / "pictures", checkpoint, folder / "index", progress=False)
    return folder / "index"


def test_search_prints_neighbours_of_every_query(index, capsys):
    assert run(index, "joy/1.png", "joy, zzz", "--top-k", 2) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        f"joy/1.png in {index}:",
        f"joy, zzz in {index}:",
    ]
    assert len(lines) == 6
    assert "joy/1.png" not in "".join(lines[1:3])
    assert err.splitlines()[-1] == "emotionnet: the model does not know 'zzz'"


def test_search_prints_an_object_a_query(index, capsys):
    assert run(index, "joy/1.png", "zzz", "--json", "--top-k", 1) == 1
    out, err = capsys.readouterr()
    good, bad = map(json.loads, out.splitlines())
    assert good["found"][0]["hits"][0].keys() == {"row", "id", "score", "keywords", "labels"}
    assert bad["found"] == []
    assert "none of its words" in bad["error"]
    assert err.splitlines()[-1] == f"emotionnet: {bad['error']}"


def test_sheet_has_the_other_index_on_top(index, tmp_path, capsys):
    sheet = tmp_path / "fig4.html"
    assert run(index, "joy/1.png", "--beside", index, "--sheet", sheet) == 0
    assert sheet.read_text().count('class="line"') == 2
    assert len(capsys.readouterr().out.splitlines()) == 2 * 11


def test_scores_are_a_file_that_cards_can_show(index, tmp_path, capsys):
    assert run(index, "--scores", tmp_path / "scores.json", "--json", "--allow-dirty") == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores == json.loads((tmp_path / "scores.json").read_text())
    assert scores["metrics"]["rows_with_relevant"] == 1
    measured = read_results(tmp_path / "scores.json", "emotionnet")
    assert {number.metric for number in measured} == set(scores["metrics"])


def test_nothing_to_search_is_an_error(index):
    with pytest.raises(ValueError, match="give a query"):
        run(index)
    with pytest.raises(ValueError, match=r"\.png"):
        run(index, "joy", "--sheet", "s.pdf")


def test_scores_of_changed_code_are_refused(index, tmp_path, monkeypatch):
    monkeypatch.setattr("emotionnet_hf.environment.changed_files", lambda: ["emotionnet_hf/a.py"])
    with pytest.raises(DirtyTreeError, match="--allow-dirty"):  # run() passes --debug
        run(index, "--scores", tmp_path / "scores.json")
    assert not (tmp_path / "scores.json").exists()
