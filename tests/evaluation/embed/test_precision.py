import pytest
import torch

from emotionnet_hf.evaluation.embed.precision import EngineError, check_bf16


@pytest.mark.parametrize("has", [True, False])
def test_bf16_is_for_hardware_that_has_it(monkeypatch, has):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has)
    if has:
        check_bf16(torch.device("cpu"))
    else:
        with pytest.raises(EngineError, match="CPU does not compute with bf16"):
            check_bf16(torch.device("cpu"))
