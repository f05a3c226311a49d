"""One run at a time at one place: a second one is refused and told who the first is.

A run holds a lock of the kernel (``flock``) on a small file, ``.NAME.lock`` beside what it makes or
``.lock`` inside of a folder that it fills, and writes into the file who it is. The kernel lets go
of the lock when the process ends, however it ends, so a lock that can be had is that of nobody, or
of somebody dead, whose number may be another process' by now: numbers of processes are told, never
trusted. What a lock cannot tell is whether other machines honour it (some network disks lock for
each machine alone): where the last run was on another one and did not end well, a person decides.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import SoftFileLock, Timeout, lock_descriptor

LOCK = ".lock"
"""Name of the lock inside of a folder that is filled where it is."""
LOCKS = frozenset({LOCK, f"{LOCK}ed"})
"""That name, and what stands beside it on a disk that knows no locks of the kernel."""
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
_PATIENCE = 1.0  # seconds: one who has just begun needs a moment to say who he is
# What a disk answers that knows no locks of the kernel, such as Lustre as it is mounted by default.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})
_READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class AnotherRunError(RuntimeError):
    """Another run is at work there, or was on another machine; the message names it."""


@dataclass(frozen=True)
class _Holder:
    """Who holds a lock.

    Attributes:
        host: Name of the machine.
        pid: Number of the process.
        since: When it took the lock.
        boot: Of the running kernel, where it says so: containers on one machine share it.
    """

    host: str
    pid: int
    since: str
    boot: str

    @classmethod
    def this_process(cls) -> _Holder:
        """Tell who we are."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:
            boot = ""
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        return cls(socket.gethostname(), os.getpid(), since, boot)

    @classmethod
    def read(cls, lock: Path) -> _Holder | None:
        """Read who holds a lock; None where nobody says so, or not yet."""
        try:
            return cls(**json.loads(lock.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def is_here(self) -> bool:
        """Whether it ran on this machine."""
        me = self.this_process()
        return self.host == me.host or (self.boot != "" and self.boot == me.boot)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class _Held(threading.local):
    """The locks of one thread, which it may take once more."""

    def __init__(self) -> None:
        self.locks: set[Path] = set()


_held = _Held()
_descriptors: set[int] = set()


def _let_go_in_child() -> None:
    """Close what a fork has copied: a worker that outlives its run must not hold the lock."""
    _held.locks.clear()
    while _descriptors:
        with suppress(OSError):
            os.close(_descriptors.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def one_run(out: str | Path, *, inside: bool = False) -> Iterator[None]:
    """Be the only run that works on something, as long as the block lasts.

    The lock is gone when the block ends. The same thread may take it again inside of the block.

    Args:
        out: The file or folder that is made.
        inside: It is a folder that is filled where it is, and may be a disk of its own: the lock
            lies in it. Else it lies beside ``out``, which may be replaced whole.

    Raises:
        AnotherRunError: Another run is at work there, or one on another machine was and did not
            end well; the message names it, in one line.
        NotADirectoryError: There is a file where the folder should be.
        PermissionError: The folder is not writable.
    """
    out = Path(os.path.abspath(out))
    lock = out / LOCK if inside else out.with_name(f".{out.name}.lock")
    lock = lock.parent.resolve() / lock.name
    if lock in _held.locks:
        yield
        return
    made = not lock.parent.exists()
    try:
        with _locked(lock, out):
            _held.locks.add(lock)
            try:
                yield
            finally:
                _held.locks.discard(lock)
    finally:
        if made:  # nothing came of it: leave nothing
            with suppress(OSError):
                lock.parent.rmdir()


@contextmanager
def _locked(lock: Path, out: Path) -> Iterator[None]:
    """Hold a lock, whatever kind of lock the disk knows."""
    with ExitStack() as stack:
        deadline = time.monotonic() + _PATIENCE
        while not _taken(lock, stack):
            # Without a name in it the lock was let go of, or taken, a moment ago.
            holder = _Holder.read(lock)
            if holder is not None or time.monotonic() > deadline:
                raise AnotherRunError(_refusal(out, lock, holder))
            time.sleep(_PATIENCE / 20)
        left_over = _Holder.read(lock)
        if left_over is not None and not left_over.is_here():
            raise AnotherRunError(_refusal(out, lock, left_over))
        # Gone before it is let go of: who waits for this file sees that it is no longer the lock.
        stack.callback(_remove, lock, os.getpid())
        lock.write_text(json.dumps(asdict(_Holder.this_process())), encoding="utf-8")
        yield


def _taken(lock: Path, stack: ExitStack) -> bool:
    """Try to take a lock, which is let go of with the stack."""
    descriptor = _opened(lock)
    with ExitStack() as attempt:
        attempt.callback(_close, descriptor)
        try:
            if not lock_descriptor(descriptor, blocking=False):
                return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            if not _softly_taken(lock, attempt):
                return False
        # Of a file that its holder has removed a lock is worth nothing.
        if os.fstat(descriptor).st_nlink == 0:
            return False
        stack.push(attempt.pop_all())
    return True


def _softly_taken(lock: Path, stack: ExitStack) -> bool:
    """Take a lock that is a file which is there or not; one of a dead process here is broken."""
    soft = SoftFileLock(_soft(lock))
    try:
        soft.acquire(timeout=_PATIENCE / 2)
    except Timeout:
        return False
    stack.callback(soft.release)
    return True


def _soft(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}ed")


def _opened(lock: Path) -> int:
    """Open a lock's file; its folder may vanish with the run that made it."""
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, _FLAGS, 0o666)
        except FileNotFoundError:
            continue
        except (FileExistsError, NotADirectoryError) as error:
            place = next(path for path in lock.parents if path.exists())
            raise NotADirectoryError(f"{place} is a file: choose another folder.") from error
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
            place = lock if lock.exists() else lock.parent
            why = f"{os.strerror(error.errno)}: nothing can be written"
            raise PermissionError(error.errno, why, str(place)) from error
        _descriptors.add(descriptor)
        return descriptor


def _close(descriptor: int) -> None:
    # Not in a child that has got the number by a fork and uses it for a file of its own.
    if descriptor in _descriptors:
        _descriptors.discard(descriptor)
        os.close(descriptor)


def _remove(lock: Path, owner: int) -> None:
    if os.getpid() == owner:  # and no child of a fork
        lock.unlink(missing_ok=True)


def _refusal(out: Path, lock: Path, holder: _Holder | None) -> str:
    if holder is None:
        return f"another run is at work on {out}; wait for it, or choose another place"
    if holder.is_here():
        return f"another run is at work on {out} ({holder}); wait for it, or choose another place"
    soft = _soft(lock)
    files = f"{lock} and {soft}" if soft.exists() else f"{lock}"
    return (
        f"another run is at work on {out} ({holder}), on a machine that cannot be asked from "
        f"here; wait for it, choose another place, or, if it no longer runs there, remove {files}"
    )
