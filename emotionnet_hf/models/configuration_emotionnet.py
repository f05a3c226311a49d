"""Configuration of EmotionNet."""

from __future__ import annotations

import copy
from typing import Any, Literal

from transformers import PreTrainedConfig
from transformers.utils import logging

logger = logging.get_logger(__name__)

AUTO_MAP = {
    "AutoConfig": "configuration_emotionnet.EmotionNetConfig",
    "AutoModel": "modeling_emotionnet.EmotionNetModel",
    "AutoModelForPreTraining": "modeling_emotionnet.EmotionNetForPreTraining",
    "AutoModelForImageClassification": "modeling_emotionnet.EmotionNetForImageClassification",
    "AutoModelForZeroShotImageClassification": (
        "modeling_emotionnet.EmotionNetForZeroShotImageClassification"
    ),
}
CUSTOM_PIPELINES = {
    "emotion-tagging": {
        "impl": "pipeline_emotion_tagging.EmotionTaggingPipeline",
        "pt": ["AutoModelForPreTraining"],
        "type": "image",
    },
    # The stock task by a class that knows candidates from the words of a template.
    "zero-shot-image-classification": {
        "impl": "pipeline_keyword_zero_shot.KeywordZeroShotPipeline",
        "pt": ["AutoModelForZeroShotImageClassification"],
        "type": "multimodal",
    },
}
# Of which class a checkpoint has to be for a task.
_TASKS = {
    "EmotionNetForPreTraining": tuple(CUSTOM_PIPELINES),
    "EmotionNetForZeroShotImageClassification": ("zero-shot-image-classification",),
}

JointSpace = Literal["word_vectors", "text_model", "auxiliary_text_model", "untrained", "unknown"]
_DOUBTS = {
    "untrained": "W was not trained (embedding_weight: 0)",
    "unknown": "it is not known in which space W lives: the converted file does not say whether it "
    "was pulled to word vectors, as in the paper, or to a text model's features, as in the "
    "published code's training of two branches (whoever knows sets joint_space in config.json)",
}


class EmotionNetConfig(PreTrainedConfig):
    """The architecture of EmotionNet (section 4 of the paper): trunk, projection, keyword tower.

    The emotion keywords are ``id2label``; the keywords of the text tower are the tokenizer's.

    Args:
        backbone: Name of a timm model; the paper's is ``resnet50``, from the weights
            that timm calls ``resnet50.tv_in1k``.
        backbone_kwargs: More arguments for ``timm.create_model``.
        projection_dim: Size of the joint space, that of the word vectors (300 in the paper); 0 for
            a model without one, such as a converted benchmark model.
        joint_space: What W was pulled to, and so what the rows of the text tower are: word vectors
            (Eq. 3, ``word_vectors``), or a text model's features of single keywords, the ReLU of
            its convolution: of the one that predicts soft labels (``text_model``) or of that of
            extra supervision (``auxiliary_text_model``). ``untrained``: to nothing; ``unknown``: a
            converted file does not say. Cosines of images with words mean little in the last two.
        auxiliary_dim: Size of the representation that an auxiliary head predicts, that of a text
            model of the eight SE30K8 classes (section 5.3, extra supervision); 0 for no such head.
        vocab_size: Number of keywords that the text tower knows, special tokens included.
        pad_token_id: Id of the padding token.
        unk_token_id: Id of the token for unknown keywords; its word vector is zero.
        logit_scale: Factor on the cosines in ``logits_per_image``. The paper ranks by cosine
            alone; the factor only sets how peaked a softmax over candidates is.

    Example:
        >>> EmotionNetConfig(backbone="resnet18", id2label={0: "joy", 1: "fear"}).num_labels
        2
    """

    model_type = "emotionnet"
    _auto_class = "AutoConfig"

    backbone: str = "resnet50"
    backbone_kwargs: dict[str, Any] | None = None
    projection_dim: int = 300
    joint_space: JointSpace = "word_vectors"
    auxiliary_dim: int = 0
    vocab_size: int = 2
    pad_token_id: int = 0
    unk_token_id: int = 1
    logit_scale: float = 10.0

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what is derived; ``auto_map`` is whole so that one folder opens as everything."""
        kwargs.pop("custom_pipelines", None)  # as the file has it; see the property
        super().__post_init__(**kwargs)
        if self.id2label is not None:
            self.label2id = {name: i for i, name in self.id2label.items()}
        self.auto_map = dict(AUTO_MAP)

    @property
    def custom_pipelines(self) -> dict[str, Any]:
        """Pipelines whose code lies beside the weights, as ``pipeline(...)`` looks for them.

        Empty where our class is registered for the task, which is where this package was imported:
        for what it finds here ``pipeline(...)`` demands ``trust_remote_code``. Without the tasks
        whose branch a model lacks.
        """
        from transformers.pipelines import PIPELINE_REGISTRY

        known = {
            task: _class_name(entry["impl"])
            for task, entry in PIPELINE_REGISTRY.supported_tasks.items()
        }
        return {
            task: entry
            for task, entry in self._pipelines().items()
            if known.get(task) != _class_name(entry["impl"])
        }

    @property
    def joint_space_doubt(self) -> str | None:
        """Why cosines of images with words may mean nothing; None where there is no reason."""
        return _DOUBTS.get(self.joint_space)

    def warn_of_joint_space(self) -> None:
        """Say once why cosines of images with words may mean nothing, where there is a reason."""
        if self.joint_space_doubt:
            logger.warning_once(
                f"Cosines with words may mean nothing here: {self.joint_space_doubt}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what is written to ``config.json``: ``custom_pipelines`` whoever writes it."""
        output: dict[str, Any] = super().to_dict()
        if pipelines := self._pipelines():
            output["custom_pipelines"] = pipelines
        return output

    def _pipelines(self) -> dict[str, Any]:
        """Return the entries of the file, a copy: ``pipeline(...)`` puts classes in."""
        tasks = {task for name in self.architectures or () for task in _TASKS.get(name, ())}
        return {
            task: copy.deepcopy(entry) for task, entry in CUSTOM_PIPELINES.items() if task in tasks
        }


def _class_name(implementation: Any) -> str:
    """Name of a pipeline's class, which transformers keeps as a class or as a dotted name."""
    name = getattr(implementation, "__qualname__", implementation)
    return str(name).rpartition(".")[2]
