"""Exports towers to ONNX in the ways of the publishers."""

import contextlib
import io
import re
import uuid
import warnings

import onnx
import onnxslim
import torch
from onnx.external_data_helper import set_external_data


class Tower(torch.nn.Module):
    """A function of a model as a module, for the exporter."""

    def __init__(self, model, run):
        super().__init__()
        self.model = model
        self.run = run

    def forward(self, *inputs):
        return self.run(self.model, *inputs)


def export(path, model, run, inputs, outputs, dynamic=None, opset=17, dynamo=False):
    """Exports `run(model, *inputs.values())`. Axes without a name in `dynamic` are fixed.

    With `dynamo` by the exporter of today's PyTorch, which writes the weights to `<name>.onnx.data`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.backends.mha.set_fastpath_enabled(False)
    log = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(log), torch.no_grad():
        warnings.simplefilter("ignore")
        axes = {"dynamic_axes": dynamic}
        if dynamo:
            named = [{at: torch.export.Dim(axis) for at, axis in dynamic.get(name, {}).items()} for name in inputs]
            axes = {"dynamic_shapes": {"inputs": tuple(named)}}
        torch.onnx.export(
            Tower(model, run).eval(), tuple(inputs.values()), path, input_names=list(inputs), output_names=outputs,
            opset_version=opset, dynamo=dynamo, verbose=False, **axes)
    exported = onnx.load(path)
    if dynamo:
        for node in exported.graph.node:
            # Stack traces, with the paths of this machine.
            del node.metadata_props[:]
        path.with_name(path.name + ".data").unlink(missing_ok=True)
        save(path, exported)
        one_data_file(path, path.name + ".data")
    else:
        save(path, onnxslim.slim(exported))
    return path


def save(path, model):
    """Without the shapes of intermediate values, which are a third of such a small file."""
    del model.graph.value_info[:]
    onnx.save(model, path)


def save_variant(path, model):
    """Also with short names of intermediate values: three variants of two towers stay small."""
    kept = {value.name for value in (*model.graph.input, *model.graph.output, *model.graph.initializer)}
    short = {}
    for node in model.graph.node:
        node.name = ""
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                if name and name not in kept:
                    names[at] = short.setdefault(name, f"v{len(short)}")
    save(path, model)


def one_file_per_tensor(path, threshold=1024):
    """As the exporter of PyTorch does it for models of more than 2 GB: the name of the tensor, or a UUID if the name
    is not one of a file."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) >= threshold:
            fit = re.fullmatch(r'[^<>:;,?"*|/]+', tensor.name)
            location = tensor.name if fit else str(uuid.uuid5(uuid.NAMESPACE_OID, tensor.name))
            path.with_name(location).write_bytes(tensor.raw_data)
            set_external_data(tensor, location)
            tensor.ClearField("raw_data")
    onnx.save(model, path)


def one_data_file(path, name, threshold=1024):
    model = onnx.load(path)
    path.unlink()
    onnx.save_model(model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=name,
                    size_threshold=threshold)


def save_fp16(path, keep_io_types):
    from onnxruntime.transformers import float16

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = float16.convert_float_to_float16(onnx.load(path), keep_io_types=keep_io_types)
    save_variant(path.with_name(path.stem + "_fp16.onnx"), model)


def save_int8(path, suffix="_quantized"):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = path.with_name(path.stem + suffix + ".onnx")
    quantize_dynamic(path, target, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
    save_variant(target, onnx.load(target))
