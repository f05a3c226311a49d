import numpy as np
import pytest
import torch

from emotionnet_hf.evaluation.embed.change import feature_change
from emotionnet_hf.evaluation.embed.engines import _gate, open_engine
from emotionnet_hf.evaluation.embed.precision import EngineError, has_vnni
from emotionnet_hf.models.encoders import open_encoder

PICTURES = torch.randn(40, 3, 160, 160, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    encoder = open_encoder("timm:test_resnet=none", "cpu")
    for module in encoder.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
    return encoder


def plain(encoder, pixels):
    with torch.inference_mode():
        return {name: x.numpy() for name, x in encoder.model(pixels).items()}


def test_fp32_is_the_model_to_the_last_bits(network):
    before = {key: value.clone() for key, value in network.model.state_dict().items()}
    found = open_engine(network)(PICTURES[:5])
    assert found["features"].dtype == np.float32
    change = feature_change(found["features"], plain(network, PICTURES[:5])["features"])
    assert change.largest_relative < 1e-5
    after = network.model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert all(p.is_contiguous() for p in network.model.parameters())


def test_model_that_cannot_be_folded_runs_too():
    encoder = open_encoder("timm:test_vit=none", "cpu")
    found = open_engine(encoder)(PICTURES[:2])["features"]
    expected = plain(encoder, PICTURES[:2])["features"]
    assert feature_change(found, expected).largest_relative < 1e-5


def test_both_spaces_of_an_emotionnet(checkpoint):
    encoder = open_encoder(checkpoint, "cpu")
    found = open_engine(encoder, spaces=("features", "joint"))(PICTURES[:2])
    expected = plain(encoder, PICTURES[:2])
    for name in ("features", "joint"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
    assert list(open_engine(encoder)(PICTURES[:2])) == ["features"]


def test_int8_is_near_and_not_the_same(network):
    engine = open_engine(network, precision="int8", calibration=PICTURES[:20])
    found, expected = engine(PICTURES[20:])["features"], plain(network, PICTURES[20:])["features"]
    change = feature_change(found, expected)
    assert 1e-4 < change.mean_relative < 0.2
    assert change.smallest_cosine > 0.98


def test_int8_has_all_its_bits_where_the_cpu_adds_them_up(network, monkeypatch):
    def change():
        engine = open_engine(network, precision="int8", calibration=PICTURES[:20])
        expected = plain(network, PICTURES[20:])["features"]
        return feature_change(engine(PICTURES[20:])["features"], expected).mean_relative

    if not has_vnni():
        pytest.skip("this CPU has no VNNI, so activations have 7 bits")
    eight = change()
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    assert eight < 0.8 * change()


def test_int8_says_so_where_pytorch_lacks_it(network, monkeypatch):
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["none"])
    with pytest.raises(EngineError, match="x86"):
        open_engine(network, precision="int8", calibration=PICTURES[:20])


def test_int8_is_the_same_each_time(network):
    first, second = (
        open_engine(network, precision="int8", calibration=PICTURES[:20])(PICTURES[20:28])
        for _ in range(2)
    )
    np.testing.assert_array_equal(first["features"], second["features"])


def test_bf16_where_the_hardware_is_said_to_have_it(network, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    found = open_engine(network, precision="bf16")(PICTURES[:4])["features"]
    change = feature_change(found, plain(network, PICTURES[:4])["features"])
    assert found.dtype == np.float32 and 1e-4 < change.mean_relative < 0.05


def test_what_cannot_be_had_is_refused(network, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    with pytest.raises(EngineError, match="does not compute with bf16"):
        open_engine(network, precision="bf16")
    with pytest.raises(EngineError, match="none were given"):
        open_engine(network, precision="int8")


def test_few_batches_are_on_a_gpu_at_a_time():
    gate = _gate(torch.device("cuda"))
    assert [gate.acquire(blocking=False) for _ in range(3)] == [True, True, False]
    with _gate(torch.device("cpu")) as free:
        assert free is None
