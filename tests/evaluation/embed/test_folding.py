import pytest
import torch
from torch import nn

from emotionnet_hf.evaluation.embed.folding import fold
from emotionnet_hf.models.encoders import open_encoder

PICTURES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def shaken(name):
    """A random network whose batch normalisation does something."""
    torch.manual_seed(0)
    model = open_encoder(name, "cpu").model
    for norm in norms(model):
        norm.running_mean.normal_(std=0.2)
        norm.running_var.uniform_(0.5, 2)
        norm.bias.data.normal_(std=0.2)
    return model


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "mobilenetv2_050"])
def test_folded_network_has_no_normalisation_left_and_computes_the_same(name):
    model = shaken(f"timm:{name}=none")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    folded = fold(model, PICTURES[:1])
    assert norms(model) and not norms(folded)
    expected, found = model(PICTURES)["features"], folded(PICTURES)["features"]
    assert (found - expected).norm() / expected.norm() < 1e-5
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Shared(nn.Module):
    """The convolution's output is used beside its normalisation."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.conv(x)
        return {"features": (self.norm(y) + y).mean((2, 3))}


def test_convolution_that_others_use_is_left_alone():
    model = Shared().eval()
    model.norm.running_mean.fill_(0.7)
    folded = fold(model, PICTURES)
    assert len(norms(folded)) == 1
    assert torch.equal(folded(PICTURES)["features"], model(PICTURES)["features"])


class Branching(nn.Module):
    def forward(self, x):
        return {"features": (x if x.sum() > 0 else -x).flatten(1)}


def test_model_that_cannot_be_traced_is_not_folded():
    assert fold(Branching().eval(), PICTURES) is None


class Lying(nn.Module):
    """Computes something else when it is traced."""

    def forward(self, x):
        return {"features": x.flatten(1) * (1.0 if isinstance(x, torch.Tensor) else 2.0)}


def test_trace_that_computes_something_else_is_not_used():
    assert fold(Lying().eval(), PICTURES) is None
