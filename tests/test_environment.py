import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from emotionnet_hf import __version__
from emotionnet_hf import environment as module
from emotionnet_hf.environment import DirtyTreeError, committed_environment, environment, note_work
from emotionnet_hf.lock import LOCKS


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout of another project with one commit, in the place of ours."""
    for path in ("code/a.py", "benchmarks/results/a.json", "README.md"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("old\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    monkeypatch.setattr(module, "_CHECKOUT", tmp_path)
    return tmp_path


def git(folder: Path, *words: str) -> str:
    ran = subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def test_is_plain_json():
    told = json.loads(json.dumps(environment()))
    assert told.keys() == {
        *("command", "python", "platform", "git_commit", "git_dirty", "packages", "machine")
    }
    assert told["packages"]["torch"] == torch.__version__.split("+")[0]
    assert told["packages"]["emotionnet_hf"] == __version__
    assert environment([0, 1])["seeds"] == [0, 1]


def test_machine_is_this_one():
    machine = environment()["machine"]
    assert machine.keys() == {"cpu", "cores", "flags", "memory_bytes", "gpus"}
    assert 1 <= machine["cores"] <= (os.cpu_count() or 1)
    assert machine["memory_bytes"] > 2**28 and len(machine["gpus"]) == torch.cuda.device_count()
    if Path("/proc/cpuinfo").is_file():
        facts = Path("/proc/cpuinfo").read_text()
        assert machine["cpu"] in facts and all(f" {flag}" in facts for flag in machine["flags"])


def test_needs_no_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    told = committed_environment()
    assert (told["git_commit"], told["git_dirty"]) == (None, None)


def test_installation_is_told_by_its_version(checkout):
    (checkout / ".git").rename(checkout / "no-git")
    told = committed_environment()
    assert (told["git_commit"], told["git_dirty"]) == (None, None)
    assert told["packages"]["emotionnet_hf"] == __version__


def test_committed_code_is_told_by_its_commit(checkout):
    told = committed_environment([3])
    assert told["git_commit"] == git(checkout, "rev-parse", "HEAD")
    assert told["git_dirty"] is False and told["seeds"] == [3]


def test_changed_code_is_refused_or_marked(checkout):
    (checkout / "code" / "a.py").write_text("new\n")
    with pytest.raises(DirtyTreeError, match=r"code/a\.py differ.*--allow-dirty"):
        committed_environment()
    assert committed_environment(allow_dirty=True)["git_dirty"] is True
    assert environment()["git_dirty"] is True
    git(checkout, "add", ".")  # staged is not committed
    assert environment()["git_dirty"] is True


def test_written_results_and_unknown_files_are_no_changed_code(checkout):
    for path in ("benchmarks/results/a.json", "README.md", "notes.txt"):
        (checkout / path).write_text("new\n")
    assert committed_environment()["git_dirty"] is False


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["/usr/x/python3", "-m", "benchmarks.embed", "--cores", "2"],
            "python3 -m benchmarks.embed --cores 2",
        ),
        (["/venv/bin/python", "/venv/bin/emotionnet", "evaluate"], "emotionnet evaluate"),
        (
            ["python", "scripts/reproduce.py", "--out=/home/me/a b"],
            "python scripts/reproduce.py '--out=a b'",
        ),
        (["python", "-c", "import os\nprint(os)", "x"], "python -c ..."),
    ],
)
def test_command_is_told_without_paths_of_this_machine(monkeypatch, words, told):
    monkeypatch.setattr(sys, "orig_argv", words)
    assert environment()["command"] == told


def test_path_inside_of_the_checkout_is_told_from_there(monkeypatch):
    inside = str(module._CHECKOUT / "benchmarks" / "ablation.py")
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python", inside])
    assert environment()["command"] == "python benchmarks/ablation.py"


def test_work_remembers_the_code_that_worked_there(tmp_path):
    def told(commit, dirty=False):
        return {"git_commit": commit, "git_dirty": dirty, "command": "x"}

    work = tmp_path / "work"
    work.mkdir()
    for name in LOCKS:  # of the run that begins
        (work / name).touch()
    assert note_work(work, told("a")) == told("a")
    (work / "run").mkdir()
    assert note_work(work, told("a")) == told("a")  # resumed
    other = note_work(work, told("b"))
    assert other == told("b") | {"git_commits": ["a", "b"]}
    note_work(work, told("b", dirty=True))
    assert note_work(work, told("b"))["git_dirty"] is True  # some of it is of changed code


def test_work_of_unknown_code_is_marked(tmp_path):
    (tmp_path / "run").mkdir()
    told = note_work(tmp_path, {"git_commit": "a", "git_dirty": False})
    assert told["git_commits"] == [None, "a"]
