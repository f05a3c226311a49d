"""Train EmotionNet: ``accelerate launch scripts/train_emotionnet.py recipe.yaml [--name ...]``."""

from __future__ import annotations

import sys

from emotionnet_hf.training import EmotionNetArguments, run_script, train_emotionnet

if __name__ == "__main__":
    run_script(train_emotionnet, EmotionNetArguments, sys.argv)
