"""Convolutions with their batch normalisation folded in: the same function in fewer steps."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

logger = logging.getLogger(__name__)

# Folding moves the last bits of float32 only; more than that means that tracing went wrong.
_TOLERANCE = 1e-4


class _Tracer(fx.Tracer):
    """Keeps batch normalisations whole, timm's with an activation inside too."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


def fold(model: nn.Module, example: torch.Tensor) -> nn.Module | None:
    """Fold every batch normalisation that follows a convolution into it.

    Args:
        model: From ``pixel_values`` to a dictionary of vectors, in evaluation mode; it stays as it
            is.
        example: ``pixel_values``, float32 (B, 3, H, W), on which the result is compared.

    Returns:
        A traced module that computes the same, to the last bits of float32; None for a model that
        cannot be traced, or whose trace computes something else.
    """
    try:
        traced = _traced(model)
    except Exception as error:  # tracing runs a model's code with stand-ins: anything can come
        logger.debug("%s cannot be traced: %s", type(model).__name__, error)
        return None
    with torch.inference_mode():
        expected, found = model(example), traced(example)
    for name, vectors in expected.items():
        apart = (found[name] - vectors).norm() / vectors.norm().clamp_min(1e-12)
        if not apart <= _TOLERANCE:
            logger.debug("the trace of %s differs by %.1e", type(model).__name__, apart)
            return None
    return traced


def _traced(model: nn.Module) -> fx.GraphModule:
    traced = fx.GraphModule(model, _Tracer().trace(model))
    modules: dict[str, Any] = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        norm = _called(node, modules)
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
            continue
        before: Any = node.args[0]
        convolution = _called(before, modules)
        if type(convolution) is not nn.Conv2d or len(before.users) > 1:
            continue
        traced.set_submodule(before.target, fuse_conv_bn_eval(convolution, norm))
        traced.set_submodule(node.target, _rest(norm))
    traced.graph.lint()
    traced.recompile()
    return traced


def _called(node: Any, modules: dict[str, Any]) -> nn.Module | None:
    called = isinstance(node, fx.Node) and node.op == "call_module"
    return modules.get(str(node.target)) if called else None


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What timm's batch normalisation does after normalising: its activation."""
    return nn.Sequential(*(getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)))
