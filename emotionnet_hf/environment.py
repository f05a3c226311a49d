"""Where numbers come from: command, commit, versions, seeds, machine.

Whatever is measured or trained keeps this beside its numbers. A number that others shall be able
to measure again is of committed code: `committed_environment` refuses a changed checkout.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emotionnet_hf import __version__
from emotionnet_hf.files import write_json
from emotionnet_hf.lock import LOCKS

_PACKAGES = (
    *("torch", "torchvision", "timm", "transformers", "datasets", "accelerate"),
    *("huggingface_hub", "safetensors", "gensim", "numpy", "pillow"),
)
# Named where they are installed.
_EXTRAS = ("scikit-learn", "scipy", "pyarrow", "faiss-cpu", "openvino", "onnxruntime")
_CHECKOUT = Path(__file__).resolve().parents[1]
# In a folder of resumable work: by which code.
_CODE = "code.json"
# What commands here write after they have measured; a change of it changes no measurement.
_WRITTEN = ("benchmarks/results", "docs", "README.md", "CHANGELOG.md")
# Instruction sets that decide which arithmetic is fast.
_FLAGS = (
    *("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)


class DirtyTreeError(RuntimeError):
    """The checkout has changes that no commit has, so nobody could measure the same again."""


def environment(seeds: Sequence[int] | None = None) -> dict[str, Any]:
    """Describe this process, its code and its machine.

    Args:
        seeds: Of the measurement, where the caller knows them.

    Returns:
        Plain values for JSON: ``command`` (paths outside of the checkout by their last part),
        ``python``, ``platform``, ``git_commit`` and ``git_dirty`` (whether tracked files differ
        from it; both None where the package is no checkout), ``packages`` with the version of this
        one, ``machine``, and ``seeds`` where they are given.
    """
    commit = _git("rev-parse", "HEAD")
    told = {
        "command": _command(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "git_commit": commit,
        "git_dirty": None if commit is None else bool(changed_files()),
        "packages": _versions(),
        "machine": _machine(),
    }
    return told if seeds is None else told | {"seeds": list(seeds)}


def committed_environment(
    seeds: Sequence[int] | None = None, *, allow_dirty: bool = False
) -> dict[str, Any]:
    """Describe where something is about to be measured; to be called before the work starts.

    Args:
        seeds: As for `environment`.
        allow_dirty: Take code that no commit has; ``git_dirty`` says so then.

    Returns:
        As `environment`. An installation that is no checkout has no commit, and is told by its
        version.

    Raises:
        DirtyTreeError: Tracked files of the checkout differ from its commit.
    """
    changed = [] if allow_dirty else changed_files()
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise DirtyTreeError(
            f"{', '.join(changed[:3])}{more} differ from the commit, so nobody could measure the "
            "same again: commit first, or pass --allow-dirty, which the results will say"
        )
    return environment(seeds)


def note_work(work: Path, now: dict[str, Any]) -> dict[str, Any]:
    """Note in a folder of resumable work which code worked there, and tell of all of it.

    Args:
        work: The folder; what is found in it may be of earlier calls.
        now: What `committed_environment` told.

    Returns:
        ``now``; with ``git_commits``, all of them, where code of another commit (None: of an
        unknown one) has worked there, and ``git_dirty`` where any of it was changed code.
    """
    path, code = work / _CODE, {name: now[name] for name in ("git_commit", "git_dirty")}
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
    else:
        begun = work.is_dir() and any(path.name not in LOCKS for path in work.iterdir())
        known = [{"git_commit": None, "git_dirty": None}] if begun else []
    if code not in known:
        known.append(code)
        write_json(path, known)
    commits = list(dict.fromkeys(one["git_commit"] for one in known))
    told = now | {"git_dirty": any(one["git_dirty"] for one in known)}
    if now["git_commit"] is None:
        told["git_dirty"] = None
    return told | {"git_commits": commits} if len(commits) > 1 else told


def changed_files() -> list[str]:
    """Return the tracked files of the package's checkout that differ from its commit.

    Written results and pages do not count. Files that git does not know cannot either: nothing
    uses them without a change of one that it knows.
    """
    excluded = [f":(exclude){path}" for path in _WRITTEN]
    status = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *excluded)
    return [line.split(maxsplit=1)[1] for line in (status or "").splitlines()]


def _git(*words: str) -> str | None:
    """Ask git about the package's own checkout; None where it is no checkout."""
    # Installed into an environment inside some other project, git would tell that one's commit.
    if not (_CHECKOUT / ".git").exists():
        return None
    try:
        asked = subprocess.run(
            # Without the lock, because others may work in the checkout.
            ["git", "--no-optional-locks", "-C", str(_CHECKOUT), *words],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # there is no git
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def _command() -> str:
    """Return the command line without what only this machine knows."""
    words = [*sys.orig_argv]
    if words[1:2] == ["-c"]:
        words[2:] = ["..."]  # a program is no command
    script = Path(words[1]) if len(words) > 1 else Path()
    if script.is_absolute() and script.parent == Path(words[0]).parent:
        del words[0]  # the interpreter of a console script, which lies beside it
    return shlex.join(map(_place, words))


def _place(word: str) -> str:
    """Shorten an absolute path, also behind an equals sign, to what another machine has too."""
    name, equals, path = word.rpartition("=")
    if not Path(path).is_absolute():
        return word
    where = Path(path)
    inside = where.is_relative_to(_CHECKOUT) and ".venv" not in where.parts
    return f"{name}{equals}{where.relative_to(_CHECKOUT).as_posix() if inside else where.name}"


def _versions() -> dict[str, str]:
    found = {"emotionnet_hf": __version__}
    found |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    for name in _EXTRAS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    """Return processor, cores, memory and accelerators."""
    import torch  # here, because what only reads tables needs no torch

    model, flags = _processor()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": model,
        "cores": usable,
        "flags": [name for name in _FLAGS if name in flags],
        "memory_bytes": _memory(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }


def _processor() -> tuple[str, set[str]]:
    """Return the processor's name and its flags; Linux tells both, others the name."""
    facts: dict[str, str] = {}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for key, _, value in (line.partition(":") for line in lines):
        facts.setdefault(key.strip(), value.strip())
    flags = facts.get("flags", facts.get("Features", ""))
    return facts.get("model name") or platform.processor() or "unknown", set(flags.split())


def _memory() -> int | None:
    """Return the memory of the machine in bytes, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no such call, or no such name
        return None
