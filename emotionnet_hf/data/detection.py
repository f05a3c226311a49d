"""Detectors that count people and faces in a picture (Wei et al. 2020, section 3.2).

The paper used OpenPose, whose licence is for research only. People are counted by any object
detector of transformers, faces by one too or, by default, by dlib's detector of frontal faces,
which carries its weights in the package and works offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
from PIL import Image

PEOPLE_MODEL = "PekingU/rtdetr_r18vd"
"""Default detector of people: RT-DETR with a ResNet-18, trained on COCO, Apache-2.0."""


class DetectorError(ValueError):
    """A detector that cannot be used; the message says what to change or to install."""


class Detector(Protocol):
    """Counts one kind of thing in pictures."""

    def settings(self) -> dict[str, Any]:
        """Tell everything that decides its counts, as plain values."""

    def count(self, images: Sequence[Image.Image]) -> list[int]:
        """Count in each picture.

        Args:
            images: RGB pictures of any size, (height, width, 3) uint8.

        Returns:
            One count a picture.
        """


class ModelDetector:
    """An object detector of transformers, counting one of its labels.

    Args:
        model: Name on the Hub, or folder.
        label: What to count; upper and lower case are the same.
        threshold: Least score of a box, between 0 and 1.
        batch_size: Pictures of a forward pass.
        device: Such as "cuda:0" or "cpu"; None for a GPU where there is one.

    Raises:
        DetectorError: The model has no such label.
        OSError: There is no such model, or no network to fetch it.
    """

    def __init__(
        self,
        model: str,
        label: str,
        *,
        threshold: float = 0.5,
        batch_size: int = 8,
        device: str | None = None,
    ) -> None:
        from transformers import pipeline

        self.model, self.label, self.threshold = model, label.lower(), threshold
        self.pipeline: Any = pipeline(
            "object-detection", model=model, device=device, batch_size=batch_size
        )
        labels = list(self.pipeline.model.config.id2label.values())
        if self.label not in map(str.lower, labels):
            raise DetectorError(
                f"the detector {model} has no label {label!r}, only {', '.join(labels[:20])}"
                f"{', ...' if len(labels) > 20 else ''}; choose another detector"
            )

    def settings(self) -> dict[str, Any]:
        """Tell everything that decides the counts."""
        return {
            "model": self.model,
            "label": self.label,
            "threshold": self.threshold,
            "transformers": version("transformers"),
        }

    def count(self, images: Sequence[Image.Image]) -> list[int]:
        """Count the boxes of the label; see `Detector.count`."""
        found = self.pipeline(list(images), threshold=self.threshold)
        return [sum(box["label"].lower() == self.label for box in boxes) for boxes in found]


class FrontalFaces:
    """Faces that look at the camera, by dlib's detector (King 2009), in the extra `detect`.

    Histograms of oriented gradients and a linear classifier, no neural network: it sees faces of
    80 pixels and more, after one doubling of the picture of 40 and more, and few things that are
    none. Faces from the side, covered or turned are not counted, which is near what the paper
    calls a clear face.

    Args:
        threshold: Least score; 0 is dlib's own, more is stricter.
        doublings: How often the picture is doubled in size to see smaller faces.

    Raises:
        DetectorError: dlib is not installed.
    """

    def __init__(self, *, threshold: float = 0.0, doublings: int = 1) -> None:
        try:
            import dlib
        except ImportError as error:
            raise DetectorError(
                "counting faces without a model needs dlib: pip install 'emotionnet-hf[detect]', "
                "or name a detector with a label for faces"
            ) from error
        self.threshold, self.doublings = threshold, doublings
        self.version = str(dlib.__version__)
        self.detector: Any = dlib.get_frontal_face_detector()

    def settings(self) -> dict[str, Any]:
        """Tell everything that decides the counts."""
        return {
            "model": "dlib frontal faces",
            "threshold": self.threshold,
            "doublings": self.doublings,
            "dlib": self.version,
        }

    def count(self, images: Sequence[Image.Image]) -> list[int]:
        """Count the faces; see `Detector.count`."""
        return [
            len(self.detector.run(np.asarray(image), self.doublings, self.threshold)[0])
            for image in images
        ]
