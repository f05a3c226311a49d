"""Makes the tiny checkpoints of the version that runs it that are not there; see README.md.

.venv/bin/python tests/models/checkpoints/make_checkpoints.py
"""

import json
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from emotionnet_hf import __version__
from emotionnet_hf.emotions import SE30K8
from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    TextCNNConfig,
    TextCNNForSequenceClassification,
    build_image_processor,
    keyword_tokenizer,
)

KEYWORDS = ["joy", "fear", "candy cane", "awe", "calm", "tree", "nameless"]
EMOTIONS = {0: "joy", 1: "fear", 2: "awe", 3: "calm"}
TEXTS = ["Joy,  Candy Cane", "tree, zorblax, fear", "zorblax"]
# A whole ResNet (deep stem, both kinds of blocks) in 20 kB.
TRUNK = {"stem_width": 4, "channels": (4, 4, 4, 8)}
SIDE = 32


def pixels() -> torch.Tensor:
    """Two pictures as the network gets them, (2, 3, SIDE, SIDE), the same everywhere."""
    steps = torch.arange(2 * 3 * SIDE * SIDE, dtype=torch.float64).view(2, 3, SIDE, SIDE)
    return torch.sin(steps**1.1 / 40).float()


def picture() -> Image.Image:
    """A picture of smooth colours, 48 x 40."""
    image = Image.new("RGB", (48, 40))
    image.putdata([(5 * x, 6 * y, 2 * (x + y)) for y in range(40) for x in range(48)])
    return image


def shake(model: torch.nn.Module) -> None:
    """Give every tensor a value that a fresh model does not have."""
    chance = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor += 0.6 * (torch.rand(tensor.shape, generator=chance) - 0.5)
        else:
            assert name.endswith("num_batches_tracked")
            tensor += 7


def save(model, folder: Path, expected: dict) -> None:
    """Write a checkpoint with its tokenizer and what it gives."""
    tokenizer = keyword_tokenizer(KEYWORDS)
    tokenizer.save_pretrained(folder)
    tokens = tokenizer(TEXTS, padding=True)
    write(model, folder, expected | {"texts": TEXTS, "input_ids": tokens.input_ids})


def write(model, folder: Path, expected: dict) -> None:
    """Write a checkpoint without its code, which is the package's, and what it gives."""
    model.save_pretrained(folder)
    for code in folder.glob("*.py"):
        code.unlink()
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def emotionnet(folder: Path) -> None:
    config = EmotionNetConfig(
        backbone="test_resnet",
        backbone_kwargs=TRUNK,
        projection_dim=6,
        vocab_size=len(KEYWORDS) + 2,
        id2label=EMOTIONS,
    )
    model = EmotionNetForPreTraining(config).eval()
    shake(model)
    for head in (model.classifier, model.emotionnet.visual_projection):
        head.weight.data.normal_()
    for row in (0, 1, -1):
        model.text_tower.keyword_embedding.weight.data[row] = 0
    processor = build_image_processor("test_resnet", SIDE)
    tokens = keyword_tokenizer(KEYWORDS)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = model(pixel_values=pixels(), **tokens)
    expected = {name: value.tolist() for name, value in output.items()}
    picture_pixels = processor(picture(), return_tensors="pt")["pixel_values"][0]
    expected["picture"] = picture_pixels[:, ::8, ::8].tolist()
    save(model, folder, expected)
    processor.save_pretrained(folder)


def classifier(folder: Path, labels: dict[int, str], dim: int) -> None:
    """An EmotionNet without a text tower, and so without a tokenizer, as a conversion writes it."""
    config = EmotionNetConfig(
        backbone="test_resnet", backbone_kwargs=TRUNK, projection_dim=dim, id2label=labels
    )
    model = EmotionNetForImageClassification(config).eval()
    shake(model)
    model.classifier.weight.data.normal_()
    processor = build_image_processor("test_resnet", SIDE)
    with torch.no_grad():
        tower, output = model.emotionnet(pixels()), model(pixels())
    expected = {"labels": [*labels.values()], "logits": output.logits.tolist()}
    expected |= {name: tower[name].tolist() for name in ("pooler_output", "image_embeds")}
    picture_pixels = processor(picture(), return_tensors="pt")["pixel_values"][0]
    expected["picture"] = picture_pixels[:, ::8, ::8].tolist()
    write(model, folder, expected)
    processor.save_pretrained(folder)


def textcnn(folder: Path, make, *, plain: bool = False) -> None:
    config = make(vocab_size=len(KEYWORDS) + 2, embedding_dim=6, hidden_size=5, id2label=EMOTIONS)
    model = TextCNNForSequenceClassification(config).eval()
    shake(model)
    if plain:  # the authors' variant without a fully-connected layer, as a conversion writes it
        model.textcnn.fc.weight.data = torch.eye(config.hidden_size)
        model.textcnn.fc.bias.data.zero_()
    tokens = keyword_tokenizer(KEYWORDS)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = model(**tokens)
    save(model, folder, {name: value.tolist() for name, value in output.items()})


MAKERS = {
    "emotionnet": emotionnet,
    "emotionnet_fine_tuned": partial(classifier, labels=EMOTIONS, dim=0),
    "emotionnet_auxiliary": partial(classifier, labels=dict(enumerate(SE30K8)), dim=6),
    "textcnn_paper": partial(textcnn, make=TextCNNConfig),
    "textcnn_published_code": partial(textcnn, make=TextCNNConfig.published_code),
    "textcnn_plain": partial(textcnn, make=TextCNNConfig.published_code, plain=True),
}


def main() -> None:
    root = Path(__file__).parent / __version__
    missing = [kind for kind in MAKERS if not (root / kind).exists()]
    if not missing:
        raise SystemExit(f"{root} is complete: it is kept as it is, see README.md.")
    for kind in missing:
        torch.manual_seed(0)
        MAKERS[kind](root / kind)


if __name__ == "__main__":
    main()
