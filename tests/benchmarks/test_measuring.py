import json
from pathlib import Path

import pytest

from benchmarks.measuring import Parser

ROOT = Path(__file__).parents[2]
BENCHMARKS = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "measuring"
)


@pytest.fixture
def dirty(monkeypatch):
    monkeypatch.setattr("emotionnet_hf.environment.changed_files", lambda: ["emotionnet_hf/a.py"])


def test_changed_code_is_refused_in_a_line(dirty, capsys):
    parser = Parser("x")
    with pytest.raises(SystemExit) as end:
        parser.environment(parser.parse_args([]))
    assert end.value.code == 2
    assert "emotionnet_hf/a.py differ from the commit" in capsys.readouterr().err


def test_changed_code_is_marked_where_it_is_allowed(dirty, tmp_path):
    parser = Parser("x")
    told = parser.environment(parser.parse_args(["--allow-dirty"]), [0], tmp_path / "work")
    assert (told["git_commit"] is None) == (told["git_dirty"] is None)
    assert told["git_dirty"] in (True, None) and told["seeds"] == [0]
    assert json.loads((tmp_path / "work" / "code.json").read_text())


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_asks_before_it_works(name):
    source = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    main = source[source.index("def main()") :]
    assert "Parser(" in main and "parser.environment(arguments" in main
    assert "ArgumentParser" not in source
