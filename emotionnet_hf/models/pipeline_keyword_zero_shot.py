"""The stock task ``zero-shot-image-classification`` for a text tower that knows keywords.

This file travels with every checkpoint (``trust_remote_code``): it needs torch and transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from transformers import ZeroShotImageClassificationPipeline

from .modeling_words import KnownWords, checked_candidates

_PLACE = "\x00"


class KeywordZeroShotPipeline(ZeroShotImageClassificationPipeline):
    """Compare images with words and phrases, as the stock pipeline of the same task does.

    The words of ``hypothesis_template`` that are not the candidate do not count: a text here is a
    list of keywords and no sentence, so every template gives the same scores. Candidates that are
    no keywords of the model are looked up by other forms and by their parts, see ``KnownWords``;
    what stays unknown is named by a warning, and is an error where nothing is known.
    """

    # Not asked for, it is looked for, and pipeline() asks on the terminal to trust its code.
    _load_video_processor = False

    def check_model_type(self, supported_models: list[str] | dict[str, str]) -> None:
        """Take the model as it is: the stock list has only transformers' own."""

    def __call__(
        self, image: Any = None, candidate_labels: Sequence[str] | None = None, **kwargs: Any
    ) -> Any:
        """Compare images with words, as the stock pipeline does; an empty list gives one back."""
        if isinstance(image, (list, tuple)) and not image:
            return []
        return super().__call__(image, candidate_labels, **kwargs)

    def _sanitize_parameters(
        self, hypothesis_template: str | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Check candidates and template once a call, before any picture is opened."""
        preprocess, forward, postprocess = super()._sanitize_parameters(**kwargs)
        if hypothesis_template is not None:
            _check_template(hypothesis_template)
        if "candidate_labels" in preprocess:
            labels = checked_candidates(preprocess["candidate_labels"], "candidate_labels")
            preprocess |= {"candidate_labels": labels, "texts": self._texts(tuple(labels))}
        return preprocess, forward, postprocess

    @cached_property
    def _known_words(self) -> KnownWords:
        return KnownWords(self.tokenizer, self.model.text_tower.keyword_embedding.weight)

    def _texts(self, labels: tuple[str, ...]) -> list[str]:
        """Return the candidates in keywords of the model; told once for a list of candidates."""
        cached: tuple[tuple[str, ...], list[str]] | None = getattr(self, "_text_cache", None)
        if cached is None or cached[0] != labels:
            self._text_cache = cached = (labels, self._known_words.candidates(labels))
        return cached[1]

    def preprocess(
        self,
        image: Any,
        candidate_labels: Sequence[str] | None = None,
        texts: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Make the stock pipeline's inputs, with keywords of the model for the candidates."""
        if texts is None:
            checked_candidates(candidate_labels, "candidate_labels")
        inputs = super().preprocess(image, texts, hypothesis_template="{}", **kwargs)
        inputs["candidate_labels"] = candidate_labels
        inputs["unknown_is_told"] = True  # by name, unlike the model can
        return inputs


def _check_template(template: Any) -> None:
    """Refuse a template without a place for the candidate, which makes all candidates equal."""
    try:
        has_place = _PLACE in template.format(_PLACE)
    except (AttributeError, IndexError, KeyError, ValueError):
        has_place = False
    if not has_place:
        raise ValueError(
            f"hypothesis_template {template!r} has no place for the candidate: write {{}} there, "
            "such as 'a picture of {}'."
        )
