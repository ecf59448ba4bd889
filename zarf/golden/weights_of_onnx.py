"""Reads the weights of a tower back from its ONNX file, under the names of transformers."""

import onnx
import torch


def weights(path, begin, name_begin):
    """The weights whose names begin with `begin`, which is replaced, and the matrices of products."""
    graph = onnx.load(path).graph
    tensors = {tensor.name: torch.tensor(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}

    def rename(name):
        return name_begin + name.removeprefix(begin)

    found = {rename(name): tensor for name, tensor in tensors.items() if name.startswith(begin)}
    for node in graph.node:
        # The exporter transposes the matrices of products and renames them.
        given = [name for name in node.input if name.startswith("onnx::")]
        if node.op_type == "MatMul" and given:
            name = node.name.removesuffix("/MatMul").strip("/").replace("/", ".")
            found[f"{rename(name)}.weight"] = tensors[given[0]].T.contiguous()
    return found
