"""Other doors to a trained model: ONNX for other runtimes, a timm model for timm's users."""

from emotionnet_hf.export.model_folder import ExportError
from emotionnet_hf.export.onnx import OnnxExport, export_onnx
from emotionnet_hf.export.timm_trunk import TimmExport, export_timm

__all__ = ["ExportError", "OnnxExport", "TimmExport", "export_onnx", "export_timm"]
