"""Arguments of a training run, as dataclasses; ``recipes`` fills them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Metric = Literal["mean_average_precision", "hit_at_1", "accuracy", "top_2_accuracy", "last"]

_OF_KEYWORDS: tuple[Metric, ...] = ("mean_average_precision", "hit_at_1", "last")
_OF_CLASSES: tuple[Metric, ...] = ("accuracy", "top_2_accuracy", "last")


class RecipeError(ValueError):
    """A recipe or command line that cannot be used; the message names the key and the remedy."""


def _help(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass
class RunArguments:
    """What every training has: data, optimisation, bookkeeping.

    The defaults of the optimiser are those of EmotionNet in the paper (section 5.1).
    """

    data: str = field(default="", metadata=_help("Data set: a built folder, or a Hub repository."))
    config: str | None = field(
        default=None,
        metadata=_help("Configuration of the data set, such as subset_10; default: its default."),
    )
    output_dir: str = field(default="", metadata=_help("Run folder; a killed run resumes here."))
    epochs: int = field(default=30, metadata=_help("Passes over the training split."))
    batch_size: int = field(
        default=256, metadata=_help("Images an optimiser step, over all processes.")
    )
    gradient_accumulation_steps: int = field(
        default=1, metadata=_help("Parts that a step's images are computed in.")
    )
    optimizer: Literal["sgd", "adamw", "adagrad", "adadelta"] = field(
        default="sgd", metadata=_help("Optimiser.")
    )
    learning_rate: float = field(default=0.001, metadata=_help("Learning rate at the start."))
    momentum: float = field(default=0.9, metadata=_help("Momentum of SGD."))
    weight_decay: float = field(default=1e-5, metadata=_help("Weight decay."))
    lr_schedule: Literal["step", "cosine", "constant"] = field(
        default="step", metadata=_help("How the learning rate falls.")
    )
    lr_drop_epochs: list[int] = field(
        default_factory=lambda: [10, 20], metadata=_help("Epochs at which 'step' drops it.")
    )
    lr_drop_factor: float = field(default=0.1, metadata=_help("Factor of each drop."))
    warmup_epochs: float = field(default=0.0, metadata=_help("Epochs of linear warm-up."))
    max_grad_norm: float | None = field(default=None, metadata=_help("Gradient clipping."))
    mixed_precision: Literal["no", "fp16", "bf16"] | None = field(
        default=None, metadata=_help("Default: what accelerate launch was told.")
    )
    seed: int = field(default=0, metadata=_help("Seed of weights, order and augmentation."))
    select_on: Metric | None = field(
        default=None,
        metadata=_help(
            "Validation metric whose best epoch is kept, or 'last'; default: "
            "mean_average_precision of keywords, accuracy of eight classes."
        ),
    )
    log_steps: int = field(default=10, metadata=_help("Steps between records of the losses."))
    checkpoint_steps: int | None = field(
        default=None, metadata=_help("Steps between checkpoints; default: each epoch.")
    )
    keep_checkpoints: int = field(default=2, metadata=_help("Checkpoints that are kept."))
    report_to: list[str] = field(
        default_factory=list, metadata=_help("Trackers by name, such as tensorboard.")
    )
    num_workers: int = field(default=0, metadata=_help("Processes that load data."))
    progress: bool = field(default=True, metadata=_help("Show a progress bar."))
    overwrite: bool = field(
        default=False, metadata=_help("Start over where output_dir holds another run.")
    )

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            RecipeError: A value is out of range or missing.
        """
        for name in ("data", "output_dir"):
            if not getattr(self, name):
                raise RecipeError(f"{name} is missing: give it in the recipe or as --{name}.")
        for name in (
            *("epochs", "batch_size", "gradient_accumulation_steps"),
            *("learning_rate", "log_steps", "keep_checkpoints"),
        ):
            # Written so that NaN, of which every comparison is false, is refused too.
            if not 0 < getattr(self, name) < float("inf"):
                raise RecipeError(f"{name} is {getattr(self, name)}; it must be above 0.")
        if self.checkpoint_steps is not None and self.checkpoint_steps <= 0:
            raise RecipeError(f"checkpoint_steps is {self.checkpoint_steps}; it must be above 0.")

    def _select_among(self, classes: str, metrics: tuple[Metric, ...]) -> None:
        """Choose ``select_on`` where it was left open, refuse what will not be measured."""
        self.select_on = self.select_on or metrics[0]
        if self.select_on not in metrics:
            # Without this the metric would be missing in every epoch, and the last one kept.
            raise RecipeError(
                f"select_on is {self.select_on!r}, which is not measured with classes: {classes}; "
                f"choose one of {list(metrics)}."
            )


@dataclass
class TextCNNArguments(RunArguments):
    """Training of TextCNN; the defaults are the paper's recipe (section 5.1)."""

    classes: Literal["emotion_keywords", "se30k8"] = field(
        default="emotion_keywords",
        metadata=_help(
            "What is predicted: the emotion keywords, from the other keywords; or SE30K8's eight "
            "classes, as the votes say, from all keywords (section 5.3)."
        ),
    )
    optimizer: Literal["sgd", "adamw", "adagrad", "adadelta"] = field(
        default="adagrad", metadata=_help("Optimiser; the published code uses adadelta.")
    )
    learning_rate: float = field(default=1.0, metadata=_help("Learning rate at the start."))
    weight_decay: float = field(default=0.0, metadata=_help("Weight decay."))
    word_vectors: str | None = field(
        default=None,
        metadata=_help(
            ".bin, .txt (word2vec, GloVe) or .kv; or a TextCNN's model folder, of which the "
            "keywords and vectors are taken; default: trained on the training split's keywords."
        ),
    )
    word_vector_epochs: int = field(
        default=20, metadata=_help("Passes of word2vec when it is trained here.")
    )
    word_vector_window: int | None = field(
        default=None,
        metadata=_help("Window of word2vec trained here; default: the list; published code: 50."),
    )
    word_vector_negative: int = field(
        default=5, metadata=_help("Negative samples of word2vec trained here; published code: 15.")
    )
    word_vector_copies: int = field(
        default=0,
        metadata=_help("Shuffled copies of each list that word2vec reads too; published code: 5."),
    )
    word_vector_dropout: float = field(
        default=0.0,
        metadata=_help("Share of the keywords that each copy lacks; published code: 0.1."),
    )
    word_vector_min_count: int | None = field(
        default=None,
        metadata=_help(
            "Keywords that word2vec trained here reads less often, copies included, get no vector; "
            "default: min_count; published code: 100."
        ),
    )
    keyword_lookup: Literal["spellings", "as_written"] = field(
        default="spellings",
        metadata=_help(
            "How keywords are looked up in word_vectors: under the spellings of word2vec's "
            "releases (candy cane: candy_cane, Candy_Cane) and by the words of a phrase, or only "
            "as they are written, as the published code does."
        ),
    )
    embedding_dim: int = field(default=300, metadata=_help("Size of the word vectors."))
    hidden_size: int = field(default=300, metadata=_help("Channels of the convolution."))
    min_count: int = field(
        default=2, metadata=_help("Keywords that fewer training images have are unknown.")
    )
    variant: Literal["paper", "published_code", "published_code_nlt"] = field(
        default="paper",
        metadata=_help(
            "Architecture, see TextCNNConfig: the paper's, or that of the published code, with "
            "(TextCNN_NLT_DAN) or without (TextCNN_NLT) a layer between average and classes."
        ),
    )
    targets: Literal["normalized", "multi_hot"] = field(
        default="normalized", metadata=_help("y / |y|, or y as the published code has it.")
    )
    keyword_dropout: float = field(
        default=0.0, metadata=_help("Share of keywords dropped in training; published code: 0.2.")
    )
    max_keywords: int = field(
        default=100,
        metadata=_help(
            "Where variant published_code cuts longer lists; the paper's averages all keywords."
        ),
    )
    development_rows: int | None = field(
        default=None,
        metadata=_help(
            "Rows held out of train and validated on in place of the validation split; default: 0 "
            "where half of that split's rows have a keyword to read, else 2000 as in the "
            "published code, and at most a tenth of train. A StockEmotion release without its "
            "table of keywords has none for validation."
        ),
    )

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            RecipeError: A value is out of range or missing, or two do not go together.
        """
        super().__post_init__()
        if self.development_rows is not None and self.development_rows < 0:
            raise RecipeError(
                f"development_rows is {self.development_rows}; it must be 0 (validate on the "
                "validation split) or above."
            )
        of_keywords = self.classes == "emotion_keywords"
        self._select_among(self.classes, _OF_KEYWORDS if of_keywords else _OF_CLASSES)
        self._check_word_vectors()
        if not of_keywords and self.targets != "normalized":
            raise RecipeError(
                f"targets is {self.targets!r}, which is for emotion keywords; votes are shares of "
                "1: with classes: se30k8 set targets: normalized."
            )

    def _check_word_vectors(self) -> None:
        """Refuse what word2vec cannot be trained with, and options that would do nothing."""
        low = {
            "word_vector_window": 1,
            "word_vector_negative": 1,
            "word_vector_copies": 0,
            "word_vector_min_count": 1,
        }
        for name, least in low.items():
            if (value := getattr(self, name)) is not None and value < least:
                raise RecipeError(f"{name} is {value}; it must be at least {least}.")
        if not 0 <= self.word_vector_dropout < 1:
            raise RecipeError(
                f"word_vector_dropout is {self.word_vector_dropout}; it must be a share below 1."
            )
        if self.word_vector_dropout and not self.word_vector_copies:
            raise RecipeError(
                "word_vector_dropout drops keywords of copies only: set word_vector_copies, too."
            )
        fields = type(self).__dataclass_fields__
        names = (*low, "word_vector_dropout")
        changed = [name for name in names if getattr(self, name) != fields[name].default]
        if self.word_vectors is not None and changed:
            raise RecipeError(
                f"{', '.join(changed)} are for word2vec trained on the data's own keywords, but "
                f"word_vectors is {self.word_vectors}: leave out one or the other."
            )


@dataclass
class EmotionNetArguments(RunArguments):
    """Training of EmotionNet; the defaults are the paper's recipe (section 5.1)."""

    text_model: str = field(
        default="", metadata=_help("Folder of the TextCNN: soft labels, tokenizer, word vectors.")
    )
    backbone: str = field(
        default="resnet50.tv_in1k",
        metadata=_help("A timm model, with or without the tag of its pretrained weights."),
    )
    backbone_weights: str = field(
        default="pretrained",
        metadata=_help("'pretrained' (timm's, ImageNet), 'none', or a .safetensors file."),
    )
    init_from: str | None = field(
        default=None,
        metadata=_help(
            "Start from a trained EmotionNet in place of backbone_weights: a run or model folder, "
            "or a Hub repository; for training in stages."
        ),
    )
    image_size: int = field(default=224, metadata=_help("Side of the crop in pixels."))
    crop_scale: list[float] = field(
        default_factory=lambda: [0.08, 1.0],
        metadata=_help("Area share of the random resized crop, least and most."),
    )
    classes: Literal["emotion_keywords", "all_keywords", "basic8"] = field(
        default="emotion_keywords",
        metadata=_help(
            "What is predicted (Table 4): the emotion keywords, all keywords (column keyword_ids), "
            "or pseudo-labels of eight classes (columns basic8, basic8_scores)."
        ),
    )
    pseudo_labels: Literal["hard", "soft"] = field(
        default="hard",
        metadata=_help("Target of basic8: the most probable class, or the scores of all eight."),
    )
    soft_labels: bool = field(default=True, metadata=_help("Eq. 1; off: y / |y|."))
    soft_label_form: Literal["normalized", "printed"] = field(
        default="normalized", metadata=_help("Eq. 1 as in the published code or as printed.")
    )
    soft_label_threshold: float = field(
        default=0.01,
        metadata=_help(
            "Predictions under it count as 0 ('normalized', and auxiliary_loss cross_entropy)."
        ),
    )
    divide_by_classes: bool = field(default=False, metadata=_help("The 1/K of Eq. 2 as printed."))
    embedding_weight: float = field(
        default=1.0, metadata=_help("lambda of Eq. 4; 0 switches the embedding loss off.")
    )
    embedding_target: Literal["word_vectors", "text_model", "auxiliary_text_model"] = field(
        default="word_vectors",
        metadata=_help(
            "What W is pulled to (Eq. 3): the average of the keywords' word vectors, or, as in the "
            "published code, of their features in text_model or auxiliary_text_model (the ReLU of "
            "its convolution)."
        ),
    )
    auxiliary_text_model: str | None = field(
        default=None,
        metadata=_help("Extra supervision (Table 3): folder of the TextCNN of SE30K8's classes."),
    )
    auxiliary_weight: float = field(
        default=1.0, metadata=_help("Weight of the loss of extra supervision.")
    )
    auxiliary_loss: Literal["embedding", "cross_entropy"] = field(
        default="embedding",
        metadata=_help(
            "Form of extra supervision: a further embedding loss (the paper), or the cross entropy "
            "of eight classes with the auxiliary text model's (the published code's fc_aux)."
        ),
    )
    auxiliary_representation: Literal["features", "logits"] = field(
        default="features",
        metadata=_help(
            "Of the auxiliary text model, for auxiliary_loss embedding: what its classes are read "
            "from, or the eight logits."
        ),
    )
    channels_last: bool | None = field(
        default=None,
        metadata=_help("Memory layout; default: on, but for grouped convolutions on a CPU."),
    )
    gradient_checkpointing: bool = field(
        default=False, metadata=_help("Trade time for memory in the trunk.")
    )
    sync_batchnorm: bool = field(
        default=False, metadata=_help("BatchNorm statistics over all GPUs.")
    )

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            RecipeError: A value is out of range or missing.
        """
        super().__post_init__()
        if not self.text_model:
            raise RecipeError(
                "text_model is missing: train one with scripts/train_textcnn.py and give its "
                "model folder in the recipe or as --text_model."
            )
        if len(self.crop_scale) != 2 or not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise RecipeError(
                f"crop_scale is {self.crop_scale}; it must be two shares, 0 < a <= b <= 1."
            )
        of_keywords = self.classes != "basic8"
        self._select_among(self.classes, _OF_KEYWORDS if of_keywords else _OF_CLASSES)
        if self.classes != "emotion_keywords" and self.soft_labels:
            raise RecipeError(
                "soft_labels is true, but the text model predicts emotion keywords alone: with "
                f"classes: {self.classes} set soft_labels: false."
            )
        if self.init_from == "":  # a recipe that needs one; None is without
            raise RecipeError(
                "init_from is missing: give the run of the stage before, as --init_from."
            )
        if self.embedding_target == "auxiliary_text_model" and self.auxiliary_text_model is None:
            raise RecipeError(
                "embedding_target is 'auxiliary_text_model', and there is none: give its model "
                "folder as --auxiliary_text_model, or choose another target."
            )
        if self.auxiliary_text_model == "":  # a recipe that needs one; None is without
            raise RecipeError(
                "auxiliary_text_model is missing: train one with scripts/recipes/"
                "se30k8_textcnn.yaml and give its model folder as --auxiliary_text_model."
            )
        if self.auxiliary_text_model and not 0 < self.auxiliary_weight < float("inf"):
            raise RecipeError(
                f"auxiliary_weight is {self.auxiliary_weight}; it must be above 0. Leave out "
                "auxiliary_text_model for a run without extra supervision."
            )
