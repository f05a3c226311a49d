import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.sample import generate_sample
from emotionnet_hf.models import EmotionNetModel
from emotionnet_hf.models.encoders import open_encoder
from emotionnet_hf.reproduction.data_root import DataRoot, MissingDataError
from emotionnet_hf.reproduction.trainings import (
    EMOTIONNET,
    EXTRA,
    RECIPES,
    TEXT_MODEL_8,
    Scale,
    Trainings,
)
from emotionnet_hf.training import EmotionNetArguments, RecipeError, TextCNNArguments

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "recipes"
SMALL = {
    "emotionnet": {
        "backbone": "test_resnet",
        "backbone_weights": "none",
        "image_size": 48,
        "crop_scale": [0.6, 1.0],
        "channels_last": False,
    }
}


@pytest.fixture
def trainings(tmp_path):
    (tmp_path / "data").mkdir()
    scale = Scale("small", SMALL, baseline="untrained", protocol="fast")
    return Trainings(DataRoot(tmp_path / "data"), tmp_path / "work", FOLDER, scale, progress=False)


def test_every_recipe_of_the_tables_is_there():
    assert all((FOLDER / f"{name}.yaml").is_file() for name in RECIPES.values())
    assert len(set(RECIPES.values())) == len(RECIPES)


def test_a_scale_is_read_and_its_names_are_checked(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text("baseline: untrained\nprotocol: fast\nemotionnet: {epochs: 2}\n")
    scale = Scale.read(path)
    assert scale == Scale("tiny", {"emotionnet": {"epochs": 2}}, "untrained", "fast")
    path.write_text("emotionet: {epochs: 2}\n")
    with pytest.raises(RecipeError, match=r"unknown \['emotionet'\]; known: emotionnet"):
        Scale.read(path)
    path.write_text("- 1\n")
    with pytest.raises(RecipeError, match="must hold names and values"):
        Scale.read(path)
    path.write_text("emotionnet:\n")
    with pytest.raises(RecipeError, match="emotionnet must hold names and values"):
        Scale.read(path)
    path.write_text("protocol: fasst\n")
    with pytest.raises(RecipeError, match="protocol is 'fasst', not one of"):
        Scale.read(path)
    path.write_text("a: [")
    with pytest.raises(RecipeError, match="is not YAML"):
        Scale.read(path)


def test_the_scale_of_the_sample_fits_every_recipe(trainings):
    """Each argument it changes is one that the recipe has."""
    scale = Scale.read(FOLDER / "scale_sample.yaml")
    sample = Trainings(trainings.root, trainings.work, FOLDER, scale, progress=False)
    where = {"data": "d", "output_dir": "o", "text_model": "t"}
    for name, recipe in RECIPES.items():
        more = {"auxiliary_text_model": "a"} if name == EXTRA else {}
        arguments = sample._recipe(EmotionNetArguments, recipe, "emotionnet", **where, **more)
        assert (arguments.backbone, arguments.image_size) == ("test_resnet", 64)
        assert arguments.crop_scale == [0.6, 1.0] and not arguments.progress
    for recipe, section in (("paper_textcnn", "textcnn"), ("se30k8_textcnn", "se30k8_textcnn")):
        arguments = sample._recipe(TextCNNArguments, recipe, section, data="d", output_dir="o")
        assert arguments.hidden_size == 128 and arguments.lr_drop_epochs == [5, 10]


def test_word_vectors_of_the_data_root_are_the_text_models(trainings):
    (trainings.root.folder / "word_vectors.bin").touch()
    arguments = trainings._recipe(
        TextCNNArguments, "paper_textcnn", "textcnn", data="d", output_dir="o"
    )
    assert arguments.word_vectors == str(trainings.root.folder / "word_vectors.bin")


def test_what_is_missing_is_said_before_anything_is_trained(trainings):
    for make in (trainings.stockemotion, trainings.text_model_8, trainings.se30k8):
        with pytest.raises(MissingDataError, match="is missing"):
            make()
    with pytest.raises(MissingDataError, match="StockEmotion is missing"):
        trainings.model(EMOTIONNET, 0)
    with pytest.raises(MissingDataError, match="SE30K8 is missing"):
        trainings.model(EXTRA, 0)


def test_a_model_trained_elsewhere_is_taken(trainings, checkpoint):
    folder = trainings.root.folder / "models" / EMOTIONNET
    folder.mkdir(parents=True)
    (folder / "model-3").symlink_to(checkpoint)
    assert trainings.model(EMOTIONNET, 3) == folder / "model-3"


def test_the_guide_of_a_model_trained_elsewhere_must_be_given(trainings, checkpoint):
    models = trainings.root.folder / "models"
    (models / EXTRA).mkdir(parents=True)
    (models / EXTRA / "model-0").symlink_to(checkpoint)
    with pytest.raises(
        MissingDataError, match=r"guided by a text model .*TextCNN, 8 classes/model"
    ):
        trainings.guide(EXTRA, 0)
    with pytest.raises(MissingDataError, match="SE30K8 is missing"):
        trainings.guide(EXTRA, 1)  # trained here, so its guide is ours
    (models / TEXT_MODEL_8).mkdir()
    (models / TEXT_MODEL_8 / "model-0").symlink_to(checkpoint)
    assert trainings.guide(EXTRA, 0) == models / TEXT_MODEL_8 / "model-0"


def test_a_folder_that_is_no_release_of_se30k8_says_what_to_get(trainings):
    (trainings.root.folder / "SE30K8").mkdir()
    with pytest.raises(MissingDataError, match="no pickle with the annotations of SE30K8: ask"):
        trainings.se30k8()


def test_the_untrained_trunk_has_the_recipes_preprocessing_and_stays(trainings):
    first = open_encoder(trainings.baseline(), "cpu")
    assert first.size == (48, 48) and set(first.dims) == {"features"}
    weights = EmotionNetModel.from_pretrained(trainings.baseline()).state_dict()
    again = EmotionNetModel.from_pretrained(trainings.baseline()).state_dict()
    assert all((weights[name] == again[name]).all() for name in weights)


def test_another_scale_or_other_data_want_another_folder(trainings, tmp_path):
    trainings.check_work()
    trainings.check_work()
    other = Trainings(trainings.root, trainings.work, FOLDER, Scale())
    with pytest.raises(RecipeError, match="choose another folder for --work"):
        other.check_work()
    elsewhere = Trainings(DataRoot(tmp_path / "x"), trainings.work, FOLDER, trainings.scale)
    with pytest.raises(RecipeError, match="choose another folder for --work"):
        elsewhere.check_work()


def test_another_recipe_wants_another_folder(trainings, tmp_path):
    shutil.copytree(FOLDER, tmp_path / "recipes")
    copied = replace(trainings, recipes=tmp_path / "recipes")
    trainings.check_work()
    copied.check_work()
    with (tmp_path / "recipes" / "paper_resnet50.yaml").open("a") as file:
        file.write("gradient_checkpointing: true\n")
    with pytest.raises(RecipeError, match="of another recipes"):
        copied.check_work()


def test_text_model_that_was_killed_before_it_was_measured_is_measured(trainings, monkeypatch):
    out, called = trainings.work / "se30k8_textcnn", []
    (out / "model").mkdir(parents=True)
    data = trainings.root.folder / "SE30K8"
    test = Dataset.from_dict({"label": [0]})
    (data / "data").mkdir(parents=True)
    (data / "build.json").write_text("{}")
    test.to_parquet(data / "data" / "test-00000-of-00001.parquet")
    monkeypatch.setattr(
        "emotionnet_hf.reproduction.trainings.train_textcnn",
        lambda arguments: called.append(arguments.output_dir),
    )
    trainings.text_model_8()
    assert called == [str(out)]
    (out / "results.json").write_text("{}")
    assert trainings.text_model_8() == out / "model" and len(called) == 1


def test_pseudo_labels_that_can_be_had_later_are_added(trainings, monkeypatch):
    source = trainings.root.folder / "StockEmotion"
    generate_sample(source, num_images=40, progress=False)
    first = open_built(trainings.stockemotion())
    assert "basic8" not in first.features
    ids = image_ids(first)
    arguments = EmotionNetArguments(
        data=str(first.folder), config="basic8", text_model="t", output_dir="o"
    )
    with pytest.raises(MissingDataError, match="SE30K8 is missing"):
        trainings._check_configuration(arguments)
    labels = trainings.work / "basic8.parquet"
    scores = pa.array([[0.125] * 8] * 40, pa.list_(pa.float32(), 8))
    names = [path.name for path in sorted((source / "images").iterdir())]
    pq.write_table(pa.table({"image_id": [f"images/{n}" for n in names], "scores": scores}), labels)
    monkeypatch.setattr(Trainings, "pseudo_labels", lambda *_: labels)
    second = open_built(trainings.stockemotion())
    assert "basic8" in second.features and image_ids(second) == ids
    trainings._check_configuration(arguments)
    monkeypatch.setattr(Trainings, "_build", None)  # and no third time
    assert trainings.stockemotion() == second.folder


def image_ids(built):
    return [
        (split, name)
        for split, _, batch in built.batches(["image_id"])
        for name in batch["image_id"].to_pylist()
    ]
