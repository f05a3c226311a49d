"""Train TextCNN: ``accelerate launch scripts/train_textcnn.py recipe.yaml [--name ...]``."""

from __future__ import annotations

import sys

from emotionnet_hf.training import TextCNNArguments, run_script, train_textcnn

if __name__ == "__main__":
    run_script(train_textcnn, TextCNNArguments, sys.argv)
