"""The trunk and its classifier as a plain timm model.

``timm.create_model("local-dir:OUT", pretrained=True)`` opens it and, once pushed, so does
``"hf-hub:REPO_ID"``. Stock transformers opens it too, and without any code of the folder: this is
the form in which the Hub's ``image-classification`` widget can run the model.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import ModelCardData
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from emotionnet_hf.export.model_folder import (
    ExportError,
    difference,
    load_model,
    load_processor,
    versions,
)
from emotionnet_hf.files import check_replaceable, whole_folder, write_json, write_text
from emotionnet_hf.lock import one_run
from emotionnet_hf.models import EmotionNetConfig, EmotionNetModel

_MARK = "timm.json"
# What timm's own description of an architecture says of it, and not of timm's weights for it.
_OF_ARCHITECTURE = ("first_conv", "classifier", "fixed_input_size", "min_input_size")


@dataclass(frozen=True)
class TimmExport:
    """What was written.

    Attributes:
        out: The folder.
        architecture: Name of the timm model.
        num_classes: Number of emotion keywords; 0 for a model without classifier.
        feature_size: Of the feature that the classifier reads (2048 for ResNet-50).
        largest_difference: Between features and logits of the two models on two random images,
            see ``difference``.
    """

    out: Path
    architecture: str
    num_classes: int
    feature_size: int
    largest_difference: float

    def summary(self) -> str:
        """Return the same for people, a line."""
        return (
            f"{self.architecture} with {self.num_classes} classes in {self.out}, "
            f"largest difference {self.largest_difference:.1e}: "
            f'timm.create_model("local-dir:{self.out}", pretrained=True)'
        )


def export_timm(
    source: str | Path, out: str | Path, *, overwrite: bool = False, tolerance: float = 1e-5
) -> TimmExport:
    """Write the trunk and the classifier of an EmotionNet as a timm model.

    The folder holds ``model.safetensors`` with timm's own names, ``config.json`` in timm's form,
    a README with what the Hub must know to show the widget, and ``timm.json`` with what was
    measured. The configuration has the emotion keywords as ``label_names`` and the resize, crop,
    mean and standard deviation of the image processor: ``timm.data.create_transform`` prepares
    images as our evaluation does, up to rounding of values. What timm has no place for stays
    behind: the projection into the joint space and the text tower.

    Args:
        source: Folder of an EmotionNet, or repository on the Hub.
        out: The folder to write, whole or not at all.
        overwrite: Replace an earlier export.
        tolerance: Largest ``difference`` allowed between our model and timm's, once opened again.

    Returns:
        What was written.

    Raises:
        FileNotFoundError: ``source`` holds no model.
        AnotherRunError: Another run writes ``out``.
        ExportError: The model is no EmotionNet, its trunk cannot be told apart from its classifier,
            the export computes something else, or ``out`` exists.
    """
    out = Path(out)
    with one_run(out):
        check_replaceable(out, _MARK, overwrite=overwrite, source=source, error=ExportError)
        model = load_model(source)
        if not isinstance(model.config, EmotionNetConfig):
            raise ExportError(f"{source} has no image trunk: it is a {type(model).__name__}.")
        processor, size = load_processor(source)
        trunk = _whole_trunk(model)
        with whole_folder(out) as folder:
            save_file(trunk.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
            write_json(folder / "config.json", _timm_config(model.config, trunk, processor, size))
            write_text(folder / "README.md", _card(trunk, source))
            apart = _measure(model, folder, size)
            if not apart <= tolerance:
                raise ExportError(
                    f"The timm model of {source} differs by {apart:.2e} from the model (tolerance "
                    f"{tolerance:.2e}); nothing was written."
                )
            architecture = trunk.pretrained_cfg["architecture"]
            result = TimmExport(
                out, architecture, trunk.num_classes, _tower(model).hidden_size, apart
            )
            write_json(folder / _MARK, _record(result, tolerance))
    return result


def _record(result: TimmExport, tolerance: float) -> dict[str, Any]:
    """Return the content of ``timm.json``."""
    values = {key: value for key, value in asdict(result).items() if key != "out"}
    return {**values, "tolerance": tolerance, "versions": versions()}


_CARD = """\
---
{metadata}
---

# {architecture}, the trunk of an EmotionNet

The image trunk{and_classifier} of `{source}`, an EmotionNet.

```python
import timm

model = timm.create_model("hf-hub:REPO_ID", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
logits = model(transform(image)[None])  # (1, {classes})
model.pretrained_cfg["label_names"]  # the classes
```

Written by `emotionnet export timm`. Put transparent pictures on white first. The
joint space of pictures and keywords stayed behind; the card of the EmotionNet that this comes from
has the training data, the numbers and the limits.

Its classes describe what pictures tend to make people feel. They do not read the mind of a person
in a picture; do not use them to judge people.
"""


def _card(trunk: Any, source: str | Path) -> str:
    """Return the README: the Hub takes library and task, and so the widget, from its head."""
    task = "image-classification" if trunk.num_classes else "image-feature-extraction"
    data = ModelCardData(library_name="timm", pipeline_tag=task, tags=["timm", "transformers"])
    return _CARD.format(
        metadata=data.to_yaml(),
        architecture=trunk.pretrained_cfg["architecture"],
        and_classifier=" and the classifier" if trunk.num_classes else "",
        source=_public_name(source),
        classes=trunk.num_classes or trunk.num_features,
    )


def _public_name(source: str | Path) -> str:
    """Name a model by its repository, or by its folder without the path of this machine."""
    return Path(source).resolve().name if Path(source).exists() else str(source)


def _tower(model: PreTrainedModel) -> EmotionNetModel:
    return model if isinstance(model, EmotionNetModel) else model.emotionnet


@torch.no_grad()
def _whole_trunk(model: PreTrainedModel) -> Any:
    """Return the timm model with our trunk, and our classifier in the place of its own."""
    config = model.config
    classifier = getattr(model, "classifier", None)
    trunk = timm.create_model(
        config.backbone,
        pretrained=False,
        num_classes=0 if classifier is None else config.num_labels,
        **(config.backbone_kwargs or {}),
    )
    state = _tower(model).backbone.state_dict()
    if classifier is not None:
        state |= _in_the_place_of(trunk, classifier, config.backbone)
    result = trunk.load_state_dict(state, strict=False)
    if result.missing_keys or result.unexpected_keys:
        raise ExportError(
            f"timm's {config.backbone} is another model with a classifier than without: tensors "
            f"{[*result.missing_keys, *result.unexpected_keys][:5]}."
        )
    return trunk.eval()


def _in_the_place_of(trunk: Any, classifier: nn.Linear, name: str) -> dict[str, torch.Tensor]:
    """Return weight and bias of our classifier under the names of timm's."""
    theirs = trunk.get_classifier()
    names = {id(tensor): key for key, tensor in trunk.named_parameters()}
    weight, bias = getattr(theirs, "weight", None), getattr(theirs, "bias", None)
    # A convolution of 1 x 1 pixel is a linear layer too.
    if weight is None or bias is None or weight.numel() != classifier.weight.numel():
        raise ExportError(f"timm's {name} has no single linear classifier to put ours into.")
    return {
        names[id(weight)]: classifier.weight.reshape(weight.shape),
        names[id(bias)]: classifier.bias,
    }


def _timm_config(
    config: EmotionNetConfig, trunk: Any, processor: Any, size: tuple[int, int]
) -> dict[str, Any]:
    """Return the ``config.json`` that timm reads.

    Not by timm's ``save_for_hf``: the file of version 1.0.31 repeats ``num_classes`` among
    ``model_args``, and then transformers does not open the folder. What timm says of its own
    weights (licence, tag, test sizes) is not said of ours.
    """
    theirs = trunk.pretrained_cfg
    value: dict[str, Any] = {
        "architecture": theirs["architecture"],
        "num_classes": trunk.num_classes,
        "num_features": trunk.num_features,
        "pretrained_cfg": {
            **{key: theirs[key] for key in _OF_ARCHITECTURE if theirs.get(key) is not None},
            **_preprocessing(processor, size),
            "num_classes": trunk.num_classes,
        },
    }
    if trunk.num_classes:
        value["label_names"] = [config.id2label[i] for i in range(config.num_labels)]
    if config.backbone_kwargs:
        value["model_args"] = dict(config.backbone_kwargs)
    return value


def _preprocessing(processor: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Return timm's words for what the image processor does."""
    edge, (height, width) = processor.size["shortest_edge"], size
    if not edge or height != width:
        raise ExportError(
            "timm shrinks pictures by the shorter side and crops a square; the image processor "
            f"does not: size {dict(processor.size)}, crop {height} x {width}."
        )
    return {
        "input_size": [3, height, width],
        "interpolation": Image.Resampling(int(processor.resample)).name.lower(),
        "crop_pct": _crop_share(height, edge),
        "crop_mode": "center",
        "mean": list(processor.image_mean),
        "std": list(processor.image_std),
    }


def _crop_share(crop: int, edge: int) -> float:
    """Return the share from which timm computes the same edge: it rounds ``crop / share`` down."""
    share = crop / edge
    return share if math.floor(crop / share) == edge else crop / (edge + 0.5)


@torch.inference_mode()
def _measure(model: PreTrainedModel, folder: Path, size: tuple[int, int]) -> float:
    """Open the folder with timm and compare features and logits on two random images."""
    theirs: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    classifier: Any = getattr(model, "classifier", None)
    features = _tower(model)(pixels, return_dict=True).pooler_output
    given = theirs.forward_head(theirs.forward_features(pixels), pre_logits=True)
    apart = difference(features, given)
    if classifier is not None:
        apart = max(apart, difference(classifier(features), theirs(pixels)))
    return apart
