"""Using a trained EmotionNet for measurements: features and neighbours."""

from emotionnet_hf.evaluation.features import Features, extract_features, nearest_neighbours

__all__ = ["Features", "extract_features", "nearest_neighbours"]
