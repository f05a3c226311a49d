import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from emotionnet_hf.evaluation.embed.change import feature_change
from emotionnet_hf.evaluation.embed.engines import open_engine
from emotionnet_hf.models.encoders import open_encoder

PICTURES = torch.randn(30, 3, 160, 160, generator=torch.Generator().manual_seed(0))


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r"emotionnet-hf\[openvino\]"):
        open_engine(open_encoder("timm:test_resnet=none", "cpu"), runtime="openvino")


# Not importorskip: importing them here would start what must not be started.
installed = pytest.mark.skipif(
    not (find_spec("openvino") and find_spec("nncf")), reason="the extra is not installed"
)


@installed
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_it_computes_the_same_and_int8_nearly_so(name, capsys):
    torch.manual_seed(0)
    encoder = open_encoder(f"timm:{name}=none", "cpu")
    with torch.inference_mode():
        expected = encoder.model(PICTURES[20:])["features"].numpy()
    exact = open_engine(encoder, runtime="openvino")
    found = np.concatenate([exact(batch)["features"] for batch in PICTURES[20:].split(4)])
    assert feature_change(found, expected).largest_relative < 1e-4
    small = open_engine(
        encoder, runtime="openvino", precision="int8", calibration=PICTURES[:20], threads=2
    )
    change = feature_change(small(PICTURES[20:])["features"], expected)
    assert 1e-4 < change.mean_relative < 0.3
    assert capsys.readouterr().out == ""


@installed
def test_nothing_is_reported_to_anyone():
    open_engine(open_encoder("timm:test_resnet=none", "cpu"), runtime="openvino")
    assert "openvino_telemetry" not in sys.modules
