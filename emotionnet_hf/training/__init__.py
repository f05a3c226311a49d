"""Training TextCNN and EmotionNet on Accelerate."""

from emotionnet_hf.models.backbones import BackboneWeightsError
from emotionnet_hf.training.arguments import (
    EmotionNetArguments,
    RecipeError,
    TextCNNArguments,
)
from emotionnet_hf.training.emotionnet import train_emotionnet
from emotionnet_hf.training.launched import run_script
from emotionnet_hf.training.processes import TrainingError
from emotionnet_hf.training.recipes import parse_recipe
from emotionnet_hf.training.textcnn import train_textcnn

__all__ = [
    "BackboneWeightsError",
    "EmotionNetArguments",
    "RecipeError",
    "TextCNNArguments",
    "TrainingError",
    "parse_recipe",
    "run_script",
    "train_emotionnet",
    "train_textcnn",
]
