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


def main(folder):
    count = 0
    for case in load_model_tests(kind="node"):
        graph = case.model.graph
        inputs, outputs = case.data_sets[0]
        held = tensors(inputs, [port.name for port in graph.input], "in")
        held |= tensors(outputs, [port.name for port in graph.output], "out")
        common.write(folder, case.name, case.model.SerializeToString(), held, rtol=case.rtol, atol=case.atol)
        count += 1
    print(f"{count} cases")


if __name__ == "__main__":
    numpy.seterr(all="ignore")
    main(sys.argv[1])
