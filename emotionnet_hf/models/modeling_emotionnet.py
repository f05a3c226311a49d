"""EmotionNet: an image trunk with a keyword classifier and a joint image-text space.

Wei et al., "Learning Visual Emotion Representations from Web Data" (CVPR 2020), section 4.
This file travels with every checkpoint (``trust_remote_code``): it needs torch, timm and
transformers, and nothing of the package that trained the model. The losses live in that package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import timm
import torch
from torch import nn
from torch.nn import functional as F
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.utils import ModelOutput, logging

from .configuration_emotionnet import EmotionNetConfig
from .modeling_strict import StrictPreTrainedModel, as_asked, start_anew
from .modeling_words import UnknownCandidatesError
from .pipeline_emotion_tagging import EmotionTaggingPipeline
from .pipeline_keyword_zero_shot import KeywordZeroShotPipeline

logger = logging.get_logger(__name__)

# Tensors of the head that only the whole net has, as a pattern.
_AUXILIARY = r"^auxiliary_projection\."


@dataclass
class EmotionNetModelOutput(ModelOutput):
    """What the image tower gives.

    Attributes:
        last_hidden_state: Feature map of the trunk, float, (B, 2048, 7, 7) for ResNet-50 at 224 px.
        pooler_output: The visual emotion feature f_v(x), float, (B, 2048) for ResNet-50.
        image_embeds: W f_v(x), the image in the joint space, float, (B, projection_dim).
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    image_embeds: torch.Tensor | None = None


@dataclass
class EmotionNetZeroShotOutput(ModelOutput):
    """Images against keyword lists in the joint space.

    Attributes:
        logits_per_image: ``logit_scale`` times the cosines, float, (B, T).
        logits_per_text: Its transpose, (T, B).
        image_embeds: Images in the joint space, float, (B, projection_dim).
        text_embeds: Keyword lists in the joint space, float, (T, projection_dim).
    """

    logits_per_image: torch.Tensor | None = None
    logits_per_text: torch.Tensor | None = None
    image_embeds: torch.Tensor | None = None
    text_embeds: torch.Tensor | None = None


@dataclass
class EmotionNetForPreTrainingOutput(ModelOutput):
    """Both branches at once, for training and for tagging.

    Attributes:
        logits: Of the emotion keywords, float, (B, num_labels); the paper's P is their softmax.
        pooler_output: The visual emotion feature f_v(x), float, (B, D).
        image_embeds: W f_v(x), float, (B, projection_dim).
        text_embeds: f_t(y), float, (T, projection_dim), when ``input_ids`` were given.
        auxiliary_embeds: The image in the space of the text model of extra supervision (section
            5.3), or its class logits (the published code's ``fc_aux``), float, (B, auxiliary_dim),
            where the model has that head.
    """

    logits: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    image_embeds: torch.Tensor | None = None
    text_embeds: torch.Tensor | None = None
    auxiliary_embeds: torch.Tensor | None = None


class EmotionNetHead(nn.Linear):
    """A linear layer of ours, told apart from timm's so that timm's weights keep their own init."""

    def reset_parameters(self) -> None:
        """Initialise as torch does; a model without a joint space has a projection of no rows."""
        if self.out_features:
            super().reset_parameters()


class KeywordTower(nn.Module):
    """f_t of Eq. 3: the average of the word vectors of a list of keywords.

    Word vectors are fixed, as in the paper; they may be a text model's features of single keywords
    instead (``joint_space`` of the configuration). A row of zeros means "no vector known"; such
    keywords are left out of the average.
    """

    def __init__(self, config: EmotionNetConfig) -> None:
        super().__init__()
        self.keyword_embedding = nn.Embedding(config.vocab_size, config.projection_dim)
        # Filled by a checkpoint, which may not lack it, or by whoever builds a model.
        self.keyword_embedding._is_hf_initialized = True  # type: ignore[assignment]

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Average the known keywords of each list.

        Args:
            input_ids: Keyword ids, int64, (T, L).
            attention_mask: 1 where ``input_ids`` count, (T, L); all count where absent.

        Returns:
            Float, (T, projection_dim); a row of zeros for a list without a known keyword.
        """
        vectors = self.keyword_embedding(input_ids)
        known = (vectors != 0).any(dim=-1, keepdim=True)
        if attention_mask is not None:
            known = known & attention_mask.bool().unsqueeze(-1)
        known = known.to(vectors.dtype)
        return (vectors * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


class EmotionNetPreTrainedModel(StrictPreTrainedModel):
    """What the EmotionNet classes share: configuration, initialisation, checkpointing."""

    config_class = EmotionNetConfig
    config: EmotionNetConfig
    base_model_prefix = "emotionnet"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    _never_anew = ("text_tower.",)
    _supports_sdpa = True
    # Lets device_map put a trunk on one device: timm blocks cannot be split by name in general.
    _no_split_modules: ClassVar[list[str]] = ["EmotionNetModel"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise our heads as torch does, and what a subclass adds as transformers does."""
        if isinstance(module, EmotionNetHead):
            start_anew(module)
        else:
            super()._init_weights(module)

    def _set_gradient_checkpointing(self, enable: bool = True, *args: Any, **kwargs: Any) -> None:
        """Pass ``gradient_checkpointing_enable`` on to the trunk."""
        trunk: Any = self if isinstance(self, EmotionNetModel) else self.emotionnet
        trunk.backbone.set_grad_checkpointing(enable)
        trunk.gradient_checkpointing = enable  # what transformers' own question looks at


class EmotionNetModel(EmotionNetPreTrainedModel):
    """The image tower: a timm trunk and the projection W into the joint space."""

    _auto_class = "AutoModel"
    backbone: Any  # timm has no types
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        *(r"^classifier\.", r"^text_tower\.", _AUXILIARY)
    ]

    def __init__(self, config: EmotionNetConfig) -> None:
        super().__init__(config)
        self.backbone = timm.create_model(
            config.backbone, pretrained=False, num_classes=0, **(config.backbone_kwargs or {})
        )
        self.visual_projection = EmotionNetHead(self.hidden_size, config.projection_dim, bias=True)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise W as torch does; leave timm's layers as timm initialised them."""
        if isinstance(module, EmotionNetHead):
            start_anew(module)
        # from_pretrained builds on the meta device, where buffers that are not saved are lost.
        elif callable(restore := getattr(module, "init_non_persistent_buffers", None)):
            restore()

    @property
    def hidden_size(self) -> int:
        """Size of the visual emotion feature (2048 for ResNet-50)."""
        return int(getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features)

    def forward(
        self, pixel_values: torch.Tensor, return_dict: bool | None = None, **kwargs: Any
    ) -> EmotionNetModelOutput | tuple[torch.Tensor, ...]:
        """Compute features; equal, bit for bit, to the timm model's own.

        Args:
            pixel_values: Images as the image processor gives them, float, (B, 3, H, W).
            return_dict: Whether to return a ``ModelOutput`` (default) or a tuple.
            **kwargs: Ignored, for pipelines that pass more.

        Returns:
            ``EmotionNetModelOutput``.
        """
        feature_map = self.backbone.forward_features(pixel_values)
        pooled = self.backbone.forward_head(feature_map, pre_logits=True)
        output = EmotionNetModelOutput(feature_map, pooled, self.visual_projection(pooled))
        return as_asked(output, return_dict, self.config)


class EmotionNetForImageClassification(EmotionNetPreTrainedModel):
    """EmotionNet as a classifier over its emotion keywords, or over the labels of a new task.

    The projection W into the joint space is kept but not trained: the logits do not depend on it,
    and plain ``DistributedDataParallel`` waits for the gradient of whatever could have one.
    """

    _auto_class = "AutoModelForImageClassification"
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^text_tower\.", _AUXILIARY]

    def __init__(self, config: EmotionNetConfig) -> None:
        super().__init__(config)
        self.emotionnet = EmotionNetModel(config)
        self.classifier = EmotionNetHead(self.emotionnet.hidden_size, config.num_labels)
        self.post_init()

    def _fixed(self) -> tuple[nn.Module, ...]:
        """Return the projection W."""
        return (self.emotionnet.visual_projection,)

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> ImageClassifierOutput | tuple[torch.Tensor, ...]:
        """Score the labels.

        Args:
            pixel_values: Float, (B, 3, H, W).
            labels: What ``config.problem_type`` wants, see ``label_loss``; with them the output
                has a ``loss``.
            return_dict: Whether to return a ``ModelOutput`` (default) or a tuple.
            **kwargs: Ignored, for pipelines that pass more.

        Returns:
            ``ImageClassifierOutput``: ``logits`` float (B, num_labels), ``loss`` where asked.
        """
        logits = self.classifier(self.emotionnet(pixel_values, return_dict=True).pooler_output)
        loss = self.label_loss(labels, logits)
        return as_asked(ImageClassifierOutput(loss=loss, logits=logits), return_dict, self.config)


class EmotionNetForZeroShotImageClassification(EmotionNetPreTrainedModel):
    """Images against any keyword lists, by cosine in the joint space (section 5.4)."""

    _auto_class = "AutoModelForZeroShotImageClassification"
    # As below: what is named here travels.
    _pipeline_class = KeywordZeroShotPipeline
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^classifier\.", _AUXILIARY]

    def __init__(self, config: EmotionNetConfig) -> None:
        super().__init__(config)
        self.emotionnet = EmotionNetModel(config)
        self.text_tower = KeywordTower(config)
        self.post_init()

    def _fixed(self) -> tuple[nn.Module, ...]:
        """Return the word vectors."""
        return (self.text_tower,)

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Return W f_v(x), float, (B, projection_dim), for ``pixel_values`` (B, 3, H, W)."""
        return self.emotionnet(pixel_values, return_dict=True).image_embeds

    def get_text_features(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any
    ) -> torch.Tensor:
        """Return f_t(y), float, (T, projection_dim), for keyword ids (T, L)."""
        if not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
            self.config.warn_of_joint_space()
        return self.text_tower(input_ids, attention_mask)

    def forward(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        return_dict: bool | None = None,
        unknown_is_told: Any = False,
        **kwargs: Any,
    ) -> EmotionNetZeroShotOutput | tuple[torch.Tensor, ...]:
        """Compare each image with each keyword list.

        Args:
            input_ids: Keyword ids, int64, (T, L).
            pixel_values: Float, (B, 3, H, W).
            attention_mask: 1 where ``input_ids`` count, (T, L).
            return_dict: Whether to return a ``ModelOutput`` (default) or a tuple.
            unknown_is_told: Whether the caller has told of lists without a known keyword.
            **kwargs: Ignored, for pipelines that pass more.

        Returns:
            ``EmotionNetZeroShotOutput``. A list without a known keyword has cosine 0, and is told
            by a warning.

        Raises:
            UnknownCandidatesError: No list has a known keyword.
        """
        image = self.get_image_features(pixel_values)
        text = self.get_text_features(input_ids, attention_mask)
        if not (unknown_is_told or torch.compiler.is_compiling() or torch.jit.is_tracing()):
            _tell_unknown(text)
        cosines = F.normalize(image, dim=-1) @ F.normalize(text.to(image.dtype), dim=-1).T
        logits = self.config.logit_scale * cosines
        return as_asked(
            EmotionNetZeroShotOutput(logits, logits.T, image, text), return_dict, self.config
        )


def _tell_unknown(text: torch.Tensor) -> None:
    """Tell of keyword lists without a known keyword; only their numbers are left here."""
    known = (text != 0).any(dim=-1).tolist()
    unknown = [place for place, is_known in enumerate(known) if not is_known]
    if len(unknown) == len(known):
        raise UnknownCandidatesError(
            f"The model knows no word of the {len(known)} texts. They are comma-separated "
            "keywords, not sentences, so a template's words do not belong to them: "
            "pipeline('zero-shot-image-classification', model=FOLDER) takes them off."
        )
    if unknown:
        logger.warning_once(f"no word vector for the texts number {unknown}: they get cosine 0")


class EmotionNetForPreTraining(EmotionNetPreTrainedModel):
    """The whole EmotionNet of Fig. 2: what is trained, saved, and used for tagging."""

    _auto_class = "AutoModelForPreTraining"
    # With a file, transformers saves the neighbours that it imports: so the pipeline travels too.
    _pipeline_class = EmotionTaggingPipeline

    def __init__(self, config: EmotionNetConfig) -> None:
        super().__init__(config)
        self.emotionnet = EmotionNetModel(config)
        self.classifier = EmotionNetHead(self.emotionnet.hidden_size, config.num_labels)
        self.text_tower = KeywordTower(config)
        if config.auxiliary_dim:
            self.auxiliary_projection = EmotionNetHead(
                self.emotionnet.hidden_size, config.auxiliary_dim
            )
        self.post_init()

    def _fixed(self) -> tuple[nn.Module, ...]:
        """Return the word vectors."""
        return (self.text_tower,)

    def forward(
        self,
        pixel_values: torch.Tensor,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> EmotionNetForPreTrainingOutput | tuple[torch.Tensor, ...]:
        """Run all branches on images and, where given, the text tower on keyword lists.

        Args:
            pixel_values: Float, (B, 3, H, W).
            input_ids: Keyword ids, int64, (T, L).
            attention_mask: 1 where ``input_ids`` count, (T, L).
            return_dict: Whether to return a ``ModelOutput`` (default) or a tuple.
            **kwargs: Ignored, for pipelines that pass more.

        Returns:
            ``EmotionNetForPreTrainingOutput``.
        """
        image = self.emotionnet(pixel_values, return_dict=True)
        feature = image.pooler_output
        text = None if input_ids is None else self.text_tower(input_ids, attention_mask)
        auxiliary = self.auxiliary_projection(feature) if self.config.auxiliary_dim else None
        output = EmotionNetForPreTrainingOutput(
            self.classifier(feature), feature, image.image_embeds, text, auxiliary
        )
        return as_asked(output, return_dict, self.config)
