"""Starting trainings as users do, in one process or several, and judging what came of it."""

import dataclasses
import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from emotionnet_hf.training import train_emotionnet, train_textcnn

REPOSITORY = Path(__file__).resolve().parents[2]


def in_one_thread(train):
    """Train with as many threads as `start` gives a process: more of them sum in another order."""

    @functools.wraps(train)
    def trained(arguments):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return train(arguments)
        finally:
            torch.set_num_threads(threads)

    return trained


SCRIPTS = {"textcnn": "train_textcnn.py", "emotionnet": "train_emotionnet.py"}
TRAIN = {"textcnn": in_one_thread(train_textcnn), "emotionnet": in_one_thread(train_emotionnet)}

LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "ACCELERATE_USE_CPU")

# Sums of float32 in another order; seen: 3e-6 of a tensor's norm. With bfloat16 a last bit is 4e-3.
TOLERANCE = 1e-4
TOLERANCE_BF16 = 2e-2

# The process of a rank kills itself by SIGKILL before a step, the first time that it comes there.
DIES = """
import os, runpy, signal, sys
from emotionnet_hf.training import loop

rank, step, script = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
take = loop._Run._micro_step

def dying(run, batch):
    first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if first and run.step == step and int(os.environ.get("RANK", 0)) == rank:
        os.kill(os.getpid(), signal.SIGKILL)
    return take(run, batch)

loop._Run._micro_step = dying
sys.argv = sys.argv[3:]
runpy.run_path(script, run_name="__main__")
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(kind, arguments, *more):
    """A script and its recipe, in a file beside the run folder."""
    recipe = Path(arguments.output_dir).with_suffix(".yaml")
    recipe.write_text(yaml.safe_dump(dataclasses.asdict(arguments)))
    return [str(REPOSITORY / "scripts" / SCRIPTS[kind]), str(recipe), *more]


def dying(arguments, rank, step):
    """What to put before a command so that one of its processes is killed in a step."""
    script = Path(arguments.output_dir).with_suffix(".py")
    script.write_text(DIES)
    return [str(script), str(rank), str(step)]


def start(words, directory=None, **variables):
    """Start a process in a group of its own, as if none of a launcher's variables were set."""
    environ = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
    environ |= {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *words],
        env=environ | {name: str(value) for name, value in variables.items()},
        cwd=directory,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def torchrun(words, processes=2, *options):
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), *options]
    return start([*launcher, "--master_port", str(free_port()), *words])


BY_HAND = {
    "torch": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    "without local rank": ("RANK", "WORLD_SIZE"),
    "open mpi": tuple(
        f"OMPI_COMM_WORLD_{name}" for name in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
    ),
    "mpich": ("PMI_RANK", "PMI_SIZE"),
}


def by_hand(words, second=None, names="torch"):
    """Start two processes by variables alone, as Slurm, Kubernetes and mpirun do."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return [
        start(each, **place, **dict(zip(BY_HAND[names], (rank, 2, rank, 2), strict=False)))
        for rank, each in enumerate((words, second or words))
    ]


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def ended(process):
    """What a run that fails writes, and how it ends."""
    output, _ = process.communicate(timeout=300)
    return output, process.returncode


def check_processes(run, expected):
    """Fail unless exactly so many processes ran, and each knew who it was."""
    written = sorted((Path(run) / "processes").glob("*.json"))
    found = [json.loads(path.read_text()) for path in written]
    assert [(p["process"], p["num_processes"]) for p in found] == [
        (rank, expected) for rank in range(expected)
    ]
    assert len({p["pid"] for p in found}) == expected
    assert {p["backend"] for p in found} == {"gloo" if expected > 1 else None}
    return [p["pid"] for p in found]


def records(run):
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").open()]


def check_weights(run, other, tolerance=TOLERANCE):
    """Fail unless both runs end with the same weights."""
    mine, theirs = (load_file(Path(r) / "model" / "model.safetensors") for r in (run, other))
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        gap = (tensor.double() - theirs[name].double()).norm()
        assert gap <= tolerance * tensor.double().norm() + 1e-12, name


def check_equal(run, other, tolerance=TOLERANCE):
    """Fail unless both runs end with the same weights and recorded the same numbers."""
    check_weights(run, other, tolerance)
    for record, same in zip(records(run), records(other), strict=True):
        assert record.keys() == same.keys()
        for kind in {"train", "validation"} & record.keys():
            assert same[kind] == pytest.approx(record[kind], rel=10 * tolerance, abs=tolerance)


def check_two_are_one(kind, one, two, tolerance=TOLERANCE, processes=2):
    process = torchrun(command(kind, two), processes)
    TRAIN[kind](one)
    finish(process)
    check_processes(one.output_dir, 1)
    check_processes(two.output_dir, processes)
    check_equal(one.output_dir, two.output_dir, tolerance)
