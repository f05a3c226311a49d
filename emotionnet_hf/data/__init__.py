"""Images with keywords in, StockEmotion data sets out."""

from emotionnet_hf.data.build import BuildReport, build_dataset
from emotionnet_hf.data.schema import emotion_vocabulary
from emotionnet_hf.data.sources import read_source
from emotionnet_hf.data.splits import assign_split
from emotionnet_hf.loading.images import ImageError, open_image
from emotionnet_hf.loading.schema import stockemotion_features

__all__ = [
    "BuildReport",
    "ImageError",
    "assign_split",
    "build_dataset",
    "emotion_vocabulary",
    "open_image",
    "read_source",
    "stockemotion_features",
]
