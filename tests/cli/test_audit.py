import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from emotionnet_hf.cli import main

FEATURES = Features(
    {
        "image": ImageFeature(),
        "image_id": Value("string"),
        "keywords": List(Value("string")),
        "emotion_keywords": List(ClassLabel(names=["fear", "joy"])),
    }
)


@pytest.fixture
def folder(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(file, "PNG")
    rows = [
        {
            "image": {"bytes": file.getvalue(), "path": "a.png"},
            "image_id": f"{i}",
            "keywords": ["joy", "fear"],
            "emotion_keywords": [1, 0],
        }
        for i in range(20)
    ]
    (tmp_path / "small" / "data").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=FEATURES.arrow_schema)
    pq.write_table(table, tmp_path / "small" / "data" / "train-00000-of-00001.parquet")
    return tmp_path / "small"


def run(*words) -> int:
    return main([str(word) for word in words])


def marked(sheet, path, wrong: int):
    """Mark a sheet without a browser: its JSON, and the marks that it would save."""
    page = sheet.read_text()
    sample = json.loads(page.partition('id="sample">')[2].partition("</script>")[0])
    images = [
        {
            "image_id": image["image_id"],
            "keywords": [
                {"keyword": word, "mark": "wrong" if word == "joy" and i < wrong else "correct"}
                for word in image["emotions"]
            ],
        }
        for i, image in enumerate(sample["images"])
    ]
    path.write_text(json.dumps(sample | {"images": images}))


def test_sheet_is_written_and_its_marks_become_a_rate(folder, tmp_path, capsys):
    sheet = tmp_path / "audit.html"
    assert run("audit", folder, "--sample", 10, "--seed", 3, "--out", sheet, "--no-progress") == 0
    output = capsys.readouterr().out
    assert "10 images with 20 emotion keywords" in output
    assert f"emotionnet audit {folder} --marks marks.json" in output
    marked(sheet, tmp_path / "marks.json", wrong=5)
    assert run("audit", folder, "--marks", tmp_path / "marks.json", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["error_rate"]["rate"] == 0.25
    assert (result["seed"], result["sample"]) == (3, 10)
    assert result["images_with_a_wrong_keyword"]["rate"] == 0.5
    assert run("audit", folder, "--marks", tmp_path / "marks.json") == 0
    assert "25.0% of the emotion keywords are wrong" in capsys.readouterr().out


def test_sheet_is_reported_as_json(folder, tmp_path, capsys):
    words = ["--out", tmp_path / "audit.html", "--split", "train", "--json", "--no-progress"]
    assert run("audit", folder, *words) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["keywords"], report["unreadable"]) == (20, 40, 0)


def test_marks_of_another_data_set_are_refused_in_one_line(folder, tmp_path, capsys):
    assert run("audit", folder, "--out", tmp_path / "audit.html", "--no-progress") == 0
    marked(tmp_path / "audit.html", tmp_path / "marks.json", wrong=1)
    path = folder / "data" / "train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    capsys.readouterr()
    assert run("audit", folder, "--marks", tmp_path / "marks.json") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("emotionnet: ")
    assert "1 images that differ" in error


@pytest.mark.parametrize("words", [["--seed", 1], ["--sample", 5], ["--split", "train"]])
def test_marks_know_their_sample(folder, tmp_path, capsys, words):
    assert run("audit", folder, "--marks", tmp_path / "marks.json", *words) == 1
    assert "marks know their sample" in capsys.readouterr().err


def test_missing_marks_are_one_line(folder, tmp_path, capsys):
    assert run("audit", folder, "--marks", tmp_path / "none.json") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "none.json" in line


@pytest.mark.parametrize(
    "words", [[], ["--out", "a", "--marks", "b"], ["--sample", 0, "--out", "a"]]
)
def test_bad_usage_ends_with_2(folder, words):
    with pytest.raises(SystemExit) as caught:
        run("audit", folder, *words)
    assert caught.value.code == 2
