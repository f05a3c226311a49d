import json

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf import cli
from emotionnet_hf.emotions import MIKELS
from emotionnet_hf.hub.results import read_results


@pytest.fixture
def folder(tmp_path):
    """DeepEmotion as `<class>/*.jpg`: eight colours, ten pictures each."""
    chance = np.random.default_rng(0)
    for place, name in enumerate(MIKELS):
        colour = np.asarray([place & 1, place >> 1 & 1, place >> 2]) * 160 + 40
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.clip(colour + chance.integers(-40, 40, (40, 40, 3)), 0, 255)
            path = tmp_path / "data" / name / f"{place}{number}.jpg"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return tmp_path / "data"


def run(folder, *words):
    always = ("--benchmark", "deep-emotion", "--data-dir", folder, "--device", "cpu")
    always += ("--allow-dirty",)
    words = ("evaluate", "linear-probe", *always, "--no-progress", *words)
    return cli.main([str(word) for word in words])


MODEL = ("--model", "timm:test_resnet=none")


def test_results_are_printed_and_written(folder, tmp_path, capsys, checkpoint):
    out = tmp_path / "out" / "results.json"
    words = ("--model", checkpoint, "--out", out, "--seeds", "0,1", "--cache", tmp_path / "cache")
    assert run(folder, *words, *MODEL, "--strengths", "0.01,0.1") == 0
    text = capsys.readouterr().out
    assert text.startswith("# Linear evaluation on DeepEmotion") and f"Written: {out}" in text
    content = json.loads(out.read_text())
    (result,) = content["results"]
    assert result["model"] == str(checkpoint) and result["dataset"] == "DeepEmotion"
    assert [row["model"] for row in content["baselines"]] == ["timm:test_resnet=none", "chance"]
    # Each seed drew its own split of the one folder.
    assert len(result["metrics"]["accuracy"]["values"]) == 2
    assert content["benchmark"]["near_duplicates"]["pictures"]["test"] == 16
    assert content["settings"]["strengths"] == [0.01, 0.1]
    assert {m.metric for m in read_results(out, "emotionnet")} == {"accuracy", "macro_recall"}
    assert out.with_suffix(".md").read_text() in text + "\n"


def test_json_and_the_published_protocol(folder, capsys):
    words = ("--protocol", "published", "--epochs", "1", "--seeds", "3", "--select-on", "test")
    assert run(folder, *MODEL, *words, "--bn-mode", "adapt", "--json", "--no-check") == 0
    content = json.loads(capsys.readouterr().out)
    (result,) = content["results"]
    assert result["protocol"] == "linear-probe (selected on the test set, BatchNorm adapts)"
    assert result["runs"][0]["seed"] == 3 and content["benchmark"]["near_duplicates"] is None
    assert content["settings"]["epochs"] == 1 and content["settings"]["refit"] is True


def test_twins_leave_train(folder, capsys):
    (folder / "awe" / "twin.jpg").write_bytes((folder / "fear" / "60.jpg").read_bytes())
    assert run(folder, *MODEL, "--seeds", "0", "--json", "--drop-twins") == 0
    dropped = json.loads(capsys.readouterr().out)["benchmark"]["dropped"]
    assert sum(n for reason, n in dropped.items() if "twin of a test picture" in reason) > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "timm:none_such"), "timm has no model 'none_such'"),
        ((*MODEL, "--bn-mode", "adapt"), "use --protocol published"),
        ((*MODEL, "--data-dir", "nowhere"), "nowhere"),
        ((*MODEL, "--benchmark", "ImageNet"), "there is no benchmark 'ImageNet'"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, capsys, words, message):
    assert run(folder, "--no-check", *words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("emotionnet: ") and message in line


def zero_shot(folder, *words):
    always = ("--benchmark", "DE", "--data-dir", folder, "--device", "cpu", "--no-progress")
    always += ("--allow-dirty",)
    return cli.main([str(word) for word in ("evaluate", "zero-shot", *always, *words)])


def test_zero_shot_scores_keywords(folder, tmp_path, capsys, checkpoint):
    words = ["joy", "fear", "candy cane", "awe", "calm", "tree", "joy", "fear"]
    categories = tmp_path / "categories.json"
    categories.write_text(json.dumps({n: [w] for n, w in zip(MIKELS, words, strict=True)}))
    out = tmp_path / "zero.json"
    assert zero_shot(folder, "--model", checkpoint, "--categories", categories, "--out", out) == 0
    text = capsys.readouterr().out
    assert text.startswith("# Zero-shot recognition on DeepEmotion (test)")
    assert f"Written: {out}" in text and "| CLIP ViT-B/32 | 50.00 | zero-shot |" in text
    content = json.loads(out.read_text())
    assert (content["protocol"], content["dataset"]) == ("zero-shot", "DeepEmotion")
    assert "accuracy" in {m.metric for m in read_results(out, "emotionnet")}
    assert f"| accuracy | {100 * content['metrics']['accuracy']['mean']:.2f} | " in text
    assert out.with_suffix(".md").read_text() in text + "\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--space", "text_model"), "needs one: give the folder of a TextCNN"),
        (("--split", "dev"), "has no rows for 'dev'"),
        (("--categories", "none.json"), "No categories at none.json"),
    ],
)
def test_zero_shot_that_cannot_be_done_is_one_line(folder, capsys, checkpoint, words, message):
    assert zero_shot(folder, "--model", checkpoint, *words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("emotionnet: ") and message in line


@pytest.mark.parametrize("words", [("--seeds", "0,x"), ("--out", "results.md"), ("--epochs", "0")])
def test_bad_values_are_bad_usage(folder, words):
    with pytest.raises(SystemExit) as ended:
        run(folder, *MODEL, *words)
    assert ended.value.code == 2


def test_a_list_of_numbers_says_what_it_takes(folder, capsys):
    with pytest.raises(SystemExit):
        run(folder, *MODEL, "--seeds", "0,x")
    assert "'0,x' is not whole numbers with commas between" in capsys.readouterr().err


def test_too_many_unreadable_pictures_are_refused_though_they_were_checked(folder, capsys):
    for number in range(8):
        (folder / "awe" / f"{MIKELS.index('awe')}{number}.jpg").write_bytes(b"no picture")
    assert run(folder, *MODEL, "--seeds", "0") == 1
    assert "8 of 80 pictures cannot be opened" in capsys.readouterr().err
    assert run(folder, *MODEL, "--seeds", "0", "--max-unreadable", "0.2") == 0
    assert "8 of 80 pictures cannot be opened and are left out" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["linear-probe", "zero-shot"])
def test_results_of_changed_code_are_refused_before_the_work(kind, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("emotionnet_hf.environment.changed_files", lambda: ["emotionnet_hf/a.py"])
    words = ("--benchmark", "DE", "--data-dir", "nowhere", "--model", "nothing")
    assert cli.main(["evaluate", kind, *words, "--out", str(tmp_path / "a.json")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("emotionnet: emotionnet_hf/a.py differ") and "--allow-dirty" in line
    # What is only printed says it in its environment.
    assert cli.main(["evaluate", kind, *words]) == 1
    assert "nowhere" in capsys.readouterr().err
