"""What is kept in benchmarks/results can be believed: committed code, and all of its origin."""

import json
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
# Measured before results said all this, and to be measured again: take out what was.
NOT_AGAIN_YET = {
    *("bass_forgetting", "build_at_scale", "dedup", "embed", "embed_avx2"),
    *("real_keywords", "retrieval"),
    *(
        f"{kind}_tables/{name}"
        for kind in ("real", "sample")
        for name in ("figure4", "section5.1", "section5.3", *(f"table{n}" for n in range(2, 7)))
    ),
}
FILES = sorted(RESULTS.rglob("*.json"))


def environments(value) -> list[dict]:
    """Every environment in a file: parts may be measured at other times."""
    if not isinstance(value, dict):
        return []
    inside = [found for part in value.values() for found in environments(part)]
    return [value["environment"], *inside] if "environment" in value else inside


def faults(environment: dict) -> list[str]:
    """What is missing in the origin of some numbers, or speaks against them."""
    wanted = ("command", "git_commit", "git_dirty", "python", "packages", "machine", "seeds")
    found = [f"no {name}" for name in wanted if environment.get(name) in (None, {}, "")]
    if environment.get("git_dirty"):
        found.append("of changed code")
    if len(environment.get("git_commit") or "") != 40:
        found.append("no whole commit")
    if "git_commits" in environment:
        found.append("of several commits")
    return found


def name(path: Path) -> str:
    return path.relative_to(RESULTS).with_suffix("").as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_kept_results_are_of_committed_code_and_say_all_of_their_origin(path):
    told = environments(json.loads(path.read_text(encoding="utf-8")))
    found = [fault for environment in told for fault in faults(environment)]
    if name(path) in NOT_AGAIN_YET:
        assert found or not told, f"{name(path)} was measured again: take it out of NOT_AGAIN_YET"
    else:
        assert told and not found


def test_names_of_files_that_are_gone_are_taken_out():
    assert NOT_AGAIN_YET <= {name(path) for path in FILES}


def test_faults_are_found():
    good = {
        **{"command": "python -m x", "python": "3", "packages": {"a": "1"}, "machine": {"cpu": ""}},
        **{"git_commit": "a" * 40, "git_dirty": False, "seeds": []},
    }
    assert faults(good) == []
    for change in (
        {"git_dirty": True},
        {"git_dirty": None},
        {"git_commit": None},
        {"git_commit": "abc"},
        {"git_commits": ["a" * 40, None]},
        {"command": ""},
        {"seeds": None},
    ):
        assert faults({**good, **change}), change
