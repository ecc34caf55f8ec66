"""Writes the adjoints of ONNX's node tests as `onnx-ad` derives them: python onnx_ad_cases.py FOLDER.

A case is called as its node test, whose tensors it uses; its model gives `adj_x` for each input x from `adj_y` for
each output y, both with a last dimension of 1 more than they have.
"""

import collections
import sys

import onnx
from onnx.backend.test.loader import load_model_tests
from onnx_ad import reverse

import common

WIDE = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}


def is_float(port):
    return port.type.tensor_type.elem_type in WIDE


def main(folder):
    refused = collections.Counter()
    for case in load_model_tests(kind="node"):
        graph = case.model.graph
        if not any(map(is_float, graph.input)) or not any(map(is_float, graph.output)):
            continue
        try:
            adjoint = reverse(case.model, layout="onnx")
        except Exception as error:  # What it does not differentiate is no case.
            refused[type(error).__name__] += 1
            continue
        common.write(folder, case.name, adjoint.SerializeToString(), {}, by="onnx-ad")
    print(f"node tests that onnx-ad does not differentiate: {dict(refused)}")


if __name__ == "__main__":
    common.quiet()
    main(sys.argv[1])
