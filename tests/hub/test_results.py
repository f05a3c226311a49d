import json
import math
import random
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

from emotionnet_hf.hub.results import (
    NOT_MEASURED,
    PAPER,
    Measured,
    ResultsError,
    as_eval_results,
    kept_metrics,
    read_results,
)
from emotionnet_hf.training.loop import _Run

REPOSITORY = Path(__file__).resolve().parents[2]

# What a command of ours would write, but for the metrics.
MADE = {"dataset": "x", "split": "test", "versions": {"torch": "2.15.0"}}


def epochs(*values, name="hit_at_1"):
    return [
        {"step": e, "epoch": e, "validation": {name: value, "embedding_loss": 1.0, "other": 0.5}}
        for e, value in enumerate(values, 1)
    ]


@pytest.mark.parametrize(
    ("values", "select_on", "epoch"),
    [
        ((0.2, 0.4, 0.3), "hit_at_1", 2),
        ((0.4, 0.4), "hit_at_1", 1),  # only a better one replaces it
        ((0.2, 0.4, 0.3), "last", 3),
        ((0.2, math.nan, 0.3), "hit_at_1", 2),  # as the loop does
        ((math.nan,), "hit_at_1", 1),
    ],
)
def test_metrics_are_those_of_the_model_that_was_kept(values, select_on, epoch):
    found, metrics = kept_metrics(epochs(*values), select_on)
    assert found == epoch
    value = values[epoch - 1]
    # What is no number is not measured, and losses are no results.
    assert metrics == {"other": 0.5} | ({} if math.isnan(value) else {"hit_at_1": value})


def test_rule_is_that_of_the_training_loop(tmp_path):
    for seed in range(30):
        chance = random.Random(seed)
        values = [chance.choice([0.1, 0.2, 0.3, math.nan, None]) for _ in range(6)]
        history = iter([{"other": 0.5} | ({} if v is None else {"hit_at_1": v}) for v in values])
        records, best = [], tmp_path / str(seed)
        run = SimpleNamespace(
            best=None,
            model=torch.nn.Linear(1, 1),
            arguments=SimpleNamespace(select_on="hit_at_1"),
            folder=SimpleNamespace(best=best),
            task=SimpleNamespace(
                evaluate=lambda *_, history=history: next(history),
                save=lambda model, folder, records=records: write(
                    folder / "epoch", str(len(records))
                ),
            ),
            accelerator=SimpleNamespace(is_main_process=True, unwrap_model=lambda model: model),
            _record=records.append,
        )
        for epoch in range(1, 7):
            _Run._validate(run, epoch)
        assert kept_metrics(records, "hit_at_1")[0] == int((best / "epoch").read_text())


def test_run_without_validation_has_no_metrics():
    assert kept_metrics([{"step": 1, "train": {"loss": 1.0}}], "hit_at_1") is None


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_reads_one_result_or_several(tmp_path):
    one = {"dataset": "EMOTIC-B", "split": "test", "protocol": "zero-shot", "seeds": [0, 1]}
    one["metrics"] = {"mean_average_precision": {"mean": 0.25, "sd": 0.5}, "accuracy": 1}
    one["metrics"] |= {"loss": 2.5, "embedding_loss": 0.5}
    marked = one | {"environment": {"packages": {"torch": "2.15.0"}}}
    expected = [
        Measured("EMOTIC-B", "test", "mean_average_precision", 0.25, 0.5, "zero-shot"),
        Measured("EMOTIC-B", "test", "accuracy", 1.0, None, "zero-shot"),
    ]
    assert read_results(write(tmp_path / "a.json", marked), "emotionnet") == expected
    several = {"results": [one, one], "versions": {"torch": "2.15.0"}}
    assert read_results(write(tmp_path / "b.json", several), "emotionnet") == 2 * expected
    assert expected[0].text == "0.250 ± 0.500"
    assert expected[0].metric_label == "mAP"


def test_numbers_of_another_kind_of_model_are_refused(tmp_path):
    result = {"dataset": "DeepEmotion", "split": "test", "metrics": {"accuracy": 0.5}}
    path = tmp_path / "results.json"
    for kind in ("timm", "clip", "chance"):
        told = {**result, "kind": kind, "model": "timm:resnet50"}
        path.write_text(json.dumps({"results": [told], "versions": {"torch": "2"}}))
        with pytest.raises(ResultsError, match="those of timm:resnet50, no emotionnet"):
            read_results(path, "emotionnet")
    told = {**result, "kind": "emotionnet"}
    path.write_text(json.dumps({"results": [told], "versions": {"torch": "2"}}))
    assert [number.value for number in read_results(path, "emotionnet")] == [0.5]


def test_reads_what_the_quickstart_wrote():
    path = REPOSITORY / "benchmarks" / "results" / "quickstart.json"
    report = json.loads(path.read_text())
    for kind in ("emotionnet", "textcnn"):
        found = {(m.protocol, m.metric): m.value for m in read_results(path, kind)}
        assert found == {
            (f"against {truth} keywords", metric): report[kind][truth][metric]
            for truth in ("clean", "listed")
            for metric in ("hit_at_1", "mean_average_precision")
        }


@pytest.mark.parametrize(
    "value",
    [
        *("", "[1, 2]", "7", "{}", '{"results": []}'),
        {"dataset": "x", "split": "test", "versions": {"torch": "2"}},
        MADE | {"metrics": {"accuracy": "0.9"}},
        MADE | {"metrics": {"accuracy": True}},
        MADE | {"metrics": {"accuracy": {"mean": 0.5, "sd": "0.1"}}},
        MADE | {"metrics": {"accuracy": math.nan}},
        MADE | {"metrics": {"loss": 0.5}},
        # Right, but for the mark of a command.
        MADE | {"metrics": {"accuracy": 0.5}, "versions": {}},
        {"dataset": "x", "split": "test", "metrics": {"accuracy": 0.5}},
        {"emotionnet": {}, "textcnn": {}},
        {"what": "a benchmark", "settings": {}, "noise": {}},
    ],
)
def test_files_that_no_command_wrote_are_refused(tmp_path, value):
    with pytest.raises(ResultsError, match=r"a\.json is no file of results") as caught:
        read_results(write(tmp_path / "a.json", value), "emotionnet")
    # Only commands that there are.
    for name in re.findall(r"`emotionnet ([a-z-]+)", str(caught.value)):
        assert (REPOSITORY / "emotionnet_hf" / "cli" / f"{name.replace('-', '_')}.py").is_file()


@pytest.mark.parametrize("value", [61.2, -0.1, math.inf, {"mean": 1.01}, {"mean": 0.5, "sd": -1}])
def test_metrics_are_shares(tmp_path, value):
    file = write(tmp_path / "a.json", MADE | {"metrics": {"hit_at_1": value}})
    with pytest.raises(ResultsError, match=r"a\.json has hit_at_1 = .*shares, 0 to 1"):
        read_results(file, "emotionnet")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="No results at"):
        read_results(tmp_path / "a.json", "emotionnet")


def test_paper_rows_take_only_what_was_measured_in_the_same_way():
    row = next(
        n for n in PAPER["emotionnet"] if (n.dataset, n.protocol) == ("EMOTIC-B", "zero-shot")
    )
    same = Measured("emotic_b", "test", "mean_average_precision", 0.2, None, "Zero shot")
    others = [
        Measured("EMOTIC-B", "test", "mean_average_precision", 0.9, None, "linear-probe"),
        Measured("EMOTIC-B", "test", "accuracy", 0.9, None, "zero-shot"),
        Measured("EMOTIC-I", "test", "mean_average_precision", 0.9, None, "zero-shot"),
    ]
    assert row.row(others)["here"] == NOT_MEASURED == "not measured"
    assert row.row([*others, same])["here"] == "0.200"
    # The paper's numbers are of test splits.
    assert row.row([replace(same, split="validation")])["here"] == NOT_MEASURED
    assert row.row([])["paper"] == "0.233 (Table 6)"


def test_model_index_tells_protocols_apart():
    measured = [
        Measured("EMOTIC (B)", "test", "accuracy", 0.25, None, "zero-shot"),
        Measured("EMOTIC (B)", "test", "accuracy", 0.5, None, "linear-probe"),
        Measured("EMOTIC (B)", "validation", "accuracy", 0.75),
    ]
    index = eval_results_to_model_index("m", as_eval_results(measured, "image-classification"))
    _, back = model_index_to_eval_results(index)
    assert [(r.dataset_split, r.metric_args, r.metric_value) for r in back] == [
        ("test", {"protocol": "zero-shot"}, 0.25),
        ("test", {"protocol": "linear-probe"}, 0.5),
        ("validation", None, 0.75),
    ]
    assert {r.dataset_type for r in back} == {"emotic-b"}
    assert [r.metric_name for r in back] == [
        "accuracy, zero-shot",
        "accuracy, linear-probe",
        "accuracy",
    ]
