"""A tiny data set and a TextCNN trained on it, made once."""

from pathlib import Path

import pytest

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.sample import generate_sample
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.training import EmotionNetArguments, TextCNNArguments, train_textcnn
from emotionnet_hf.training.pseudo_labels import write_pseudo_labels


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generate_sample(folder / "sample", num_images=120, image_size=32, progress=False)
    emotions = Vocabulary.from_file(folder / "sample" / "emotion_keywords.txt")
    build_dataset(
        *(folder / "sample", folder / "built"),
        emotions=emotions,
        validation=0.2,
        test=0.0,
        progress=False,
    )
    return folder / "built"


def textcnn_arguments(data: Path, output_dir: Path, **changes) -> TextCNNArguments:
    values = {
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 0.05,
        "embedding_dim": 16,
        "hidden_size": 16,
        "word_vector_epochs": 1,
        "progress": False,
        "log_steps": 1,
    }
    return TextCNNArguments(data=str(data), output_dir=str(output_dir), **{**values, **changes})


def emotionnet_arguments(
    data: Path, text_model: Path, output_dir: Path, **changes
) -> EmotionNetArguments:
    # LayerNorm: BatchNorm would see other batches on one process than on two.
    values = {
        "backbone": "test_convnext",
        "backbone_weights": "none",
        "image_size": 32,
        "epochs": 2,
        "batch_size": 16,
        "optimizer": "adamw",
        "learning_rate": 0.001,
        "progress": False,
        "log_steps": 1,
    }
    return EmotionNetArguments(
        data=str(data),
        text_model=str(text_model),
        output_dir=str(output_dir),
        **{**values, **changes},
    )


@pytest.fixture(scope="session")
def text_model(data, tmp_path_factory):
    return train_textcnn(textcnn_arguments(data, tmp_path_factory.mktemp("text") / "run"))


@pytest.fixture
def make_textcnn(data, tmp_path):
    return lambda name="text", **changes: textcnn_arguments(data, tmp_path / name, **changes)


@pytest.fixture
def make_emotionnet(data, text_model, tmp_path):
    return lambda name="net", **changes: emotionnet_arguments(
        data, text_model, tmp_path / name, **changes
    )


@pytest.fixture(scope="session")
def se30k8_data(se30k8_release, tmp_path_factory):
    """SE30K8 as built of a release: configurations default and text."""
    folder = tmp_path_factory.mktemp("se30k8") / "built"
    build_dataset(se30k8_release, folder, progress=False)
    return folder


@pytest.fixture(scope="session")
def se30k8_model(se30k8_data, tmp_path_factory):
    """A TextCNN of SE30K8's eight classes."""
    run = tmp_path_factory.mktemp("se30k8_model") / "run"
    return train_textcnn(textcnn_arguments(se30k8_data, run, classes="se30k8", min_count=1))


@pytest.fixture(scope="session")
def release_data(release, se30k8_model, tmp_path_factory):
    """StockEmotion as built of a release: all keywords, pseudo-labels, subsets."""
    folder = tmp_path_factory.mktemp("stockemotion")
    write_pseudo_labels(release, se30k8_model, folder / "basic8.parquet", progress=False)
    build_dataset(release, folder / "built", basic8=folder / "basic8.parquet", progress=False)
    return folder / "built"


@pytest.fixture(scope="session")
def release_model(release_data, tmp_path_factory):
    """A TextCNN of the release's emotion keywords."""
    run = tmp_path_factory.mktemp("release_model") / "run"
    return train_textcnn(textcnn_arguments(release_data, run))


@pytest.fixture
def make_variant(release_data, release_model, tmp_path):
    """Arguments of a run on the release, of whose 40 training images 2 steps make an epoch."""
    return lambda name="net", **changes: emotionnet_arguments(
        release_data, release_model, tmp_path / name, **changes
    )


@pytest.fixture
def make(make_textcnn, make_emotionnet):
    """Arguments of either training; of 103 and 17 rows no batch comes out even."""
    makers = {"textcnn": make_textcnn, "emotionnet": make_emotionnet}
    return lambda kind, name, **changes: makers[kind](name, **changes)
