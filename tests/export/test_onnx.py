import json
import logging
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer

from emotionnet_hf.export import ExportError, export_onnx, onnx
from emotionnet_hf.models import (
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    TextCNNForSequenceClassification,
)


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((50, 40), Image.Resampling.BICUBIC)


def run(path: Path, inputs) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    given = session.run(names, {name: value.numpy() for name, value in inputs.items()})
    return dict(zip(names, given, strict=True))


def close(given: np.ndarray, expected: torch.Tensor) -> bool:
    return given.shape == tuple(expected.shape) and np.allclose(given, expected.numpy(), atol=1e-4)


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx") / "out"
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript")}
    result = export_onnx(checkpoint, out, progress=False)
    assert levels == {name: logging.getLogger(name).level for name in levels}
    return result


@pytest.mark.parametrize("number", [1, 2, 5])
def test_image_tower_computes_what_pytorch_does(exported, checkpoint, number):
    processor = AutoImageProcessor.from_pretrained(exported.out)
    pixels = processor([picture(i) for i in range(number)], return_tensors="pt")
    model = EmotionNetForPreTraining.from_pretrained(checkpoint)
    with torch.no_grad():
        expected = model(**pixels)
    given = run(exported.out / "image.onnx", pixels)
    assert list(given) == ["pooler_output", "image_embeds", "logits"]
    assert all(close(value, expected[name]) for name, value in given.items())


@pytest.mark.parametrize(
    "lists", [["joy"], ["zzz"], ["joy, candy cane", "tree"], ["", "fear, zzz, tree, joy, awe", "a"]]
)
def test_text_tower_computes_what_pytorch_does(exported, checkpoint, lists):
    tokenizer = AutoTokenizer.from_pretrained(exported.out)
    tokens = tokenizer(lists, padding=True, return_tensors="pt")
    model = EmotionNetForZeroShotImageClassification.from_pretrained(checkpoint)
    with torch.no_grad():
        expected = model.get_text_features(**tokens)
    given = run(exported.out / "text.onnx", tokens)
    assert list(given) == ["text_embeds"]
    assert close(given["text_embeds"], expected)


def test_record_says_what_was_written_and_measured(exported):
    record = json.loads((exported.out / "onnx.json").read_text())
    assert record["labels"] == ["joy", "fear", "awe", "calm", "nameless"]
    image, text = record["files"]["image.onnx"], record["files"]["text.onnx"]
    assert image["inputs"] == {"pixel_values": ["batch", 3, 32, 32]}
    assert image["outputs"]["logits"] == ["batch", 5]
    assert list(text["inputs"]) == ["input_ids", "attention_mask"]
    assert [*text["inputs"].values()] == [["batch", "length"]] * 2
    assert text["outputs"] == {"text_embeds": ["batch", 6]}
    assert image["bytes"] == (exported.out / "image.onnx").stat().st_size
    assert image["largest_difference"] == exported.files["image.onnx"].largest_difference < 1e-4
    assert record["measured"]["batch_sizes"] == [1, 3]


def test_graphs_do_not_tell_where_they_were_made(exported):
    here = str(Path(onnx.__file__).parents[2]).encode()
    for path in exported.out.glob("*.onnx"):
        assert not any(word in path.read_bytes() for word in (here, b"site-packages", b".py"))


@pytest.mark.parametrize("variant", ["paper", "published code"])
def test_textcnn_computes_what_pytorch_does(text_folder, tmp_path, variant):
    folder = text_folder(variant)
    result = export_onnx(folder, tmp_path / "out", progress=False)
    assert list(result.files) == ["text.onnx"]
    tokenizer = AutoTokenizer.from_pretrained(result.out)
    model = TextCNNForSequenceClassification.from_pretrained(folder)
    # The published code cuts and pads to four keywords.
    for lists in (["joy"], ["joy, fear, awe, tree, calm, zzz", "tree", ""]):
        tokens = tokenizer(lists, padding=True, return_tensors="pt")
        with torch.no_grad():
            expected = model(**tokens)
        given = run(result.out / "text.onnx", tokens)
        assert list(given) == ["logits", "pooler_output"]
        assert all(close(value, expected[name]) for name, value in given.items())


@pytest.mark.parametrize(
    ("kind", "outputs", "files"),
    [
        (EmotionNetForImageClassification, ["pooler_output", "image_embeds", "logits"], 1),
        (EmotionNetForZeroShotImageClassification, ["pooler_output", "image_embeds"], 2),
    ],
)
def test_a_model_with_one_branch_gives_what_it_has(as_folder, tmp_path, kind, outputs, files):
    result = export_onnx(as_folder(kind), tmp_path / "out", progress=False)
    assert list(result.files) == ["image.onnx", "text.onnx"][:files]
    assert list(result.files["image.onnx"].outputs) == outputs
    assert (result.out / "tokenizer.json").exists() == (files == 2)
    sentence = "There is no text.onnx: the model has no text tower."
    assert (result.summary().splitlines()[-1] == sentence) == (files == 1)
    assert len(result.summary().splitlines()) == 2


@pytest.mark.parametrize("kind", [EmotionNetForImageClassification, EmotionNetForPreTraining])
def test_a_model_without_a_joint_space_has_no_place_in_it(bare_folder, tmp_path, kind):
    """As `emotionnet convert` makes of a fine-tuned model: the projection has no rows."""
    folder = bare_folder(kind)
    result = export_onnx(folder, tmp_path / "out", progress=False)
    assert list(result.files) == ["image.onnx"]
    assert list(result.files["image.onnx"].outputs) == ["pooler_output", "logits"]
    assert "no text.onnx" in result.summary()
    processor = AutoImageProcessor.from_pretrained(result.out)
    pixels = processor([picture(0), picture(1), picture(2)], return_tensors="pt")
    model = kind.from_pretrained(folder)
    with torch.no_grad():
        logits = model(**pixels).logits
        features = model.emotionnet(**pixels).pooler_output
    given = run(result.out / "image.onnx", pixels)
    assert close(given["logits"], logits)
    assert close(given["pooler_output"], features)
    assert logits.std() > 0.1


def test_only_an_earlier_export_is_overwritten(text_folder, tmp_path):
    folder, out = text_folder("paper"), tmp_path / "out"
    export_onnx(folder, out, progress=False)
    with pytest.raises(ExportError, match=r"out exists; .*--overwrite"):
        export_onnx(folder, out, progress=False)
    (out / "old").touch()
    export_onnx(folder, out, overwrite=True, progress=False)
    assert not (out / "old").exists()
    with pytest.raises(ExportError, match=r"text is not overwritten: it has no onnx\.json"):
        export_onnx(folder, folder, overwrite=True, progress=False)


def test_weights_too_large_for_one_file_lie_beside_it(text_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "_ONE_FILE", 0)
    result = export_onnx(text_folder("paper"), tmp_path / "out", progress=False)
    graph, data = (result.out / name for name in ("text.onnx", "text.onnx.data"))
    assert result.files["text.onnx"].bytes == graph.stat().st_size + data.stat().st_size


def test_a_graph_that_computes_something_else_is_not_written(text_folder, tmp_path, monkeypatch):
    folder, write = text_folder("paper"), onnx._write
    export_onnx(folder, tmp_path / "out", progress=False)
    before = (tmp_path / "out" / "text.onnx").read_bytes()

    def write_wrongly(part, path):
        bias = part.module.model.classifier.bias
        bias.data += 0.01
        write(part, path)
        bias.data -= 0.01

    monkeypatch.setattr(onnx, "_write", write_wrongly)
    with pytest.raises(ExportError, match=r"text\.onnx differs by (9\.99|1\.00)e-0[23] from"):
        export_onnx(folder, tmp_path / "out", overwrite=True, progress=False)
    assert (tmp_path / "out" / "text.onnx").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "text"]


def test_what_cannot_be_traced_is_one_error(text_folder, tmp_path, monkeypatch):
    def untraceable(self, input_ids, attention_mask):
        return (input_ids.float(),) if input_ids.sum().item() > 0 else (attention_mask,)

    monkeypatch.setattr(onnx._TextCNN, "forward", untraceable)
    with pytest.raises(ExportError, match=r"PyTorch cannot turn this model into text\.onnx"):
        export_onnx(text_folder("paper"), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_an_error_that_names_the_extra(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"onnxruntime.*emotionnet-hf\[onnx\]"):
        export_onnx(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_papers_trunk_is_exported_at_full_size(tmp_path):
    from emotionnet_hf.models import EmotionNetConfig, build_image_processor, keyword_tokenizer

    keywords = [f"word {i}" for i in range(1000)]
    labels = dict(enumerate(keywords[:690]))
    config = EmotionNetConfig(vocab_size=1002, id2label=labels)
    EmotionNetForPreTraining(config).save_pretrained(tmp_path / "model")
    keyword_tokenizer(keywords).save_pretrained(tmp_path / "model")
    build_image_processor("resnet50").save_pretrained(tmp_path / "model")
    result = export_onnx(tmp_path / "model", tmp_path / "out", progress=False)
    assert result.files["image.onnx"].outputs["pooler_output"] == ["batch", 2048]
    assert 90e6 < result.files["image.onnx"].bytes < 120e6
