"""What is decided about a zero-shot evaluation, and a sentence for each decision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from emotionnet_hf.evaluation.zero_shot.category_vectors import Pooling, Representation

Space = Literal["word_vectors", "text_model"]
"""Where images meet categories."""

Uncovered = Literal["refuse", "chance"]
"""What to do with a category of which the text side knows no keyword."""


class ZeroShotError(ValueError):
    """A zero-shot evaluation that cannot be done as asked; the message has the remedy."""


@dataclass(frozen=True)
class ZeroShotArguments:
    """What is decided about a zero-shot evaluation; what is None is chosen, see `resolved`.

    Attributes:
        text_model: Folder or Hub repository of a TextCNN, in the paper that of SE30K8's classes;
            not used in the space ``word_vectors``.
        space: Where images meet categories. ``text_model`` (the paper; the default where a text
            model is given): what it makes of keywords. ``word_vectors`` (a variant of the
            published code; the default without one): the raw word vectors, and W f_v(x).
        representation: Of a category in the text model. ``category`` (the paper, the default): of
            all its keywords at once, the vector that the classes are read from. ``keywords`` (the
            published code): the ReLU of the convolution, for each. ``logits``: the classes' own,
            for an auxiliary head that was trained towards them.
        pooling: Where each keyword has a vector. ``mean`` (the published code, the default): of
            the cosines; ``max``: the largest; ``centroid``: the cosine with the mean vector.
        uncovered: A category without a known keyword is refused (``refuse``), or scored lowest in
            every row (``chance``): its average precision is then what a random order has in the
            limit, and it is never the best-scored class. The report lists such categories.
        split: Which split.
        batch_size: Pictures at a time.
        samples: Resamples behind an interval.
        seed: Of the resamples.

    Raises:
        ZeroShotError: A value is not known, or two contradict each other.
    """

    text_model: str | Path | None = None
    space: Space | None = None
    representation: Representation | None = None
    pooling: Pooling | None = None
    uncovered: Uncovered = "refuse"
    split: str = "test"
    batch_size: int = 32
    samples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check each value, and what does not go together."""
        choices = {
            "space": Space,
            "representation": Representation,
            "pooling": Pooling,
            "uncovered": Uncovered,
        }
        for name, known in choices.items():
            none = () if name == "uncovered" else (None,)
            if getattr(self, name) not in (*none, *get_args(known)):
                raise ZeroShotError(
                    f"{name} is {getattr(self, name)!r}; choose from {', '.join(get_args(known))}."
                )
        for name in ("batch_size", "samples"):
            if getattr(self, name) < 1:
                raise ZeroShotError(f"{name} is {getattr(self, name)}; at least 1 is needed.")
        if self.space == "text_model" and self.text_model is None:
            raise ZeroShotError(
                "The space of a text model needs one: give the folder of a TextCNN as text_model "
                "(the paper's has SE30K8's eight classes), or take the space word_vectors."
            )
        if self.representation and not self.uses_text_model:
            raise ZeroShotError(
                f"representation is {self.representation!r}, which only a text model can give: "
                "give one, and the space text_model, or leave representation out."
            )
        if self.pooling and self.takes_all_keywords:
            raise ZeroShotError(
                f"pooling is {self.pooling!r}, but the text model takes all keywords of a category "
                "at once: leave pooling out, or take the representation keywords."
            )

    @property
    def uses_text_model(self) -> bool:
        """Whether categories go through the text model."""
        return self.space == "text_model" or (self.space is None and self.text_model is not None)

    @property
    def takes_all_keywords(self) -> bool:
        """Whether a category is one vector from the start."""
        return self.uses_text_model and self.representation != "keywords"

    def resolved(self) -> ZeroShotArguments:
        """Choose what is None and has a meaning."""
        text = self.uses_text_model
        return replace(
            self,
            text_model=self.text_model if text else None,
            space="text_model" if text else "word_vectors",
            representation=(self.representation or "category") if text else None,
            pooling=None if self.takes_all_keywords else self.pooling or "mean",
        )

    def sentences(self) -> list[str]:
        """Say what is done and where it differs from the paper; for `resolved` arguments."""
        paper = "the paper runs them through the text model of eight emotions"
        ways = {
            None: f"A category is the raw word vectors of its keywords ({paper}).",
            "category": "A category is the text model's representation of all its keywords at once "
            "(the paper, section 5.4).",
            "keywords": "A category is the ReLU of the text model's convolution for each of its "
            "keywords, as in the published code (the paper takes all keywords at once).",
            "logits": "A category is the text model's class logits for all its keywords at once "
            "(the paper takes the representation before them).",
        }
        pools = {
            None: "Its score is the cosine of the image with it.",
            "mean": "Its score is the mean of the cosines of the image with them.",
            "max": "Its score is the largest cosine of the image with one of them.",
            "centroid": "Its score is the cosine of the image with their mean.",
        }
        return [ways[self.representation], pools[self.pooling]]
