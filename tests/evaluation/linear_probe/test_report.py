import json
from dataclasses import replace

import numpy as np
import pytest

from emotionnet_hf.data.benchmarks import describe
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments, LinearProbeError
from emotionnet_hf.evaluation.linear_probe.report import LinearProbeReport, SetAside, model_result
from emotionnet_hf.evaluation.linear_probe.rows import Part
from emotionnet_hf.evaluation.linear_probe.scoring import Scored
from emotionnet_hf.hub.results import Measured, read_results


def scored(seed, good):
    label = np.arange(30) % 3
    scores = np.random.default_rng(seed).random((30, 3)) + good * np.eye(3)[label]
    names = np.arange(30).astype(str).astype(object)
    return Scored(scores, Part(np.arange(30), np.eye(3)[label], label, np.eye(3)[label] > 0, names))


@pytest.fixture
def report(making, tmp_path):
    benchmark = making.benchmark(making.rows(tmp_path / "pictures"), "UnBiasedEmotion")
    first = model_result(
        "ours",
        "emotionnet",
        benchmark,
        [scored(0, 0.9), scored(1, 0.9)],
        [{"seed": 0}, {"seed": 1}],
        samples=50,
        first=None,
    )
    other = model_result(
        "theirs",
        "clip",
        benchmark,
        [scored(2, 0.0), scored(3, 0.0)],
        [{"seed": 0}, {"seed": 1}],
        samples=50,
        first=first,
    )
    return LinearProbeReport(
        benchmark=describe(benchmark).as_dict(),
        metric="accuracy",
        arguments=LinearProbeArguments().resolved("UnBiasedEmotion"),
        set_aside=SetAside(45, 2, {3: "a.png: truncated"}),
        results=(first, other),
        environment={"packages": {"torch": "2.15.0"}},
        notes=("A note.",),
    )


def test_a_baseline_in_the_first_place_is_pushed_as_nobodys_number(report):
    turned = replace(report, results=report.results[::-1])
    content = turned.as_dict()
    assert [(r["model"], r["kind"]) for r in content["results"]] == [("ours", "emotionnet")]
    assert [(r["model"], r["kind"]) for r in content["baselines"]] == [("theirs", "clip")]
    alone = replace(report, results=report.results[1:]).as_dict()
    assert [r["model"] for r in alone["results"]] == ["theirs"] and not alone["baselines"]


def test_a_push_takes_the_first_models_numbers_and_no_others(report, tmp_path):
    json_file, page = report.write(tmp_path / "out" / "results.json")
    found = report.results[0].metrics
    assert read_results(json_file, "emotionnet") == [
        Measured("UnBiasedEmotion", "test", name, m["mean"], m["sd"], "linear-probe")
        for name, m in found.items()
    ]
    content = json.loads(json_file.read_text())
    assert [r["model"] for r in content["results"]] == ["ours"]
    assert [r["model"] for r in content["baselines"]] == ["theirs"]
    assert content["settings"]["solver"] == "lbfgs" and content["protocol"]
    assert page.name == "results.md" and page.read_text() == report.summary() + "\n"


def test_results_are_json(report, tmp_path):
    with pytest.raises(LinearProbeError, match=r"must end in \.json"):
        report.write(tmp_path / "results.md")
    assert not list(tmp_path.glob("*.md"))


def test_traps_have_another_name_than_the_papers_numbers(report, tmp_path):
    object.__setattr__(report.arguments, "select_on", "test")
    (json_file, _) = report.write(tmp_path / "r.json")
    assert {m.protocol for m in read_results(json_file, "emotionnet")} == {
        "linear-probe (selected on the test set)"
    }


def test_page_has_our_numbers_beside_the_papers(report):
    page = report.summary()
    mean = 100 * report.results[0].metrics["accuracy"]["mean"]
    assert f"| ours | {mean:.2f} ± " in page
    assert "| EmotionNet | 81.45 | linear-probe | Table 2 |" in page
    assert "| 10 % of StockEmotion | 52.45 |" in page and "| TinyEmo | 82.40 |" in page
    assert "1 of 45 pictures cannot be opened and are left out, such as a.png: truncated" in page
    assert "2 rows of validation and test have no single class" in page
    assert "- A note." in page and "Protocol fast" in page
    theirs = next(line for line in page.splitlines() if line.startswith("| theirs |"))
    assert theirs.split("|")[-2].strip().startswith("-")


def test_page_tells_of_dropped_rows_and_of_twins(report):
    overlap = {"split": "test", "other": "train", "pictures": 30, "with_twin": 4}
    told = {"dropped": {"no picture on disk": 7}, "near_duplicates": {"overlaps": [overlap]}}
    page = replace(report, benchmark={**report.benchmark, **told}).summary()
    assert "no picture on disk" in page and "7" in page.split("no picture on disk")[1][:6]
    assert "4 of 30 pictures of test had a near-duplicate in train" in page
    assert "near-duplicate" not in report.summary()


def test_a_class_that_never_occurs_has_no_recall(making, tmp_path):
    benchmark = making.benchmark(making.rows(tmp_path))
    run = scored(0, 1.0)
    rows = run.part.label < 2
    run = Scored(run.scores[rows], run.part.take(rows))
    result = model_result("m", "timm", benchmark, [run], [{}], samples=10, first=None)
    assert result.by_class["joy"] is None and result.by_class["awe"] == 1.0
    json.dumps(result.as_dict(), allow_nan=False)


def test_too_much_missing_is_an_error():
    aside = SetAside(100).with_unreadable({n: f"{n}.png: zero bytes" for n in range(6)})
    aside.check(0.06)
    with pytest.raises(LinearProbeError, match=r"6 of 100 .* such as 0\.png: zero bytes.*0\.05"):
        aside.check(0.05)
