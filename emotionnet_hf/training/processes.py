"""One of several processes: who they are, what one does for all, how one's failure ends all.

Accelerate finds the others of a run by what their launcher (torchrun, ``accelerate launch``,
mpirun, Slurm) left in the environment. Where it cannot, each process would believe that it is
alone, and all would write into one run folder: such a start is refused here.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import datasets
import torch
import transformers
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object, parse_flag_from_env

from emotionnet_hf.lock import one_run

Result = TypeVar("Result")

# By what MPI programs and all other launchers say how many processes they started; see
# `get_cpu_distributed_information` of Accelerate.
_COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")

# Seconds that a failed run waits for its processes to hear of it.
_PATIENCE = 5.0


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to try."""


class OtherProcessError(TrainingError):
    """Another process of the run cannot go on, so neither can this one; the message is its."""


class LostProcessError(TrainingError):
    """Another process of the run has ended, and nobody heard why."""


def join_processes() -> PartialState:
    """Become one of the processes of a run, and leave bars and notes to the first of them.

    Returns:
        Which process this is, of how many, and on which device. Further calls return the same.

    Raises:
        TrainingError: A launcher was asked for several processes, and this one is alone, or is not
            told where the others are.
    """
    # Without `cpu` Accelerate asks for GPUs, and where there are none each process is alone.
    on_cpus = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    try:
        state = PartialState(cpu=on_cpus)
    except ValueError as error:  # a variable of the launcher is missing or makes no sense
        raise TrainingError(f"the processes of this run do not find each other: {error}") from error
    _check_not_alone(state)
    if state.num_processes > 1:
        # Depthwise convolutions, under DistributedDataParallel: of no consequence.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    if not state.is_main_process:
        logging.disable(logging.WARNING)
        datasets.disable_progress_bars()
        transformers.utils.logging.disable_progress_bar()
    return state


def _check_not_alone(state: PartialState) -> None:
    """Refuse to be the only process of a run that should have several."""
    if state.num_processes > 1:
        return
    started = next((int(os.environ[name]) for name in _COUNTS if name in os.environ), None)
    if started is not None and started > 1:
        raise TrainingError(
            f"{started} processes were started, but this one cannot find the others on "
            f"{state.device.type}: start them with torchrun, or set LOCAL_RANK, RANK, WORLD_SIZE, "
            "MASTER_ADDR and MASTER_PORT for each; without GPUs set ACCELERATE_USE_CPU=1 too."
        )
    # `accelerate launch` without GPUs starts one process whatever --num_processes says, unless it
    # has a host file for mpirun (accelerate 1.15, `simple_launcher`); the address of the first
    # process, which only several need, is the trace that the number leaves.
    if (
        started is None
        and {"ACCELERATE_USE_CPU", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()
    ):
        raise TrainingError(
            "accelerate launch was asked for several processes and started one: on CPUs it needs "
            "mpirun and --mpirun_hostfile for more. Use `torchrun --nproc_per_node N SCRIPT` or "
            "--num_processes 1."
        )


def is_one_of_several() -> bool:
    """Return whether this process can talk to others of its run."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def all_do(work: Callable[[], Result]) -> Result:
    """Do something in every process, and go on only if it worked in all.

    Args:
        work: What to do; it must not communicate.

    Returns:
        What it returned here.

    Raises:
        Exception: What it raised here.
        OtherProcessError: It raised in another process; the message is that one's.
    """
    result, error = _tried(work)
    reasons: list[str | None] = gather_object([None if error is None else _told(error)])
    if error is not None:
        raise error
    for reason in reasons:
        if reason is not None:
            raise OtherProcessError(reason)
    return result  # type: ignore[return-value]


def first_does(work: Callable[[], Result]) -> Result:
    """Do something in the first process, while the others wait.

    Args:
        work: What to do; what it returns is sent to the others.

    Returns:
        What it returned in the first process.

    Raises:
        Exception: In the first process, what it raised.
        OtherProcessError: In the others, if it raised; the message is the first one's.
    """
    outcome: list[Any] = [None]
    error = None
    if PartialState().is_main_process:
        result, error = _tried(work)
        outcome = [(result, None if error is None else _told(error))]
    broadcast_object_list(outcome)
    if error is not None:
        raise error
    result, reason = outcome[0]
    if reason is not None:
        raise OtherProcessError(reason)
    return result


@contextmanager
def one_run_of_all(folder: str | Path) -> Iterator[None]:
    """Be, all processes together, the only run that fills a folder; see ``one_run``.

    Args:
        folder: The folder.

    Raises:
        AnotherRunError: In the first process, if another run is at work there.
        OtherProcessError: In the others, then.
    """
    with ExitStack() as stack:
        first_does(lambda: stack.enter_context(one_run(folder, inside=True)))
        yield


def _tried(work: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:
        return None, error


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__


@contextmanager
def explained_loss_of_a_process() -> Iterator[None]:
    """Say what a broken connection means: another process has ended.

    Raises:
        LostProcessError: It has.
    """
    try:
        yield
    except RuntimeError as error:
        # gloo raises bare RuntimeErrors that name its source files; NCCL's are DistErrors.
        if not isinstance(error, torch.distributed.DistError) and "gloo" not in str(error):
            raise
        raise LostProcessError(
            "another process of this run ended before its time; what it wrote last, if anything, "
            "says why. Start the run again, and it goes on from its last checkpoint."
        ) from error


def is_news(error: Exception) -> bool:
    """Return whether no other process of the run has told this yet.

    What ends a run ends it in every process, and a person wants to read it once.

    Args:
        error: What ended this process.
    """
    digest = hashlib.sha256(_told(error).encode()).hexdigest()
    with suppress(torch.distributed.DistError):  # the store went while it was asked
        if store := _store():
            is_first = store.add(f"told/{digest}", 1) == 1
            # The last question, since the store may be gone once all have told; see `leave`.
            others = store.add("told", 1) - 1
            # The loss of a process is news where that process could not say anything itself.
            return others == 0 if isinstance(error, LostProcessError) else is_first
    return True


def leave(status: int = 1) -> NoReturn:
    """End this process, whose run ends before its time.

    Args:
        status: That it ends with.

    Raises:
        SystemExit: There are no other processes.
    """
    if not is_one_of_several():
        sys.exit(status)
    state = PartialState()
    # Under torchrun its agent keeps the store.
    if state.is_main_process and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        _keep_store(state.num_processes)
    sys.stdout.flush()
    sys.stderr.flush()
    # The interpreter's own end would wait for a group that is broken, or be aborted by it.
    os._exit(status)


def _keep_store(num_processes: int) -> None:
    """Stay until all processes have asked what has been told, or for as long as that may take."""
    patience = time.monotonic() + _PATIENCE
    with suppress(torch.distributed.DistError):
        while (store := _store()) and time.monotonic() < patience:
            if store.add("told", 0) >= num_processes:
                return
            time.sleep(0.05)


def _store() -> torch.distributed.Store | None:
    """Return what the processes found each other by, None where it went with its keeper."""
    if not is_one_of_several():
        return None
    keeper = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    try:
        # Asked in vain, the store would write a page of C++ to the terminal.
        socket.create_connection(keeper, timeout=5).close()
    except OSError:
        return None
    return torch.distributed.distributed_c10d._get_default_store()
