"""Our network as an ONNX graph, node by node.

Written by hand rather than traced: it takes milliseconds instead of minutes, is the same with every version of torch,
and needs the ``onnx`` package alone. That it does what the network does is measured after each export
(:mod:`fastnst.export.agreement`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from fastnst.errors import InputError
from fastnst.networks import AnyEnlarger, EnlargingNetwork, TransformerNetwork, enlarging
from fastnst.networks.blocks import InstanceNorm, ResidualBlock, UpsampleBlock, phases_of_upsampling
from fastnst.networks.grain import COLUMN_STEP, PRIME, ROW_STEP
from fastnst.networks.transformer import MINIMUM_SIZE, OUTPUT_RANGE

OPSET = 17
"""Of 2022; ONNX Runtime reads it since 1.12."""
IR_VERSION = 8
INPUT, STYLE, OUTPUT, ENLARGED = "picture", "style", "stylized", "enlarged"
END = np.iinfo(np.int64).max
"""Slice goes on to the end."""
PRECISIONS = ("float", "half", "int8")


class Graph:
    """Nodes and weights as they are added; every method returns the name of what it computes.

    Args:
        precision: how weights of convolutions are kept: ``"float"``, ``"half"``, or ``"int8"`` with a scale for each
            output channel. They are turned back when the model is loaded: files shrink, the arithmetic stays float32.
    """

    def __init__(self, precision: str = "float") -> None:
        self.precision = precision
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value: Any, dtype: type) -> str:
        name = f"constant_{len(self.weights)}"
        self.weights[name] = numpy_helper.from_array(np.asarray(value, dtype), name)
        return name

    def whole(self, value: Any) -> str:
        return self.constant(value, np.int64)

    def number(self, value: Any) -> str:
        return self.constant(value, np.float32)

    def parameter(self, value: Tensor | None, name: str) -> str:
        """A vector as it is, a kernel in :attr:`precision`."""
        assert value is not None, name  # all our convolutions have biases
        array = value.detach().float().cpu().numpy()
        if array.ndim != 4 or self.precision == "float":
            self.weights[name] = numpy_helper.from_array(array, name)
            return name
        if self.precision == "half":
            self.weights[name] = numpy_helper.from_array(array.astype(np.float16), name)
            return self.add("Cast", name, to=TensorProto.FLOAT)
        axis = 1 if name.endswith("transposed") else 0
        others = tuple(i for i in range(4) if i != axis)
        scale = np.maximum(np.abs(array).max(axis=others), 1e-12) / 127
        shape = [-1 if i == axis else 1 for i in range(4)]
        levels = np.round(array / scale.reshape(shape)).astype(np.int8)
        self.weights[name] = numpy_helper.from_array(levels, name)
        zeros = self.constant(np.zeros_like(scale), np.int8)
        return self.add("DequantizeLinear", name, self.number(scale), zeros, axis=axis)

    def module(self, module: nn.Module, x: str, name: str) -> str:
        """What ``module`` makes of ``x``."""
        if isinstance(module, nn.Conv2d):
            side, pads = module.kernel_size[0] // 2, [0] * 4
            if module.padding_mode == "zeros":
                pads = [side] * 4
            elif side:
                x = self.add("Pad", x, self.whole([0, 0, side, side] * 2), mode="reflect")
            weight, bias = self.parameter(module.weight, f"{name}.weight"), self.parameter(module.bias, f"{name}.bias")
            return self.add("Conv", x, weight, bias, strides=module.stride, group=module.groups, pads=pads)
        if isinstance(module, nn.ConvTranspose2d):
            weight = self.parameter(module.weight, f"{name}.weight.transposed")
            sizes = {"strides": module.stride, "pads": [1] * 4, "output_padding": module.output_padding}
            return self.add("ConvTranspose", x, weight, self.parameter(module.bias, f"{name}.bias"), **sizes)
        if isinstance(module, InstanceNorm):
            weight, bias = self.parameter(module.weight, f"{name}.weight"), self.parameter(module.bias, f"{name}.bias")
            if module.weight.ndim == 2:
                weight, bias = (self.add("MatMul", STYLE, rows) for rows in (weight, bias))
            return self.add("InstanceNormalization", x, weight, bias, epsilon=module.eps)
        if isinstance(module, nn.BatchNorm2d):
            names = ("weight", "bias", "running_mean", "running_var")
            values = [self.parameter(getattr(module, one), f"{name}.{one}") for one in names]
            return self.add("BatchNormalization", x, *values, epsilon=module.eps)
        if isinstance(module, nn.ReLU):
            return self.add("Relu", x)
        if isinstance(module, nn.Upsample):
            sampling = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
            return self.add("Resize", x, "", self.number([1, 1, 2, 2]), **sampling)
        if isinstance(module, UpsampleBlock) and self.precision == "float":  # else sums of weights would be rounded
            convolution = module[1]
            assert isinstance(convolution, nn.Conv2d)
            x = self.upsampled(convolution, x, f"{name}.1")
            for place in (2, 3):
                x = self.module(module[place], x, f"{name}.{place}")
            return x
        if isinstance(module, ResidualBlock | enlarging.Block):
            return self.add("Add", x, self.module(module.body, x, f"{name}.body"))
        if isinstance(module, nn.Sequential):
            for key, part in module.named_children():
                x = self.module(part, x, f"{name}.{key}")
            return x
        raise InputError(f"ONNX export does not know the layer {type(module).__name__} ({name}).")

    def upsampled(self, convolution: nn.Conv2d, x: str, name: str) -> str:
        """Nearest-neighbour upsampling and the 3x3 convolution behind it, as four 2x2 convolutions of the small map.

        Less than half the multiplications. The repeated pixels' reflection is the small map's border pixel once more.
        """
        x = self.add("Pad", x, self.whole([0, 0, 1, 1] * 2), mode="edge")
        bias, axes, phases = self.parameter(convolution.bias, f"{name}.bias"), self.whole([2, 3]), []
        for phase, kernel in enumerate(phases_of_upsampling(convolution.weight).chunk(4)):
            row, column = divmod(phase, 2)
            weight = self.parameter(kernel[..., row : row + 2, column : column + 2], f"{name}.weight.{row}{column}")
            ends = self.whole([END if first else -1 for first in (row, column)])
            part = self.add("Slice", x, self.whole([row, column]), ends, axes)
            phases.append(self.add("Conv", part, weight, bias))
        return self.add("DepthToSpace", self.add("Concat", *phases, axis=1), blocksize=2, mode="DCR")

    def reflected(self, x: str, axis: int, size: str, padded: str) -> str:
        """``x`` of length ``size`` along ``axis`` goes on to ``padded``, back and forth, also where it is one pixel."""
        place = self.add("Range", self.whole(0), padded, self.whole(1))
        last = self.add("Sub", size, self.whole(1))
        period = self.add("Max", self.add("Mul", last, self.whole(2)), self.whole(1))
        forth = self.add("Mod", place, period)
        return self.add("Gather", x, self.add("Min", forth, self.add("Sub", period, forth)), axis=axis)

    def grain(self, x: str, amplitude: float, height: str, width: str) -> str:
        """What :class:`~fastnst.networks.grain.Grain` adds, from the same whole numbers."""
        if amplitude == 0:
            return x
        prime = self.whole(PRIME)

        def residues(length: str, step: int, axis: int) -> str:
            place = self.add("Range", self.whole(0), length, self.whole(1))
            residue = self.add("Mod", self.add("Mul", place, self.whole(step)), prime)
            return self.add("Unsqueeze", residue, self.whole([axis]))

        number = self.add("Mod", self.add("Add", residues(height, ROW_STEP, 1), residues(width, COLUMN_STEP, 0)), prime)
        square = self.add("Mod", self.add("Mul", number, number), prime)
        number = self.add("Mod", self.add("Mul", square, number), prime)
        uniform = self.add("Div", self.add("Cast", number, to=TensorProto.FLOAT), self.number(PRIME))
        centred = self.add("Sub", uniform, self.number(0.5))
        return self.add("Add", x, self.add("Mul", centred, self.number(12**0.5 * amplitude)))


def network_to_onnx(network: TransformerNetwork, precision: str = "float") -> onnx.ModelProto:
    """The network with free height and width: RGB in [0, 1], (1, 3, H, W), from 1x1 up, in and out.

    Reflection up to a size that it can divide by four, and clamping, are inside. A network of S styles has a second
    input, (S,): the share of each style.
    """
    graph = Graph(precision)
    shape = graph.add("Shape", INPUT)
    sizes = {axis: graph.add("Gather", shape, graph.whole(axis), axis=0) for axis in (2, 3)}
    x, least = INPUT, {}
    for axis, size in sizes.items():
        least[axis] = graph.add("Max", size, graph.whole(MINIMUM_SIZE))
        x = graph.reflected(x, axis, size, least[axis])
    x = graph.grain(x, network.grain.amplitude, least[2], least[3])
    x = graph.add("Sub", graph.add("Mul", x, graph.number(2)), graph.number(1))
    for axis, size in least.items():
        quarters = graph.add("Div", graph.add("Add", size, graph.whole(3)), graph.whole(4))
        x = graph.reflected(x, axis, size, graph.add("Mul", quarters, graph.whole(4)))
    for name in ("encoder", "residual", "decoder", "to_rgb"):
        x = graph.module(getattr(network, name), x, name)
    if network.arguments["output"] != "linear":
        x = graph.add("Mul", graph.add("Tanh", x), graph.number(OUTPUT_RANGE))
    if network.arguments["output"] == "tanh":
        x = graph.add("Add", x, graph.number(0.5))
    ends = graph.add("Slice", shape, graph.whole([2]), graph.whole([4]))
    x = graph.add("Slice", x, graph.whole([0, 0]), ends, graph.whole([2, 3]))
    x = graph.add("Clip", x, graph.number(0), graph.number(1))
    return _model(graph, x, ("height", "width"), OUTPUT, network.arguments["styles"])


def enlarger_to_onnx(network: AnyEnlarger, precision: str = "float") -> onnx.ModelProto:
    """The same of a network that enlarges: what comes out is ``factor`` times as high and wide."""
    graph, x = Graph(precision), INPUT
    if isinstance(network, EnlargingNetwork):
        for _ in range(network.stages):
            x = _stage(graph, network, x)
    else:
        x = graph.add("Sub", graph.add("Mul", INPUT, graph.number(2)), graph.number(1))
        x = graph.add("Mul", graph.add("Tanh", graph.module(network.layers, x, "layers")), graph.number(OUTPUT_RANGE))
        x = graph.add("Add", x, graph.number(0.5))
    x = graph.add("Clip", x, graph.number(0), graph.number(1))
    return _model(graph, x, (f"{network.factor} height", f"{network.factor} width"), ENLARGED)


def _stage(graph: Graph, network: EnlargingNetwork, low: str) -> str:
    """One stage of enlarging."""
    first = graph.add("Sub", graph.add("Mul", low, graph.number(2)), graph.number(1))
    first = graph.module(network.head, first, "head")
    details = graph.add("Add", first, graph.module(network.body, first, "body"))
    details = graph.add("DepthToSpace", graph.module(network.tail, details, "tail"), blocksize=network.step, mode="CRD")
    scales = graph.number([1, 1, network.step, network.step])
    bicubic = graph.add("Resize", low, "", scales, mode="cubic")  # torch's coefficient and places
    return graph.add("Add", details, bicubic)


def _model(graph: Graph, x: str, size: tuple[str, str], name: str, styles: int | None = None) -> onnx.ModelProto:
    """The finished graph: ``x`` is what comes out, under this name and of this size in words."""
    graph.nodes.append(helper.make_node("Identity", [x], [name]))
    inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, "height", "width"])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, *size])]
    if styles:
        inputs.append(helper.make_tensor_value_info(STYLE, TensorProto.FLOAT, [styles]))
    whole = helper.make_graph(graph.nodes, "fastnst", inputs, outputs, [*graph.weights.values()])
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="fastnst")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
