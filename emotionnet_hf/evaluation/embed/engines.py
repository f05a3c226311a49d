"""A model made ready to run fast: by PyTorch as it is, in fewer bits, or by OpenVINO."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import BoundedSemaphore
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from emotionnet_hf.evaluation.embed.folding import fold
from emotionnet_hf.evaluation.embed.openvino_engine import openvino_engine
from emotionnet_hf.evaluation.embed.precision import (
    EngineError,
    Precision,
    check_bf16,
    has_vnni,
)
from emotionnet_hf.models.encoders import Encoder

# Two batches keep a GPU busy; one for each of many threads would not fit into its memory.
_ON_A_GPU = 2

Runtime = Literal["torch", "openvino"]

Engine = Callable[[torch.Tensor], dict[str, np.ndarray]]
"""From ``pixel_values``, float32 (B, 3, H, W), to float32 (B, D) for each space; in any thread."""


def open_engine(
    encoder: Encoder,
    *,
    precision: Precision = "fp32",
    runtime: Runtime = "torch",
    spaces: Sequence[str] = ("features",),
    calibration: torch.Tensor | None = None,
    threads: int = 1,
) -> Engine:
    """Make a model ready to run.

    With fp32 it computes what the model computes, to the last bits: batch normalisation is folded
    into the convolutions and pictures lie in memory channels last, which is faster on every CPU.

    Args:
        encoder: The model; it stays as it is.
        precision: ``fp32``; ``bf16``, where the hardware computes with it; or ``int8``, weights and
            activations of 8 bits with ranges taken from ``calibration``.
        runtime: ``torch``, or ``openvino`` (the extra of that name).
        spaces: Which of the encoder's spaces to give.
        calibration: ``pixel_values`` of typical pictures, (B, 3, H, W); needed for int8.
        threads: How many will call at a time.

    Returns:
        The engine.

    Raises:
        EngineError: This hardware, or this model, has no such precision or runtime.
        ImportError: The extra ``openvino`` is not installed.
    """
    if precision == "int8" and calibration is None:
        raise EngineError("int8 takes its ranges from pictures, and none were given")
    chosen = _Chosen(encoder.model, tuple(spaces)).eval()
    if runtime == "openvino":
        if encoder.device.type != "cpu":
            raise EngineError(f"openvino runs on the CPU, and the model is on {encoder.device}")
        return openvino_engine(chosen, encoder.size, precision, calibration, threads)
    return _torch_engine(chosen, encoder, precision, calibration)


class _Chosen(nn.Module):
    """Gives only the spaces that are asked for."""

    def __init__(self, model: nn.Module, spaces: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.spaces = spaces

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        given = self.model(pixel_values)
        return {name: given[name] for name in self.spaces}


def _torch_engine(
    model: nn.Module, encoder: Encoder, precision: Precision, calibration: torch.Tensor | None
) -> Engine:
    device, dtype = encoder.device, torch.float32
    folded = fold(model, torch.randn(1, 3, *encoder.size).to(device))
    if precision == "int8" and calibration is not None:
        ready = _quantized(folded, encoder, calibration)
    else:
        # Not the encoder's own weights: their layout and type are changed below.
        ready = copy.deepcopy(folded or model)
    if precision == "bf16":
        check_bf16(device)
        dtype = torch.bfloat16
    ready = ready.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    gate = _gate(device)

    @torch.inference_mode()
    def run(pixels: torch.Tensor) -> dict[str, np.ndarray]:
        with gate:
            pixels = pixels.to(device, dtype, memory_format=torch.channels_last)
            return {name: x.float().cpu().numpy() for name, x in ready(pixels).items()}

    return run


def _gate(device: torch.device) -> AbstractContextManager[Any]:
    """Let threads run the model: all of them on a CPU, few on a GPU."""
    return nullcontext() if device.type == "cpu" else BoundedSemaphore(_ON_A_GPU)


def _quantized(folded: nn.Module | None, encoder: Encoder, calibration: torch.Tensor) -> nn.Module:
    """Quantize a convolutional network with PyTorch's own kernels, after calibration.

    ``torch.ao.quantization`` is deprecated in favour of torchao, which needs a compiler at run
    time; it is what PyTorch itself still brings that runs int8 convolutions on any x86 CPU.
    """
    if folded is None or encoder.device.type != "cpu":
        raise EngineError(
            f"PyTorch alone quantizes convolutional networks on a CPU, and not {encoder.name} "
            f"({encoder.kind}, on {encoder.device}); take --runtime openvino, or another precision"
        )
    try:
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
    except ImportError as error:
        raise EngineError("this PyTorch has no int8; take --runtime openvino") from error
    if "onednn" not in torch.backends.quantized.supported_engines:
        raise EngineError("PyTorch's int8 needs an x86 CPU; take --runtime openvino")
    # The kernels of oneDNN are the fastest here. The ranges of "x86" are for activations of 7 bits:
    # sums of 8 bits would overflow without VNNI.
    ranges = "onednn" if has_vnni() else "x86"
    engine = torch.backends.quantized.engine
    torch.backends.quantized.engine = "onednn"
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")
            mapping = get_default_qconfig_mapping(ranges)
            prepared = prepare_fx(copy.deepcopy(folded), mapping, (calibration[:1],))
            for batch in calibration.split(8):
                prepared(batch)
            return convert_fx(prepared)
    finally:
        torch.backends.quantized.engine = engine
