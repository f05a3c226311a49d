import ast
import os
import subprocess
import sys
from pathlib import Path

import evaluate
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

import emotionnet_hf.metrics.modules
from emotionnet_hf.metrics import hit_at_k, mean_average_precision, recall_at_k
from emotionnet_hf.metrics.modules import HitAtK, MeanAveragePrecision, RecallAtK

FOLDER = Path(emotionnet_hf.metrics.modules.__file__).parent
MODULES = [HitAtK, RecallAtK, MeanAveragePrecision]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Modules keep what they are given in files; each test has a folder of its own for them."""
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", tmp_path / "metrics")


@pytest.fixture
def case() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    labels = (rng.random((30, 6)) < 0.3).astype(int)
    labels[0], labels[np.arange(1, 30), rng.integers(0, 6, 29)] = 0, 1
    return rng.random((30, 6)).astype(np.float32), labels


def expected(scores, labels, k=1):
    return {
        f"hit_at_{k}": hit_at_k(scores, labels, k),
        f"recall_at_{k}": recall_at_k(scores, labels, k),
        "mean_average_precision": mean_average_precision(scores, labels),
    }


@pytest.mark.parametrize("k", [1, 3])
def test_compute_equals_the_functions_and_sklearn(case, k):
    scores, labels = case
    found = {
        **HitAtK().compute(predictions=scores, references=labels, k=k),
        **RecallAtK().compute(predictions=scores, references=labels, k=k),
        **MeanAveragePrecision().compute(predictions=scores, references=labels),
    }
    assert found == pytest.approx(expected(scores, labels, k), abs=1e-12)
    assert found["mean_average_precision"] == pytest.approx(
        average_precision_score(labels, scores, average="macro"), abs=1e-12
    )


def test_one_right_class_ranked_first_is_one_by_sklearns_ranking_too():
    labels = np.eye(5, dtype=int)
    assert label_ranking_average_precision_score(labels, labels) == 1
    for module in MODULES:
        assert [*module().compute(predictions=labels, references=labels).values()] == [1]


@pytest.mark.parametrize("module", MODULES)
def test_rows_and_batches_give_what_compute_gives(case, module):
    scores, labels = case
    whole = module().compute(predictions=scores, references=labels)
    by_row, by_batch = module(), module()
    for row, right in zip(scores, labels, strict=True):
        by_row.add(prediction=row, reference=right)
    for start in (0, 7, 21):
        stop = {0: 7, 7: 21, 21: 30}[start]
        by_batch.add_batch(predictions=scores[start:stop], references=labels[start:stop])
    by_batch.add_batch(predictions=[], references=[])
    assert by_row.compute() == by_batch.compute() == whole


@pytest.mark.parametrize(
    "form", [np.ndarray.tolist, torch.from_numpy, lambda a: [*a], lambda a: a.astype(float)]
)
def test_lists_arrays_and_tensors_are_taken(case, form):
    scores, labels = case
    found = HitAtK(k=2).compute(predictions=form(scores), references=form(labels))
    assert found == {"hit_at_2": hit_at_k(scores, labels, 2)}
    bools = HitAtK(k=2).compute(predictions=form(scores), references=form(labels == 1))
    assert bools == found


def test_combine_puts_them_side_by_side(case):
    scores, labels = case
    combined = evaluate.combine([HitAtK(k=2), RecallAtK(k=2), MeanAveragePrecision()])
    assert combined.compute(predictions=scores, references=labels) == expected(scores, labels, 2)
    for row, right in zip(scores, labels, strict=True):
        combined.add(row, right)
    assert combined.compute() == expected(scores, labels, 2)
    several = evaluate.combine([HitAtK(k=1), HitAtK(k=5)])
    found = several.compute(predictions=scores, references=labels)
    assert found == {f"hit_at_{k}": hit_at_k(scores, labels, k) for k in (1, 5)}


def test_what_compute_is_told_goes_before_what_the_module_was_made_with(case):
    scores, labels = case
    found = RecallAtK(k=5).compute(predictions=scores, references=labels, k=2)
    assert found == {"recall_at_2": recall_at_k(scores, labels, 2)}


def test_double_precision_is_kept():
    scores = [[0.5, 0.5 + 1e-12]]
    assert HitAtK().compute(predictions=scores, references=[[0, 1]]) == {"hit_at_1": 1}


BAD = [
    ([[0.1, 0.9]], [1], "example 0: .* a row of 2 and no row. Turn class ids into rows"),
    (np.ones((2, 3)), np.array([0, 2]), "example 0: .* a row of 3 and no row"),
    ([[0.1, 0.9], [0.1, 0.9]], [[0, 1], [1]], "example 1: .* a row of 2 and a row of 1"),
    ([[[1, 2]]], [[1, 0]], "example 0: .* not no row and a row of 2"),
    ([[1, 2], [1, 2, 3]], [[0, 1], [0, 1, 0]], "rows of different lengths"),
    ([[0.1, 0.9]], [[0, 3]], "1 where a class is right and 0 elsewhere"),
    ([[float("nan"), 0.9]], [[0, 1]], "NaN or infinity"),
    ([[None, 0.9]], [[0, 1]], "NaN or infinity"),
    (np.ones((3, 2)), np.ones((2, 2)), "Mismatch in the number of predictions"),
    ([[0.1, 0.9]], [[0.4, 0.6]], "1 where a class is right and 0 elsewhere"),
    ([[0.1, 0.9]], [[0, 0.9]], "1 where a class is right and 0 elsewhere"),
    ([["a", "b"]], [[0, 1]], "match the expected format"),
    ([], [], "at least once"),
]


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(("predictions", "references", "message"), BAD)
def test_other_input_is_refused(module, predictions, references, message):
    with pytest.raises(ValueError, match=message):
        module().compute(predictions=predictions, references=references)


def test_a_bad_example_is_refused_as_it_is_added():
    with pytest.raises(ValueError, match="example 0: predictions and references"):
        HitAtK().add(prediction=[0.1, 0.9], reference=1)


def test_k_out_of_range_is_refused_and_the_module_can_be_used_again(case):
    scores, labels = case
    module = HitAtK()
    with pytest.raises(ValueError, match="k is 7; it must be a whole number from 1 to the 6"):
        module.compute(predictions=scores, references=labels, k=7)
    again = module.compute(predictions=scores, references=labels, k=6)
    assert again == {"hit_at_6": 1}


def test_modules_describe_themselves():
    for module in MODULES:
        info = module()
        assert info.description and "multi-hot" in info.inputs_description and info.citation
        assert set(info.features) == {"predictions", "references"}
    assert "multi-hot" in HitAtK().compute.__doc__


LOAD = """
import sys
import emotionnet_hf.metrics
assert "evaluate" not in sys.modules, "the package is slow to import"
import evaluate
found = {}
for name, options in [("hit_at_k", {"k": 2}), ("recall_at_k", {}), ("mean_average_precision", {})]:
    metric = evaluate.load(f"{sys.argv[1]}/{name}.py", module_type="metric", **options)
    assert type(metric).__module__.startswith("evaluate_modules."), type(metric)
    found |= metric.compute(predictions=[[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]],
                            references=[[0, 1, 1], [0, 0, 1]])
print(found)
"""


def test_evaluate_loads_each_file_offline_in_a_process_of_its_own(tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_MODULES_CACHE": str(tmp_path / "m")}
    environment |= {"HF_EVALUATE_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HTTPS_PROXY": "http://[::]"}
    run = subprocess.run(
        [sys.executable, "-c", LOAD, str(FOLDER)],
        env=environment,
        cwd=FOLDER.parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    # By hand: a hit among two in both rows; at one nothing in the first and all in the second;
    # class 0 is never right, class 1 comes second of two, class 2 is ranked perfectly.
    assert ast.literal_eval(run.stdout) == {
        "hit_at_2": 1,
        "recall_at_1": 0.5,
        "mean_average_precision": 0.75,
    }
