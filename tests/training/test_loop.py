"""The loop: resumption, number of processes, accumulation, bookkeeping."""

import dataclasses
import errno
import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from emotionnet_hf.files import unfinished_name, write_text
from emotionnet_hf.training import (
    RecipeError,
    TextCNNArguments,
    TrainingError,
    train_emotionnet,
    train_textcnn,
)
from emotionnet_hf.training import loop as loop_module
from emotionnet_hf.training.loop import build_optimizer, learning_rate

REPOSITORY = Path(__file__).resolve().parents[2]


def records(run):
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").open()]


def losses(run):
    return [r["train"]["loss"] for r in records(run) if "train" in r]


def weights(run):
    return (Path(run) / "model" / "model.safetensors").read_bytes()


class Killed(BaseException):
    """Stands for a kill at a certain moment."""


def kill_at(monkeypatch, step):
    """Make the next run die right after it took a step, before anything of it is written."""
    take = loop_module._Run._micro_step

    def dying(run, batch):
        losses = take(run, batch)
        if run.step == step - 1:
            raise Killed
        return losses

    monkeypatch.setattr(loop_module._Run, "_micro_step", dying)
    return lambda: monkeypatch.setattr(loop_module._Run, "_micro_step", take)


# --- learning rate and optimiser ------------------------------------------------------------


def rates(**changes):
    arguments = TextCNNArguments(data="d", output_dir="o", learning_rate=1.0, **changes)
    return [learning_rate(step, 2, arguments) for step in range(2 * arguments.epochs)]


def test_step_schedule_drops_at_the_given_epochs():
    found = rates(epochs=5, lr_drop_epochs=[1, 3], lr_drop_factor=0.1)
    assert found == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01])


def test_cosine_schedule_falls_from_one_towards_zero_after_the_warmup():
    found = rates(epochs=4, lr_schedule="cosine", warmup_epochs=1.0)
    assert found[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert found[2:] == sorted(found[2:], reverse=True)
    assert 0 < found[-1] < 0.1


def test_warmup_never_overshoots():
    assert max(rates(epochs=3, lr_schedule="constant", warmup_epochs=0.75)) == 1.0


def test_warmup_over_the_whole_run_does_not_divide_by_zero():
    assert rates(epochs=2, lr_schedule="cosine", warmup_epochs=2.0)[-1] == 1.0


@pytest.mark.parametrize("name", ["sgd", "adamw", "adagrad", "adadelta"])
def test_optimizers_by_name_train_only_what_is_trained(name):
    model = torch.nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    arguments = TextCNNArguments(data="d", output_dir="o", optimizer=name, learning_rate=0.5)
    optimizer = build_optimizer(model, arguments)
    assert type(optimizer).__name__.lower() == name
    assert [len(group["params"]) for group in optimizer.param_groups] == [1]
    assert optimizer.param_groups[0]["lr"] == 0.5


# --- resumption -----------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 5, 6, 9])
def test_a_run_that_died_ends_as_if_it_had_not(make_textcnn, monkeypatch, step):
    recipe = {"variant": "published_code", "keyword_dropout": 0.2, "checkpoint_steps": 3}
    whole = make_textcnn("whole", **recipe)
    train_textcnn(whole)
    broken = make_textcnn("broken", **recipe)
    revive = kill_at(monkeypatch, step)
    with pytest.raises(Killed):
        train_textcnn(broken)
    revive()
    train_textcnn(broken)
    assert weights(broken.output_dir) == weights(whole.output_dir)
    assert records(broken.output_dir) == records(whole.output_dir)


@pytest.mark.parametrize("step", [1, 4, 5])
def test_a_run_with_extra_supervision_that_died_ends_as_if_it_had_not(
    make_variant, se30k8_model, monkeypatch, step
):
    recipe = {"auxiliary_text_model": str(se30k8_model), "checkpoint_steps": 3, "epochs": 3}
    whole, broken = make_variant("whole", **recipe), make_variant("broken", **recipe)
    train_emotionnet(whole)
    revive = kill_at(monkeypatch, step)
    with pytest.raises(Killed):
        train_emotionnet(broken)
    revive()
    train_emotionnet(broken)
    assert weights(broken.output_dir) == weights(whole.output_dir)
    assert records(broken.output_dir) == records(whole.output_dir)
    assert all("auxiliary_loss" in r["train"] for r in records(whole.output_dir) if "train" in r)


def test_a_run_on_se30k8_that_died_ends_as_if_it_had_not(make_textcnn, se30k8_data, monkeypatch):
    whole, broken = (make_textcnn(name, classes="se30k8") for name in ("whole", "broken"))
    whole.data = broken.data = str(se30k8_data)
    train_textcnn(whole)
    revive = kill_at(monkeypatch, 3)
    with pytest.raises(Killed):
        train_textcnn(broken)
    revive()
    train_textcnn(broken)
    results = [Path(run.output_dir) / "results.json" for run in (whole, broken)]
    assert weights(broken.output_dir) == weights(whole.output_dir)
    assert results[0].read_text() == results[1].read_text()


def test_records_hold_every_step_once(make_textcnn):
    each = losses(train_textcnn(make_textcnn("each")).parent)
    few = losses(train_textcnn(make_textcnn("few", log_steps=4, checkpoint_steps=5)).parent)
    # 6 steps an epoch: records at 4, 5 (checkpoint), 6 (epoch), 8, 10, 12.
    spans = [(0, 4), (4, 5), (5, 6), (6, 8), (8, 10), (10, 12)]
    assert few == pytest.approx([sum(each[a:b]) / (b - a) for a, b in spans])


def test_records_of_a_run_that_died_are_those_of_one_that_did_not(make_textcnn, monkeypatch):
    recipe = {"log_steps": 4, "checkpoint_steps": 3}
    train_textcnn(make_textcnn("whole", **recipe))
    revive = kill_at(monkeypatch, 5)
    with pytest.raises(Killed):
        train_textcnn(make_textcnn("broken", **recipe))
    revive()
    train_textcnn(make_textcnn("broken", **recipe))
    broken, whole = (make_textcnn(name).output_dir for name in ("broken", "whole"))
    assert records(broken) == records(whole)


def test_a_resumed_run_does_not_start_over(make_textcnn, monkeypatch):
    arguments = make_textcnn(checkpoint_steps=2)
    revive = kill_at(monkeypatch, 5)
    with pytest.raises(Killed):
        train_textcnn(arguments)
    revive()
    steps = []
    take = loop_module._Run._micro_step
    monkeypatch.setattr(
        loop_module._Run,
        "_micro_step",
        lambda run, batch: (steps.append(run.step), take(run, batch))[1],
    )
    train_textcnn(arguments)
    assert steps[0] == 4


def test_a_checkpoint_that_was_cut_short_is_not_resumed_from(make_textcnn, monkeypatch):
    arguments = make_textcnn(checkpoint_steps=2)
    revive = kill_at(monkeypatch, 4)
    with pytest.raises(Killed):
        train_textcnn(arguments)
    revive()
    unfinished = Path(arguments.output_dir) / "checkpoints" / unfinished_name("step-3")
    unfinished.mkdir()
    write_text(unfinished / "model.safetensors", "half")
    train_textcnn(arguments)
    assert weights(arguments.output_dir)


def test_a_full_disk_costs_no_more_than_the_checkpoint(make_textcnn, monkeypatch):
    whole, broken = make_textcnn("whole"), make_textcnn("broken")
    train_textcnn(whole)
    save = Accelerator.save_state

    def full(accelerator, folder):
        save(accelerator, folder)
        if "step-12" in folder:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Accelerator, "save_state", full)
    with pytest.raises(OSError, match="No space left"):
        train_textcnn(broken)
    monkeypatch.setattr(Accelerator, "save_state", save)
    train_textcnn(broken)
    assert weights(broken.output_dir) == weights(whole.output_dir)
    assert records(broken.output_dir) == records(whole.output_dir)


def test_a_finished_run_is_left_alone(make_textcnn, monkeypatch):
    arguments = make_textcnn()
    folder = train_textcnn(arguments)
    before = {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*.safetensors")}
    assert train_textcnn(arguments) == folder
    assert before == {
        path: path.stat().st_mtime_ns for path in folder.parent.rglob("*.safetensors")
    }


def test_other_arguments_in_the_same_folder_are_refused(make_textcnn):
    train_textcnn(make_textcnn(epochs=1))
    with pytest.raises(RecipeError, match="epochs was 1 and is 2"):
        train_textcnn(make_textcnn(epochs=2))


def test_overwrite_starts_over(make_textcnn):
    train_textcnn(make_textcnn(epochs=1))
    folder = train_textcnn(make_textcnn(epochs=2, overwrite=True))
    assert (
        max(r["step"] for r in records(folder.parent))
        == 2 * records(folder.parent)[-1]["step"] // 2
    )


# --- the same batch, cut differently --------------------------------------------------------


def test_accumulation_gives_the_losses_of_whole_batches(make_emotionnet):
    whole = train_emotionnet(make_emotionnet("whole"))
    parts = train_emotionnet(make_emotionnet("parts", gradient_accumulation_steps=4))
    assert losses(parts.parent) == pytest.approx(losses(whole.parent), rel=1e-4)


def test_another_seed_gives_another_run(make_emotionnet):
    one = train_emotionnet(make_emotionnet("one", epochs=1))
    two = train_emotionnet(make_emotionnet("two", epochs=1, seed=1))
    assert losses(one.parent) != losses(two.parent)


# --- bookkeeping ----------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_ends_the_run_and_says_what_to_try(make_textcnn):
    with pytest.raises(TrainingError, match=r"not finite at step .*Lower learning_rate"):
        train_textcnn(make_textcnn(learning_rate=1e30, optimizer="sgd", epochs=3))


def test_a_batch_larger_than_the_split_is_refused(make_textcnn):
    with pytest.raises(RecipeError, match="lower batch_size"):
        train_textcnn(make_textcnn(batch_size=4096))


def test_gradients_are_clipped(make_textcnn, monkeypatch):
    # With a clip this small, SGD cannot move.
    folder = train_textcnn(make_textcnn(optimizer="sgd", max_grad_norm=1e-12))
    found = losses(folder.parent)
    free = losses(train_textcnn(make_textcnn("free", optimizer="sgd", learning_rate=1.0)).parent)
    assert abs(found[-1] - found[0]) < abs(free[-1] - free[0])


def test_tensorboard_gets_the_records(make_textcnn):
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    folder = train_textcnn(make_textcnn(report_to=["tensorboard"])).parent
    events = event_accumulator.EventAccumulator(str(next(folder.rglob("events.*")).parent))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"train/loss", "learning_rate", "validation/hit_at_1"} <= tags


def test_the_run_folder_says_what_was_run(make_textcnn):
    arguments = make_textcnn(epochs=1)
    folder = train_textcnn(arguments).parent
    assert json.loads((folder / "arguments.json").read_text()) == dataclasses.asdict(arguments)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["torch"].startswith(torch.__version__.split("+")[0])


def test_without_validation_split_the_last_epoch_is_kept(make_textcnn, tmp_path, data):
    from datasets import load_dataset

    train = load_dataset(str(data))["train"]
    (tmp_path / "only" / "data").mkdir(parents=True)
    train.to_parquet(tmp_path / "only" / "data" / "train-00000-of-00001.parquet")
    arguments = make_textcnn()
    arguments.data = str(tmp_path / "only")
    folder = train_textcnn(arguments)
    assert (folder / "model.safetensors").is_file()
    assert not any("validation" in r for r in records(folder.parent))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 4096}, "lower batch_size"),
        ({"batch_size": 10, "gradient_accumulation_steps": 4}, "cannot be dealt"),
        ({"data": "nowhere"}, "nowhere"),
        ({"config": "no_such"}, "no_such"),
        ({"word_vectors": "no_such.bin"}, "no_such.bin"),
    ],
)
def test_arguments_that_cannot_be_leave_nothing_in_the_way_of_the_right_ones(
    make_textcnn, wrong, message
):
    right = make_textcnn(epochs=1)
    with pytest.raises((RecipeError, ValueError, OSError), match=message):
        train_textcnn(dataclasses.replace(right, **wrong))
    assert not Path(right.output_dir).exists()
    assert train_textcnn(right).is_dir()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 4096}, "lower batch_size"),
        ({"text_model": "nowhere"}, "nowhere"),
        ({"backbone": "no_such_net"}, "no_such_net"),
        ({"backbone_weights": "no_such.safetensors"}, "no_such.safetensors"),
        ({"report_to": ["no_such_tracker"]}, "no_such_tracker"),
    ],
)
def test_bad_start_of_an_emotionnet_writes_nothing(make_emotionnet, wrong, message):
    arguments = dataclasses.replace(make_emotionnet(), **wrong)
    with pytest.raises((RecipeError, ValueError, OSError), match=message):
        train_emotionnet(arguments)
    assert not Path(arguments.output_dir).exists()


def test_bad_start_does_not_clear_what_stands_there(make_textcnn):
    model = train_textcnn(make_textcnn(epochs=1))
    with pytest.raises(RecipeError, match="lower batch_size"):
        train_textcnn(make_textcnn(batch_size=4096, overwrite=True))
    assert train_textcnn(make_textcnn(epochs=1)) == model and model.is_dir()
