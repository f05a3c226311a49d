"""Several processes, by every launcher that a user may have."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from emotionnet_hf.training import train_textcnn
from tests.training.starting import (
    BY_HAND,
    REPOSITORY,
    SCRIPTS,
    TRAIN,
    by_hand,
    check_equal,
    check_processes,
    command,
    ended,
    finish,
    free_port,
    start,
)


@pytest.mark.slow
@pytest.mark.parametrize("names", BY_HAND)
def test_processes_started_by_hand(make, names):
    pytest.importorskip("tensorboard")
    one, two = (
        make("textcnn", name, report_to=["tensorboard"], progress=True) for name in ("1", "2")
    )
    processes = by_hand(command("textcnn", two), names=names)
    train_textcnn(one)
    told = [finish(process) for process in processes]
    assert check_processes(two.output_dir, 2) == [process.pid for process in processes]
    check_equal(one.output_dir, two.output_dir)
    assert "12/12" in told[0]
    assert told[1] == "", "one process tells what all do"
    events = list(Path(two.output_dir).rglob("events.out.*"))
    assert {path.name.split(".")[-2] for path in events} == {str(processes[0].pid)}


@pytest.mark.slow
def test_torchrun_on_two_machines(make_textcnn):
    """Both are this one, which is what an address and a number for each make of it."""
    one, two = (make_textcnn(name) for name in ("one", "two"))
    place = ["--nnodes", "2", "--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "1", *place]
    words = command("textcnn", two)
    machines = [start([*launcher, "--node_rank", str(rank), *words]) for rank in range(2)]
    train_textcnn(one)
    for machine in machines:
        finish(machine)
    check_processes(two.output_dir, 2)
    check_equal(one.output_dir, two.output_dir)


def as_readme(line, places):
    """The words of a command of README, with our folders in place of its."""
    return [places.get(word, word) for word in shlex.split(line)]


@pytest.mark.slow
def test_accelerate_launch_as_readme_has_it(make_textcnn, make_emotionnet):
    text, net = make_textcnn("text"), make_emotionnet("net")
    block = (REPOSITORY / "README.md").read_text().split("**Training.**")[1].split("```")[1]
    lines = block.removeprefix("bash\n").replace("\\\n", " ").strip().splitlines()
    places = {
        "out/stockemotion": text.data,
        "runs/textcnn": text.output_dir,
        "runs/textcnn/model": str(Path(text.output_dir) / "model"),
        "runs/emotionnet": net.output_dir,
    }
    small = ["--batch_size", "16", "--epochs", "1"]
    tiny = {
        "textcnn": ["--embedding_dim", "8", "--word_vector_epochs", "1", "--lr_drop_epochs", "1"],
        "emotionnet": [
            *("--backbone", "test_convnext", "--backbone_weights", "none"),
            *("--image_size", "32", "--num_workers", "0"),
        ],
    }
    assert len(lines) == 2
    for line, kind, run in zip(lines, SCRIPTS, (text, net), strict=True):
        words = as_readme(line, places)
        assert words[:3] == ["accelerate", "launch", f"scripts/{SCRIPTS[kind]}"]
        launcher = ["-m", "accelerate.commands.accelerate_cli", *words[1:]]
        finish(start([*launcher, *small, *tiny[kind]], directory=REPOSITORY))
        # Without GPUs Accelerate starts one.
        check_processes(run.output_dir, max(1, torch.cuda.device_count()))


CONFIGURATION = {
    "compute_environment": "LOCAL_MACHINE",
    "machine_rank": 0,
    "num_machines": 1,
    "main_training_function": "main",
    "rdzv_backend": "static",
    "same_network": True,
}


def accelerate_launch(tmp_path, words, **configuration):
    """Start by a file as `accelerate config` writes it."""
    path = tmp_path / "accelerate.yaml"
    path.write_text(yaml.safe_dump({**CONFIGURATION, "mixed_precision": "no", **configuration}))
    return start(["-m", "accelerate.commands.launch", "--config_file", str(path), *words])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["textcnn", "emotionnet"])
def test_accelerate_launch_with_a_file_starts_two(make, kind, tmp_path):
    one, two = (make(kind, name, epochs=1) for name in ("one", "two"))
    process = accelerate_launch(
        tmp_path,
        command(kind, two),
        distributed_type="MULTI_GPU",
        num_processes=2,
        main_process_port=free_port(),
    )
    TRAIN[kind](one)
    finish(process)
    check_processes(two.output_dir, 2)
    check_equal(one.output_dir, two.output_dir)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["--cpu", "--num_processes", "2"],
        {"distributed_type": "MULTI_CPU", "use_cpu": True, "num_processes": 2},
    ],
    ids=["options", "file"],
)
def test_accelerate_launch_that_starts_one_of_two_is_refused(make_textcnn, words, tmp_path):
    arguments = make_textcnn()
    script = command("textcnn", arguments)
    if isinstance(words, dict):
        process = accelerate_launch(tmp_path, script, **words)
    else:
        process = start(["-m", "accelerate.commands.launch", *words, *script])
    told, status = ended(process)
    assert status == 1
    assert (
        "train_textcnn: accelerate launch was asked for several processes and started one" in told
    )
    assert not Path(arguments.output_dir).exists()


@pytest.mark.slow
def test_mpirun_of_accelerate_launch(make_textcnn, tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    if not (mpirun := shutil.which("mpirun", path=path)):
        pytest.skip("no mpirun on this machine")
    version = subprocess.run([mpirun, "--version"], capture_output=True, text=True, check=True)
    open_mpi = "Open MPI" in version.stdout
    (tmp_path / "hosts").write_text("localhost slots=2\n" if open_mpi else "localhost:2\n")
    root = dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), 1)
    one, two = (make_textcnn(name, epochs=1) for name in ("one", "two"))
    process = start(
        [
            *("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"),
            *("--mpirun_hostfile", str(tmp_path / "hosts"), "--main_process_port"),
            *(str(free_port()), *command("textcnn", two)),
        ],
        PATH=path,
        **root,
    )
    train_textcnn(one)
    finish(process)
    check_processes(two.output_dir, 2)
    check_equal(one.output_dir, two.output_dir)
