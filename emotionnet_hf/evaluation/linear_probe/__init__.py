"""Linear evaluation of image features: freeze everything, train one new layer (Tables 2 to 5)."""

from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments, LinearProbeError
from emotionnet_hf.evaluation.linear_probe.report import LinearProbeReport
from emotionnet_hf.evaluation.linear_probe.running import Running, evaluate_linear_probe
from emotionnet_hf.evaluation.linear_probe.splits import load_for_seeds

__all__ = [
    "LinearProbeArguments",
    "LinearProbeError",
    "LinearProbeReport",
    "Running",
    "evaluate_linear_probe",
    "load_for_seeds",
]
