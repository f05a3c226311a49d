"""Several processes: as many as asked for, one result, one end."""

import dataclasses
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset, Image, load_dataset

from emotionnet_hf.lock import AnotherRunError, one_run
from emotionnet_hf.training import RecipeError, TrainingError, train_emotionnet, train_textcnn
from emotionnet_hf.training.processes import (
    LostProcessError,
    _check_not_alone,
    all_do,
    explained_loss_of_a_process,
    first_does,
)
from tests.training.starting import (
    LAUNCHER,
    by_hand,
    check_two_are_one,
    command,
    dying,
    ended,
    start,
)


@pytest.mark.parametrize("kind", ["textcnn", "emotionnet"])
def test_two_processes_of_torchrun_are_one(make, kind):
    changes = {"epochs": 1, "gradient_accumulation_steps": 2}
    changes |= {"keyword_dropout": 0.2} if kind == "textcnn" else {}
    check_two_are_one(kind, *(make(kind, name, **changes) for name in ("one", "two")))


# --- one fails, all end ---------------------------------------------------------------------


def told_once(processes, message):
    """Fail unless all ended with status 1 and one of them said why, in one line."""
    told = [ended(process) for process in processes]
    assert [status for _, status in told] == [1] * len(processes), told
    lines = "".join(output for output, _ in told).splitlines()
    assert [line for line in lines if message in line] and "Traceback" not in "\n".join(lines), (
        lines
    )
    assert len([line for line in lines if line.startswith("train_")]) == 1, lines


@pytest.mark.slow
def test_a_bad_recipe_is_told_once(make_textcnn):
    words = command("textcnn", make_textcnn(), "--learning_rate", "-1")
    told_once(by_hand(words), "learning_rate is -1.0; it must be above 0")


@pytest.mark.slow
def test_bad_usage_is_told_once(make_textcnn):
    words = command("textcnn", make_textcnn(), "--epochs", "many")
    told = [ended(process) for process in by_hand(words)]
    assert [status for _, status in told] == [2, 2], told
    output = "".join(output for output, _ in told)
    assert (output.count("usage: "), output.count("argument --epochs: invalid")) == (1, 1), output


@pytest.mark.slow
def test_processes_of_different_arguments_are_refused(make_textcnn):
    arguments = make_textcnn()
    words = command("textcnn", arguments)
    told_once(by_hand(words, [*words, "--epochs", "3"]), "epochs was 2 and is 3")


@pytest.mark.slow
def test_a_folder_of_another_run_is_told_once(make_textcnn):
    train_textcnn(make_textcnn(epochs=1))
    told_once(by_hand(command("textcnn", make_textcnn(epochs=2))), "epochs was 1 and is 2")


@pytest.mark.slow
def test_a_picture_that_one_process_cannot_open_ends_both(make_emotionnet, tmp_path):
    arguments = make_emotionnet()
    splits = load_dataset(arguments.data)
    rows = splits["train"].cast_column("image", Image(decode=False)).to_list()
    rows[40]["image"]["bytes"] = rows[40]["image"]["bytes"][:100]
    (tmp_path / "bad").mkdir()
    bad = Dataset.from_list(rows, features=splits["train"].features)
    bad.to_parquet(tmp_path / "bad" / "train-00000-of-00001.parquet")
    arguments.data = str(tmp_path / "bad")
    told_once(by_hand(command("emotionnet", arguments)), "the image of row 40 of split train")


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_the_other_of_a_killed_process_ends_and_says_so(make_textcnn, rank):
    arguments = make_textcnn()
    processes = by_hand(dying(arguments, rank, 7) + command("textcnn", arguments))
    told = [ended(process) for process in processes]
    assert told[rank][1] == -signal.SIGKILL
    output, status = told[1 - rank]
    assert status == 1
    assert output.splitlines()[-1].startswith("train_textcnn: another process of this run ended")
    assert "Traceback" not in output


@pytest.mark.parametrize("processes", [1, 2])
def test_synchronised_batchnorm_on_a_cpu_is_one_clear_error(make_emotionnet, processes):
    arguments = make_emotionnet(sync_batchnorm=True, backbone="test_resnet")
    if processes == 1:
        with pytest.raises(RecipeError, match=r"sync_batchnorm is true.* on cpu.*leave it out"):
            train_emotionnet(arguments)
    else:
        told_once(by_hand(command("emotionnet", arguments)), "sync_batchnorm is true")
    assert not Path(arguments.output_dir).exists()


# --- a second run


def test_all_processes_of_a_second_run_are_refused_and_told_of_once(make):
    arguments = make("textcnn", "run")
    with one_run(arguments.output_dir, inside=True):
        outcomes = [ended(process) for process in by_hand(command("textcnn", arguments))]
    assert [status for _, status in outcomes] == [1, 1]
    told = "".join(output for output, _ in outcomes)
    line = f"train_textcnn: another run is at work on {arguments.output_dir} (process {os.getpid()}"
    assert told.count(line) == 1
    assert "Traceback" not in told
    assert not Path(arguments.output_dir).exists()


def test_a_second_run_is_refused_before_it_reads_anything(make, tmp_path):
    arguments = dataclasses.replace(make("emotionnet", "run"), data=str(tmp_path / "none"))
    with one_run(arguments.output_dir, inside=True), ThreadPoolExecutor(1) as other:
        with pytest.raises(AnotherRunError, match=f"run .process {os.getpid()} on"):
            other.submit(train_emotionnet, arguments).result()


# --- alone by mistake -----------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch):
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)
    return SimpleNamespace(num_processes=1, device=torch.device("cuda"))


def test_one_process_is_let_alone(alone):
    _check_not_alone(alone)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_a_process_that_does_not_find_the_others_is_refused(alone, monkeypatch, name):
    monkeypatch.setenv(name, "4")
    with pytest.raises(TrainingError, match=r"4 processes were started.*on cuda"):
        _check_not_alone(alone)
    _check_not_alone(SimpleNamespace(num_processes=4))
    monkeypatch.setenv(name, "1")
    _check_not_alone(alone)


def test_accelerate_launch_that_starts_one_process_of_many_is_refused(alone, monkeypatch):
    for name, value in (("ACCELERATE_USE_CPU", "True"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "1")):
        _check_not_alone(alone)
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match=r"started one.*torchrun --nproc_per_node"):
        _check_not_alone(alone)


def test_what_one_process_does_for_all_it_does_and_fails_for_all():
    assert first_does(lambda: 3) == all_do(lambda: 3) == 3
    for do in (first_does, all_do):
        with pytest.raises(ZeroDivisionError):
            do(lambda: 1 / 0)


def test_other_runtime_errors_are_not_taken_for_a_lost_process():
    with pytest.raises(RuntimeError, match="out of memory"), explained_loss_of_a_process():
        raise RuntimeError("out of memory")
    with pytest.raises(LostProcessError), explained_loss_of_a_process():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:545] Connection closed by peer")


def test_a_process_that_is_not_told_where_the_others_are_says_so(make_textcnn):
    told, status = ended(start(command("textcnn", make_textcnn()), RANK=0, WORLD_SIZE=2))
    assert (status, len(told.splitlines())) == (1, 1), told
    assert "do not find each other" in told
    assert "MASTER_ADDR" in told
