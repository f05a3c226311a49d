from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from emotionnet_hf.evaluation.linear_probe import features as module
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments, LinearProbeError
from emotionnet_hf.evaluation.linear_probe.running import Running, evaluate_linear_probe

RANDOM = "timm:test_resnet=none"
OTHER = "timm:test_byobnet=none"


def evaluate(benchmarks, *models, cache=None, **changes):
    arguments = LinearProbeArguments(**{"bootstrap_samples": 50, **changes})
    running = Running(cache=cache, device="cpu", progress=False)
    return evaluate_linear_probe(benchmarks, models or [RANDOM], arguments, running=running)


@pytest.fixture
def counted(monkeypatch):
    seen = []
    embed = module.embed
    monkeypatch.setattr(
        module, "embed", lambda e, pixels: seen.append(len(pixels)) or embed(e, pixels)
    )
    return seen


def values(report, name="accuracy"):
    return {result.model: result.metrics[name]["values"] for result in report.results}


def test_colours_are_told_apart_and_chance_is_not_beaten_by_chance(benchmark):
    report = evaluate(benchmark)
    found = report.results[0].metrics["accuracy"]
    assert [result.model for result in report.results] == [RANDOM, "chance"]
    # One run: nothing is drawn.
    assert found["values"] == [found["mean"]] and found["sd"] is None
    assert found["mean"] > 0.9
    assert values(report)["chance"] == pytest.approx([1 / 3])
    assert any("One run" in note for note in report.notes)
    assert report.results[0].runs[0]["choice"] in report.arguments.strengths
    assert set(report.results[0].by_class) == {"awe", "fear", "joy"}


@pytest.mark.parametrize("bn_mode", ["frozen", "adapt"])
def test_published_runs_once_a_seed(benchmark, bn_mode):
    settings = {"protocol": "published", "epochs": 1, "seeds": (0, 7), "bn_mode": bn_mode}
    report = evaluate(benchmark, **settings)
    found = report.results[0]
    assert [run["seed"] for run in found.runs] == [0, 7]
    assert len(found.metrics["accuracy"]["values"]) == 2
    assert values(evaluate(benchmark, **settings)) == values(report)


def test_seeds_draw_splits_where_they_are_ours(benchmark):
    turned = benchmark.with_splits(
        {**benchmark.splits, "train": benchmark.splits["test"], "test": benchmark.splits["train"]}
    )
    report = evaluate([benchmark, turned], seeds=(0, 1))
    assert report.results[0].rows == [12, 24]
    assert len(values(report)["chance"]) == 2
    with pytest.raises(LinearProbeError, match="2 benchmarks for 3 seeds"):
        evaluate([benchmark, turned], seeds=(0, 1, 2))


def test_models_are_compared_with_the_first(benchmark):
    report = evaluate(benchmark, RANDOM, OTHER)
    first, second, chance = report.results
    assert first.difference is None and chance.difference is None
    expected = second.metrics["accuracy"]["mean"] - first.metrics["accuracy"]["mean"]
    assert second.difference["accuracy"]["mean"] == pytest.approx(expected)
    low, high = second.difference["accuracy"]["interval"]
    assert low <= expected <= high
    alone = evaluate(benchmark, OTHER)
    assert values(alone)[OTHER] == values(report)[OTHER]
    for models in ([RANDOM, RANDOM],):
        with pytest.raises(LinearProbeError, match="each once"):
            evaluate(benchmark, *models)


def test_second_call_computes_no_features(benchmark, tmp_path, counted):
    first = evaluate(benchmark, cache=tmp_path)
    assert sum(counted) == 45
    again = evaluate(benchmark, cache=tmp_path)
    assert sum(counted) == 45 and values(first) == values(again)


def multi_label(tmp_path, making):
    """Targets as annotators' counts, several right classes a row."""
    chance, rows = np.random.default_rng(0), {}
    for split, size in (("train", 20), ("validation", 8), ("test", 16)):
        rows[split] = []
        for number in range(size):
            path = tmp_path / f"{split}{number}.png"
            making.draw(path, number % 3, number)
            right = sorted({number % 3, int(chance.integers(3))})
            target = [0.0] * 3
            for label in right:
                target[label] = 1 / len(right)
            label = right[0] if len(right) == 1 else -1
            rows[split].append(making.row(path, label, labels=right, target=target))
    return making.benchmark(rows, "EMOTIC-I", "multi-label")


@pytest.mark.parametrize("settings", [{}, {"protocol": "published", "epochs": 1, "seeds": (0,)}])
def test_several_labels_are_scored_by_average_precision(tmp_path, making, settings):
    report = evaluate(multi_label(tmp_path, making), **settings)
    found, chance = report.results
    (run,) = found.scored
    assert len(run.part) == 16  # rows without a single class count
    expected = [average_precision_score(run.part.labels[:, k], run.scores[:, k]) for k in range(3)]
    assert found.metrics["mean_average_precision"]["mean"] == pytest.approx(np.mean(expected))
    assert list(found.by_class.values()) == pytest.approx(expected)
    # A constant ranking has each class's prevalence.
    prevalence = run.part.labels.mean(axis=0).mean()
    assert chance.metrics["mean_average_precision"]["mean"] == pytest.approx(prevalence)
    assert found.metrics["mean_average_precision"]["mean"] > prevalence


def test_rows_without_a_class_train_but_are_not_tested(tmp_path, making):
    rows = making.rows(tmp_path)
    for split, count in (("train", 3), ("validation", 2), ("test", 4)):
        for row in rows[split][:count]:
            row |= {"label": -1, "labels": [], "target": [0.5, 0.5, 0.0]}
    report = evaluate(making.benchmark(rows))
    assert report.results[0].rows == [8] and report.set_aside.without_class == 6


@pytest.mark.parametrize("protocol", ["fast", "published"])
def test_unreadable_pictures_are_set_aside(benchmark, protocol):
    for split in ("train", "test"):
        Path(benchmark.splits[split][0]["image"]["path"]).write_bytes(b"no picture")
    settings = {"protocol": protocol, "epochs": 1, "seeds": (0,)}
    report = evaluate(benchmark, RANDOM, OTHER, **settings)
    assert [result.rows for result in report.results] == [[11]] * 3
    told = report.as_dict()["benchmark"]["set_aside"]
    assert told["unreadable"] == 2 and told["unreadable_reasons"] == {"not an image": 2}
    assert told["unreadable_examples"][0] == "0.png: not an image"
    for number in range(1, 3):
        Path(benchmark.splits["train"][number]["image"]["path"]).unlink()
    with pytest.raises(LinearProbeError, match=r"4 of 45 pictures cannot be opened, such as .*png"):
        evaluate(benchmark, **settings)
    assert evaluate(benchmark, max_unreadable=0.2, **settings).results[0].rows == [11]


def test_absent_pictures_of_a_published_split_are_refused_like_unreadable_ones(benchmark):
    few = replace(benchmark, absent={"train": ["a.jpg"]})  # 1 of 25
    assert evaluate(few).results[0].rows == [12]
    many = replace(benchmark, absent={"train": ["a.jpg"], "test": ["b.jpg", "c.jpg", "d.jpg"]})
    told = r"3 rows of Drawn's test \(20\.0 %\) are not on disk, such as b\.jpg.*max-unreadable"
    with pytest.raises(LinearProbeError, match=told):
        evaluate(many)
    assert evaluate(many, max_unreadable=0.2).results[0].rows == [12]


def test_a_validation_split_that_was_not_drawn_is_not_trained_on(benchmark):
    named = replace(benchmark, name="DeepEmotion")
    assert evaluate(named).arguments.refit is False
    assert evaluate(replace(named, validation_drawn=True)).arguments.refit is True


def test_what_does_not_fit_the_benchmark_is_refused(tmp_path, making):
    rows = making.rows(tmp_path / "p")
    without = making.benchmark({"train": rows["train"], "test": rows["test"]})
    with pytest.raises(LinearProbeError, match="no row for validation that can be used"):
        evaluate(without)
    assert evaluate(without, solver="sgd", select_on="last", epochs=2, seeds=(0,)).results
    with pytest.raises(LinearProbeError, match="no balance there"):
        evaluate(multi_label(tmp_path, making), balanced=True)


def test_notes_tell_of_the_edge_and_of_missing_batch_norm(benchmark):
    report = evaluate(benchmark, strengths=(0.1,))
    assert any("the first or the last of those" in note for note in report.notes)
    report = evaluate(
        benchmark, "timm:test_vit=none", protocol="published", bn_mode="adapt", epochs=1, seeds=(0,)
    )
    assert any("has no BatchNorm" in note for note in report.notes)


def test_a_training_that_diverged_gives_no_number(benchmark):
    settings = {"solver": "sgd", "learning_rate": 1e38, "batch_size": 6, "seeds": (0,)}
    with pytest.raises(LinearProbeError, match=r"diverged: give a learning rate below 1e\+38"):
        evaluate(benchmark, select_on="last", epochs=4, **settings)


def test_classes_absent_from_test_are_told(tmp_path, making):
    rows = making.rows(tmp_path)
    rows["test"] = [row for row in rows["test"] if row["label"] != 1]
    report = evaluate(making.benchmark(rows))
    assert report.notes[-1].endswith("in no mean over classes: fear.")
    assert report.results[0].by_class["fear"] is None
    assert report.results[0].kind == "timm" and report.results[-1].kind == "chance"


def test_an_emotionnet_on_disk_is_never_changed(benchmark, checkpoint):
    before = {path.name: path.read_bytes() for path in checkpoint.iterdir() if path.is_file()}
    settings = {"protocol": "published", "bn_mode": "adapt", "epochs": 1, "seeds": (0,)}
    report = evaluate(benchmark, str(checkpoint), **settings)
    assert report.results[0].model == str(checkpoint)
    after = {path.name: path.read_bytes() for path in checkpoint.iterdir() if path.is_file()}
    assert after == before
