import re
import subprocess
import sys
from pathlib import Path

import pytest

from emotionnet_hf import cli
from emotionnet_hf.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]


def emotionnet(*words, **options) -> subprocess.CompletedProcess:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "emotionnet_hf.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, **options)


def run(*words) -> int:
    return main([str(word) for word in words])


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    assert line.startswith("emotionnet: ")
    return line


def test_help_is_a_table_of_contents():
    ran = emotionnet("--help")
    assert ran.returncode == 0
    commands = (
        *("quickstart", "fetch-images", "dedup", "count-people", "pseudo-label", "build"),
        *(
            "describe",
            "audit",
            "benchmark",
            "evaluate",
            "tag",
            "index",
            "search",
            "convert",
            "export",
            "push",
        ),
    )
    for command in commands:
        assert re.search(rf"^ +{command}\s+\w+", ran.stdout, re.MULTILINE)


def test_failure_in_a_process_of_its_own_is_one_line_and_exit_code_one(tmp_path):
    ran = emotionnet("build", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "nowhere" in one_line(ran.stderr)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["paint"],
        ["build"],
        ["build", "x"],
        ["tag", "--model", "m"],
        ["tag", "a.png"],
        ["tag", "a.png", "--model", "m", "--top-k", "0"],
        ["tag", "a.png", "--model", "m", "--top-k", "many"],
        ["tag", "a.png", "--model", "m", "--batch-size", "0"],
        ["tag", "a.png", "--model", "m", "--candidates", ""],
        ["tag", "a.png", "--model", "m", "--candidates", " , "],
        ["quickstart"],
        ["quickstart", "--out", "x", "--epochs", "0"],
        ["quickstart", "--out", "x", "--num-images", "-5"],
    ],
)
def test_bad_usage_is_exit_code_two(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*words)
    assert stopped.value.code == 2
    assert "usage: emotionnet" in capsys.readouterr().err


def fails(monkeypatch, error) -> None:
    def quickstart(*args, **kwargs):
        raise error

    monkeypatch.setattr("emotionnet_hf.quickstart.quickstart", quickstart)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "emotionnet: two lines"),
        (RuntimeError(), "emotionnet: RuntimeError"),
        (KeyboardInterrupt(), "stopped"),
    ],
)
def test_any_error_is_one_line(monkeypatch, capsys, tmp_path, error, line):
    fails(monkeypatch, error)
    assert run("quickstart", "--out", tmp_path) == 1
    assert capsys.readouterr().err == f"{line}\n"


def test_debug_shows_where_an_error_came_from(monkeypatch, tmp_path):
    fails(monkeypatch, RuntimeError("deep"))
    with pytest.raises(RuntimeError, match="deep"):
        run("quickstart", "--out", tmp_path, "--debug")


def test_every_command_has_the_common_switches():
    parser = cli._parser()
    for command, needed in (
        ("build", ["x", "--out", "y"]),
        ("tag", ["x", "--model", "y"]),
        ("quickstart", ["--out", "y"]),
        ("count-people", ["x", "--out", "y"]),
        ("pseudo-label", ["x", "--model", "m", "--out", "y"]),
        ("describe", ["x", "--out", "y"]),
        ("audit", ["x", "--out", "y"]),
        ("benchmark", ["de", "x"]),
        ("fetch-images", ["x", "--out", "y"]),
        ("convert", ["x", "--out", "y"]),
    ):
        given = parser.parse_args([command, *needed, "--json", "--debug", "--no-progress"])
        assert given.json
        assert given.debug
        assert given.no_progress
