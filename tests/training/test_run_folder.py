import errno
import json

import pytest
import torch

from emotionnet_hf import lock
from emotionnet_hf.lock import one_run
from emotionnet_hf.training.arguments import RecipeError, RunArguments
from emotionnet_hf.training.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    """Makes the run folder of some arguments, always at the same place."""

    def make(**changes) -> RunFolder:
        values = {"data": "sample", "output_dir": str(tmp_path / "run"), **changes}
        return RunFolder(RunArguments(**values))

    return make


def names(path):
    return {child.name for child in path.iterdir()}


def test_a_new_run_keeps_its_arguments_and_its_environment(folder):
    run = folder(epochs=3, lr_drop_epochs=[1, 2])
    run.open()
    assert names(run.path) == {"arguments.json", "environment.json"}
    stored = json.loads((run.path / "arguments.json").read_text())
    assert stored["epochs"] == 3
    assert RunArguments(**stored) == run.arguments
    versions = json.loads((run.path / "environment.json").read_text())["packages"]
    assert versions["torch"] == torch.__version__.split("+")[0]


def test_the_same_run_is_opened_again(folder):
    run = folder(max_grad_norm=0.1, lr_drop_epochs=[1])
    run.open()
    run.record({"step": 1})
    folder(max_grad_norm=0.1, lr_drop_epochs=[1]).open()
    assert run.records() == [{"step": 1}]


@pytest.mark.parametrize("name", ["progress", "num_workers", "keep_checkpoints", "report_to"])
def test_what_does_not_change_the_result_may_change(folder, name):
    folder().open()
    value = {"progress": False, "num_workers": 2, "keep_checkpoints": 5, "report_to": ["x"]}[name]
    run = folder(**{name: value})
    run.open()
    assert json.loads((run.path / "arguments.json").read_text())[name] == value


def test_other_arguments_are_refused_and_named(folder):
    folder(epochs=3).open()
    with pytest.raises(RecipeError, match=r"epochs was 3 and is 4; seed was 0 and is 1.*overwrite"):
        folder(epochs=4, seed=1).open()
    assert json.loads((folder().path / "arguments.json").read_text())["epochs"] == 3


def test_a_run_of_a_version_without_an_argument_had_its_default(folder):
    run = folder()
    run.open()
    path = run.path / "arguments.json"
    stored = json.loads(path.read_text())
    for name in ("config", "warmup_epochs", "lr_schedule"):
        del stored[name]
    path.write_text(json.dumps(stored))
    folder().open()
    path.write_text(json.dumps(stored))
    with pytest.raises(RecipeError, match="config was None and is 'subset_10'"):
        folder(config="subset_10").open()


def test_overwrite_starts_over(folder):
    first = folder(epochs=3)
    first.open()
    first.record({"step": 1})
    (first.path / "checkpoints" / "step-1").mkdir(parents=True)
    again = folder(epochs=4, overwrite=True)
    again.open()
    assert again.records() == []
    assert again.checkpoints() == []
    assert json.loads((again.path / "arguments.json").read_text())["epochs"] == 4


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_never_touched(folder, overwrite):
    run = folder(overwrite=overwrite)
    run.path.mkdir()
    (run.path / "thesis.tex").write_text("precious")
    with pytest.raises(RecipeError, match="is not empty and holds no run"):
        run.open()
    assert (run.path / "thesis.tex").read_text() == "precious"


def test_an_empty_folder_is_a_good_place(folder):
    run = folder()
    run.path.mkdir()
    run.open()
    assert (run.path / "arguments.json").is_file()


def test_a_run_killed_while_it_wrote_its_arguments_can_start_again(folder):
    run = folder()
    run.path.mkdir()
    (run.path / ".arguments.json.99-0123abcd.unfinished").write_text('{"epo')
    run.open()
    assert names(run.path) == {"arguments.json", "environment.json"}


@pytest.mark.parametrize("locks", [{".lock"}, {".lock", ".locked"}])
def test_starting_over_removes_all_but_the_lock(folder, monkeypatch, locks):
    def refuse(descriptor, *, blocking):
        raise OSError(errno.ENOSYS, "this disk knows no locks of the kernel")

    if len(locks) > 1:
        monkeypatch.setattr(lock, "lock_descriptor", refuse)
    run = folder(overwrite=True)
    with one_run(run.path, inside=True):
        run.open()
        for place in ("checkpoints/step-1", "model"):
            (run.path / place).mkdir(parents=True)
        run.record({"step": 1})
        run.open()
        assert names(run.path) == {"arguments.json", "environment.json", *locks}
    assert names(run.path) == {"arguments.json", "environment.json"}


def test_starting_over_can_be_killed_and_started_over(folder, monkeypatch):
    run = folder(overwrite=True)
    run.open()
    (run.path / "model").mkdir()

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("emotionnet_hf.training.run_folder.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            run.open()
    run.open()
    assert names(run.path) == {"arguments.json", "environment.json"}


# --- records


def test_records_are_read_as_they_were_written(folder):
    run = folder()
    run.open()
    assert run.records() == []
    records = [{"step": 1, "train": {"loss": 0.1}}, {"step": 2, "note": "größe"}]
    for record in records:
        run.record(record)
    assert run.records() == records
    assert len((run.path / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("cut", [1, 3, 8])
def test_a_last_line_that_was_cut_short_does_not_count(folder, cut):
    run = folder()
    run.open()
    run.record({"step": 1})
    run.record({"step": 2})
    metrics = run.path / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:-cut])
    assert run.records() == [{"step": 1}]


def test_records_go_on_after_a_cut_when_later_steps_are_forgotten(folder):
    run = folder()
    run.open()
    for step in (1, 2, 3):
        run.record({"step": step})
    metrics = run.path / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:-3])
    run.forget_after(2)
    run.record({"step": 3, "again": True})
    assert run.records() == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]


@pytest.mark.parametrize(("step", "kept"), [(0, []), (2, [1, 2, 2]), (9, [1, 2, 2, 3])])
def test_steps_that_are_done_again_are_forgotten(folder, step, kept):
    run = folder()
    run.open()
    for number in (1, 2, 2, 3):
        run.record({"step": number})
    run.forget_after(step)
    assert [record["step"] for record in run.records()] == kept


def test_forgetting_needs_no_records(folder):
    run = folder()
    run.open()
    run.forget_after(0)
    assert run.records() == []


# --- checkpoints and the model


def test_checkpoints_come_in_the_order_of_their_steps(folder):
    run = folder()
    run.open()
    for step in (10, 9, 100):
        run.checkpoint(step).mkdir(parents=True)
    unfinished = run.unfinished_checkpoint(200)
    unfinished.mkdir()
    assert unfinished.parent == run.checkpoint(200).parent
    assert [path.name for path in run.checkpoints()] == ["step-9", "step-10", "step-100"]


def test_what_a_killed_run_left_of_a_checkpoint_is_removed(folder):
    run = folder()
    run.open()
    run.unfinished_checkpoint(4).mkdir(parents=True)
    assert not run.unfinished_checkpoint(5).exists()
    assert names(run.path / "checkpoints") == set()


@pytest.mark.parametrize(("keep", "left"), [(1, ["step-4"]), (2, ["step-3", "step-4"])])
def test_only_the_newest_checkpoints_are_kept(folder, keep, left):
    run = folder(keep_checkpoints=keep)
    run.open()
    for step in (1, 2, 3, 4):
        run.checkpoint(step).mkdir(parents=True)
    run.drop_old_checkpoints()
    assert [path.name for path in run.checkpoints()] == left


def test_fewer_checkpoints_than_are_kept_all_stay(folder):
    run = folder(keep_checkpoints=5)
    run.checkpoint(1).mkdir(parents=True)
    run.drop_old_checkpoints()
    assert len(run.checkpoints()) == 1


def test_a_finished_run_has_its_best_model_and_nothing_that_only_resuming_needs(folder):
    run = folder()
    run.open()
    run.record({"step": 1})
    run.best.mkdir()
    (run.best / "model.safetensors").write_text("weights")
    run.checkpoint(1).mkdir(parents=True)
    run.finish()
    assert (run.model / "model.safetensors").read_text() == "weights"
    assert names(run.path) == {"arguments.json", "environment.json", "metrics.jsonl", "model"}
