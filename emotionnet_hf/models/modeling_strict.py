"""Strict loading: a checkpoint that does not fit its model is an error, not a warning.

This file travels with every checkpoint (``trust_remote_code``), so it imports only torch's world.
"""

from __future__ import annotations

from typing import Any

from safetensors import SafetensorError
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

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint as ``PreTrainedModel.from_pretrained`` does, strictly.

        Args:
            pretrained_model_name_or_path: A folder or a repository on the Hub.
            *args: Passed on.
            **kwargs: Passed on; ``ignore_mismatched_sizes=True`` starts a head anew where its
                tensors are missing or of another size (fine-tuning on other labels).

        Returns:
            The model, or ``(model, loading_info)`` with ``output_loading_info=True``.

        Raises:
            CheckpointError: A tensor is missing, unknown, of another size or unreadable; the
                message names it.
        """
        wants_info = kwargs.pop("output_loading_info", False)
        new_head = kwargs.pop("ignore_mismatched_sizes", False)
        try:
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
        if kwargs.get("state_dict") is None:
            cls._check_tensors(pretrained_model_name_or_path, info, new_head)
        _align(model)
        return (model, info) if wants_info else model

    @classmethod
    def _check_tensors(cls, source: Any, info: dict[str, Any], new_head: bool) -> None:
        """Raise ``CheckpointError`` when a tensor is missing, does not fit or has no place."""

        def fixed(name: str) -> bool:
            # A head may be started anew on request; the trunk may not.
            head = cls._has_heads() and not name.startswith(f"{cls.base_model_prefix}.")
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
                f"The checkpoint {str(source)!r} does not fit {cls.__name__}. Tensors "
                f"{'; '.join(problems)}. Use the folder that save_pretrained wrote, unchanged; "
                "to start a new head on a trunk, pass ignore_mismatched_sizes=True."
            )

    @classmethod
    def _has_heads(cls) -> bool:
        """Whether the class holds its trunk under ``base_model_prefix``, with heads beside it."""
        return not cls.__name__.endswith("Model")


def as_asked(output: ModelOutput, return_dict: bool | None, config: PreTrainedConfig) -> Any:
    """Return the output, or its tuple where the caller or the configuration asks for one."""
    wants_dict = config.return_dict if return_dict is None else return_dict
    return output if wants_dict else output.to_tuple()


def _align(model: PreTrainedModel) -> None:
    """Give each tensor memory of its own, where torch's kernels expect it.

    Loaded tensors are views into the mapped file, wherever in it they begin, and kernels for
    unaligned memory round differently: outputs would differ in the last bit from run to run.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()
