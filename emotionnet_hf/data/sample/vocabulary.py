"""The words uploaders know: emotion keywords by latent emotion, and everything else.

Weights are relative. The second number of an emotion keyword is its grade: -1 is said of faint
emotions (`frustrated`), +1 of strong ones (`furious`), 0 of all.
"""

from __future__ import annotations

EMOTION_WORDS: dict[str, dict[str, tuple[float, float]]] = {
    "happiness": {
        "happiness": (3, 0),
        "happy": (4, 0),
        "smile": (3, -1),
        "cheerful": (2, 0),
        "joy": (2.5, 1),
        "delight": (1.5, 1),
        "fun": (1.5, 0),
        "christmas": (0.7, 0),
    },
    "excitement": {
        "excitement": (3, 0),
        "energetic": (2, 0),
        "enthusiasm": (2, 0),
        "thrill": (1.5, 1),
        "fun": (2, -1),
        "amusement": (1.5, -1),
        "joy": (1, 0),
        "amazed": (0.8, 1),
    },
    "surprise": {
        "surprise": (4, 0),
        "amazed": (2, 0),
        "unexpected": (2, -1),
        "sudden": (1.5, -1),
        "shock": (2, 1),
        "wonder": (1.2, 0),
        "alarmed": (0.8, 1),
    },
    "fear": {
        "fear": (4, 0),
        "afraid": (2.5, 0),
        "nervous": (2, -1),
        "danger": (2, 0),
        "horror": (2, 1),
        "nightmare": (1.5, 1),
        "halloween": (1.2, 0),
        "alarmed": (1, -1),
        "shock": (0.8, 1),
    },
    "anger": {
        "anger": (4, 0),
        "furious": (2, 1),
        "rage": (2, 1),
        "mad": (2, 0),
        "frustrated": (2, -1),
        "yell": (1.5, 1),
        "quarrel": (1.2, -1),
        "hate": (1.2, 1),
        "hostile": (1, 0),
    },
    "disgust": {
        "disgust": (4, 0),
        "aversion": (2, 0),
        "dislike": (2.5, -1),
        "repulsion": (1.5, 1),
        "contempt": (1.5, 0),
        "hate": (1.2, 1),
        "bothered": (1.2, -1),
    },
    "sadness": {
        "sadness": (4, 0),
        "unhappy": (2.5, -1),
        "sorrow": (2, 1),
        "misery": (1.5, 1),
        "depression": (1.5, 1),
        "disappointed": (2, -1),
        "melancholy": (1, 0),
        "funeral": (0.7, 1),
    },
    "loneliness": {
        "loneliness": (4, 0),
        "solitude": (2, -1),
        "melancholy": (2, 0),
        "pensive": (2, -1),
        "boredom": (1.5, -1),
        "yearning": (1.5, 1),
        "depression": (1, 1),
        "desperate": (1.2, 1),
    },
    "peace": {
        "peace": (4, 0),
        "calm": (2.5, 0),
        "relaxed": (2, -1),
        "tranquil": (2, 1),
        "hope": (1.5, 0),
        "pray": (1, 0),
        "solitude": (1, 0),
        "satisfied": (1.2, -1),
    },
    "love": {
        "love": (4, 0),
        "romantic": (2.5, 0),
        "affection": (2, -1),
        "tenderness": (1.5, -1),
        "hug": (1.5, 0),
        "desire": (1.2, 1),
        "wedding": (1.2, 1),
        "hope": (0.7, 0),
        "smile": (1, -1),
    },
}
"""Emotion -> keyword -> (weight, grade). Words in two rows belong to neighbouring emotions."""

EMOTION_KEYWORDS: tuple[str, ...] = tuple(
    sorted({word for words in EMOTION_WORDS.values() for word in words})
)
"""The sample's emotion vocabulary."""

CONTEXT_WORDS: dict[str, tuple[str, ...]] = {
    "happiness": ("sunday", "family", "party", "birthday", "candy cane", "children", "summer"),
    "excitement": ("concert", "party", "roller coaster", "festival", "sport", "winner", "crowd"),
    "surprise": ("present", "birthday", "magic", "news", "lottery", "open mouth", "secret"),
    "fear": ("night", "dark", "forest", "haunted house", "shadow", "monster", "castle"),
    "anger": ("storm", "fire", "red", "traffic jam", "boss", "protest", "fight"),
    "disgust": ("dirty", "insect", "smell", "rotten food", "mold", "sewer", "red"),
    "sadness": ("rain", "grey", "ruin", "hospital", "broken glass", "autumn", "window"),
    "loneliness": ("alone", "bench", "empty room", "fog", "winter", "window", "night"),
    "peace": ("meadow", "yoga", "sunset", "spa", "outdoor", "olive branch", "morning"),
    "love": ("valentine day", "dinner", "young", "mother", "candle light", "sunset", "family"),
}
"""Words that are no emotions, but keep company with one (`sunday`, `rain`, `candy cane`)."""

CATEGORY_WORDS: dict[str, tuple[str, ...]] = {
    "face": ("face", "portrait", "cartoon", "person", "character", "avatar", "head"),
    "scene": ("landscape", "nature", "sky", "scenery", "horizon", "view", "thunder storm"),
    "symbol": ("icon", "symbol", "sign", "logo", "graphic", "shape", "pictogram"),
}
"""Words for the kind of picture."""

FILLER_WORDS: tuple[str, ...] = (
    "stock",
    "illustration",
    "background",
    "isolated",
    "design",
    "vector",
    "art",
    "drawing",
    "color",
    "copy space",
    "web",
    "style",
    "modern",
    "concept",
    "white",
    "element",
)
"""Words uploaders add to anything."""
