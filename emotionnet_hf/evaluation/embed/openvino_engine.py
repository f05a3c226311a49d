"""The model run by OpenVINO: the fastest on a CPU, as an extra."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import torch
from torch import nn

from emotionnet_hf.evaluation.embed.precision import EngineError, Precision

_REPORTER = "openvino_telemetry"


def openvino_engine(
    model: nn.Module,
    size: tuple[int, int],
    precision: Precision,
    calibration: torch.Tensor | None,
    threads: int,
) -> Callable[[torch.Tensor], dict[str, np.ndarray]]:
    """Convert a model for OpenVINO and, for int8, quantize it with NNCF.

    Args:
        model: From ``pixel_values`` to ``{space: vectors}``, on the CPU.
        size: Height and width of the pictures.
        precision: See `open_engine`.
        calibration: See `open_engine`.
        threads: Streams, each of one thread.

    Returns:
        The engine, see `Engine`.

    Raises:
        EngineError: This CPU does not compute with bf16.
        ImportError: The extra ``openvino`` is not installed.
    """
    openvino, nncf = _installed()
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineError("this CPU does not compute with bf16; take --precision fp32 or int8")
    names, graph = _converted(openvino, model, size)
    if precision == "int8" and calibration is not None:
        graph = _quantized(nncf, graph, model, calibration)
    compiled = core.compile_model(
        graph,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        },
    )
    own = threading.local()

    def run(pixels: torch.Tensor) -> dict[str, np.ndarray]:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        own.request.infer([pixels.contiguous().numpy()])
        # Copied, because the request's memory is overwritten by the next batch.
        outputs = [own.request.get_output_tensor(i).data.copy() for i in range(len(names))]
        return dict(zip(names, outputs, strict=True))

    return run


def _installed() -> tuple[Any, Any]:
    """Import what the extra installs, or name the extra."""
    try:
        with _without_telemetry():
            import nncf
            import openvino
            import openvino.tools.ovc
    except ImportError as error:
        raise ImportError(
            f"The runtime openvino needs {error.name}: pip install 'emotionnet-hf[openvino]'."
        ) from error
    return openvino, nncf


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Keep both packages from reporting each use to their makers, which nobody was asked about.

    They look for their reporter when they are imported and do without where there is none.
    """
    before = sys.modules.get(_REPORTER)
    sys.modules[_REPORTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_REPORTER]
        if before is not None:
            sys.modules[_REPORTER] = before


class _Tuple(nn.Module):
    """Gives the spaces in their order, for a converter that knows no dictionaries."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.model(pixel_values).values())


def _converted(openvino: Any, model: nn.Module, size: tuple[int, int]) -> tuple[list[str], Any]:
    """Return the names of the spaces and the graph, for batches of any size."""
    example = torch.zeros(2, 3, *size)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        names = list(model(example))
        graph = openvino.convert_model(
            _Tuple(model).eval(), example_input=example, input=[-1, 3, *size]
        )
    return names, graph


def _quantized(nncf: Any, graph: Any, model: nn.Module, calibration: torch.Tensor) -> Any:
    nncf.set_log_level("ERROR")
    attention = any(isinstance(module, nn.LayerNorm) for module in model.modules())
    with redirect_stdout(StringIO()):  # it draws bars there, where results belong
        return nncf.quantize(
            graph,
            nncf.Dataset([picture[None].numpy() for picture in calibration]),
            subset_size=len(calibration),
            model_type=nncf.ModelType.TRANSFORMER if attention else None,
        )
