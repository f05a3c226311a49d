"""Train TextCNN: ``accelerate launch scripts/train_textcnn.py recipe.yaml [--name ...]``."""

from __future__ import annotations

import logging
import sys

from emotionnet_hf.data.schema import SchemaError
from emotionnet_hf.text import WordVectorError
from emotionnet_hf.training import (
    RecipeError,
    TextCNNArguments,
    TrainingError,
    parse_recipe,
    train_textcnn,
)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        train_textcnn(parse_recipe(TextCNNArguments, sys.argv[1:]))
    except (RecipeError, SchemaError, TrainingError, WordVectorError, FileNotFoundError) as error:
        sys.exit(f"train_textcnn: {error}")
