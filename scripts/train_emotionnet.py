"""Train EmotionNet: ``accelerate launch scripts/train_emotionnet.py recipe.yaml [--name ...]``."""

from __future__ import annotations

import logging
import sys

from emotionnet_hf.training import EmotionNetArguments, parse_recipe, train_emotionnet

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    train_emotionnet(parse_recipe(EmotionNetArguments, sys.argv[1:]))
