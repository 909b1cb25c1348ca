"""Models for other programs: ONNX, TorchScript, safetensors, a web page. Each is checked before it is kept."""

from fastnst.export.agreement import Difference, compare
from fastnst.export.formats import export_onnx, export_safetensors, export_torchscript
from fastnst.export.web import export_web

__all__ = ["Difference", "compare", "export_onnx", "export_safetensors", "export_torchscript", "export_web"]
