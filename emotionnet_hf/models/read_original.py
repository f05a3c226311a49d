"""Reading the checkpoints of the paper's authors: tensors by name, and nothing that is run.

The files are `{epoch, arch, state_dict, best_prec1, optimizer}` or a bare dict of tensors, written
by `torch.save` of any version; safetensors with the same names are read too.
"""

from __future__ import annotations

import argparse
import pickle
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

from emotionnet_hf.models.modeling_strict import CheckpointError

COUNTER = "num_batches_tracked"
"""How many batches a BatchNorm has seen: PyTorch before 0.4.1 did not keep it, nothing needs it."""

_PREFIX = "module."  # of torch's DataParallel
_FACTS = ("arch", "epoch", "best_prec1")
# What torch.load raises on a file that is damaged, or no checkpoint at all.
_DAMAGE = (
    *(RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError),
    *(AssertionError, OverflowError, MemoryError, struct.error, pickle.UnpicklingError),
)


class ConversionError(ValueError):
    """A checkpoint cannot be converted as it was asked for; the message has the remedy."""


@dataclass(frozen=True)
class OriginalCheckpoint:
    """What a checkpoint of the authors holds.

    Attributes:
        path: The file.
        tensors: By their names, without the `module.` of DataParallel.
        facts: Of `arch`, `epoch` and `best_prec1` those that are there.
        holds_options: Whether the file pickles an `argparse.Namespace`, as the text models do.
    """

    path: Path
    tensors: dict[str, torch.Tensor]
    facts: dict[str, str | float]
    holds_options: bool = False

    def rows(self, layer: str) -> int:
        """Return the first size of a layer's weight, 0 where there is no such layer."""
        weight = self.tensors.get(f"{layer}.weight")
        return 0 if weight is None or not weight.ndim else weight.shape[0]


def read_original(path: str | Path) -> OriginalCheckpoint:
    """Read a checkpoint of the authors.

    Args:
        path: The file.

    Returns:
        Its tensors, on the CPU, as they are in the file.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is no checkpoint, is damaged, or asks for more than tensors and plain
            data; then nothing of it was run.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {what}; give the checkpoint file of the authors.")
    content, holds_options = _read(path)
    found = _named_tensors(content)
    if not found:
        raise CheckpointError(f"{path} holds {_described(content)}, and no tensors by name.")
    top = content if isinstance(content, Mapping) else {}
    values = {name: _plain(top.get(name)) for name in _FACTS}
    facts = {name: value for name, value in values.items() if value is not None}
    return OriginalCheckpoint(path, _without_prefix(found, path), facts, holds_options)


def check_tensors(checkpoint: OriginalCheckpoint, kind: str, sizes: Mapping[str, Any]) -> None:
    """Compare a checkpoint with the layout of its kind, tensor by tensor.

    Args:
        checkpoint: As read.
        kind: Its kind, for the message.
        sizes: What has to be there: `{name: shape}`, in the checkpoint's names. Counters of
            BatchNorm may be missing.

    Raises:
        CheckpointError: Tensors are missing, of another size or type, or have no place; the
            message names them.
    """
    tensors = checkpoint.tensors
    missing = [n for n in sizes if n not in tensors and not n.endswith(COUNTER)]
    other_size = [
        f"{name} {tuple(tensors[name].shape)}, needed {tuple(size)}"
        for name, size in sizes.items()
        if name in tensors and tensors[name].shape != tuple(size)
    ]
    other_type = [
        f"{name} ({str(tensor.dtype).removeprefix('torch.')})"
        for name, tensor in tensors.items()
        if not (name.endswith(COUNTER) or tensor.is_floating_point()) or tensor.is_sparse
    ]
    problems = [
        f"{what}: {', '.join(names[:8])}" + (f" and {len(names) - 8} more" * (len(names) > 8))
        for what, names in (
            ("missing", missing),
            ("of another size", other_size),
            ("that are not plain floats", other_type),
            ("without a place", [name for name in tensors if name not in sizes]),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{checkpoint.path} looks like a {kind} checkpoint and does not fit one. Tensors "
            f"{'; '.join(problems)}. Nothing is left out and nothing made up: give the authors' "
            "file as it is."
        )


def _read(path: Path) -> tuple[Any, bool]:
    """Content of the file, and whether reading it took a Namespace."""
    with path.open("rb") as file:
        is_safetensors = file.read(9)[8:] == b"{"  # after the length of its header
    try:
        if is_safetensors:
            return load_file(path), False
        try:
            with _allowed():
                return torch.load(path, map_location="cpu", weights_only=True), False
        except pickle.UnpicklingError as error:
            if _asked(error) != "argparse.Namespace":
                raise
        # It only holds values, and has no method that a pickle could call.
        with _allowed(argparse.Namespace):
            return torch.load(path, map_location="cpu", weights_only=True), True
    except pickle.UnpicklingError as error:
        if (asked := _asked(error)) is None:
            raise _damaged(path, error) from error
        raise CheckpointError(
            f"{path} asks for {asked}, which is more than tensors and plain data; nothing of it "
            "was run. Where you trust the file, open it with the code it came from and save its "
            "state_dict() alone."
        ) from error
    except (SafetensorError, *_DAMAGE) as error:
        raise _damaged(path, error) from error


@contextmanager
def _allowed(*classes: type) -> Iterator[None]:
    """Let `torch.load` make these classes, and none that some library has allowed before."""
    before = get_safe_globals()
    clear_safe_globals()
    add_safe_globals(list(classes))
    try:
        yield
    finally:
        clear_safe_globals()
        add_safe_globals(before)


def _asked(error: Exception) -> str | None:
    """What a refused pickle wanted to import; None where it was refused for something else."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return found and found[1]


def _damaged(path: Path, error: Exception) -> CheckpointError:
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    reason = text.splitlines()[0] if text else type(error).__name__
    if "weights_only" in reason:  # torch's advice is to run the file
        reason = "not what torch.save writes of tensors"
    return CheckpointError(
        f"{path} cannot be read as a checkpoint ({reason:.200}). It is cut off, damaged, or "
        "something else: copy or download it again."
    )


def _named_tensors(content: Any) -> Mapping[str, torch.Tensor]:
    """The tensors by name: the file's content, or the one entry of it that holds them."""

    def are_tensors(value: Any) -> bool:
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and isinstance(item, torch.Tensor) for name, item in value.items()
        )

    if not isinstance(content, Mapping):
        return {}
    if are_tensors(content):
        return content
    entries = {name: value for name, value in content.items() if value and are_tensors(value)}
    if len(entries) == 1 or "state_dict" in entries:
        return entries.get("state_dict") or next(iter(entries.values()))
    return {}


def _described(content: Any) -> str:
    """Say what is in a file that is no checkpoint."""
    if isinstance(content, Mapping):
        names = ", ".join(f"{name!r:.40}" for name in list(content)[:8])
        return f"a dict with {names or 'nothing in it'}"
    return f"one {type(content).__name__}"


def _without_prefix(tensors: Mapping[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """Take `module.` from all names; a file in which only some have it is none of the authors'."""
    with_prefix = [name for name in tensors if name.startswith(_PREFIX)]
    if with_prefix and len(with_prefix) < len(tensors):
        bare = next(name for name in tensors if not name.startswith(_PREFIX))
        raise CheckpointError(
            f"{path} mixes two networks: {with_prefix[0]} begins with {_PREFIX!r}, {bare} does "
            "not. Save one state_dict()."
        )
    return {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}


def _plain(value: Any) -> str | float | None:
    """A value that JSON can hold; `best_prec1` is a tensor in some files."""
    if isinstance(value, torch.Tensor):
        value = value.item() if value.numel() == 1 else None
    return value if isinstance(value, str | int | float) else None
