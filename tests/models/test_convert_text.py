"""The authors' text models against a naive version of their published forward pass."""

from pathlib import Path

import numpy as np
import pytest
import torch

from emotionnet_hf.keywords import VocabularyError
from emotionnet_hf.models import CheckpointError, keyword_tokenizer
from emotionnet_hf.models.convert_text import build_text_model, text_sizes
from emotionnet_hf.models.read_original import ConversionError, OriginalCheckpoint

KEYWORDS = ["tree", "Candy  Cane", "joy", "sea", "007"]
LABELS = ["awe", "fear", "calm"]
UNKNOWN, PADDING = len(KEYWORDS), len(KEYWORDS) + 1


def text_tensors(dim: int, hidden: int, middle: bool = True) -> dict[str, torch.Tensor]:
    """Random tensors in the authors' layout; BatchNorm has seen something."""
    chance = torch.Generator().manual_seed(4)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=chance) / (size[-1] if len(size) > 1 else 4) ** 0.5

    tensors = {
        "embedding.weight": 3 * normal(len(KEYWORDS) + 2, dim),
        "conv.weight": normal(hidden, 1, dim),
        "conv.bias": normal(hidden),
        "bn.weight": 1 + normal(hidden),
        "bn.bias": normal(hidden),
        "bn.running_mean": normal(hidden),
        "bn.running_var": 0.5 + torch.rand(hidden, generator=chance),
        "bn.num_batches_tracked": torch.tensor(9),
        "fc_m.weight": normal(hidden, hidden),
        "fc_m.bias": normal(hidden),
        "fc.weight": normal(len(LABELS), hidden),
        "fc.bias": normal(len(LABELS)),
    }
    return tensors if middle else {n: t for n, t in tensors.items() if "fc_m" not in n}


def published_forward(tensors: dict[str, torch.Tensor], words: list[str]) -> np.ndarray:
    """Logits of one list of keywords, word by word: protocols, section 3, the published code."""
    t = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    ids = [KEYWORDS.index(word) if word in KEYWORDS else UNKNOWN for word in words][:100]
    ids += [PADDING] * (100 - len(ids))
    total = np.zeros(len(t["conv.bias"]))
    for i in ids:
        convolved = t["conv.weight"][:, 0, :] @ t["embedding.weight"][i] + t["conv.bias"]
        total += np.maximum(convolved, 0)
    average = total / 100
    deviation = np.sqrt(t["bn.running_var"] + 1e-5)
    features = (average - t["bn.running_mean"]) / deviation * t["bn.weight"] + t["bn.bias"]
    if "fc_m.weight" in t:
        features = t["fc_m.weight"] @ features + t["fc_m.bias"]
    return t["fc.weight"] @ features + t["fc.bias"]


LISTS = [
    ["joy"],
    ["sea", "Candy  Cane", "tree"],
    ["never seen", "joy", "nor this"],
    ["007"] * 60 + ["tree"] * 60,
    [],
]


def as_read(tensors: dict[str, torch.Tensor]) -> OriginalCheckpoint:
    return OriginalCheckpoint(Path("text.pth"), tensors, {})


@pytest.mark.parametrize("middle", [True, False], ids=["fc_m", "plain"])
@pytest.mark.parametrize("size", [(300, 300), (5, 4)], ids=["300", "tiny"])
def test_logits_are_those_of_the_published_forward_pass(middle, size):
    tensors = text_tensors(*size, middle)
    model, vocabulary = build_text_model(as_read(tensors), KEYWORDS, LABELS)
    assert model.config.hidden_layer is middle
    assert sum(t.numel() for t in model.state_dict().values()) == sum(
        t.numel() for t in tensors.values()
    )
    tokenizer = keyword_tokenizer(vocabulary.names)
    inputs = tokenizer(
        [", ".join(words) for words in LISTS], padding=True, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = model(**inputs).logits.double().numpy()
    expected = np.stack([published_forward(tensors, words) for words in LISTS])
    assert np.ptp(expected, axis=0).min() > 0.01
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_the_authors_convolution_over_each_word_is_ours():
    # As their code applies it: each word vector a signal of one channel, as long as the kernel.
    tensors = text_tensors(6, 4)
    model, _ = build_text_model(as_read(tensors), KEYWORDS, LABELS)
    ids = torch.tensor([[2, 4, 3]])
    words = model.textcnn.embedding(ids)
    theirs = torch.nn.functional.conv1d(
        words.view(3, 1, 6), tensors["conv.weight"], tensors["conv.bias"]
    )
    hidden = model.textcnn(ids).last_hidden_state[0, :3]
    torch.testing.assert_close(hidden, theirs[:, :, 0].relu(), rtol=1e-5, atol=1e-5)


def test_model_says_what_it_is():
    read = as_read(text_tensors(5, 4))
    assert text_sizes(read) == (len(KEYWORDS), len(LABELS))
    model, vocabulary = build_text_model(read, KEYWORDS, LABELS)
    assert vocabulary.names == ("tree", "candy cane", "joy", "sea", "007")
    config = model.config
    assert config.id2label == dict(enumerate(LABELS))
    assert (config.pooling, config.activation, config.batch_norm) == ("padded", "none", True)
    assert (config.max_keywords, config.dropout) == (100, 0.5)
    assert not model.training
    assert model.textcnn.norm.num_batches_tracked == 9


def test_without_counter_it_is_zero():
    tensors = text_tensors(5, 4)
    del tensors["bn.num_batches_tracked"]
    read = as_read(tensors)
    text_sizes(read)
    model, _ = build_text_model(read, KEYWORDS, LABELS)
    assert model.textcnn.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"bn.running_var": None}, "missing: bn.running_var"),
        ({"fc_m.bias": None}, "missing: fc_m.bias"),
        ({"fc.weight": None, "fc.bias": None}, "missing: fc.weight, fc.bias"),
        ({"conv.weight": (4, 1, 3)}, r"conv\.weight \(4, 1, 3\), needed \(4, 1, 5\)"),
        ({"conv.weight": (4, 1, 5, 1)}, r"conv\.weight \(4, 1, 5, 1\), needed \(4, 1, 5\)"),
        ({"fc.bias": (2,)}, r"fc\.bias \(2,\), needed \(3,\)"),
        ({"embedding.weight": (7,)}, r"embedding\.weight \(7,\), needed \(7, 0\)"),
        ({"lstm.weight": (2, 2)}, "without a place: lstm.weight"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, told):
    tensors = text_tensors(5, 4)
    for name, size in change.items():
        tensors.pop(name, None)
        if size is not None:
            tensors[name] = torch.zeros(size)
    with pytest.raises(CheckpointError, match=rf"text\.pth looks like a text checkpoint.*{told}"):
        text_sizes(as_read(tensors))


def test_keywords_have_to_be_those_of_the_model():
    read = as_read(text_tensors(5, 4))
    with pytest.raises(ConversionError, match=r"for 5 keywords .* vocabulary has 4"):
        build_text_model(read, KEYWORDS[:4], LABELS)
    with pytest.raises(VocabularyError, match="more than once: tree"):
        build_text_model(read, [*KEYWORDS[:4], "Tree"], LABELS)
