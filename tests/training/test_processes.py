"""Several processes, started as a user starts them: as many as asked for, and one result."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from emotionnet_hf.lock import AnotherRunError, one_run
from emotionnet_hf.training import train_emotionnet, train_textcnn

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = {"textcnn": "train_textcnn.py", "emotionnet": "train_emotionnet.py"}
TRAIN = {"textcnn": train_textcnn, "emotionnet": train_emotionnet}

# Sums of float32 in another order; seen: 3e-6 of a tensor's norm. With bfloat16 a last bit is 4e-3.
TOLERANCE = 1e-4
TOLERANCE_BF16 = 2e-2


# --- starting and judging runs --------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(kind, arguments, *more):
    """A script and its recipe, in a file beside the run folder."""
    recipe = Path(arguments.output_dir).with_suffix(".yaml")
    recipe.write_text(yaml.safe_dump(dataclasses.asdict(arguments)))
    return [str(REPOSITORY / "scripts" / SCRIPTS[kind]), str(recipe), *more]


def start(words, **variables):
    """Start a process in a group of its own."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    }
    environ |= {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *words],
        env=environ | {name: str(value) for name, value in variables.items()},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def torchrun(words, processes=2):
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
    return start([*launcher, "--master_port", str(free_port()), *words])


def accelerate_launch(words, *options):
    return start(["-m", "accelerate.commands.launch", *options, *words])


def by_hand(words, others=None, processes=2):
    """Start each process by five variables, as Slurm or Kubernetes would; others: the last one."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": processes}
    return [
        start(
            words if others is None or rank < processes - 1 else others,
            **place,
            RANK=rank,
            LOCAL_RANK=rank,
        )
        for rank in range(processes)
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


def check_equal(run, other, tolerance=TOLERANCE):
    """Fail unless both runs end with the same weights and recorded the same numbers."""
    mine, theirs = (load_file(Path(r) / "model" / "model.safetensors") for r in (run, other))
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        gap = (tensor.double() - theirs[name].double()).norm()
        assert gap <= tolerance * tensor.double().norm() + 1e-12, name
    for record, same in zip(records(run), records(other), strict=True):
        assert record.keys() == same.keys()
        for kind in {"train", "validation"} & record.keys():
            assert same[kind] == pytest.approx(record[kind], rel=10 * tolerance, abs=tolerance)


def moved(run, start_of):
    """How far training took the weights, to show that a comparison of two runs says something."""
    after = load_file(Path(run) / "model" / "model.safetensors")
    return max((after[name] - value).abs().max().item() for name, value in start_of.items())


@pytest.fixture
def make(make_textcnn, make_emotionnet):
    """Arguments of either training; of 103 and 17 rows no batch comes out even."""
    makers = {"textcnn": make_textcnn, "emotionnet": make_emotionnet}
    return lambda kind, name, **changes: makers[kind](name, **changes)


# --- two processes are one ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["textcnn", "emotionnet"])
def test_two_processes_of_torchrun_are_one(make, kind):
    changes = {"epochs": 1, "gradient_accumulation_steps": 2}
    one, two = (make(kind, name, **changes) for name in ("one", "two"))
    process = torchrun(command(kind, two))
    TRAIN[kind](one)
    finish(process)
    check_processes(one.output_dir, 1)
    check_processes(two.output_dir, 2)
    check_equal(one.output_dir, two.output_dir)


# --- a second run


def test_all_processes_of_a_second_run_are_refused_and_told_of_once(make):
    arguments = make("textcnn", "run")
    with one_run(arguments.output_dir, inside=True):
        outcomes = [ended(process) for process in by_hand(command("textcnn", arguments))]
    assert [status for _, status in outcomes] == [1, 1]
    told = "".join(output for output, _ in outcomes)
    line = f"train_textcnn: another run is at work on {arguments.output_dir} (process {os.getpid()}"
    assert told.count(line) == 1
    assert not Path(arguments.output_dir).exists()


def test_a_second_run_is_refused_before_it_reads_anything(make, tmp_path):
    arguments = dataclasses.replace(make("emotionnet", "run"), data=str(tmp_path / "none"))
    with one_run(arguments.output_dir, inside=True), ThreadPoolExecutor(1) as other:
        with pytest.raises(AnotherRunError, match=f"run .process {os.getpid()} on"):
            other.submit(train_emotionnet, arguments).result()
