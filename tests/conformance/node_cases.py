"""Writes ONNX's own node tests as cases: python node_cases.py FOLDER."""

import sys

import numpy
import onnx
from onnx.backend.test.loader import load_model_tests

import common


def tensors(values, names, group):
    """Tensors by port. Without those of a kind that a case cannot hold (sequences, optionals, text)."""
    found = {}
    for name, value in zip(names, values):
        if isinstance(value, onnx.TensorProto):
            value = onnx.numpy_helper.to_array(value)
        if value is not None and common.known(value):
            found[f"{group}/{name}"] = value
    return found


# Inputs that every exporter knows: how often a loop runs, and axes.
KNOWN = {"Loop": (0, 1), "CumProd": (1,), "DFT": (2,)}


def settle(graph, held):
    """Turns inputs that whoever exports a model knows into initializers."""
    known = {node.input[i] for node in graph.node for i in KNOWN.get(node.op_type, ()) if i < len(node.input)}
    for port in [port for port in graph.input if port.name in known]:
        graph.initializer.append(onnx.numpy_helper.from_array(numpy.asarray(held.pop(f"in/{port.name}")), port.name))
        graph.input.remove(port)


def main(folder):
    count = 0
    for case in load_model_tests(kind="node"):
        graph = case.model.graph
        inputs, outputs = case.data_sets[0]
        held = tensors(inputs, [port.name for port in graph.input], "in")
        settle(graph, held)
        held |= tensors(outputs, [port.name for port in graph.output], "out")
        common.write(folder, case.name, case.model.SerializeToString(), held, rtol=case.rtol, atol=case.atol)
        count += 1
    print(f"{count} cases")


if __name__ == "__main__":
    numpy.seterr(all="ignore")
    main(sys.argv[1])
