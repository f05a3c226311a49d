"""The fixed label sets of emotion benchmarks, and our default list of emotion keywords.

The 690 keywords of StockEmotion are their authors' and come with their release; what is here
stands in for them when the user has no list: the label sets of the public benchmarks and the
examples printed in the paper (Wei et al., "Learning Visual Emotion Representations from Web
Data", CVPR 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.normal_form import normalize_keyword
from emotionnet_hf.loading.se30k8_rows import CLASSES

SE30K8: tuple[str, ...] = CLASSES
"""The eight classes of SE30K8 in the order of its release (Wei et al. 2020, section 3.3)."""

MIKELS: tuple[str, ...] = (
    "amusement",
    "anger",
    "awe",
    "contentment",
    "disgust",
    "excitement",
    "fear",
    "sadness",
)
"""Mikels' eight emotions, alphabetical: the classes of DeepEmotion / FI (You et al. 2016)."""

UBE: tuple[str, ...] = ("anger", "fear", "joy", "love", "sadness", "surprise")
"""The six classes of UnBiasedEmotion (Panda et al. 2018)."""

AFFECTNET: tuple[str, ...] = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger")
"""AffectNet's `expression` 0 .. 6 in the order of the index (Mollahosseini et al. 2017)."""

EMOTIC: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Peace": ("peace", "relaxed", "satisfied"),
        "Affection": ("affection", "fond", "love", "tenderness"),
        "Esteem": ("esteem", "respect", "admiration", "grateful"),
        "Anticipation": ("anticipation", "hope", "prepare", "prepared"),
        "Engagement": ("engagement", "attention", "attend", "curious", "interested"),
        "Confidence": ("confidence", "certain", "conviction", "encourage", "proud"),
        "Happiness": ("happiness", "delighted", "enjoyment", "amusement"),
        "Pleasure": ("pleasure", "delight"),
        "Excitement": ("excitement", "enthusiasm", "stimulation", "energetic"),
        "Surprise": ("surprise", "sudden", "unexpected"),
        "Sympathy": ("sympathy", "supportive", "compassionate"),
        "Doubt/Confusion": ("doubt", "confusion"),
        "Disconnection": ("boredom", "bored", "distracted", "boring", "dislike"),
        "Fatigue": ("fatigue", "weary", "tiredness", "sleepy"),
        "Embarrassment": ("embarrassment", "ashamed", "guilty", "shame"),
        "Yearning": ("yearning", "desire", "jealous", "envious", "envy", "lust"),
        "Disapproval": ("disapproval", "contempt", "hostile", "disapprove"),
        "Aversion": ("aversion", "disgust", "dislike", "repulsion", "hate"),
        "Annoyance": ("annoyance", "bothered", "irritated", "impatient", "frustrated"),
        "Anger": ("anger", "displeasure", "rage", "furious", "resentful"),
        "Sensitivity": ("sensitivity", "delicate", "vulnerable", "touching"),
        "Sadness": ("sadness", "unhappy", "sorrow", "disappointed", "discouraged"),
        "Disquietment": (
            "nervous",
            "worried",
            "upset",
            "anxious",
            "tense",
            "pressured",
            "alarmed",
        ),
        "Fear": ("fear", "suspicious", "afraid", "danger", "threat", "evil", "pain", "horror"),
        "Pain": ("pain", "suffering"),
        "Suffering": ("suffering", "pain", "distressed", "anguish"),
    }
)
"""EMOTIC's 26 categories (Kosti et al. 2017), each with the emotion keywords that its description
names; these are the lists of the paper's zero-shot protocol (section 5) as its authors published
them in code."""

PAPER_TABLE_1: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Emotion": (
            "disappointed",
            "nervous",
            "frustrated",
            "discontent",
            "pensive",
            "bothered",
        ),
        "Feeling": ("unfortunate", "severe", "tranquil", "romantic", "chaotic"),
        "Action": ("quarrel", "threat", "yell", "pray", "smile", "hug"),
        "Events": ("Christmas", "Halloween", "wedding", "funeral", "nightmare"),
    }
)
"""Table 1 of the paper: representative emotional keywords by type."""

_PAPER_TEXT = (
    # Section 1 and Fig. 1: the basic categories that others use.
    *("happy", "sad", "anger"),
    # Fig. 1: the keywords of the sample image that are about emotion.
    *("upset", "desperate", "regret", "misery", "sadness", "confused", "alone"),
    *("depressed", "stress", "miserable"),
    # Section 3.1: what was kept, and what emotion taxonomies miss.
    *("depression", "fury", "mad", "romantic", "chaotic", "bully", "Christmas"),
    *("abuse", "danger", "challenge"),
)


def _union() -> tuple[str, ...]:
    classes = [*SE30K8, *MIKELS, *UBE, *AFFECTNET, *EMOTIC, *_PAPER_TEXT]
    for words in (*EMOTIC.values(), *PAPER_TABLE_1.values()):
        classes.extend(words)
    # "surprise(negative)" is a label and its keyword is "surprise"; "Doubt/Confusion" has its two
    # words in its keyword list.
    words_only = (name.partition("(")[0] for name in classes if "/" not in name)
    return tuple(sorted({normalize_keyword(word) for word in words_only}))


EMOTIONAL_KEYWORDS: tuple[str, ...] = _union()
"""Our default emotion keywords, sorted: the single words of all label sets above, EMOTIC's
keywords, and the examples of the paper's Table 1, Fig. 1 and section 3."""


@cache
def default_vocabulary() -> Vocabulary:
    """Vocabulary of `EMOTIONAL_KEYWORDS`, used when the user brings no list.

    Returns:
        The vocabulary, ids in alphabetical order.

    >>> "surprise" in default_vocabulary(), "surprise(negative)" in default_vocabulary()
    (True, False)
    """
    return Vocabulary(EMOTIONAL_KEYWORDS)
