"""The main job on embedded data: draw a sample, train on it, reload, tag, report.

Everything the package does with a million stock images, on a few thousand drawn ones, offline, in
minutes. The truth of the drawn ones is known, so the report can say what was learnt.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import AutoImageProcessor

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.local_files import load_parquet
from emotionnet_hf.data.sample import generate_sample
from emotionnet_hf.environment import environment
from emotionnet_hf.evaluation import extract_features
from emotionnet_hf.evaluation.clean_labels import (
    clean_labels,
    keyword_scores,
    listed_labels,
    predict_soft_labels,
    read_truth,
    restoration,
)
from emotionnet_hf.files import write_json, write_text
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.lock import LOCKS, one_run
from emotionnet_hf.models import EmotionNetForPreTraining
from emotionnet_hf.report import Findings, write_report
from emotionnet_hf.training import (
    EmotionNetArguments,
    TextCNNArguments,
    train_emotionnet,
    train_textcnn,
)

logger = logging.getLogger(__name__)

# What a user of the saved folder writes; runs without this package.
RELOAD = '''\
"""Open the EmotionNet beside this file with transformers alone, and tag pictures.

    python reload.py picture.jpg ...
"""

import json
import pathlib
import sys

import torch
from transformers import AutoImageProcessor, AutoModel, pipeline
from transformers.image_utils import load_image

folder = str(pathlib.Path(__file__).resolve().parent / "emotionnet" / "model")
images = [load_image(path) for path in sys.argv[1:]]
processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
with torch.inference_mode():
    features = model(**processor(images, return_tensors="pt")).pooler_output
tag = pipeline("image-classification", model=folder, trust_remote_code=True)
answer = {
    "model_class": f"{type(model).__module__}.{type(model).__name__}",
    "features": features.tolist(),
    "tags": tag(images, top_k=3),
}
print(json.dumps(answer))
'''

# Runs a script where `import emotionnet_hf` fails, even from an editable install: that is what
# None among the loaded modules means to Python.
_WITHOUT_PACKAGE = (
    "import runpy, sys; sys.modules['emotionnet_hf'] = None; del sys.argv[0]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)

_EXAMPLES = 6
# With fewer, a split may be left without a picture.
_MIN_IMAGES = 100

# Stands in the folder from the first moment to the last and says that a quickstart made it.
_MARK = "quickstart.json"
_PARTS = (
    *("sample", "stockemotion", "stockemotion.building", "textcnn", "emotionnet", "figures"),
    *("reload.py", "report.json", "report.html"),
)


class QuickstartError(RuntimeError):
    """The quickstart cannot run, or what it saved does not reload as it was."""


def quickstart(
    out: str | Path,
    *,
    num_images: int = 3000,
    epochs: int = 20,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Run the whole way from drawn pictures to a tagged one.

    Args:
        out: Folder for everything: ``sample``, ``stockemotion`` (the data set), ``textcnn``,
            ``emotionnet``, ``reload.py``, ``report.json``, ``report.html``, ``figures``.
        num_images: Pictures to draw, at least 100.
        epochs: Passes of EmotionNet over the training split.
        seed: Of everything.
        overwrite: Replace an earlier quickstart in ``out``, whether it ended or was stopped.
        progress: Show progress bars.

    Returns:
        What ``report.json`` holds.

    Raises:
        ValueError: A number is out of range.
        NotADirectoryError: ``out`` is a file.
        AnotherRunError: Another quickstart is at work in ``out``.
        QuickstartError: ``out`` holds something else, or the saved model does not reload as it was.
    """
    out = Path(out).resolve()
    arguments = {"num_images": num_images, "epochs": epochs, "seed": seed}
    # Before anything is removed.
    for name, least in {"num_images": _MIN_IMAGES, "epochs": 1, "seed": 0}.items():
        if arguments[name] < least:
            raise ValueError(f"{name} is {arguments[name]}; it must be at least {least}.")
    with one_run(out, inside=True):
        _make_room(out, overwrite)
        code = environment([seed])
        write_json(out / _MARK, arguments)
        seconds: dict[str, float] = {}
        with _timed("draw the sample", seconds):
            generate_sample(out / "sample", num_images=num_images, seed=seed, progress=progress)
        with _timed("build the data set", seconds):
            emotions = Vocabulary.from_file(out / "sample" / "emotion_keywords.txt")
            build_dataset(
                *(out / "sample", out / "stockemotion"),
                emotions=emotions,
                validation=0.1,
                test=0.15,
                seed=seed,
                progress=progress,
            )
        with _timed("train TextCNN", seconds):
            train_textcnn(textcnn_recipe(out / "stockemotion", out / "textcnn", seed, progress))
        with _timed("train EmotionNet", seconds):
            train_emotionnet(
                emotionnet_recipe(
                    *(out / "stockemotion", out / "textcnn" / "model", out / "emotionnet"),
                    epochs=epochs,
                    seed=seed,
                    progress=progress,
                )
            )
        with _timed("reload in another process and measure", seconds):
            findings = _measure(out)
        report = {
            "arguments": arguments,
            "environment": code,
            "seconds": seconds,
            **findings.numbers,
        }
        write_json(out / "report.json", report)
        write_report(out, findings, seconds)
    return report


def textcnn_recipe(
    data: Path, output_dir: Path, seed: int = 0, progress: bool = True
) -> TextCNNArguments:
    """Return the paper's TextCNN recipe in a size that fits the sample."""
    return TextCNNArguments(
        data=str(data),
        output_dir=str(output_dir),
        epochs=15,
        batch_size=64,
        learning_rate=0.05,
        lr_drop_epochs=[5, 10],
        embedding_dim=64,
        hidden_size=128,
        word_vector_epochs=10,
        seed=seed,
        progress=progress,
    )


def emotionnet_recipe(
    data: Path,
    text_model: Path,
    output_dir: Path,
    epochs: int = 20,
    seed: int = 0,
    progress: bool = True,
    **changes: Any,
) -> EmotionNetArguments:
    """Return an EmotionNet recipe in a size that fits the sample; ``changes`` override fields."""
    recipe: dict[str, Any] = {
        # The smallest ResNet of timm, 0.5 million parameters.
        "backbone": "test_resnet",
        "backbone_weights": "none",
        "image_size": 64,
        "crop_scale": [0.6, 1.0],
        "batch_size": 32,
        "optimizer": "adamw",
        "learning_rate": 0.004,
        "weight_decay": 0.02,
        "lr_schedule": "cosine",
        "warmup_epochs": 2.0,
    }
    return EmotionNetArguments(
        data=str(data),
        output_dir=str(output_dir),
        text_model=str(text_model),
        epochs=epochs,
        seed=seed,
        progress=progress,
        **{**recipe, **changes},
    )


def _make_room(out: Path, overwrite: bool) -> None:
    """Remove an earlier quickstart, and nothing else."""
    if not any(path.name not in LOCKS for path in out.iterdir()):
        return
    if not (out / _MARK).is_file():
        raise QuickstartError(f"{out} holds something else: choose another folder.")
    if not overwrite:
        raise QuickstartError(f"{out} holds an earlier quickstart: pass --overwrite to replace it.")
    unfinished = tuple(f".{part}" for part in _PARTS)
    for path in out.iterdir():
        if path.name in _PARTS or path.name.startswith(unfinished):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextmanager
def _timed(what: str, seconds: dict[str, float]) -> Iterator[None]:
    """Log a stage and how long it took."""
    logger.info("%s ...", what)
    start = time.perf_counter()
    yield
    seconds[what] = round(time.perf_counter() - start, 1)
    logger.info("%s: %.1f s", what, seconds[what])


def _measure(out: Path) -> Findings:
    """Reload the model elsewhere, then measure it on the test split against the truth."""
    splits = load_parquet(out / "stockemotion")
    test = splits["test"]
    folder = out / "emotionnet" / "model"
    model = EmotionNetForPreTraining.from_pretrained(folder)
    features = extract_features(
        model, AutoImageProcessor.from_pretrained(folder), (row["image"] for row in test)
    )
    reloaded = _reload(out, test, features.pooled)
    clean, listed = clean_labels(test, read_truth(out / "sample")), listed_labels(test)
    labels = predict_soft_labels(out / "textcnn" / "model", test)
    numbers = {
        "rows": {name: len(split) for name, split in splits.items()},
        "emotionnet": keyword_scores(features.logits, clean, listed),
        "textcnn": keyword_scores(labels.predicted, clean, listed),
        "soft_labels": restoration(labels, clean, listed),
        "reloaded": reloaded,
    }
    return Findings(numbers, test, features, clean, listed, labels)


def _reload(out: Path, test: Dataset, pooled: np.ndarray) -> dict[str, Any]:
    """Tag some test pictures in a process that has transformers but not this package."""
    write_text(out / "reload.py", RELOAD)
    pictures = [str(out / "sample" / name) for name in test["image_id"][:_EXAMPLES]]
    command = [sys.executable, "-c", _WITHOUT_PACKAGE, str(out / "reload.py"), *pictures]
    # In `out`, because Python looks for modules in the working folder, and ours may lie there.
    done = subprocess.run(
        command, cwd=out, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        logger.error("%s", done.stderr[-3000:])
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise QuickstartError(f"reload.py, run without this package, failed: {last}")
    answer = json.loads(done.stdout.splitlines()[-1])
    difference = float(np.abs(np.array(answer["features"]) - pooled[: len(pictures)]).max())
    if difference > 1e-3:
        raise QuickstartError(f"The reloaded model's features differ by {difference}.")
    return {
        "model_class": answer["model_class"],
        "largest_feature_difference": difference,
        "tags": answer["tags"],
    }
