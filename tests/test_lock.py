"""Locks, held by real processes, some of which die."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pytest

from emotionnet_hf import lock
from emotionnet_hf.lock import AnotherRunError, one_run

# Without the package's own __init__, which takes seconds to import.
PRELUDE = """
import os, sys, time, types
sys.modules["emotionnet_hf"] = types.ModuleType("emotionnet_hf")
sys.modules["emotionnet_hf"].__path__ = [sys.argv[1]]
from emotionnet_hf import lock
from emotionnet_hf.lock import AnotherRunError, one_run
"""
WITHOUT_LOCKS = """
def refuse(descriptor, *, blocking):
    raise OSError(38, "Function not implemented")
lock.lock_descriptor = refuse
"""
HOLD = """
with one_run(sys.argv[2], inside="inside" in sys.argv):
    print(os.getpid(), flush=True)
    time.sleep(60)
"""
HOLD_WITH_A_WORKER = """
from multiprocessing import get_context
with one_run(sys.argv[2]):
    worker = get_context("fork").Process(target=time.sleep, args=(60,))
    worker.start()
    print(worker.pid, flush=True)
    time.sleep(60)
"""


@contextmanager
def process(script: str, out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script until the block ends, and then kill it; the block begins with its first line."""
    package = str(Path(lock.__file__).parent)
    command = [sys.executable, "-c", PRELUDE + script, package, str(out), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            running.told = int(running.stdout.readline())  # type: ignore[attr-defined]
            yield running
        finally:
            running.kill()
    assert running.returncode == -signal.SIGKILL


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(params=["kernel", "soft"])
def prelude(request, monkeypatch) -> str:
    """Locks of the kernel, and what stands in for them on a disk that has none."""
    if request.param == "kernel":
        return ""

    def refuse(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(lock, "lock_descriptor", refuse)
    return WITHOUT_LOCKS


def test_the_block_runs_and_leaves_nothing(tmp_path, prelude):
    with one_run(tmp_path / "out"):
        assert ".out.lock" in names(tmp_path)
        with one_run(tmp_path / "out"), one_run(tmp_path / "other"):  # once more, and another
            pass
        assert ".out.lock" in names(tmp_path)
    assert names(tmp_path) == set()
    with pytest.raises(KeyError), one_run(tmp_path / "out"):
        raise KeyError
    assert names(tmp_path) == set()


def test_a_folder_that_is_filled_is_locked_inside(tmp_path):
    with one_run(tmp_path / "new", inside=True):
        assert names(tmp_path / "new") == {".lock"}
        (tmp_path / "new" / "a").touch()
    assert names(tmp_path / "new") == {"a"}
    with pytest.raises(KeyError), one_run(tmp_path / "other", inside=True):
        raise KeyError  # nothing came of it, so there is no folder either
    assert names(tmp_path) == {"new"}


@pytest.mark.parametrize("inside", [False, True])
def test_a_second_run_is_refused_in_one_line_that_names_the_first(tmp_path, prelude, inside):
    out = tmp_path / "out"
    with process(prelude + HOLD, out, *["inside"] * inside) as first:
        (tmp_path / "link").symlink_to(tmp_path)
        for same in (out, tmp_path / "link" / "out", tmp_path / "x" / ".." / "out"):
            with pytest.raises(AnotherRunError) as caught, one_run(same, inside=inside):
                pass
            who = f"(process {first.pid} on {socket.gethostname()}, since "
            since = datetime.fromisoformat(str(caught.value).split(who)[1].split(")")[0])
            assert abs(datetime.now().astimezone() - since).total_seconds() < 30
            assert "\n" not in str(caught.value)
        with one_run(tmp_path / "another"):
            pass


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path, prelude):
    with process(prelude + HOLD, tmp_path / "out") as first:
        with pytest.raises(AnotherRunError, match=f"process {first.pid} on"):
            one_run(tmp_path / "out").__enter__()
    assert ".out.lock" in names(tmp_path)
    with one_run(tmp_path / "out"):
        assert json.loads((tmp_path / ".out.lock").read_text())["pid"] == os.getpid()
    assert names(tmp_path) == set()


def test_a_worker_that_outlives_its_killed_run_does_not_hold_the_lock(tmp_path):
    with process(HOLD_WITH_A_WORKER, tmp_path / "out") as first:
        with pytest.raises(AnotherRunError, match=f"process {first.pid} on"):
            one_run(tmp_path / "out").__enter__()
    try:
        os.kill(first.told, 0)  # it lives
        with one_run(tmp_path / "out"):
            pass
    finally:
        os.kill(first.told, signal.SIGKILL)


def test_a_forked_child_neither_has_nor_ends_the_lock_of_its_parent(tmp_path):
    with one_run(tmp_path / "out"):
        child = os.fork()
        if not child:
            status = 1
            try:
                with one_run(tmp_path / "out"):
                    pass
            except AnotherRunError as error:
                status = 0 if f"process {os.getppid()} on" in str(error) else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        child = os.fork()
        if not child:
            try:
                lock._remove(tmp_path / ".out.lock", os.getppid())  # as at the end of its block
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert names(tmp_path) == {".out.lock"}


def test_a_second_thread_is_another_run(tmp_path):
    with one_run(tmp_path / "out"), ThreadPoolExecutor(1) as pool:
        second = pool.submit(one_run(tmp_path / "out").__enter__)
        with pytest.raises(AnotherRunError, match=f"process {os.getpid()} on"):
            second.result()


def left_over(tmp_path: Path, **values: object) -> Path:
    """What a killed run has left, with other values."""
    file = tmp_path / ".out.lock"
    file.write_text(json.dumps(asdict(lock._Holder.this_process()) | values))
    return file


@pytest.mark.parametrize(
    "values",
    [
        {"pid": os.getppid()},  # its number is another process' now
        {"pid": 2**22 + 1},  # more than Linux has
        {"boot": "before the machine was started anew"},
        {"host": "a container on this machine"},
    ],
)
def test_what_a_dead_run_on_this_machine_left_is_taken_over(tmp_path, values):
    left_over(tmp_path, **values)
    with one_run(tmp_path / "out"):
        pass
    assert names(tmp_path) == set()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"host": 1}', "\0\xff"])
def test_a_lock_that_does_not_say_whose_it_is_is_taken_over(tmp_path, text):
    (tmp_path / ".out.lock").write_text(text)
    with one_run(tmp_path / "out"):
        pass
    assert names(tmp_path) == set()


def test_what_a_run_on_another_machine_left_is_for_a_person_to_remove(tmp_path):
    file = left_over(tmp_path, host="elsewhere", boot="another", pid=12)
    before = file.read_text()
    for _ in range(2):
        with pytest.raises(AnotherRunError) as caught, one_run(tmp_path / "out"):
            pass
        assert "(process 12 on elsewhere, since " in str(caught.value)
        assert str(caught.value).endswith(f"if it no longer runs there, remove {file}")
        assert file.read_text() == before
    file.unlink()
    with one_run(tmp_path / "out"):
        pass


def test_both_files_of_a_run_elsewhere_on_a_disk_without_locks_are_named(tmp_path, monkeypatch):
    def refuse(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(lock, "lock_descriptor", refuse)
    file = left_over(tmp_path, host="elsewhere", boot="another", pid=12)
    soft = tmp_path / ".out.locked"
    soft.write_text("filelock/2\npid=12\nhost=elsewhere\nmode=exclusive\n")
    with pytest.raises(AnotherRunError, match=r"elsewhere.*remove .*\.lock and .*\.locked$"):
        one_run(tmp_path / "out").__enter__()
    file.unlink()
    soft.unlink()
    with one_run(tmp_path / "out"):
        pass


def test_where_nothing_can_be_written_the_place_is_named(tmp_path, monkeypatch):
    def refuse(*arguments: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(arguments[0]))

    monkeypatch.setattr(lock.os, "open", refuse)
    with pytest.raises(PermissionError, match=f"nothing can be written: '{tmp_path}'"):
        one_run(tmp_path / "out").__enter__()


@pytest.mark.parametrize(
    ("out", "inside"), [("file/out", False), ("file", True), ("file/out", True)]
)
def test_a_file_is_no_folder(tmp_path, out, inside):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="/file is a file: choose another folder"):
        one_run(tmp_path / out, inside=inside).__enter__()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("as it was")
    (tmp_path / ".out.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        one_run(tmp_path / "out").__enter__()
    assert (tmp_path / "precious").read_text() == "as it was"


CONTEND = """
import random
random.seed(int(sys.argv[3]))
out, got, refused = sys.argv[2], 0, 0
while got < 40 or refused < 10:
    try:
        with one_run(out):
            os.close(os.open(out + ".mine", os.O_CREAT | os.O_EXCL))  # fails where two are at work
            time.sleep(random.random() / 500)
            os.unlink(out + ".mine")
            got += 1
    except AnotherRunError:
        refused += 1
        time.sleep(random.random() / 1000)
print("alone", got, refused)
"""


def test_of_many_that_try_again_and_again_one_is_at_work_at_a_time(tmp_path):
    package = str(Path(lock.__file__).parent)
    command = [sys.executable, "-c", PRELUDE + CONTEND, package, str(tmp_path / "out")]
    running = [
        subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, text=True) for i in range(4)
    ]
    told = [one.communicate(timeout=120)[0] for one in running]
    assert [one.returncode for one in running] == [0] * 4
    assert all(line.startswith("alone ") for line in told)
    assert names(tmp_path) == set()
