"""Names of precisions, and where they can be had."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "int8"]


class EngineError(ValueError):
    """A precision or runtime that this hardware, or this model, does not have."""


def check_bf16(device: torch.device) -> None:
    """Refuse bf16 where it would be emulated, which is slower than fp32.

    Args:
        device: Where the model is.

    Raises:
        EngineError: The device does not compute with bf16.
    """
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has = torch.cpu._is_avx512_bf16_supported()
    if not has:
        raise EngineError(
            f"this {device.type.upper()} does not compute with bf16 (a CPU needs avx512_bf16 or "
            "AMX); take fp32 or int8"
        )


def has_vnni() -> bool:
    """Say whether this CPU sums products of 8 bits without overflow.

    Where it does not, PyTorch's int8 has to do with activations of 7 bits, so the features of the
    two kinds of CPU differ.
    """
    return bool(torch.cpu._is_vnni_supported())
