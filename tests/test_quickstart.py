import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

from emotionnet_hf import quickstart as module
from emotionnet_hf.files import write_json
from emotionnet_hf.quickstart import QuickstartError, emotionnet_recipe, quickstart, textcnn_recipe

PARTS = {
    *("quickstart.json", "sample", "stockemotion", "textcnn", "emotionnet", "figures"),
    *("reload.py", "report.json", "report.html"),
}


def numbers(value) -> list[float]:
    """All numbers of a JSON value."""
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return [number for item in inside for number in numbers(item)]
    return [value] if isinstance(value, int | float) else []


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A small quickstart: its folder and what it returned."""
    out = tmp_path_factory.mktemp("quick") / "start"
    return out, quickstart(out, num_images=160, epochs=1, progress=False)


@pytest.fixture
def untrained(monkeypatch):
    """Stops a quickstart as soon as it has made room."""

    class Begun(Exception):
        pass

    def stop(*args, **kwargs):
        raise Begun

    monkeypatch.setattr(module, "generate_sample", stop)
    return Begun


def earlier(out: Path) -> Path:
    """What an earlier quickstart leaves, one file in each of its parts."""
    write_json(out / "quickstart.json", {})
    for part in PARTS - {"quickstart.json"}:
        if "." in part:
            (out / part).write_text("old")
        else:
            write_json(out / part / "old.json", {})
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_folder_holds_what_is_promised_and_nothing_else(done):
    out, _ = done
    assert {path.name for path in out.iterdir()} == PARTS
    assert {path.stem for path in (out / "figures").iterdir()} == {
        *("losses", "validation", "examples", "neighbours")
    }


def test_report_is_what_was_returned(done):
    out, report = done
    assert json.loads((out / "report.json").read_text()) == report
    assert report["arguments"] == {"num_images": 160, "epochs": 1, "seed": 0}


def test_every_number_is_finite(done):
    found = numbers(done[1])
    assert len(found) > 30
    assert all(map(math.isfinite, found))


def test_shares_lie_between_zero_and_one(done):
    report = done[1]
    shares = [*numbers(report["emotionnet"]), *numbers(report["textcnn"])]
    shares += numbers(report["soft_labels"])
    assert all(0 <= share <= 1 for share in shares)


def test_rows_are_those_of_the_data_set(done):
    out, report = done
    splits = load_dataset(str(out / "stockemotion"))
    assert report["rows"] == {name: len(split) for name, split in splits.items()}
    assert set(report["rows"]) == {"train", "validation", "test"}


def test_model_was_reloaded_from_its_folder(done):
    reloaded = done[1]["reloaded"]
    assert reloaded["model_class"].startswith("transformers_modules.")
    assert reloaded["largest_feature_difference"] < 1e-3
    assert all(len(tags) == 3 for tags in reloaded["tags"])


def test_reload_script_does_not_know_this_package(done):
    script = (done[0] / "reload.py").read_text()
    assert "emotionnet_hf" not in script


def test_page_needs_no_network(done):
    page = (done[0] / "report.html").read_text()
    assert not [at for at in ("src=", "href=") if f'{at}"http' in page or f"{at}http" in page]
    assert "<script" not in page
    assert page.count('src="data:image/png;base64,') == 2


def test_reload_runs_where_this_package_cannot_be_imported(tmp_path):
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import importlib.util, sys\n"
        "print(sys.argv[1:], __name__, importlib.util.find_spec('emotionnet_hf'))\n"
        "import emotionnet_hf.models\n"
    )
    command = [sys.executable, "-c", module._WITHOUT_PACKAGE, str(probe), "a", "b"]
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[1])}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.stdout == "['a', 'b'] __main__ None\n"
    assert "ModuleNotFoundError" in ran.stderr


def test_failed_reload_is_an_error_that_says_why(done, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RELOAD", "raise SystemExit('no such thing')")
    test = load_dataset(str(done[0] / "stockemotion"))["test"]
    with pytest.raises(QuickstartError, match="no such thing"):
        module._reload(tmp_path, test, np.zeros((1, 1)))


def test_model_that_reloads_as_another_is_an_error(done, tmp_path, monkeypatch):
    answer = {"model_class": "x", "features": [[1.0]] * 6, "tags": []}
    monkeypatch.setattr(module, "RELOAD", f"print({json.dumps(answer)!r})")
    test = load_dataset(str(done[0] / "stockemotion"))["test"]
    with pytest.raises(QuickstartError, match="differ"):
        module._reload(tmp_path, test, np.zeros((9, 1)))


def test_seed_changes_the_splits_too(tmp_path, monkeypatch):
    seeds = []

    def build(*args, **options):
        seeds.append(options["seed"])
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "build_dataset", build)
    with pytest.raises(KeyboardInterrupt):
        quickstart(tmp_path, num_images=100, seed=7, progress=False)
    assert seeds == [7]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["sample/1.jpg", "reload.py", "emotionnet/model/x", "notes.txt"])
def test_foreign_folder_is_refused_and_left_alone(tmp_path, overwrite, name):
    write_json(tmp_path / name, "mine")
    before = content(tmp_path)
    with pytest.raises(QuickstartError, match="something else"):
        quickstart(tmp_path, overwrite=overwrite, progress=False)
    assert content(tmp_path) == before


def test_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="is a file"):
        quickstart(tmp_path / "file", overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_earlier_quickstart_is_kept_unless_told_otherwise(tmp_path):
    before = content(earlier(tmp_path))
    with pytest.raises(QuickstartError, match="--overwrite"):
        quickstart(tmp_path, progress=False)
    assert content(tmp_path) == before


@pytest.mark.parametrize("change", [{"num_images": 99}, {"epochs": 0}, {"seed": -1}])
def test_bad_number_is_refused_before_anything_is_removed(tmp_path, change):
    before = content(earlier(tmp_path))
    with pytest.raises(ValueError, match=f"{next(iter(change))} is"):
        quickstart(tmp_path, overwrite=True, **change)
    assert content(tmp_path) == before


def test_overwrite_replaces_an_earlier_quickstart_and_nothing_of_the_users(tmp_path, untrained):
    (earlier(tmp_path) / "notes.txt").write_text("mine")
    with pytest.raises(untrained):
        quickstart(tmp_path, overwrite=True, progress=False)
    assert {path.name for path in tmp_path.iterdir()} == {"quickstart.json", "notes.txt"}
    assert json.loads((tmp_path / "quickstart.json").read_text())["num_images"] == 3000


def test_overwrite_removes_a_link_and_not_what_it_points_to(tmp_path, untrained):
    out = earlier(tmp_path / "out")
    write_json(tmp_path / "far" / "kept.json", {})
    shutil.rmtree(out / "sample")
    (out / "sample").symlink_to(tmp_path / "far")
    with pytest.raises(untrained):
        quickstart(out, overwrite=True, progress=False)
    assert (tmp_path / "far" / "kept.json").is_file()
    assert not (out / "sample").exists()


@pytest.mark.parametrize("left", [(), (".lock", ".locked")])
def test_empty_folder_is_used(tmp_path, untrained, left):
    for name in left:  # by a killed run, on a disk without locks of the kernel
        (tmp_path / name).touch()
    with pytest.raises(untrained):
        quickstart(tmp_path, progress=False)
    assert {path.name for path in tmp_path.iterdir()} - {".locked"} == {"quickstart.json"}


def test_killed_quickstart_can_be_overwritten(tmp_path, untrained):
    code = (
        "import os, signal\n"
        "from emotionnet_hf import quickstart as q\n"
        "from emotionnet_hf.data.sample import generate as g\n"
        "g._write_lines = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"q.quickstart({str(tmp_path)!r}, num_images=100, progress=False)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert killed.returncode == -9
    left = {path.name for path in tmp_path.iterdir()}
    assert {"quickstart.json", ".lock", ".sample.lock"} < left
    assert [name for name in left if name.endswith(".unfinished")]
    with pytest.raises(QuickstartError, match="--overwrite"):
        quickstart(tmp_path, progress=False)
    with pytest.raises(untrained):
        quickstart(tmp_path, overwrite=True, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["quickstart.json"]


def test_recipes_are_given_on_as_they_are(tmp_path):
    text = textcnn_recipe(tmp_path / "data", tmp_path / "text", seed=3)
    net = emotionnet_recipe(
        tmp_path / "data", tmp_path / "text", tmp_path / "net", epochs=4, seed=3, soft_labels=False
    )
    assert (text.seed, net.seed, net.epochs, net.soft_labels) == (3, 3, 4, False)
    assert net.backbone_weights == "none"  # nothing is downloaded
