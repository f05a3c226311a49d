"""Where the data of the paper's tables lie, and how to get what does not.

    DATA_ROOT/
        StockEmotion/      a release, a folder of pictures with metadata, or what `emotionnet build`
                           made of either; emotion_keywords.txt in it names its emotion keywords
        SE30K8/            a release, or what `emotionnet build` made of it
        DeepEmotion/  UnBiasedEmotion/  AffectNet/  EMOTIC/      as downloaded
        word_vectors.bin   or .txt, .kv: word2vec's; without it they are trained on the keywords
        models/            trained models to use instead of training: EmotionNet/model-0, ...; what
                           guided "+ Extra anno" is "TextCNN, 8 classes/model-0"
        README.txt         what the data are, where they are not what their names say; every table
                           quotes it

Names are found whatever their case.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STOCKEMOTION, SE30K8 = "StockEmotion", "SE30K8"

HOW_TO_GET = {
    STOCKEMOTION: (
        "ask the paper's authors for its files and fetch the pictures with `emotionnet "
        "fetch-images`, or use a folder of your own pictures with metadata.jsonl"
    ),
    SE30K8: "ask the paper's authors for its pickle; the pictures are among StockEmotion's",
    "DeepEmotion": "ask its authors (You et al., AAAI 2016) for the annotations and pictures",
    "UnBiasedEmotion": "download it from the page of its authors (Panda et al., ECCV 2018)",
    "AffectNet": "ask its authors (Mollahosseini et al. 2017) for access",
    "EMOTIC": "ask its authors (Kosti et al., CVPR 2017) for access",
}
"""How a data set can be had, by its name."""

_VECTORS = ("word_vectors.bin", "word_vectors.txt", "word_vectors.kv")


class MissingDataError(LookupError):
    """Data that a table needs and that are not there; the message says how to get them."""


@dataclass(frozen=True)
class DataRoot:
    """The folder that holds everything.

    Attributes:
        folder: It need not hold everything, or anything.
    """

    folder: Path

    def find(self, name: str) -> Path:
        """Find the folder of a data set.

        Args:
            name: The paper's; ``EMOTIC-B`` and ``EMOTIC-I`` share ``EMOTIC``.

        Returns:
            The folder.

        Raises:
            MissingDataError: It is not there.
        """
        name = name.partition("-")[0]
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if path.name.lower() == name.lower() and path.is_dir():
                return path
        raise MissingDataError(
            f"{name} is missing: {HOW_TO_GET[name]}; put it into {self.folder / name}"
        )

    @property
    def word_vectors(self) -> Path | None:
        """The word vectors, None where there are none."""
        return next((self.folder / n for n in _VECTORS if (self.folder / n).is_file()), None)

    @property
    def about(self) -> str | None:
        """What README.txt says, as one paragraph; None where there is none."""
        path = self.folder / "README.txt"
        return " ".join(path.read_text(encoding="utf-8").split()) if path.is_file() else None

    def trained(self, training: str, seed: int) -> Path | None:
        """Return a model that was trained elsewhere, None where there is none."""
        folder = self.folder / "models" / training / f"model-{seed}"
        return folder if (folder / "config.json").is_file() else None
