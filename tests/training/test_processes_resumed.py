"""Several processes that are killed, and go on in as many or another number."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.training.starting import (
    check_equal,
    check_processes,
    command,
    dying,
    ended,
    finish,
    records,
    start,
    torchrun,
)


def run_with(kind, arguments, processes, dies=None):
    """Run to the end, or to the death of (rank, step)."""
    words = command(kind, arguments)
    if dies is not None:
        words = dying(arguments, *dies) + words
    return start(words) if processes == 1 else torchrun(words, processes)


def kill_and_resume(kind, arguments, before, after):
    """Let the last of the processes be killed by SIGKILL in a step, prove it, and go on."""
    told, status = ended(run_with(kind, arguments, before, dies=(before - 1, 7)))
    pids = check_processes(arguments.output_dir, before)
    if before == 1:
        assert status == -signal.SIGKILL
    else:
        assert status == 1
        assert re.search(rf"exitcode\s*: -9 \(pid: {pids[-1]}\)", told), told
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    run = Path(arguments.output_dir)
    assert [path.name for path in run.glob("checkpoints/step-*")][-1:] == ["step-6"]
    assert not (run / "model").exists(), "it finished before it was killed"
    told = finish(run_with(kind, arguments, after))
    assert "at step 6" in told
    check_processes(run, after)


RESUMED = {
    "epochs": 2,
    "checkpoint_steps": 3,
    "keep_checkpoints": 1,
    "gradient_accumulation_steps": 2,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["textcnn", "emotionnet"])
@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (2, 1), (1, 2)])
def test_killed_and_resumed_ends_as_if_it_had_not(make, kind, before, after):
    changes = {**RESUMED, "keyword_dropout": 0.2} if kind == "textcnn" else RESUMED
    whole, broken = (make(kind, name, **changes) for name in ("whole", "broken"))
    kill_and_resume(kind, broken, before, after)
    finish(run_with(kind, whole, after))
    if before == after:
        weights = [Path(r.output_dir) / "model" / "model.safetensors" for r in (whole, broken)]
        assert weights[0].read_bytes() == weights[1].read_bytes()
        assert records(whole.output_dir) == records(broken.output_dir)
    check_equal(whole.output_dir, broken.output_dir)


@pytest.mark.slow
def test_a_run_whose_processes_are_all_killed_from_outside_resumes(make_emotionnet):
    recipe = {"epochs": 12, "checkpoint_steps": 2}
    whole, broken = (make_emotionnet(name, **recipe) for name in ("whole", "broken"))
    victim = torchrun(command("emotionnet", broken))
    metrics = Path(broken.output_dir) / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not (metrics.is_file() and len(metrics.read_text().splitlines()) >= 7):
        assert victim.poll() is None, victim.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for pid in [victim.pid, *check_processes(broken.output_dir, 2)]:
        os.kill(pid, signal.SIGKILL)
    assert ended(victim)[1] == -signal.SIGKILL
    assert not (Path(broken.output_dir) / "model").exists(), "it finished before it was killed"
    finish(torchrun(command("emotionnet", broken)))
    finish(torchrun(command("emotionnet", whole)))
    weights = [Path(r.output_dir) / "model" / "model.safetensors" for r in (whole, broken)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert records(whole.output_dir) == records(broken.output_dir)
