"""Whole conversions, file to folder, against a plain torchvision ResNet-50 of the same weights."""

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50
from transformers import AutoImageProcessor, AutoTokenizer

from emotionnet_hf.emotions import MIKELS, SE30K8
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.models import (
    CheckpointError,
    EmotionNetConfig,
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    EmotionNetModel,
    TextCNNForSequenceClassification,
)
from emotionnet_hf.models.convert_original import (
    LABEL_SETS,
    NUMBERED,
    convert_checkpoint,
)
from emotionnet_hf.models.read_original import ConversionError

WIDTH, CLASSES, DIM = 2048, 690, 300
EMOTIONS = [f"emotion {i}" for i in range(CLASSES)]
HEADS = {
    "two-branch": {"fc": (CLASSES, WIDTH), "proj": (DIM, WIDTH)},
    "three-branch": {"fc": (CLASSES, WIDTH), "proj": (DIM, WIDTH), "fc_aux": (8, WIDTH)},
    "joint": {"proj": (DIM, WIDTH), "fc": (CLASSES, DIM)},
    "fine-tuned": {"fc": (8, WIDTH)},
}
# How each is saved: within a training's dict, with `module.`, with counters, as today's torch does.
SAVED = {
    "two-branch": (True, True, True, True),
    "three-branch": (True, True, False, False),
    "joint": (False, False, True, False),
    "fine-tuned": (False, True, False, True),
}


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Two pictures of large spots: all noise looks the same to a network."""
    spots = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(5))
    return torch.nn.functional.interpolate(spots, size=96)


@pytest.fixture(scope="module")
def trunk(images) -> torch.nn.Module:
    """A torchvision ResNet-50 whose BatchNorm has seen pictures; it gives the feature."""
    torch.manual_seed(11)
    net = resnet50()
    net.fc = torch.nn.Identity()
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1)
            torch.nn.init.normal_(layer.bias, std=0.1)
            layer.momentum = 0.9
    with torch.no_grad():
        net.train()(images)
    for name, tensor in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(1234)
    return net.eval()


@pytest.fixture(scope="module")
def feature(trunk, images) -> torch.Tensor:
    with torch.no_grad():
        return trunk(images)


def as_file(path: Path, tensors: dict, training=True, prefix=True, counters=True, modern=True):
    """Save tensors the way of the authors."""
    if not counters:
        tensors = {name: t for name, t in tensors.items() if "num_batches_tracked" not in name}
    if prefix:
        tensors = {f"module.{name}": tensor for name, tensor in tensors.items()}
    if training:
        tensors = {"epoch": 30, "arch": "resnet50", "state_dict": tensors, "best_prec1": 50.25}
    torch.save(tensors, path, _use_new_zipfile_serialization=modern)
    return path


def linear(kind: str, name: str) -> torch.nn.Linear:
    torch.manual_seed(len(kind + name))
    out, width = HEADS[kind][name]
    return torch.nn.Linear(width, out)


@pytest.fixture(scope="module", params=HEADS)
def converted(request, trunk, tmp_path_factory):
    """One conversion of each kind; its files go when its tests are done."""
    kind = request.param
    root = tmp_path_factory.mktemp(kind)
    heads = {name: linear(kind, name) for name in HEADS[kind]}
    tensors = dict(trunk.state_dict())
    for name, layer in heads.items():
        tensors |= {f"{name}.{part}": tensor for part, tensor in layer.state_dict().items()}
    path = as_file(root / "net.pth", tensors, *SAVED[kind])
    labels = "mikels" if kind == "fine-tuned" else EMOTIONS
    result = convert_checkpoint(path, root / "out", labels=labels)
    yield SimpleNamespace(kind=kind, heads=heads, path=path, result=result, out=root / "out")
    shutil.rmtree(root)


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal to 1e-5, where that says something."""
    assert (theirs[0] - theirs[1]).abs().max() > 0.01, "the pictures make no difference"
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_features_logits_and_projections_are_those_of_torchvision(converted, images, feature):
    with torch.no_grad():
        classifier = EmotionNetForImageClassification.from_pretrained(converted.out)
        tower = EmotionNetModel.from_pretrained(converted.out)(images)
        close(tower.pooler_output, feature)
        logits, heads = classifier(images).logits, converted.heads
        if converted.kind == "fine-tuned":
            assert tower.image_embeds.shape == (2, 0)
        else:
            projected = heads["proj"](feature)
            close(tower.image_embeds, projected)
        close(logits, heads["fc"](projected if converted.kind == "joint" else feature))


def test_auxiliary_branch_is_a_classifier_of_its_own(converted, images, feature):
    folder = converted.out / "auxiliary"
    if converted.kind != "three-branch":
        assert converted.result.auxiliary is None
        assert not folder.exists()
        return
    assert converted.result.auxiliary == folder
    classifier = EmotionNetForImageClassification.from_pretrained(
        converted.out, subfolder="auxiliary"
    )
    assert classifier.config.id2label == dict(enumerate(SE30K8))
    with torch.no_grad():
        close(classifier(images).logits, converted.heads["fc_aux"](feature))
        projection = classifier.emotionnet(images).image_embeds
        close(projection, converted.heads["proj"](feature))
    assert AutoImageProcessor.from_pretrained(folder).crop_size["height"] == 224


def test_folder_has_names_and_the_papers_image_processor(converted):
    config = EmotionNetForImageClassification.from_pretrained(converted.out).config
    names = MIKELS if converted.kind == "fine-tuned" else EMOTIONS
    assert config.id2label == dict(enumerate(names))
    assert (config.backbone, config.architectures) == (
        "resnet50",
        ["EmotionNetForImageClassification"],
    )
    processor = AutoImageProcessor.from_pretrained(converted.out)
    assert processor.size["shortest_edge"] == 256
    assert processor.crop_size == {"height": 224, "width": 224}
    assert tuple(processor.image_mean) == (0.485, 0.456, 0.406)
    assert tuple(processor.image_std) == (0.229, 0.224, 0.225)
    assert {"modeling_emotionnet.py", "model.safetensors"} <= {
        p.name for p in converted.out.iterdir()
    }


def test_counters_are_kept_or_zero(converted):
    model = EmotionNetModel.from_pretrained(converted.out)
    counters = {int(t) for n, t in model.state_dict().items() if "num_batches_tracked" in n}
    _, _, with_counters, _ = SAVED[converted.kind]
    assert counters == {1234 if with_counters else 0}


def test_what_was_done_is_told_and_recorded(converted):
    kind, result = converted.kind, converted.result
    training, _, counters, _ = SAVED[kind]
    number = 318 + 2 * len(HEADS[kind]) - (0 if counters else 53)
    assert (result.kind, result.tensors, result.keywords) == (kind, number, None)
    assert result.classes == HEADS[kind]["fc"][0]
    assert f"{kind} checkpoint, all {number} tensors placed: {converted.out}" in result.summary()
    record = json.loads((converted.out / "conversion.json").read_text())
    assert record["sha256"] == hashlib.sha256(converted.path.read_bytes()).hexdigest()
    assert (record["checkpoint"], record["kind"], record["tensors"]) == ("net.pth", kind, number)
    assert record.get("arch") == ("resnet50" if training else None)
    assert record.get("best_prec1") == (50.25 if training else None)


def test_the_space_of_w_is_not_made_up(converted):
    summary = " ".join(converted.result.summary().split())
    record = json.loads((converted.out / "conversion.json").read_text())
    folders = [converted.out, *([converted.result.auxiliary] if converted.result.auxiliary else [])]
    spaces = {EmotionNetConfig.from_pretrained(folder).joint_space for folder in folders}
    if converted.kind == "fine-tuned":
        assert "in which space" not in summary and "joint_space" not in record
        assert converted.result.joint_space is None and spaces == {"untrained"}
    else:
        assert "the file does not say in which space it lives" in summary
        assert record["joint_space"] == converted.result.joint_space == "unknown"
        assert spaces == {"unknown"}


def test_without_word_vectors_what_needs_the_text_tower_refuses(converted):
    for model in (EmotionNetForZeroShotImageClassification, EmotionNetForPreTraining):
        with pytest.raises(CheckpointError, match=r"missing: .*text_tower\.keyword_embedding"):
            model.from_pretrained(converted.out)


def small(sizes: dict, **changes) -> dict[str, torch.Tensor]:
    """A checkpoint of zeros whose file is small: each tensor is one number, repeated."""
    with torch.device("meta"):
        layout = {n: t.shape for n, t in resnet50().state_dict().items() if n[:3] != "fc."}
    for name, (out, width) in sizes.items():
        layout |= {f"{name}.weight": (out, width), f"{name}.bias": (out,)}
    layout = {name: size for name, size in {**layout, **changes}.items() if size is not None}
    return {name: torch.zeros(()).expand(size) for name, size in layout.items()}


def embed(keywords) -> np.ndarray:
    """Word vectors of four keywords."""
    vectors = np.zeros((len(keywords), 3), np.float32)
    for row, keyword in enumerate(keywords):
        if keyword in ("joy", "awe", "candy cane", "emotion 1"):
            vectors[row] = [len(keyword), 1, ord(keyword[0])]
    return vectors


def test_with_word_vectors_the_folder_opens_as_everything(trunk, images, feature, tmp_path):
    heads = {"fc": torch.nn.Linear(WIDTH, 2), "proj": torch.nn.Linear(WIDTH, 3)}
    tensors = dict(trunk.state_dict())
    for name, layer in heads.items():
        tensors |= {f"{name}.{part}": tensor for part, tensor in layer.state_dict().items()}
    save_file(tensors, tmp_path / "net.safetensors")
    result = convert_checkpoint(
        tmp_path / "net.safetensors",
        tmp_path / "out",
        labels=["emotion 0", "emotion 1"],
        keywords=["Candy  Cane", "zorblax"],
        embed=embed,
    )
    assert result.keywords == 4
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    words = tokenizer(["joy, emotion 1", "Candy Cane", "zorblax"], padding=True)
    assert words.input_ids == [[5, 4], [3, 0], [1, 0]]
    model = EmotionNetForPreTraining.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        output = model(images, torch.tensor(words.input_ids), torch.tensor(words.attention_mask))
    close(output.logits, heads["fc"](feature))
    close(output.image_embeds, heads["proj"](feature))
    vectors = embed(["joy", "emotion 1", "candy cane"])
    expected = [vectors[:2].mean(axis=0), vectors[2], np.zeros(3)]
    np.testing.assert_allclose(output.text_embeds.numpy(), expected, rtol=1e-6)
    zero_shot = EmotionNetForZeroShotImageClassification.from_pretrained(tmp_path / "out")
    assert zero_shot.config.architectures == ["EmotionNetForPreTraining"]
    shutil.rmtree(tmp_path)


def text_tensors(rows: int, classes: int) -> dict[str, torch.Tensor]:
    sizes = {
        "embedding.weight": (rows, 5),
        "conv.weight": (4, 1, 5),
        "fc_m.weight": (4, 4),
        "fc.weight": (classes, 4),
        **{f"bn.{name}": (4,) for name in ("weight", "bias", "running_mean", "running_var")},
        **{"conv.bias": (4,), "fc_m.bias": (4,), "fc.bias": (classes,)},
    }
    return {name: torch.rand(size) for name, size in sizes.items()}


@pytest.fixture
def text_file(tmp_path) -> Path:
    """A text model of three keywords and eight classes, with the options of its training."""
    torch.manual_seed(0)
    content = {"state_dict": text_tensors(5, 8), "args": argparse.Namespace(lr=1.0)}
    torch.save(content, tmp_path / "text.pth")
    return tmp_path / "text.pth"


KEYWORDS = ["tree", "Candy  Cane", "joy"]


def test_a_text_model_with_its_options_becomes_a_textcnn(text_file, tmp_path):
    result = convert_checkpoint(text_file, tmp_path / "out", labels="se30k8", keywords=KEYWORDS)
    assert (result.kind, result.tensors, result.classes, result.keywords) == ("text", 11, 8, 3)
    model = TextCNNForSequenceClassification.from_pretrained(tmp_path / "out")
    tensors = torch.load(text_file, weights_only=False)["state_dict"]
    assert model.config.id2label == dict(enumerate(SE30K8))
    # Numbers are compared in test_convert_text.py; here, that the file came through.
    assert torch.equal(model.textcnn.fc.weight, tensors["fc_m.weight"])
    rows = model.textcnn.embedding.weight
    assert torch.equal(rows, tensors["embedding.weight"][[4, 3, 0, 1, 2]])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("Joy, candy cane, Zorblax").input_ids == [4, 3, 1]
    assert tokenizer.model_max_length == 100
    assert not (tmp_path / "out" / "preprocessor_config.json").exists()
    assert "3 keywords" in result.summary()


def test_a_vocabulary_file_names_the_classes(text_file, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join("abcdefgh"))
    names = Vocabulary.from_file(tmp_path / "names.txt")
    convert_checkpoint(text_file, tmp_path / "out", labels=names, keywords=KEYWORDS)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert list(config["id2label"].values()) == list("abcdefgh")


def test_classes_are_numbered_on_request(text_file, tmp_path):
    convert_checkpoint(text_file, tmp_path / "out", labels=NUMBERED, keywords=KEYWORDS)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert list(config["id2label"].values())[:2] == ["class_0", "class_1"]


def net_file(folder: Path, kind: str, **changes) -> Path:
    return as_file(folder / "net.pth", small(HEADS[kind], **changes), modern=False)


def test_the_690_classes_need_their_file(tmp_path):
    path = net_file(tmp_path, "two-branch")
    with pytest.raises(
        ConversionError, match=r"690 .* etag2idx\.pkl, .*idx2name of .*--vocabulary"
    ):
        convert_checkpoint(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (None, r"8 classes and does not name them\. .*--labels se30k8, mikels.*numbered"),
        ("ube", r"has 8 classes, the labels have 6"),
        ("emoset", r"no labels 'emoset': se30k8"),
        (["a"] * 8, r"has 8 classes, the labels have 1 different"),
        (list("abcdefghi"), r"has 8 classes, the labels have 9"),
    ],
)
def test_labels_that_do_not_fit_are_told_and_nothing_is_guessed(tmp_path, labels, told):
    path = net_file(tmp_path, "fine-tuned")
    with pytest.raises(ConversionError, match=told):
        convert_checkpoint(path, tmp_path / "out", labels=labels)
    assert not (tmp_path / "out").exists()


def test_label_sets_have_the_sizes_of_their_benchmarks():
    sizes = {"se30k8": 8, "mikels": 8, "ube": 6, "affectnet": 7, "emotic": 26}
    assert {name: len(names) for name, names in LABEL_SETS.items()} == sizes


def test_a_text_model_needs_its_keywords_and_no_word_vectors(text_file, tmp_path):
    with pytest.raises(ConversionError, match=r"of 3 keywords .* tag2idx\.pkl, .*--keywords"):
        convert_checkpoint(text_file, tmp_path / "out", labels="se30k8")
    with pytest.raises(ConversionError, match="its own word vectors"):
        convert_checkpoint(
            text_file, tmp_path / "out", labels="se30k8", keywords=KEYWORDS, embed=embed
        )


def test_words_without_a_use_are_refused(tmp_path):
    path = net_file(tmp_path, "fine-tuned")
    with pytest.raises(ConversionError, match="without a joint space"):
        convert_checkpoint(path, tmp_path / "out", labels="mikels", embed=embed)
    with pytest.raises(ConversionError, match="needs word vectors too"):
        convert_checkpoint(path, tmp_path / "out", labels="mikels", keywords=["joy"])


def test_a_tensor_without_a_place_stops_the_conversion(tmp_path):
    path = net_file(tmp_path, "two-branch", **{"fc_old.weight": (3, 3), "bn1.bias": None})
    with pytest.raises(CheckpointError, match=r"missing: bn1\.bias; without a place: fc_old\.we"):
        convert_checkpoint(path, tmp_path / "out", labels=EMOTIONS)
    assert not (tmp_path / "out").exists()


def test_another_network_is_none_of_the_authors(tmp_path):
    torch.save({"encoder.weight": torch.zeros(2, 2)}, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"net\.pth is none of .* but encoder\.weight"):
        convert_checkpoint(tmp_path / "net.pth", tmp_path / "out", labels=EMOTIONS)


def test_an_image_model_may_not_ask_for_a_namespace(tmp_path):
    content = {"state_dict": small(HEADS["fine-tuned"]), "args": argparse.Namespace()}
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"asks for argparse\.Namespace, which only"):
        convert_checkpoint(tmp_path / "net.pth", tmp_path / "out", labels="mikels")


def test_only_an_earlier_conversion_is_overwritten(text_file, tmp_path):
    def convert(out: Path, **options) -> None:
        convert_checkpoint(text_file, out, keywords=KEYWORDS, labels="mikels", **options)

    out = tmp_path / "out"
    out.mkdir()  # an empty folder is as good as none
    convert(out)
    with pytest.raises(ConversionError, match=r"out exists; .*--overwrite"):
        convert(out)
    (out / "old").touch()
    convert(out, overwrite=True)
    assert not (out / "old").exists()
    shutil.copy(text_file, out / "text.pth")
    with pytest.raises(ConversionError, match=r"it holds .*text\.pth"):
        convert_checkpoint(
            out / "text.pth", out, keywords=KEYWORDS, labels="mikels", overwrite=True
        )
    (out / "conversion.json").unlink()
    with pytest.raises(ConversionError, match=r"it has no conversion\.json"):
        convert(out, overwrite=True)
    assert (out / "config.json").exists()


def test_the_real_vocabularies_fit(real_data, tmp_path):
    emotions, keywords = (
        Vocabulary.from_file(next((real_data / "release_vocabulary").glob(f"{name}.pkl*")))
        for name in ("etag2idx", "tag2idx")
    )
    torch.save(text_tensors(36_534 + 2, 690), tmp_path / "text.pth")
    result = convert_checkpoint(
        tmp_path / "text.pth", tmp_path / "out", labels=emotions, keywords=keywords
    )
    assert (result.classes, result.keywords) == (690, 36_534)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = tokenizer.get_vocab()
    assert [ids[name] for name in keywords] == list(range(2, 36_536))
