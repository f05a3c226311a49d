"""The authors' image models tensor by tensor; parity is in test_convert_original.py."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet50

from emotionnet_hf.emotions import default_vocabulary
from emotionnet_hf.models import CheckpointError
from emotionnet_hf.models.convert_image import build_emotionnet, build_tower, image_sizes
from emotionnet_hf.models.read_original import ConversionError, OriginalCheckpoint

with torch.device("meta"):
    LAYOUT = {n: tuple(t.shape) for n, t in resnet50().state_dict().items() if n[:3] != "fc."}
FC = {"fc.weight": (5, 2048), "fc.bias": (5,)}
PROJ = {"proj.weight": (3, 2048), "proj.bias": (3,)}
FC_AUX = {"fc_aux.weight": (8, 2048), "fc_aux.bias": (8,)}
JOINT = {"fc.weight": (5, 3), "fc.bias": (5,)}
KINDS = {
    "two-branch": {**FC, **PROJ},
    "three-branch": {**FC, **PROJ, **FC_AUX},
    "joint": {**JOINT, **PROJ},
    "fine-tuned": FC,
}


def as_read(sizes: dict[str, tuple[int, ...]]) -> OriginalCheckpoint:
    """Tensors of those sizes, in next to no memory."""
    tensors = {name: torch.zeros(()).expand(size) for name, size in sizes.items()}
    return OriginalCheckpoint(Path("net.pth"), tensors, {})


@pytest.mark.parametrize("kind", KINDS)
def test_the_layouts_are_accepted_with_and_without_counters(kind):
    sizes = LAYOUT | KINDS[kind]
    expected = (5, 0 if kind == "fine-tuned" else 3)
    assert image_sizes(as_read(sizes), kind) == expected
    old = {name: size for name, size in sizes.items() if "num_batches_tracked" not in name}
    assert len(sizes) - len(old) == 53
    assert image_sizes(as_read(old), kind) == expected


def test_the_released_model_has_322_tensors_or_269():
    sizes = LAYOUT | KINDS["two-branch"]
    assert len(sizes) == 322
    assert sum("num_batches_tracked" not in name for name in sizes) == 269
    sizes |= {"fc.weight": (690, 2048), "fc.bias": (690,)}
    sizes |= {"proj.weight": (300, 2048), "proj.bias": (300,)}
    parameters = {name: size for name, size in sizes.items() if "running" not in name}
    assert sum(int(np.prod(s)) for n, s in parameters.items() if s) == 25_536_542


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("two-branch", {"layer3.5.bn2.running_var": None}, "missing: layer3.5.bn2.running_var"),
        ("two-branch", {"fc.bias": None}, r"missing: fc\.bias\. "),
        ("two-branch", {"proj.bias": None}, r"missing: proj\.bias\. "),
        ("two-branch", {"fc.weight": (5, 512)}, r"fc\.weight \(5, 512\), needed \(5, 2048\)"),
        ("two-branch", FC_AUX, r"without a place: fc_aux\.weight, fc_aux\.bias\. "),
        ("fine-tuned", FC_AUX, r"without a place: fc_aux"),
        ("joint", FC_AUX, r"without a place: fc_aux"),
        ("three-branch", {"fc_aux.weight": (7, 2048)}, r"fc_aux\.weight \(7, 2048\), needed \(8"),
        # ResNet-101 has more blocks, ResNet-18 other ones.
        ("fine-tuned", {"layer3.6.conv1.weight": (256, 1024, 1, 1)}, "place: layer3.6.conv1"),
        (
            "fine-tuned",
            {"layer1.0.conv1.weight": (64, 64, 3, 3)},
            r"size: layer1\.0\.conv1\.weight \(64, 64, 3, 3\), needed \(64, 64, 1, 1\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(kind, change, told):
    sizes: dict = LAYOUT | KINDS[kind] | change
    sizes = {name: size for name, size in sizes.items() if size is not None}
    with pytest.raises(CheckpointError, match=rf"net\.pth looks like a {kind} checkpoint.*{told}"):
        image_sizes(as_read(sizes), kind)


def embed(keywords) -> np.ndarray:
    """Word vectors of some keywords, and none of the others."""
    vectors = np.zeros((len(keywords), 3))
    for row, keyword in enumerate(keywords):
        if keyword in ("joy", "awe", "candy cane", "class 1"):
            vectors[row] = [len(keyword), 1, ord(keyword[0])]
    return vectors


def test_tower_has_the_keywords_that_have_a_vector():
    names, vectors = build_tower(embed, ["Class 1", "zorblax"], ["Candy  Cane", "a,b"], 3)
    assert names == ["awe", "candy cane", "class 1", "joy"]
    assert {"awe", "joy"} <= {*default_vocabulary()}
    np.testing.assert_array_equal(vectors, embed(names))


def test_tower_needs_vectors_of_the_size_of_the_joint_space():
    with pytest.raises(ConversionError, match=r"the joint space needs \(\d+, 300\)"):
        build_tower(embed, ["joy"], None, 300)
    with pytest.raises(ConversionError, match=r"None of .* has a word vector"):
        build_tower(lambda names: np.zeros((len(names), 3)), ["joy"], None, 3)


def test_text_tower_holds_the_vectors_behind_padding_and_unknown():
    tower = build_tower(embed, ["joy"], None, 3)
    model = build_emotionnet(as_read(LAYOUT | KINDS["two-branch"]), list("abcde"), tower)
    rows = model.text_tower.keyword_embedding.weight
    assert model.config.vocab_size == len(rows) == 4
    np.testing.assert_array_equal(rows.numpy(), [[0] * 3, [0] * 3, *tower[1]])
    assert not model.training


def test_auxiliary_branch_is_a_head_of_the_whole_model():
    tower = build_tower(embed, ["joy"], None, 3)
    read = as_read(LAYOUT | KINDS["three-branch"])
    weight = torch.arange(8 * 2048, dtype=torch.float32).view(8, 2048)
    read.tensors["fc_aux.weight"] = weight
    model = build_emotionnet(read, list("abcde"), tower)
    assert model.config.auxiliary_dim == 8
    assert torch.equal(model.auxiliary_projection.weight, weight)
    two = build_emotionnet(as_read(LAYOUT | KINDS["two-branch"]), list("abcde"), tower)
    assert two.config.auxiliary_dim == 0
    assert build_emotionnet(read, list("abcde")).config.auxiliary_dim == 0
