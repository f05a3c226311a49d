"""Train EmotionNet: ``accelerate launch scripts/train_emotionnet.py recipe.yaml [--name ...]``."""

from __future__ import annotations

import logging
import sys

from emotionnet_hf.data.schema import SchemaError
from emotionnet_hf.models import CheckpointError
from emotionnet_hf.training import (
    BackboneWeightsError,
    EmotionNetArguments,
    RecipeError,
    TrainingError,
    parse_recipe,
    train_emotionnet,
)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        train_emotionnet(parse_recipe(EmotionNetArguments, sys.argv[1:]))
    except (
        *(RecipeError, TrainingError, SchemaError),
        *(BackboneWeightsError, CheckpointError, FileNotFoundError),
    ) as error:
        sys.exit(f"train_emotionnet: {error}")
