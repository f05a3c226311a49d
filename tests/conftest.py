"""What every test stands on: no network, caches of its own, and where real data would be."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _isolate() -> None:
    """Point the Hugging Face libraries away from the network and from the user's caches.

    They read these variables once, when imported, and processes started by tests inherit them:
    so this runs as the conftest is read, before any test module, and not as a fixture. Every
    pytest-xdist worker reads the conftest too and so gets caches of its own.
    """
    cache = Path(tempfile.mkdtemp(prefix="emotionnet-tests-"))
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    os.environ.update(
        HF_HOME=str(cache),
        HF_HUB_CACHE=str(cache / "hub"),
        HF_DATASETS_CACHE=str(cache / "datasets"),
        HF_MODULES_CACHE=str(cache / "modules"),
        HF_EVALUATE_CACHE=str(cache / "evaluate"),
        TORCH_HOME=str(cache / "torch"),
        HF_HUB_OFFLINE="1",
        HF_EVALUATE_OFFLINE="1",
        # A forked DataLoader worker would otherwise warn about the tokenizers' threads.
        TOKENIZERS_PARALLELISM="false",
        # Figures are drawn to files: there may be no display.
        MPLBACKEND="Agg",
    )


_isolate()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A saved folder of a tiny EmotionNet: six word vectors, the keyword "nameless" without one."""
    # Not at the top: importing torch takes longer than most tests.
    import torch

    from emotionnet_hf.models import (
        EmotionNetConfig,
        EmotionNetForPreTraining,
        build_image_processor,
        keyword_tokenizer,
    )

    keywords = ["joy", "fear", "candy cane", "awe", "calm", "tree", "nameless"]
    emotions = ["joy", "fear", "awe", "calm", "nameless"]
    torch.manual_seed(3)
    model = EmotionNetForPreTraining(
        EmotionNetConfig(
            backbone="test_resnet",
            projection_dim=6,
            vocab_size=len(keywords) + 2,
            id2label=dict(enumerate(emotions)),
        )
    )
    # Heads as large as that give each picture tags of its own.
    for head in (model.classifier, model.emotionnet.visual_projection):
        head.weight.data.normal_(std=3.0)
    for row in (0, 1, -1):
        model.text_tower.keyword_embedding.weight.data[row] = 0
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    model.save_pretrained(folder)
    keyword_tokenizer(keywords).save_pretrained(folder)
    build_image_processor("test_resnet", 32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures, word vectors and weights, which is never part of the repository.

    It lies beside the checkout where there is one; a test that asks for it is skipped elsewhere.
    """
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real data beside this checkout")
    return folder
