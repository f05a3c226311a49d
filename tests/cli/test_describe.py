import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value

from emotionnet_hf.cli import main

FEATURES = Features(
    {
        "keywords": List(Value("string")),
        "emotion_keywords": List(ClassLabel(names=["fear", "joy"])),
    }
)


@pytest.fixture
def folder(tmp_path):
    rows = [{"keywords": ["joy", "tree"], "emotion_keywords": [1]}] * 3
    (tmp_path / "out" / "data").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=FEATURES.arrow_schema)
    pq.write_table(table, tmp_path / "out" / "data" / "train-00000-of-00001.parquet")
    return tmp_path / "out"


def run(*words) -> int:
    return main([str(word) for word in words])


def test_describe_tells_where_the_page_is(folder, tmp_path, capsys):
    assert run("describe", folder, "--out", tmp_path / "stats", "--no-progress") == 0
    output = capsys.readouterr().out
    assert output == f"3 images described in {tmp_path / 'stats' / 'statistics.md'}\n"
    assert (tmp_path / "stats" / "keyword_frequency.png").is_file()


def test_describe_prints_the_statistics_as_json(folder, tmp_path, capsys):
    assert run("describe", folder, "--out", tmp_path / "stats", "--json", "--no-progress") == 0
    statistics = json.loads(capsys.readouterr().out)
    assert statistics["emotion_keywords"]["never_used"] == ["fear"]
    assert statistics == json.loads((tmp_path / "stats" / "statistics.json").read_text())


def test_folder_that_is_no_data_set_is_one_line(tmp_path, capsys):
    assert run("describe", tmp_path, "--out", tmp_path / "stats") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "emotionnet build" in line
