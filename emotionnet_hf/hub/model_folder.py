"""A model folder and the run that made it, checked before anything leaves this machine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.dynamic_module_utils import get_relative_imports

from emotionnet_hf.hub.privacy import check_publishable, publishable_json
from emotionnet_hf.hub.results import Measured, kept_metrics

TASKS = {"emotionnet": "image-classification", "textcnn": "text-classification"}

_INDEX = "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".joblib")
# What may be published: weights, what transformers reads, and exports of the model.
_TEXTS = (".json", ".py", ".txt", ".md")
_BINARIES = (".safetensors", ".onnx", ".onnx_data", ".onnx.data")


class ModelFolderError(ValueError):
    """A folder that is no whole model; the message says what is missing."""


class ModelFolderNotFoundError(ModelFolderError, FileNotFoundError):
    """There is no such folder, or no model in it."""


@dataclass(frozen=True)
class TrainingRun:
    """What a run folder says of its model.

    Attributes:
        arguments: The resolved arguments.
        environment: Versions and platform; empty where the file is missing.
        epoch: The epoch that was kept, if there was a validation split.
        metrics: Its validation metrics.
    """

    arguments: dict[str, Any]
    environment: dict[str, Any] = field(default_factory=dict)
    epoch: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    def measured(self, dataset: str) -> list[Measured]:
        """The validation metrics as numbers for a card."""
        how = f"best of {self.arguments.get('epochs')} epochs"
        return [
            Measured(dataset, "validation", name, value, protocol=how)
            for name, value in self.metrics.items()
        ]


@dataclass(frozen=True)
class ModelFolder:
    """A model that can be published.

    Attributes:
        folder: The folder with ``config.json``.
        config: Its content.
        parameters: Number of values in the weights.
        files: What is published, as paths inside the folder; without README.md.
        left_out: What is not.
        run: The run that made it, if it is known.
    """

    folder: Path
    config: dict[str, Any]
    parameters: int
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    run: TrainingRun | None

    @property
    def kind(self) -> str:
        """``emotionnet`` or ``textcnn``."""
        return str(self.config["model_type"])

    @property
    def task(self) -> str:
        """The stock pipeline that runs it."""
        return TASKS[self.kind]

    @property
    def labels(self) -> list[str]:
        """Names of the classes, in the order of the logits."""
        names = self.config.get("id2label", {})
        return [names[key] for key in sorted(names, key=int)]

    def contents(self) -> Iterator[tuple[str, Path | bytes]]:
        """Give what is published: paths in the repository, and files or cleaned content.

        Yields:
            Each file once.

        Raises:
            PrivateTextError: A file holds a token or a path of this machine.
        """
        for name in self.files:
            path = self.folder / name
            if not name.endswith(_TEXTS):
                yield name, path
                continue
            text = path.read_text(encoding="utf-8")
            cleaned = publishable_json(text) if name.endswith(".json") else text
            check_publishable(name, cleaned, [self.folder.parent])
            yield name, path if cleaned == text else cleaned.encode("utf-8")


def open_model(folder: str | Path) -> ModelFolder:
    """Check that a model is whole and find the run that made it.

    Args:
        folder: What ``save_pretrained`` wrote, or the run folder of a finished training.

    Returns:
        The model.

    Raises:
        ModelFolderNotFoundError: There is no model.
        ModelFolderError: A file is missing, truncated, or not one of ours.
    """
    folder = Path(folder)
    run = _find_run(folder)
    if not (folder / "config.json").is_file() and run == folder:
        folder = folder / "model"
    config = _config(folder, run)
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    _check_files(folder, config, names)
    files = tuple(n for n in names if n.endswith((*_TEXTS, *_BINARIES)) and n != "README.md")
    left_out = tuple(name for name in names if name not in files and name != "README.md")
    parameters = sum(map(_parameters, _weights(folder)))
    known = None if run is None else _read_run(run)
    return ModelFolder(folder, config, parameters, files, left_out, known)


def _find_run(folder: Path) -> Path | None:
    """The run folder: this one, or the one that this model is the result of."""
    places = [folder, folder.resolve().parent] if folder.resolve().name == "model" else [folder]
    return next((place for place in places if (place / "arguments.json").is_file()), None)


def _config(folder: Path, run: Path | None) -> dict[str, Any]:
    """Read the configuration and check that it is one of ours."""
    path = folder / "config.json"
    if not path.is_file():
        if run is not None:
            raise ModelFolderNotFoundError(
                f"The run in {run} has no model yet: let it finish (start it again and it goes on)."
            )
        raise ModelFolderNotFoundError(
            f"{folder} holds no model (there is no config.json): give a folder that "
            "save_pretrained wrote, or the run folder of a training."
        )
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if config.get("model_type") not in TASKS:
        raise ModelFolderError(
            f"{path} is of a {config.get('model_type')!r} model: cards are made for "
            f"{' and '.join(TASKS)}; push other models with their own push_to_hub."
        )
    return config


def _check_files(folder: Path, config: dict[str, Any], names: list[str]) -> None:
    """Check that what `from_pretrained` and `pipeline` need is there, and no pickle."""
    if pickles := [name for name in names if name.endswith(_PICKLES)]:
        raise ModelFolderError(
            f"{folder} holds {', '.join(pickles)}: such files can run code where they are loaded "
            "and are not published. Weights are safetensors; remove the others."
        )
    needed = {
        "the code for trust_remote_code": _code(folder, config),
        "the tokenizer": {"tokenizer.json", "tokenizer_config.json"},
    }
    if config["model_type"] == "emotionnet":
        needed["the image processor"] = {"preprocessor_config.json"}
    for what, files in needed.items():
        if missing := sorted(files - {*names}):
            raise ModelFolderError(
                f"{folder} lacks {what} ({', '.join(missing)}): save it there with its "
                "save_pretrained, so that the model opens without this package."
            )


def _code(folder: Path, config: dict[str, Any]) -> set[str]:
    """Files that the configuration names, and those that they import."""
    tasks = config.get("custom_pipelines", {}).values()
    places = [*config.get("auto_map", {}).values(), *(task["impl"] for task in tasks)]
    found: set[str] = set()
    new = {place.partition(".")[0] for place in places}
    while new:
        found |= {f"{name}.py" for name in new}
        paths = [folder / f"{name}.py" for name in new]
        imported = [get_relative_imports(path) for path in paths if path.is_file()]
        new = {name for names in imported for name in names if f"{name}.py" not in found}
    return found


def _weights(folder: Path) -> list[Path]:
    """The files of weights, none of them missing."""
    if (folder / _INDEX).is_file():
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        paths = [folder / name for name in sorted({*index["weight_map"].values()})]
    else:
        paths = [folder / "model.safetensors"]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise ModelFolderError(
            f"{folder} lacks weights ({', '.join(missing)}): save the model again with "
            "save_pretrained, which writes safetensors."
        )
    return paths


def _parameters(path: Path) -> int:
    """Count the values of a file; its header says how long it has to be."""
    try:
        with safe_open(path, framework="numpy") as weights:
            shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]
    except SafetensorError as error:
        raise ModelFolderError(
            f"{path} is no whole safetensors file ({error}): copy or save it again."
        ) from error
    return sum(math.prod(shape) for shape in shapes)


def _read_run(folder: Path) -> TrainingRun:
    """Read what a run folder says."""

    def read(name: str) -> Any:
        path = folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    arguments = read("arguments.json")
    path = folder / "metrics.jsonl"
    # What a kill cut short has no end of line.
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    kept = kept_metrics(map(json.loads, lines), arguments.get("select_on", "last"))
    epoch, metrics = kept or (None, {})
    return TrainingRun(arguments, read("environment.json"), epoch, metrics)
