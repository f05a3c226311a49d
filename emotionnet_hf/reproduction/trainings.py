"""The trainings behind the tables: which recipe, on which configuration, by which text models."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from accelerate.utils import set_seed
from datasets import get_dataset_config_names

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.load import is_built
from emotionnet_hf.data.release_sources import open_source
from emotionnet_hf.evaluation.linear_probe.arguments import PROTOCOLS
from emotionnet_hf.files import whole_folder, write_json
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.release import find_pickles
from emotionnet_hf.models import EmotionNetConfig, EmotionNetModel, build_image_processor
from emotionnet_hf.models.backbones import load_backbone
from emotionnet_hf.reproduction.data_root import (
    HOW_TO_GET,
    SE30K8,
    STOCKEMOTION,
    DataRoot,
    MissingDataError,
)
from emotionnet_hf.training import (
    EmotionNetArguments,
    RecipeError,
    TextCNNArguments,
    parse_recipe,
    train_emotionnet,
    train_textcnn,
)
from emotionnet_hf.training.pseudo_labels import write_pseudo_labels

logger = logging.getLogger(__name__)

EMOTIONNET, EXTRA = "EmotionNet", "+ Extra anno"
NEITHER = "- Embed & Soft"
TEXT_MODEL_8 = "TextCNN, 8 classes"
"""The text model of section 5.3, which has its table too."""

EIGHT, THIRTY_THOUSAND = "8 categories", "30K categories"
SHARES = {f"{percent} % of StockEmotion": percent for percent in (10, 25, 50, 75)}

RECIPES: Mapping[str, str] = {
    EMOTIONNET: "paper_resnet50",
    EXTRA: "table3_extra_annotation",
    "- Soft loss": "table3_no_soft_labels",
    "- Embed loss": "table3_no_embedding_loss",
    NEITHER: "table3_neither",
    EIGHT: "table4_basic8",
    THIRTY_THOUSAND: "table4_all_keywords",
    **{name: f"table5_subset_{percent}" for name, percent in SHARES.items()},
}
"""Training, by its row in the paper's tables -> its recipe. 690 categories (Table 4) and 100 % of
the images (Table 5) are "- Embed & Soft", as the paper's numbers say."""

UNTRAINED = "untrained"
"""As `Scale.baseline`: the trunk of the recipe before its training."""

# A keyword on fewer images than that teaches nothing of itself.
_LEAST_IMAGES = 2
_TEXT = ("paper_textcnn", "se30k8_textcnn")
_SECTIONS = ("emotionnet", "textcnn", "se30k8_textcnn", "build")

Arguments = TypeVar("Arguments", EmotionNetArguments, TextCNNArguments)


@dataclass(frozen=True)
class Scale:
    """How large everything is: what differs from the paper's recipes.

    Attributes:
        name: What the results say of it.
        changes: By section (``emotionnet``, ``textcnn``, ``se30k8_textcnn``, ``build``), names and
            values that override the recipes', as on their command lines.
        baseline: What the paper's ImageNet ResNet-50 is, as `open_encoder` takes it, or
            `UNTRAINED`, at the recipe's image size.
        protocol: Of linear evaluation.
    """

    name: str = "paper"
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baseline: str = "timm:resnet50.tv_in1k"
    protocol: Literal["fast", "published"] = "published"

    @classmethod
    def read(cls, path: Path) -> Scale:
        """Read a YAML file of these fields, the sections of ``changes`` at its top level.

        Raises:
            RecipeError: It is no such file.
        """
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise RecipeError(f"{path} is not YAML: {error}") from error
        if not isinstance(values, dict):
            raise RecipeError(f"{path} must hold names and values, one 'name: value' a line.")
        fields = {key: values.pop(key) for key in ("baseline", "protocol") if key in values}
        if unknown := sorted(set(values) - set(_SECTIONS)):
            raise RecipeError(f"{path}: unknown {unknown}; known: {', '.join(_SECTIONS)}.")
        if wrong := [name for name, section in values.items() if not isinstance(section, dict)]:
            raise RecipeError(f"{path}: {wrong[0]} must hold names and values.")
        if (protocol := fields.get("protocol", "published")) not in PROTOCOLS:
            raise RecipeError(f"{path}: protocol is {protocol!r}, not one of {list(PROTOCOLS)}.")
        return cls(name=path.stem, changes=values, **fields)


@dataclass(frozen=True)
class Trainings:
    """Data sets and models, made where they are not there yet; a killed call goes on.

    Attributes:
        root: The data.
        work: Folder for what is made.
        recipes: Folder of the recipes.
        scale: What differs from them.
        progress: Show progress bars.
    """

    root: DataRoot
    work: Path
    recipes: Path
    scale: Scale
    progress: bool = True

    def check_work(self) -> None:
        """Refuse a folder where something else was reproduced: its models would be taken for ours.

        Raises:
            RecipeError: ``work`` holds runs of other data, another scale or other recipes.
        """
        recipes = {name: self.recipes / f"{name}.yaml" for name in (*RECIPES.values(), *_TEXT)}
        settings = {
            "data_root": str(self.root.folder.resolve()),
            **dataclasses.asdict(self.scale),
            "recipes": {
                name: yaml.safe_load(path.read_text(encoding="utf-8"))
                for name, path in recipes.items()
                if path.is_file()
            },
        }
        path = self.work / "settings.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if other := [
            name for name in settings if before.get(name, settings[name]) != settings[name]
        ]:
            raise RecipeError(
                f"{self.work} holds a reproduction of another {', '.join(other)} (see {path}): "
                "choose another folder for --work."
            )
        write_json(path, settings)

    def se30k8(self) -> Path:
        """Return the built SE30K8."""
        source, out = self.root.find(SE30K8), self.work / "se30k8"
        if built := next((folder for folder in (source, out) if is_built(folder)), None):
            return built
        if not find_pickles(source):
            raise MissingDataError(
                f"{source} has no pickle with the annotations of SE30K8: {HOW_TO_GET[SE30K8]}"
            )
        return self._build(source, out)

    def stockemotion(self) -> Path:
        """Return the built StockEmotion, with everything that tables train on."""
        source = self.root.find(STOCKEMOTION)
        if is_built(source):
            return source
        out, labels = self.work / "stockemotion", self._labels(source)
        if is_built(out) and (labels is None or "basic8" in open_built(out).features):
            return out
        # An earlier build, before there was SE30K8, has the same images in the same splits.
        options: dict[str, Any] = {"subsets": True, "basic8": labels, "overwrite": True}
        if not open_source(source).all_keywords:
            options["all_keywords"] = _LEAST_IMAGES
        names = sorted(source.glob("emotion_keywords.*"))
        if names:
            options["emotions"] = Vocabulary.from_file(names[0])
        options |= self.scale.changes.get("build", {})
        return self._build(source, out, **options)

    def _build(self, source: Path, out: Path, **options: Any) -> Path:
        build_dataset(source, out, progress=self.progress, **options)
        return out

    def _labels(self, source: Path) -> Path | None:
        try:
            return self.pseudo_labels(source)
        except MissingDataError:
            logger.info("no SE30K8, so no pseudo-labels: the rows that need them will say so")
            return None

    def pseudo_labels(self, source: Path) -> Path:
        """Return the pseudo-labels of StockEmotion's images (Table 4)."""
        out = self.work / "basic8.parquet"
        if not out.is_file():
            write_pseudo_labels(source, self.text_model_8(), out, progress=self.progress)
        return out

    def text_model_8(self) -> Path:
        """Return the TextCNN from keywords to SE30K8's eight classes (section 5.3).

        Raises:
            MissingDataError: There is no SE30K8.
        """
        if trained := self.root.trained(TEXT_MODEL_8, 0):
            return trained
        out = self.work / "se30k8_textcnn"
        if model := _finished(out):
            # A run may have been killed before its last step, which measures the test split.
            measured = (out / "results.json").is_file()
            if measured or "test" not in open_built(self.se30k8()).files:
                return model
        arguments = ("se30k8_textcnn", "se30k8_textcnn")
        return train_textcnn(
            self._recipe(TextCNNArguments, *arguments, data=self.se30k8(), output_dir=out)
        )

    def guide(self, name: str, seed: int) -> Path:
        """Return the text model that guided an EmotionNet (Table 6).

        Args:
            name: Of the EmotionNet, a key of `RECIPES`.
            seed: Of its training.

        Raises:
            MissingDataError: The EmotionNet was trained elsewhere, and its guide is not given; ours
                has another space. Or there is no SE30K8.
        """
        if (given := self.root.trained(name, seed)) and not self.root.trained(TEXT_MODEL_8, 0):
            raise MissingDataError(
                f"{given} was guided by a text model of its own: put that into "
                f"{self.root.folder / 'models' / TEXT_MODEL_8 / 'model-0'}"
            )
        return self.text_model_8()

    def text_model(self, seed: int) -> Path:
        """Return the TextCNN from keywords to emotion keywords."""
        out = self.work / f"textcnn-{seed}"
        if model := _finished(out):
            return model
        where = {"data": self.stockemotion(), "output_dir": out, "seed": seed}
        return train_textcnn(self._recipe(TextCNNArguments, "paper_textcnn", "textcnn", **where))

    def model(self, name: str, seed: int) -> Path:
        """Return an EmotionNet.

        Args:
            name: A key of `RECIPES`.
            seed: Of the training, and of its TextCNN.

        Returns:
            The model's folder.

        Raises:
            MissingDataError: What it learns from is not there.
        """
        out = self.work / "runs" / f"{RECIPES[name]}-{seed}"
        if trained := self.root.trained(name, seed) or _finished(out):
            return trained
        more: dict[str, Any] = {}
        if name == EXTRA:
            more["auxiliary_text_model"] = self.text_model_8()
        arguments = self._recipe(
            EmotionNetArguments,
            RECIPES[name],
            "emotionnet",
            data=self.stockemotion(),
            text_model=self.text_model(seed),
            output_dir=out,
            seed=seed,
            **more,
        )
        self._check_configuration(arguments)
        return train_emotionnet(arguments)

    def baseline(self) -> str:
        """Return the model that the paper calls ResNet-50: ImageNet's features."""
        if self.scale.baseline != UNTRAINED:
            return self.scale.baseline
        folder = self.work / "untrained"
        if not folder.is_dir():
            arguments = self._recipe(
                EmotionNetArguments,
                RECIPES[EMOTIONNET],
                "emotionnet",
                **dict.fromkeys(("data", "text_model", "output_dir"), "none"),
            )
            set_seed(0)
            model = EmotionNetModel(EmotionNetConfig(backbone=arguments.backbone, projection_dim=0))
            load_backbone(model.backbone, arguments.backbone, arguments.backbone_weights)
            with whole_folder(folder) as unfinished:
                model.save_pretrained(unfinished)
                processor = build_image_processor(arguments.backbone, arguments.image_size)
                processor.save_pretrained(unfinished)
        return str(folder)

    def _check_configuration(self, arguments: EmotionNetArguments) -> None:
        """Say what a built folder of the user's own lacks."""
        there = get_dataset_config_names(arguments.data)
        if arguments.config is not None and arguments.config not in there:
            if not is_built(self.root.find(STOCKEMOTION)):
                self.root.find(SE30K8)  # without it our own build has no pseudo-labels
            raise MissingDataError(
                f"{arguments.data} has no configuration {arguments.config}: build it with "
                "`emotionnet build --subsets --all-keywords 2 --basic8 FILE`, FILE from "
                "`emotionnet pseudo-label`"
            )

    def _recipe(self, kind: type[Arguments], recipe: str, section: str, **values: Any) -> Arguments:
        """Fill a recipe's arguments as its command line would: the scale's changes, then ours."""
        if "textcnn" in section and self.root.word_vectors:
            values["word_vectors"] = self.root.word_vectors
        changes = {**self.scale.changes.get(section, {}), **values, "progress": self.progress}
        command = [str(self.recipes / f"{recipe}.yaml")]
        for name, value in changes.items():
            command += _words(name, value)
        return parse_recipe(kind, command)


def _finished(run: Path) -> Path | None:
    """Return the model of a run that ended; training would say the same after reading its data."""
    model = run / "model"
    return model if model.is_dir() else None


def _words(name: str, value: Any) -> list[str]:
    """Return an argument as words of a command line."""
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *map(str, values)]
