"""A model folder and the run that made it, checked before anything leaves this machine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.dynamic_module_utils import get_relative_imports

from emotionnet_hf.hub.json_file import read_json
from emotionnet_hf.hub.privacy import check_paths, check_publishable, publishable_json
from emotionnet_hf.hub.results import Measured, kept_metrics

TASKS = {"emotionnet": "image-classification", "textcnn": "text-classification"}
TIMM = "timm"
"""Kind of what ``emotionnet export timm`` wrote."""

_CONVERSION, _EXPORT = "conversion.json", "timm.json"
_INDEX = "model.safetensors.index.json"
# What transformers' Trainer leaves beside the weights that it trained.
_TRAINER = frozenset({"training_args.bin", "trainer_state.json"})
# The mark of a quickstart, whose pictures are drawn.
_QUICKSTART = "quickstart.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".joblib")
# What may be published: weights, what transformers reads, and exports of the model.
_TEXTS = (".json", ".py", ".txt", ".md")
# Their texts are words of a vocabulary, which may look like anything.
_TOKENIZER = frozenset(
    {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json"}
    | {"added_tokens.json"}
)
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
        drawn: Whether it was part of a quickstart, which draws its pictures and keyword lists.
    """

    arguments: dict[str, Any]
    environment: dict[str, Any] = field(default_factory=dict)
    epoch: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    drawn: bool = False

    def measured(self, dataset: str) -> list[Measured]:
        """The validation metrics as numbers for a card."""
        chosen = "last" if self.arguments.get("select_on", "last") == "last" else "best"
        how = f"{chosen} of {self.arguments.get('epochs')} epochs"
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
        tensors: Number of values of each tensor of the weights.
        files: What is published, as paths inside the folder; without README.md.
        left_out: What is not.
        run: The run that made it, if it is known.
        conversion: What ``emotionnet convert`` wrote down, if it made the model.
        export: What ``emotionnet export timm`` wrote down, if it made the model.
        trainer: Whether transformers' ``Trainer`` trained these weights last.
    """

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, int]
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    run: TrainingRun | None = None
    conversion: dict[str, Any] | None = None
    export: dict[str, Any] | None = None
    trainer: bool = False

    @property
    def pickles(self) -> tuple[str, ...]:
        """What is not published because it can run code where it is loaded."""
        return tuple(name for name in self.left_out if name.endswith(_PICKLES))

    @property
    def kind(self) -> str:
        """``emotionnet``, ``textcnn`` or ``timm``."""
        return str(self.config.get("model_type", TIMM))

    @property
    def parameters(self) -> int:
        """Number of values in the weights."""
        return sum(self.tensors.values())

    @property
    def task(self) -> str:
        """The stock pipeline that runs it."""
        if self.kind == "textcnn" or self.labels:
            return TASKS.get(self.kind, TASKS["emotionnet"])
        return "image-feature-extraction"

    @property
    def labels(self) -> list[str]:
        """Names of the classes, in the order of the logits."""
        if self.kind == TIMM:
            return list(self.config.get("label_names", []))
        if self.kind == "emotionnet" and not self.has("classifier"):
            return []
        names = self.config.get("id2label", {})
        return [names[key] for key in sorted(names, key=int)]

    def has(self, part: str) -> bool:
        """Whether the weights have a part, such as ``text_tower``, with values in it."""
        return _has(self.tensors, part)

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
            if name.rpartition("/")[2] not in _TOKENIZER and not name.endswith(".py"):
                check_paths(name, json.loads(cleaned) if name.endswith(".json") else cleaned)
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
    tensors: dict[str, int] = {}
    for path in _weights(folder):
        tensors |= _sizes(path)
    _check_files(folder, config, names, tensors)
    # What the Trainer notes of itself is no part of the model, and has paths of its machine.
    passed = {"README.md", *_TRAINER}
    files = tuple(n for n in names if n.endswith((*_TEXTS, *_BINARIES)) and n not in passed)
    left_out = tuple(name for name in names if name not in files and name != "README.md")
    if _TRAINER & {*names}:
        # Whatever else lies here tells of the weights that it began with.
        return ModelFolder(folder, config, tensors, files, left_out, trainer=True)
    records = _conversion(folder), _record(folder, _EXPORT)
    known = None if run is None or any(r is not None for r in records) else _read_run(run)
    return ModelFolder(folder, config, tensors, files, left_out, known, *records)


def _conversion(folder: Path) -> dict[str, Any] | None:
    """What a conversion wrote down here; its auxiliary classifier lies in a folder below."""
    above = folder.resolve()
    places = [folder, above.parent] if above.name == "auxiliary" else [folder]
    found = (_record(place, _CONVERSION) for place in places)
    return next((record for record in found if record is not None), None)


def _record(folder: Path, name: str) -> dict[str, Any] | None:
    path = folder / name
    return read_json(path, ModelFolderError) if path.is_file() else None


def _has(tensors: Mapping[str, int], part: str) -> bool:
    # A model without joint space has a projection of no rows.
    return any(size > 0 and part in name.split(".") for name, size in tensors.items())


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
    config = read_json(path, ModelFolderError)
    # timm's own form; what else looks like it may be anybody's model.
    if {"pretrained_cfg", "model_type"} & {*config} == {"pretrained_cfg"} and (
        folder / _EXPORT
    ).is_file():
        return config
    if config.get("model_type") not in TASKS:
        raise ModelFolderError(
            f"{path} is of a {config.get('model_type')!r} model: cards are made for "
            f"{' and '.join(TASKS)}; push other models with their own push_to_hub."
        )
    return config


def _check_files(
    folder: Path, config: dict[str, Any], names: list[str], tensors: dict[str, int]
) -> None:
    """Check that what `from_pretrained` and `pipeline` need is there."""
    configs = [config]
    if (path := folder / "preprocessor_config.json").is_file():
        configs.append(read_json(path, ModelFolderError))
    needed = {"the code for trust_remote_code": _code(folder, configs)}
    kind = config.get("model_type")
    # Without word vectors there is nothing that a word could be looked up in.
    if kind == "textcnn" or (kind == "emotionnet" and _has(tensors, "text_tower")):
        needed["the tokenizer"] = {"tokenizer.json", "tokenizer_config.json"}
    if kind == "emotionnet":
        needed["the image processor"] = {"preprocessor_config.json"}
    for what, files in needed.items():
        if missing := sorted(files - {*names}):
            raise ModelFolderError(
                f"{folder} lacks {what} ({', '.join(missing)}): save it there with its "
                "save_pretrained, so that the model opens without this package."
            )


def _code(folder: Path, configs: list[dict[str, Any]]) -> set[str]:
    """Files that the configurations name, and those that they import."""
    tasks = [task for config in configs for task in config.get("custom_pipelines", {}).values()]
    maps = [config.get("auto_map", {}) for config in configs]
    places = [*(p for each in maps for p in each.values()), *(task["impl"] for task in tasks)]
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
        index = read_json(folder / _INDEX, ModelFolderError)
        paths = [folder / name for name in sorted({*index.get("weight_map", {}).values()})]
    else:
        paths = [folder / "model.safetensors"]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise ModelFolderError(
            f"{folder} lacks weights ({', '.join(missing)}): save the model again with "
            "save_pretrained, which writes safetensors."
        )
    return paths


def _sizes(path: Path) -> dict[str, int]:
    """Count the values of a file's tensors; its header says how long it has to be."""
    try:
        with safe_open(path, framework="numpy") as weights:
            shapes = {name: weights.get_slice(name).get_shape() for name in weights.keys()}
    except SafetensorError as error:
        raise ModelFolderError(
            f"{path} is no whole safetensors file ({error}): copy or save it again."
        ) from error
    return {name: math.prod(shape) for name, shape in shapes.items()}


def _read_run(folder: Path) -> TrainingRun:
    """Read what a run folder says."""
    arguments = _record(folder, "arguments.json") or {}
    path = folder / "metrics.jsonl"
    # What a kill cut short has no end of line.
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    try:
        records = [json.loads(line) for line in lines]
    except ValueError as error:
        raise ModelFolderError(
            f"{path} has a damaged line ({error}): copy the run folder again."
        ) from error
    kept = kept_metrics(records, arguments.get("select_on", "last"))
    epoch, metrics = kept or (None, {})
    environment = _record(folder, "environment.json") or {}
    drawn = (folder.resolve().parent / _QUICKSTART).is_file()
    return TrainingRun(arguments, environment, epoch, metrics, drawn)
