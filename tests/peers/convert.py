"""Writes an int8 net of ours in the forms that other engines read, with the same weights and scales.

    python convert.py FOLDER

FOLDER has `expression.onnx`: QLinearConv and max-pool in a row, then DequantizeLinear. Files for one and for four faces are written
beside it. `cargo xtask bench` calls this; it needs the packages of requirements.txt.
"""

import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

# How many faces a call classifies.
FACES = (1, 4)


@dataclass
class Conv:
    """A convolution of stride 1. Its output is clamped at zero, except that of the last."""

    weights: numpy.ndarray  # s8 [output, input, height, width]
    weight_scales: numpy.ndarray  # f32 [output]
    bias: numpy.ndarray  # s32 [output]
    input: tuple  # scale and zero point of the u8 input
    output: tuple
    padding: int
    last: bool = False

    def float_weights(self):
        return self.weights.astype(numpy.float32) * self.weight_scales[:, None, None, None]

    def float_bias(self):
        return (self.bias.astype(numpy.float64) * self.input[0] * self.weight_scales).astype(numpy.float32)


class Pool:
    """A max-pool of 3x3 with stride 2, whose output size is rounded up."""


def read(path):
    """Returns the shape of the input for one face and the layers."""
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    shape = [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim]
    layers = []
    for node in graph.node:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        strides, pads = attributes.get("strides", [1, 1]), attributes.get("pads", [0] * 4)
        if node.op_type == "QLinearConv":
            _, scale, zero, weights, weight_scales, _, out_scale, out_zero, bias = map(constants.get, node.input)
            assert strides == [1, 1] and len(set(pads)) == 1, f"{node.name}: strides {strides}, pads {pads}"
            scales = numpy.broadcast_to(weight_scales, weights.shape[:1]).astype(numpy.float32)
            quantized = (float(scale), int(zero)), (float(out_scale), int(out_zero))
            layers.append(Conv(weights, scales, bias, *quantized, pads[0]))
        elif node.op_type == "MaxPool":
            window = attributes["kernel_shape"], strides, attributes["ceil_mode"], any(pads)
            assert window == ([3, 3], [2, 2], 1, False), f"{node.name}: {window}"
            layers.append(Pool())
        else:
            assert node.op_type == "DequantizeLinear", f"{node.name}: {node.op_type}"
    layers[-1].last = True
    return shape, layers


def after(layer, side):
    """Returns the side of a layer's output."""
    if isinstance(layer, Pool):
        return -(-(side - 3) // 2) + 1
    return side + 2 * layer.padding - layer.weights.shape[2] + 1


def batched(source, target, faces):
    """Copies an ONNX file for another number of faces per call."""
    model = onnx.load(source)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.type.tensor_type.shape.dim[0].dim_value = faces
    onnx.save(model, target)


def write_onnx(shape, layers, path, quantized):
    """Writes Conv, ReLU and MaxPool; if `quantized`, with QuantizeLinear and DequantizeLinear around them, from u8."""
    nodes, constants = [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(numpy.asarray(value), name))
        return name

    def node(operator, inputs, output, **attributes):
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def scale_and_zero(name, pair):
        return [constant(f"{name}_scale", numpy.float32(pair[0])), constant(f"{name}_zero", numpy.uint8(pair[1]))]

    value = "face"
    if quantized:
        value = node("DequantizeLinear", [value, *scale_and_zero("face", layers[0].input)], "face_f32")
    for number, layer in enumerate(layers):
        name = f"layer{number}"
        if isinstance(layer, Pool):
            value = node("MaxPool", [value], name, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
            continue
        if quantized:
            zeros = numpy.zeros(len(layer.weight_scales), numpy.int8)
            packed = [constant(f"{name}_s8", layer.weights), constant(f"{name}_scales", layer.weight_scales)]
            weights = node("DequantizeLinear", [*packed, constant(f"{name}_zeros", zeros)], f"{name}_f32", axis=0)
        else:
            weights = constant(f"{name}_f32", layer.float_weights())
        inputs = [value, weights, constant(f"{name}_bias", layer.float_bias())]
        kernel, pads = list(layer.weights.shape[2:]), [layer.padding] * 4
        value = node("Conv", inputs, "logits" if layer.last else name, kernel_shape=kernel, pads=pads)
        if not layer.last:
            value = node("Relu", [value], f"{name}_relu")
        if not layer.last and quantized:
            output = scale_and_zero(name, layer.output)
            value = node("QuantizeLinear", [value, *output], f"{name}_u8")
            value = node("DequantizeLinear", [value, *output], f"{name}_back")
    face = helper.make_tensor_value_info("face", TensorProto.UINT8 if quantized else TensorProto.FLOAT, shape)
    labels = layers[-1].weights.shape[0]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [shape[0], labels, 1, 1])
    graph = helper.make_graph(nodes, "net", [face], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)


def write_ncnn(shape, layers, path, quantized):
    """Writes ncnn's .param and .bin. Its int8 activations are signed, so u8 at zero point 0 keep seven of their eight bits."""
    lines, weights, value = [f"Input face 0 1 face 0={shape[3]} 1={shape[2]} 2={shape[1]}"], bytearray(), "face"

    def activation_scale(scale, zero):
        assert zero in (0, 128), f"a zero point of {zero}"
        return numpy.float32(1 / scale if zero == 128 else 127 / (255 * scale)).tobytes()

    for number, layer in enumerate(layers):
        output = f"layer{number}" if number + 1 < len(layers) else "logits"
        if isinstance(layer, Pool):
            lines.append(f"Pooling pool{number} 1 1 {value} {output} 0=0 1=3 2=2 5=0")
        else:
            line = f"Convolution conv{number} 1 1 {value} {output} 0={len(layer.weights)} 1={layer.weights.shape[2]}"
            line += f" 4={layer.padding} 5=1 6={layer.weights.size}" + ("" if layer.last else " 9=1")
            # Between two convolutions the values stay int8; a pool takes them as floats.
            requantized = not layer.last and isinstance(layers[number + 1], Conv)
            if quantized:
                line += " 8=101" if requantized else " 8=1"
                packed = layer.weights.tobytes()
                weights += struct.pack("<I", 0x000D4B38) + packed + bytes(-len(packed) % 4) + layer.float_bias().tobytes()
                weights += (1 / layer.weight_scales).astype(numpy.float32).tobytes() + activation_scale(*layer.input)
                weights += activation_scale(*layer.output) if requantized else b""
            else:
                weights += struct.pack("<I", 0) + layer.float_weights().tobytes() + layer.float_bias().tobytes()
            lines.append(line)
        value = output
    text = "\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines]) + "\n"
    path.with_suffix(".param").write_text(text)
    path.with_suffix(".bin").write_bytes(weights)


def write_tflite(shape, layers, path):
    """Writes a .tflite file in int8: u8 activations less 128."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [], []
    model = schema.ModelT()
    model.version, model.buffers, model.subgraphs, model.operatorCodes = 3, [schema.BufferT()], [graph], []
    operators = (schema.BuiltinOperator.CONV_2D, 3), (schema.BuiltinOperator.MAX_POOL_2D, 2)
    for operator, version in operators:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = operator
        code.version = version
        model.operatorCodes.append(code)

    def tensor(name, axes, kind, scales, zero, data=None):
        added = schema.TensorT()
        added.name, added.shape, added.type, added.buffer = name, [int(axis) for axis in axes], kind, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = numpy.frombuffer(numpy.ascontiguousarray(data).tobytes(), numpy.uint8)
            added.buffer = len(model.buffers)
            model.buffers.append(buffer)
        quantization = schema.QuantizationParametersT()
        quantization.scale = [float(scale) for scale in numpy.atleast_1d(scales)]
        quantization.zeroPoint = [zero] * len(quantization.scale)
        quantization.quantizedDimension = 0
        added.quantization = quantization
        graph.tensors.append(added)
        return len(graph.tensors) - 1

    def operator(code, inputs, output, kind, options):
        added = schema.OperatorT()
        added.opcodeIndex, added.inputs, added.outputs = code, inputs, [output]
        added.builtinOptionsType, added.builtinOptions = kind, options
        graph.operators.append(added)

    int8, int32, padding = schema.TensorType.INT8, schema.TensorType.INT32, schema.Padding
    faces, channels, side, _ = shape
    scale, zero = layers[0].input
    value = tensor("face", [faces, side, side, channels], int8, scale, zero - 128)
    graph.inputs = [value]
    for number, layer in enumerate(layers):
        name, before, side = f"layer{number}", side, after(layer, side)
        if isinstance(layer, Pool):
            options = schema.Pool2DOptionsT()
            options.strideH = options.strideW = 2
            options.filterHeight = options.filterWidth = 3
            # An even size rounded up is that of SAME, whose padding then lies behind; an odd one needs none.
            options.padding = padding.VALID if before % 2 else padding.SAME
            output = tensor(name, [faces, side, side, channels], int8, scale, zero - 128)
            operator(1, [value], output, schema.BuiltinOptions.Pool2DOptions, options)
        else:
            channels, (scale, zero) = len(layer.weights), layer.output
            weights = layer.weights.transpose(0, 2, 3, 1)
            weights = tensor(f"{name}_weights", weights.shape, int8, layer.weight_scales, 0, weights)
            bias_scales = numpy.float32(layer.input[0]) * layer.weight_scales
            bias = tensor(f"{name}_bias", [channels], int32, bias_scales, 0, layer.bias.astype(numpy.int32))
            options = schema.Conv2DOptionsT()
            options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
            options.padding = padding.SAME if layer.padding else padding.VALID
            activation = schema.ActivationFunctionType
            options.fusedActivationFunction = activation.NONE if layer.last else activation.RELU
            output = tensor(name, [faces, side, side, channels], int8, scale, zero - 128)
            operator(0, [value, weights, bias], output, schema.BuiltinOptions.Conv2DOptions, options)
        value = output
    graph.outputs = [value]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def write_mnn(source, target):
    """Converts a float ONNX file by MNN's converter. The command `mnnconvert` would call it, pip and a server."""
    import _tools

    arguments = ["-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(target), "--bizCode", "net"]
    _tools.mnnconvert(["mnnconvert", *arguments])


def main():
    folder = Path(sys.argv[1])
    # MNN's converter talks on stdout.
    os.dup2(2, 1)
    shape, layers = read(folder / "expression.onnx")
    write_ncnn(shape, layers, folder / "ncnn-int8", True)
    write_ncnn(shape, layers, folder / "ncnn-float", False)
    for faces in FACES:
        many = [faces, *shape[1:]]
        batched(folder / "expression.onnx", folder / f"qlinear-{faces}.onnx", faces)
        write_onnx(many, layers, folder / f"qdq-{faces}.onnx", True)
        write_tflite(many, layers, folder / f"int8-{faces}.tflite")
    write_onnx(shape, layers, folder / "float.onnx", False)
    write_mnn(folder / "float.onnx", folder / "float.mnn")


main()
