"""Image features of many pictures, written to a table, fast and resumable."""

from emotionnet_hf.evaluation.embed.change import FeatureChange, feature_change
from emotionnet_hf.evaluation.embed.precision import EngineError
from emotionnet_hf.evaluation.embed.reading import FeaturesError, read_features
from emotionnet_hf.evaluation.embed.rows import EmbedSourceError
from emotionnet_hf.evaluation.embed.running import EmbedReport, embed
from emotionnet_hf.evaluation.embed.writing import FeaturesExistError

__all__ = [
    "EmbedReport",
    "EmbedSourceError",
    "EngineError",
    "FeatureChange",
    "FeaturesError",
    "FeaturesExistError",
    "embed",
    "feature_change",
    "read_features",
]
