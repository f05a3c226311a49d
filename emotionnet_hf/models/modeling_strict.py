"""What all our models share: strict loading, and losses that mean what they mean elsewhere.

This file travels with every checkpoint (``trust_remote_code``), so it imports only torch's world.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput


class CheckpointError(ValueError):
    """A checkpoint whose tensors do not fit the model that should hold them."""


class StrictPreTrainedModel(PreTrainedModel):
    """A ``PreTrainedModel`` that refuses checkpoints with missing or unknown tensors.

    Stock ``from_pretrained`` fills missing tensors with random numbers and only warns. A feature
    extractor that is partly random looks as if it works, so here that is an error. Heads of the
    same folder that a class does not use are listed in ``_keys_to_ignore_on_load_unexpected``.
    """

    # Our losses are means over the images they are given. The stock Trainer would otherwise take
    # the ``**kwargs`` of ``forward`` to mean that they are divided by ``num_items_in_batch``, and
    # scale them by accumulation steps and processes.
    accepts_loss_kwargs = False
    # Beginnings of names beside the trunk that no checkpoint may lack: they are never trained, so
    # that there is nothing to start anew.
    _never_anew: ClassVar[tuple[str, ...]] = ()

    def post_init(self) -> None:
        """Initialise the weights, and fix what is not trained."""
        super().post_init()
        self._fix()

    def _fix(self) -> None:
        """Let what is not trained have no gradient; loading makes it trainable again."""
        for module in self._fixed():
            module.requires_grad_(False)

    def _fixed(self) -> tuple[nn.Module, ...]:
        """Return the modules that are not trained."""
        return ()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint as ``PreTrainedModel.from_pretrained`` does, strictly.

        Args:
            pretrained_model_name_or_path: A folder or a repository on the Hub.
            *args: Passed on.
            **kwargs: Passed on; ``ignore_mismatched_sizes=True`` starts a head anew where its
                tensors are missing or of another size (fine-tuning on other labels); trunk and
                word vectors never. A ``state_dict`` has to be as whole as a checkpoint.

        Returns:
            The model, or ``(model, loading_info)`` with ``output_loading_info=True``.

        Raises:
            CheckpointError: A tensor is missing, unknown, of another size or unreadable; the
                message names it.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        new_head = kwargs.pop("ignore_mismatched_sizes", False)
        try:
            with _report(shown=new_head):
                # Other sizes are let through here, because _check_tensors names them.
                model, info = super().from_pretrained(
                    pretrained_model_name_or_path,
                    *args,
                    output_loading_info=True,
                    ignore_mismatched_sizes=True,
                    **kwargs,
                )
        except SafetensorError as error:
            raise CheckpointError(
                f"The weights in {str(pretrained_model_name_or_path)!r} cannot be read ({error}). "
                "The file is probably truncated: copy or download it again."
            ) from error
        given = kwargs.get("state_dict") is not None
        source = "the state_dict" if given else f"checkpoint {str(pretrained_model_name_or_path)!r}"
        cls._check_tensors(source, info, new_head)
        _align(model)
        model._fix()
        return (model, info) if wants_info else model

    @classmethod
    def _check_tensors(cls, source: str, info: dict[str, Any], new_head: bool) -> None:
        """Raise ``CheckpointError`` when a tensor is missing, does not fit or has no place."""

        def fixed(name: str) -> bool:
            # A head may be started anew on request; trunk and word vectors may not.
            whole = (f"{cls.base_model_prefix}.", *cls._never_anew)
            head = cls._has_heads() and not name.startswith(whole)
            return not (new_head and head)

        sizes = {
            name: f"{name} {tuple(there)}, needed {tuple(needed)}"
            for name, there, needed in info["mismatched_keys"]
        }
        missing = sorted(filter(fixed, {*info["missing_keys"]} - {*sizes}))
        other_size = [sizes[name] for name in sorted(filter(fixed, sizes))]
        problems = [
            f"{kind}: {', '.join(names[:8])}" + (f" and {len(names) - 8} more" * (len(names) > 8))
            for kind, names in (
                ("missing", missing),
                ("of another size", other_size),
                ("without a place", sorted(info["unexpected_keys"])),
            )
            if names
        ]
        if problems:
            raise CheckpointError(
                f"{source[0].upper()}{source[1:]} does not fit {cls.__name__}. Tensors "
                f"{'; '.join(problems)}. Use the folder that save_pretrained wrote, unchanged; "
                "to start a new head on a trunk, pass ignore_mismatched_sizes=True."
            )

    def label_loss(self, labels: torch.Tensor | None, logits: torch.Tensor) -> Any:
        """Compute the loss of a classifier, as transformers' own classifiers do.

        ``config.problem_type`` says which:

        - ``single_label_classification``: cross entropy on the softmax; class ids, int64, (B,).
        - ``multi_label_classification``: binary cross entropy, the mean over images and labels;
          float, (B, num_labels).
        - ``regression``: mean squared error; float, (B, num_labels), or (B,) for one label.
        - None: ``regression`` for one label, else ``single_label_classification`` for labels of
          whole numbers and ``multi_label_classification`` for others; it is then kept in
          ``config``.

        One thing more than there, where it is an error: with ``single_label_classification`` labels
        may be distributions, such as soft labels or votes, float, (B, num_labels); the loss is the
        cross entropy on the softmax, Eq. 2 of the paper without its 1/K. That is what our own
        training descends on, which computes its losses beside the model.

        Args:
            labels: As above, or None.
            logits: Float, (B, num_labels).

        Returns:
            A scalar, the mean over the batch; None without labels.
        """
        if labels is None:
            return None
        single = self.config.problem_type == "single_label_classification"
        if single and labels.is_floating_point():
            return F.cross_entropy(logits, labels.to(logits))
        return self.loss_function(labels, logits, self.config)

    @classmethod
    def _has_heads(cls) -> bool:
        """Whether the class holds its trunk under ``base_model_prefix``, with heads beside it."""
        return not cls.__name__.endswith("Model")


def start_anew(module: Any) -> None:
    """Initialise a layer as torch does, but for those of its tensors that a checkpoint gave.

    ``transformers`` marks what was loaded and guards the functions of ``torch.nn.init``.
    """
    if not all(getattr(p, "_is_hf_initialized", False) for p in module.parameters(recurse=False)):
        module.reset_parameters()


def as_asked(output: ModelOutput, return_dict: bool | None, config: PreTrainedConfig) -> Any:
    """Return the output, or its tuple where the caller or the configuration asks for one."""
    wants_dict = config.return_dict if return_dict is None else return_dict
    return output if wants_dict else output.to_tuple()


@contextmanager
def _report(shown: bool) -> Iterator[None]:
    """Keep transformers' table of tensors that do not fit back, where our error names them."""
    reporter = logging.getLogger(PreTrainedModel.__module__)

    def passes(record: logging.LogRecord) -> bool:
        return shown or "LOAD REPORT" not in record.getMessage()

    reporter.addFilter(passes)
    try:
        yield
    finally:
        reporter.removeFilter(passes)


def _align(model: PreTrainedModel) -> None:
    """Give each tensor memory of its own, where torch's kernels expect it.

    Loaded tensors are views into the mapped file, wherever in it they begin, and kernels for
    unaligned memory round differently: outputs would differ in the last bit from run to run.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()
