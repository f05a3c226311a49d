"""Files of strangers: what is in them is read, and nothing in them is run."""

import argparse
import pickle
import random
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from emotionnet_hf.models import CheckpointError
from emotionnet_hf.models.read_original import check_tensors, read_original

# What torch says of files that are not as usual; the tests are full of them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Detected pickle protocol",
    "ignore:Validating sparse tensor",
    "ignore:.*TorchScript",
    "ignore:.torch.jit.script",
)

TENSORS = OrderedDict(
    [("fc.weight", torch.arange(6.0).view(2, 3)), ("bn.num_batches_tracked", torch.tensor(7))]
)
DATA_PARALLEL = OrderedDict((f"module.{name}", value) for name, value in TENSORS.items())
TRAINING = {
    "epoch": 12,
    "arch": "resnet50",
    "state_dict": DATA_PARALLEL,
    "best_prec1": torch.tensor(50.5),
    "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]},
}


class Hostile:
    """Makes a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


class Allowed:
    """Some library has told torch that this class is safe."""


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def save(request, tmp_path):
    """Saves as today's PyTorch does, and as that of 2019."""

    def write(content, name="model.pth") -> Path:
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=request.param)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    "content",
    [TENSORS, dict(TENSORS), DATA_PARALLEL, TRAINING, {"model": TENSORS, "epoch": 3}],
    ids=["bare", "dict", "DataParallel", "training", "another name"],
)
def test_tensors_come_out_under_their_plain_names(save, content):
    read = read_original(save(content))
    assert list(read.tensors) == list(TENSORS)
    for name, value in TENSORS.items():
        assert torch.equal(read.tensors[name], value)
    assert not read.holds_options


def test_what_the_training_said_of_itself_is_kept(save):
    facts = read_original(save(TRAINING)).facts
    assert facts == {"epoch": 12, "arch": "resnet50", "best_prec1": 50.5}


def test_parameters_are_tensors_too(save):
    read = read_original(save({"fc.weight": torch.nn.Parameter(torch.ones(2))}))
    assert read.tensors["fc.weight"].tolist() == [1, 1]


def test_safetensors_are_read(tmp_path):
    # Whatever the file is called.
    save_file(dict(DATA_PARALLEL), tmp_path / "model.pth")
    assert torch.equal(
        read_original(tmp_path / "model.pth").tensors["fc.weight"], TENSORS["fc.weight"]
    )


def test_a_namespace_of_options_is_told_and_allowed_for_this_file_only(save):
    before = set(torch.serialization.get_safe_globals())
    options = argparse.Namespace(lr=1.0, words=["joy"])
    read = read_original(save({"state_dict": TENSORS, "args": options}))
    assert read.holds_options
    assert torch.equal(read.tensors["fc.weight"], TENSORS["fc.weight"])
    assert set(torch.serialization.get_safe_globals()) == before


def test_what_others_have_allowed_is_not_allowed_here(save):
    with torch.serialization.safe_globals([Allowed]):
        path = save({"state_dict": TENSORS, "extra": Allowed()})
        assert torch.load(path, weights_only=True)
        with pytest.raises(CheckpointError, match=r"asks for .*Allowed"):
            read_original(path)
        assert Allowed in torch.serialization.get_safe_globals()


@pytest.mark.parametrize("beside", [{}, {"args": argparse.Namespace(lr=1.0)}])
def test_a_hostile_file_runs_nothing_and_is_named(save, tmp_path, beside):
    canary = tmp_path / "canary"
    path = save({"state_dict": TENSORS, **beside, "extra": Hostile(canary)})
    with pytest.raises(
        CheckpointError, match=r"model\.pth asks for (pathlib\.\S+|getattr)"
    ) as told:
        read_original(path)
    assert "\n" not in str(told.value)
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.exists(), "the file was harmless, so this test proved nothing"


def test_a_hostile_pickle_that_is_no_checkpoint_runs_nothing(tmp_path):
    canary = tmp_path / "canary"
    (tmp_path / "model.pth").write_bytes(pickle.dumps(Hostile(canary)))
    with pytest.raises(CheckpointError, match=r"model\.pth"):
        read_original(tmp_path / "model.pth")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("extra", "asked"),
    [(np.float64(50.5), r"numpy.*scalar"), (torch.nn.Linear(2, 2), r"torch\.nn.*Linear")],
)
def test_other_classes_are_refused_by_name(save, extra, asked):
    with pytest.raises(CheckpointError, match=rf"asks for {asked}, which .* state_dict\(\) alone"):
        read_original(save({"state_dict": TENSORS, "best_prec1": extra}))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_an_error(save, share):
    path = save(TRAINING)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    # Cut within the name of a function, a legacy file seems to ask for another one.
    with pytest.raises(
        CheckpointError, match=r"model\.pth (cannot be read .*again|asks for torch)"
    ):
        read_original(path)


def test_safetensors_that_are_cut_off_are_an_error(tmp_path):
    save_file(dict(TENSORS), tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:-4])
    with pytest.raises(CheckpointError, match="download it again"):
        read_original(tmp_path / "model.safetensors")


def test_a_damaged_file_is_read_or_refused_and_nothing_else(save):
    path, chance = save(TRAINING), random.Random(0)
    content, refused = path.read_bytes(), 0
    for _ in range(200):
        damaged = bytearray(content)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            read_original(path)
        except CheckpointError as error:
            assert "weights_only" not in str(error)
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("content", [b"not a model", b"<html>404</html>", b"PK\x03\x04", b"{}" * 9])
def test_something_else_is_an_error(tmp_path, content):
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint") as told:
        read_original(tmp_path / "model.pth")
    assert "weights_only" not in str(told.value)


def test_a_torchscript_file_is_an_error_that_does_not_advise_to_run_it(tmp_path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint") as told:
        read_original(tmp_path / "model.pth")
    assert "weights_only" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([1, 2], "holds one list"),
        ({}, "a dict with nothing in it"),
        ({"epoch": 3, "lr": 0.1}, "a dict with 'epoch', 'lr', and no tensors"),
        ({"state_dict": {"fc.weight": [1.0]}}, "no tensors by name"),
        ({"net": TENSORS, "ema": TENSORS}, "a dict with 'net', 'ema'"),
        ({**TENSORS, **DATA_PARALLEL}, "mixes two networks: module.fc.weight"),
    ],
)
def test_other_content_is_described(save, content, told):
    with pytest.raises(CheckpointError, match=told):
        read_original(save(content))


def test_a_path_that_is_no_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth does not exist"):
        read_original(tmp_path / "nothing.pth")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        read_original(tmp_path)


def checked(tensors, save, **sizes) -> None:
    wanted = {"a.weight": (2, 3), "bn.num_batches_tracked": ()}
    check_tensors(read_original(save(tensors)), "two-branch", {**wanted, **sizes})


def test_the_layout_of_a_kind_is_accepted_with_and_without_counters(save):
    checked({"a.weight": torch.ones(2, 3), "bn.num_batches_tracked": torch.tensor(1)}, save)
    checked({"a.weight": torch.ones(2, 3, dtype=torch.float16)}, save)


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({"b": torch.ones(1)}, "missing: a.weight; without a place: b"),
        ({"a.weight": torch.ones(3, 2)}, r"size: a\.weight \(3, 2\), needed \(2, 3\)"),
        ({"a.weight": torch.ones(2, 3).long()}, r"not plain floats: a\.weight \(int64\)"),
        ({"a.weight": torch.ones(2, 3).to_sparse()}, "not plain floats: a"),
        (
            {"a.weight": torch.ones(2, 3), **{f"x{i}": torch.ones(1) for i in range(10)}},
            r"without a place: x0, .*x7 and 2 more",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(save, tensors, told):
    with pytest.raises(CheckpointError, match=rf"model\.pth looks like a two-branch.*{told}"):
        checked(tensors, save)
