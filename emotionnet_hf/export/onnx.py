"""ONNX: the image tower, the text tower and TextCNN for runtimes without PyTorch.

The graphs come from PyTorch's own exporter. ``optimum`` is not asked: its newest release
(optimum-onnx 0.1) wants transformers below 4.58, our checkpoints are of transformers 5.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim
from tqdm.auto import tqdm
from transformers import AutoTokenizer, PreTrainedModel

from emotionnet_hf.export.model_folder import (
    ExportError,
    difference,
    load_model,
    load_processor,
    versions,
)
from emotionnet_hf.files import check_replaceable, whole_folder, write_json
from emotionnet_hf.lock import one_run
from emotionnet_hf.models import EmotionNetModel, TextCNNForSequenceClassification

_MARK = "onnx.json"
_BATCH_SIZES = (1, 3)
# A protobuf file ends at 2 GiB; larger weights go into a second file beside it.
_ONE_FILE = 1.5 * 2**30


@dataclass(frozen=True)
class OnnxFile:
    """One graph.

    Attributes:
        inputs: Shapes by name; a name in the place of a number is a size that may change.
        outputs: The same.
        bytes: Size of the file, weights in a second file included.
        largest_difference: Between the outputs of ONNX Runtime and PyTorch on random input, in
            batches of 1 and 3, see ``difference``.
    """

    inputs: dict[str, list[int | str]]
    outputs: dict[str, list[int | str]]
    bytes: int
    largest_difference: float


@dataclass(frozen=True)
class OnnxExport:
    """What was written.

    Attributes:
        out: The folder.
        files: Its graphs, by name of the file.
    """

    out: Path
    files: dict[str, OnnxFile]

    def summary(self) -> str:
        """Return the same for people, a line a graph, and what there is none of."""
        lines = [
            f"{self.out / name}: {', '.join(file.inputs)} -> {', '.join(file.outputs)}, "
            f"{file.bytes / 1e6:.1f} MB, largest difference {file.largest_difference:.1e}"
            for name, file in self.files.items()
        ]
        if "text.onnx" not in self.files:
            lines.append("There is no text.onnx: the model has no text tower.")
        return "\n".join(lines)


def export_onnx(
    source: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    tolerance: float = 1e-4,
    progress: bool = True,
) -> OnnxExport:
    """Write the towers of a model as ONNX graphs, run them, and compare with PyTorch.

    An EmotionNet becomes ``image.onnx`` (``pixel_values`` (B, 3, H, W) float32, H and W those of
    the image processor -> ``pooler_output``, with a joint space ``image_embeds``, with a classifier
    ``logits``) and, with a text tower, ``text.onnx`` (``input_ids``, ``attention_mask`` (B, L)
    int64 -> ``text_embeds``). A TextCNN becomes ``text.onnx`` (the same inputs -> ``logits``,
    ``pooler_output``). Beside them lie the files of the image processor and the tokenizer, and
    ``onnx.json`` with the labels, the shapes, the sizes and what was measured.

    Args:
        source: Folder of an EmotionNet or TextCNN, or repository on the Hub.
        out: The folder to write, whole or not at all.
        overwrite: Replace an earlier export.
        tolerance: Largest ``difference`` allowed between ONNX Runtime and PyTorch.
        progress: Show a bar.

    Returns:
        What was written.

    Raises:
        ImportError: The extra ``onnx`` is not installed.
        FileNotFoundError: ``source`` holds no model.
        AnotherRunError: Another run writes ``out``.
        ExportError: Another kind of model, a graph that computes something else, or ``out`` exists.
    """
    _check_installed()
    out = Path(out)
    with one_run(out):
        check_replaceable(out, _MARK, overwrite=overwrite, source=source, error=ExportError)
        model = load_model(source)
        files: dict[str, OnnxFile] = {}
        with whole_folder(out) as folder:
            parts = list(_parts(model, source, folder))
            for part in tqdm(parts, desc="exporting", disable=not progress):
                _write(part, folder / part.file)
                files[part.file] = _check(part, folder / part.file, tolerance)
            write_json(folder / _MARK, _record(model, files, tolerance))
    return OnnxExport(out, files)


def _check_installed() -> None:
    """Name the extra where one of its packages is missing."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"ONNX export needs {error.name}: pip install 'emotionnet-hf[onnx]'."
        ) from error


@dataclass(frozen=True)
class _Part:
    """A module to export.

    Attributes:
        file: Name of the file.
        module: From the inputs, in their order, to the outputs, in theirs.
        outputs: Names.
        size: Height and width of images; None for keywords.
        vocabulary: Number of keyword ids, where the inputs are keywords.
    """

    file: str
    module: nn.Module
    outputs: tuple[str, ...]
    size: tuple[int, int] | None = None
    vocabulary: int = 0

    def example(self, batch: int) -> dict[str, torch.Tensor]:
        """Return random input; lists of keywords are padded, and one of them is empty."""
        chance = torch.Generator().manual_seed(batch)
        if self.size is not None:
            return {"pixel_values": torch.randn(batch, 3, *self.size, generator=chance)}
        length = 2 + batch
        ids = torch.randint(self.vocabulary, (batch, length), generator=chance)
        mask = (torch.arange(length) < length - 2 * torch.arange(batch)[:, None]).long()
        return {"input_ids": ids * mask, "attention_mask": mask}

    def dynamic(self) -> dict[str, dict[int, Any]]:
        """Return which sizes of the inputs may change, and their names."""
        if self.size is not None:
            return {"pixel_values": {0: Dim("batch")}}
        sizes = {0: Dim("batch"), 1: Dim("length")}
        return {"input_ids": sizes, "attention_mask": sizes}


class _ImageTower(nn.Module):
    """Features and, where the model has them, joint space and logits of images.

    Attributes:
        outputs: Their names. A converted model may have a joint space of size 0.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.tower = model if isinstance(model, EmotionNetModel) else model.emotionnet
        self.classifier = getattr(model, "classifier", None)
        joint = ["image_embeds"] if model.config.projection_dim else []
        logits = ["logits"] if self.classifier is not None else []
        self.outputs = ("pooler_output", *joint, *logits)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        image = self.tower(pixel_values, return_dict=True)
        given = {"pooler_output": image.pooler_output, "image_embeds": image.image_embeds}
        if self.classifier is not None:
            given["logits"] = self.classifier(image.pooler_output)
        return tuple(given[name] for name in self.outputs)


class _TextTower(nn.Module):
    """Keyword lists in the joint space."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.tower = model.text_tower

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        return (self.tower(input_ids, attention_mask),)


class _TextCNN(nn.Module):
    """Logits and representation of keyword lists."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        output = self.model(input_ids, attention_mask, return_dict=True)
        return output.logits, output.pooler_output


def _parts(model: PreTrainedModel, source: str | Path, folder: Path) -> Iterator[_Part]:
    """Yield what there is to export, and save the processor or tokenizer that goes with it."""
    words = getattr(model.config, "vocab_size", 0)
    if isinstance(model, TextCNNForSequenceClassification):
        yield _Part("text.onnx", _TextCNN(model), ("logits", "pooler_output"), vocabulary=words)
    else:
        processor, size = load_processor(source)
        processor.save_pretrained(folder)
        tower = _ImageTower(model)
        yield _Part("image.onnx", tower, tower.outputs, size=size)
        if not hasattr(model, "text_tower") or not model.config.projection_dim:
            return
        yield _Part("text.onnx", _TextTower(model), ("text_embeds",), vocabulary=words)
    AutoTokenizer.from_pretrained(source, trust_remote_code=False).save_pretrained(folder)


def _write(part: _Part, path: Path) -> None:
    """Write the graph of a part, traced with a batch of two."""
    example = part.example(2)
    with _quiet(), torch.no_grad():
        try:
            program: Any = torch.onnx.export(
                part.module.eval(),
                kwargs=example,
                input_names=list(example),
                output_names=list(part.outputs),
                dynamic_shapes=part.dynamic(),
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ExportError(
                f"PyTorch cannot turn this model into {path.name}: {error.__cause__ or error}"
            ) from error
        # The exporter notes beside each node where in whose files it comes from.
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()
        weights = sum(tensor.nbytes for tensor in part.module.state_dict().values())
        program.save(path, external_data=weights > _ONE_FILE)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hush the exporter, which tells of its insides: what it tries, renames and folds."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _check(part: _Part, path: Path, tolerance: float) -> OnnxFile:
    """Run a graph and compare it with PyTorch; raise where they differ."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    apart = 0.0
    for batch in _BATCH_SIZES:
        example = part.example(batch)
        given = session.run(
            list(part.outputs), {name: value.numpy() for name, value in example.items()}
        )
        with torch.inference_mode():
            expected = part.module(**example)
        for ours, theirs in zip(expected, given, strict=True):
            apart = max(apart, difference(ours, torch.from_numpy(theirs)))
    if not apart <= tolerance:
        raise ExportError(
            f"{path.name} differs by {apart:.2e} from the model (tolerance {tolerance:.2e}); "
            "nothing was written."
        )
    return OnnxFile(
        inputs={value.name: list(value.shape) for value in session.get_inputs()},
        outputs={value.name: list(value.shape) for value in session.get_outputs()},
        bytes=sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")),
        largest_difference=apart,
    )


def _record(model: PreTrainedModel, files: dict[str, OnnxFile], tolerance: float) -> dict[str, Any]:
    """Return the content of ``onnx.json``."""
    import onnxruntime

    config = model.config
    return {
        "model": type(model).__name__,
        "labels": [config.id2label[i] for i in range(config.num_labels)],
        "files": {name: asdict(file) for name, file in files.items()},
        "measured": {"batch_sizes": list(_BATCH_SIZES), "tolerance": tolerance},
        "versions": {**versions(), "onnxruntime": onnxruntime.__version__},
    }
